using System.CommandLine;
using System.Runtime.Intrinsics;
using Attune.Generation;
using Attune.Tensors;
using Attune.Tensors.OneDnn;
using Attune.Weights;
using Spectre.Console;

namespace Attune.Cli.Commands;

/// <summary><c>attune inspect DIR</c>: says what a checkpoint is, without reading its weights.</summary>
internal static class InspectCommand
{
    public static Command Create()
    {
        var directory = new Argument<string?>("dir") {
            Description = "A pipeline folder, a component folder or a .safetensors file. Default: the checkpoint that comes with Attune.",
            Arity = ArgumentArity.ZeroOrOne };
        var command = new Command("inspect", "Say what a checkpoint is: components, parameters, types, sizes.") { directory };
        command.SetAction(result => Run(DefaultModel.Find(result.GetValue(directory)), DeviceOptions.Open(result), AnsiConsole.Console));
        return command;
    }

    internal static int Run(string path, Device device, IAnsiConsole console)
    {
        string indexPath = Path.Combine(path, "model_index.json");
        if (!File.Exists(indexPath))
        {
            console.Write(Table([Describe(Path.GetFileName(Path.TrimEndingDirectorySeparator(path)), path, null)]));
            return 0;
        }
        var index = ModelConfig.Read(indexPath);
        string name = index.ClassName ?? throw new CheckpointException($"'{indexPath}' has no _class_name.");
        bool supported = DiffusionPipeline.SupportedClasses.Contains(name);
        console.WriteLine($"{name} in {path}: {(supported ? "supported" : "not supported by this version")}");
        console.Write(Table(index.Keys().Where(key => !key.StartsWith('_')).Select(key => Component(index, path, key)).OfType<Row>()));
        console.WriteLine(
            $"{Workers.MaxThreads} threads, "
                + $"{(Vector512.IsHardwareAccelerated ? "512" : Vector256.IsHardwareAccelerated ? "256" : "128")}-bit vectors, device: "
                    + $"{device.Description}");
        console.WriteLine(OneDnn());
        return 0;
    }

    /// <summary>Whether the optional library is there, and how to turn it off.</summary>
    private static string OneDnn() => OneDnnLibrary.TryLoad(out string problem) is { } library
        ? $"oneDNN {library.Version} is present{(library.HasBFloat16 ? ", with bfloat16 instructions" : "")}: --precision bf16 or "
            + $"--device onednn use it, {OneDnnLibrary.Variable}=off keeps it out"
        : problem;

    private static Row? Component(ModelConfig index, string path, string key) => index.Find(key) switch
    {
        { ValueKind: System.Text.Json.JsonValueKind.Array } entry when entry.GetArrayLength() == 2 =>
            entry[1].ValueKind == System.Text.Json.JsonValueKind.String ? Describe(key, Path.Combine(path, key), entry[1].GetString())
                : new Row(key, "absent", "", "", ""),
        _ => null,
    };

    private static Row Describe(string name, string path, string? className)
    {
        string config = Path.Combine(path, "config.json");
        className ??= File.Exists(config) ? ModelConfig.Read(config).ClassName : null;
        bool weights = File.Exists(path)
            || (
                Directory.Exists(path)
                    && (
                        Directory.EnumerateFiles(path, "*.safetensors").Any()
                            || Directory.EnumerateFiles(path, "*.safetensors.index.json").Any()));
        if (!weights)
        {
            if (!Directory.Exists(path))
                throw new CheckpointException($"'{path}' does not exist.");
            long bytes = Directory.EnumerateFiles(path).Sum(file => new FileInfo(file).Length);
            return new Row(name, className ?? "", "", "", Size(bytes));
        }
        using var source = WeightSource.Open(path);
        var tensors = source.Entries.ToArray();
        string types = string.Join(
            ", ",
            tensors.GroupBy(tensor => tensor.Type)
                .OrderByDescending(group => group.Sum(tensor => tensor.Count))
                .Select(group => $"{group.Key} x {group.Count()}"));
        return new Row(
            name, className ?? "", Count(tensors.Sum(tensor => tensor.Count)), types, Size(tensors.Sum(tensor => tensor.Length)));
    }

    private static Table Table(IEnumerable<Row> rows)
    {
        var table = new Table().Border(TableBorder.Simple);
        foreach (string heading in new[] { "component", "class", "parameters", "tensors", "size" })
            table.AddColumn(new TableColumn(heading).NoWrap());
        foreach (var row in rows)
            table.AddRow(new Text(row.Name), new Text(row.Class), new Text(row.Parameters), new Text(row.Types), new Text(row.Size));
        return table;
    }

    private static string Count(long count) => count switch
    {
        >= 1_000_000_000 => FormattableString.Invariant($"{count / 1e9:0.00} B"),
        >= 1_000_000 => FormattableString.Invariant($"{count / 1e6:0.00} M"),
        _ => FormattableString.Invariant($"{count / 1e3:0.0} k"),
    };

    private static string Size(long bytes) => bytes switch
    {
        >= 1L << 30 => FormattableString.Invariant($"{bytes / (double)(1L << 30):0.00} GiB"),
        >= 1L << 20 => FormattableString.Invariant($"{bytes / (double)(1L << 20):0.00} MiB"),
        _ => FormattableString.Invariant($"{bytes / 1024.0:0.0} KiB"),
    };

    private sealed record Row(string Name, string Class, string Parameters, string Types, string Size);
}
