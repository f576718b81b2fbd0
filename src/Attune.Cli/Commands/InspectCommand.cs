using System.CommandLine;
using System.Runtime.ExceptionServices;
using System.Runtime.Intrinsics;
using System.Text.Json;
using Attune.Generation;
using Attune.Tensors;
using Attune.Tensors.OneDnn;
using Attune.Weights;
using Attune.Weights.SingleFile;
using Spectre.Console;

namespace Attune.Cli.Commands;

/// <summary>
/// <c>attune inspect PATH</c>: says what a checkpoint or a file is, without reading its weights. Whether a model is supported is found out
/// by opening it as every other command does: what they refuse, this calls not usable, for the same reason, and its exit code is theirs. A
/// file that is a part of a model is no failure: what else is needed is said.
/// </summary>
internal static class InspectCommand
{
    private const string Absent = "absent";

    /// <summary>How many tensors a line shows.</summary>
    private const int Shown = 4;

    public static Command Create()
    {
        var directory = new Argument<string?>("dir") {
            Description =
                "A pipeline folder, a component folder, or a .safetensors or .gguf file of whatever kind. Default: the checkpoint that "
                    + "comes with Attune.",
            Arity = ArgumentArity.ZeroOrOne };
        var configs = new Option<string?>("--config-folder") {
            Description = "For a model in a single file: the diffusers folder that goes with it, as for generate." };
        var json = new Option<bool>("--json") { Description = "Print one JSON object." };
        var command = new Command(
            "inspect", "Say what a checkpoint or a file is: components, parameters, types, sizes, and what else it needs.") {
                directory, configs, json };
        command.SetAction(result =>
        {
            string path = DefaultModel.Find(result.GetValue(directory));
            return result.GetValue(json) ? InspectJson.Run(path, result.GetValue(configs), Console.OpenStandardOutput)
                : Run(
                    path, result.GetValue(configs), DeviceOptions.Open(result), () => DeviceOptions.DescribeTorch(result),
                    AnsiConsole.Console);
        });
        return command;
    }

    internal static int Run(string path, string? configFolder, Device device, Func<string> torch, IAnsiConsole console)
    {
        bool isModel = IsModelFolder(path);
        FileReport? report = null;
        if (File.Exists(path))
        {
            report = FileReport.Of(path, configFolder);
            isModel = report.Role == FileRole.Model;
            Describe(report, console);
            console.Write(TypesIn(path));
            if (!isModel)
            {
                DescribeNeeds(report, console);
                return 0;
            }
        }
        if (isModel)
        {
            var problem = InspectModel(path, configFolder, console);
            console.WriteLine(
                $"{Workers.MaxThreads} threads, "
                    + $"{(Vector512.IsHardwareAccelerated ? "512" : Vector256.IsHardwareAccelerated ? "256" : "128")}-bit vectors, device: "
                        + $"{device.Description}");
            console.WriteLine(OneDnn());
            console.Profile.Out.Writer.WriteLine(torch());
            if (report?.Tokenizers.Count > 0)
                DescribeNeeds(report, console);
            problem?.Throw();
            return 0;
        }

        // A component alone, or a folder of such without a pipeline.
        if (HoldsWeights(path))
        {
            console.Write(Table([DescribeWeights(Path.GetFileName(Path.TrimEndingDirectorySeparator(path)), path, ClassIn(path))]));
            console.Write(TypesIn(path));
            return 0;
        }
        var (models, components) = Below(path);
        console.WriteLine($"{path} is no pipeline (it has no model_index.json); it holds:");
        // A path is for the next command and must not be broken or cut: lines, not cells.
        foreach (string model in models)
            console.WriteLine($"  {PipelineIn(model)} in {model}");
        if (components.Count > 0)
            console.Write(Table(components.Select(folder => DescribeWeights(Path.GetFileName(folder), folder, ClassIn(folder)))));
        return 0;
    }

    /// <summary>The models, and the components alone, right below a folder that is neither.</summary>
    /// <exception cref="CheckpointException">There are none, or no such folder.</exception>
    internal static (IReadOnlyList<string> Models, IReadOnlyList<string> Components) Below(string path)
    {
        if (!Directory.Exists(path))
            throw new CheckpointException($"'{path}' does not exist.");
        string[] below = [.. Directory.GetDirectories(path).Order(StringComparer.Ordinal)];
        string[] components = [.. below.Where(HoldsWeights)];
        string[] models = [.. below.Where(IsModelFolder)];
        return components.Length + models.Length > 0 ? (models, components)
            : throw new CheckpointException(
                $"'{path}' holds no checkpoint: expected model_index.json, or a component's weights (.safetensors).");
    }

    /// <summary>What a file is and how it was told. Lines, not cells: names and paths must not be cut.</summary>
    private static void Describe(FileReport report, IAnsiConsole console)
    {
        console.Profile.Out.Writer.WriteLine($"{report.Path}: {report.Name}");
        if (report.ToldBy.Count > 0)
            console.Profile.Out.Writer.WriteLine($"told by {string.Join(", ", report.ToldBy.Take(Shown))}");
        if (report.Pipeline != null && report.Role == FileRole.Denoiser)
            console.Profile.Out.Writer.WriteLine($"of {report.Pipeline}");
        if (report.Serves.Count > 0)
            console.Profile.Out.Writer.WriteLine($"for {string.Join(", ", report.Serves)}");
        if (report.Problem != null)
            console.Profile.Out.Writer.WriteLine(report.Problem);
    }

    private static void DescribeNeeds(FileReport report, IAnsiConsole console)
    {
        var writer = console.Profile.Out.Writer;
        if (report.Needs.Count + report.Tokenizers.Count > 0)
            writer.WriteLine("It needs besides:");
        foreach (var need in report.Needs)
            writer.WriteLine($"  {need}");
        if (report.Tokenizers.Count > 0)
            writer.WriteLine($"  {string.Join(", ", report.Tokenizers)} (--tokenizer: its folder, or one that holds several)");
        if (report.Command != null)
            writer.WriteLine($"To use it:{Environment.NewLine}  {report.Command}");
    }

    /// <summary>A damaged model does not hide the others.</summary>
    internal static string PipelineIn(string model)
    {
        try
        {
            return ModelConfig.Read(Path.Combine(model, "model_index.json")).ClassName ?? "a pipeline without a class";
        }
        catch (CheckpointException)
        {
            return "an unreadable pipeline";
        }
    }

    /// <summary>Shows a model; returns why it cannot be used, or null.</summary>
    private static ExceptionDispatchInfo? InspectModel(string path, string? configFolder, IAnsiConsole console)
    {
        var options = new LoadOptions { ConfigFolder = configFolder };
        var source = options.Open(path);
        string name = source.Index.ClassName ?? throw new CheckpointException($"'{source.Index.Path}' has no _class_name.");
        var problem = ProblemOf(path, options);
        bool known = DiffusionPipeline.SupportedClasses.Contains(name);
        console.WriteLine(
            $"{name} in {path}: {(problem == null ? "supported" : known ? "cannot be used" : "not supported by this version")}");
        console.Write(
            Table(
                source.Index.Keys()
                    .Where(key => !key.StartsWith('_') && IsComponent(source.Index.Find(key)))
                    .Select(key => Component(source, path, key, needed: problem != null))));
        return problem;
    }

    /// <summary>Why a model cannot be used, or null: found out by opening it.</summary>
    internal static ExceptionDispatchInfo? ProblemOf(string path, LoadOptions options)
    {
        try
        {
            using var pipeline = DiffusionPipeline.Load(path, options);
            pipeline.Resolve(new GenerationRequest { Prompt = "" });
            return null;
        }
        catch (Exception exception) when (exception is CheckpointException or IOException or ArgumentException or FormatException
            or NotSupportedException or InvalidOperationException or UnauthorizedAccessException)
        {
            return ExceptionDispatchInfo.Capture(exception);
        }
    }

    /// <summary>Library and class, or null twice; other lists are settings.</summary>
    internal static bool IsComponent(JsonElement? entry) => entry is { ValueKind: JsonValueKind.Array } list && list.GetArrayLength() == 2
        && list.EnumerateArray().All(part => part.ValueKind is JsonValueKind.String or JsonValueKind.Null);

    /// <summary>A component or tokenizer of a model. What is not there although everything loads is not needed.</summary>
    private static Row Component(ModelSource source, string path, string key, bool needed)
    {
        if (source.ClassOf(key) is not { } className)
            return new Row(key, "", "", Absent, "");
        if (!Directory.Exists(path))
        {
            // A single file holds components; of the rest, scheduler and tokenizers, the configurations that come with Attune tell.
            try
            {
                using var weights = source.Component(key).OpenWeights();
                return Describe(key, className, weights);
            }
            catch (CheckpointException)
            {
                return new Row(key, className, "", "", "");
            }
        }
        string folder = Path.Combine(path, key);
        if (!Directory.Exists(folder))
            return new Row(key, className, "", needed ? Absent : Absent + ", not needed", "");
        try
        {
            return DescribeWeights(key, folder, className);
        }
        catch (CheckpointException)
        {
            return new Row(key, className, "", "unreadable", "");
        }
    }

    /// <summary>Whether the optional library is there, and how to turn it off.</summary>
    private static string OneDnn() => OneDnnLibrary.TryLoad(out string problem) is { } library
        ? $"oneDNN {library.Version} is present{(library.HasBFloat16 ? ", with bfloat16 instructions" : "")}: --precision bf16 or "
            + $"--device onednn use it, {OneDnnLibrary.Variable}=off keeps it out"
        : problem;

    /// <summary>A pipeline's folder.</summary>
    internal static bool IsModelFolder(string path) => File.Exists(Path.Combine(path, "model_index.json"));

    internal static bool HoldsWeights(string folder) =>
        Directory.Exists(folder)
            && (Directory.EnumerateFiles(folder, "*.safetensors*").Any() || Directory.EnumerateFiles(folder, "*.gguf").Any());

    internal static string ClassIn(string folder)
    {
        string config = Path.Combine(folder, "config.json");
        return File.Exists(config) ? ModelConfig.Read(config).ClassName ?? "" : "";
    }

    /// <summary>A file or folder: its weights, or the size of its files where it has none.</summary>
    private static Row DescribeWeights(string name, string path, string className)
    {
        if (File.Exists(path) || HoldsWeights(path))
        {
            using var source = WeightSource.Open(path);
            return Describe(name, className, source);
        }
        return new Row(name, className, "", "", Size(Directory.EnumerateFiles(path).Sum(Length)));
    }

    /// <summary>The types of a file's tensors, those that take most room first.</summary>
    private static Table TypesIn(string path)
    {
        using var source = WeightSource.Open(path);
        var table = new Table().Border(TableBorder.Simple);
        foreach (string heading in new[] { "type", "tensors", "parameters", "size" })
            table.AddColumn(new TableColumn(heading).NoWrap());
        foreach (var group in source.Entries.GroupBy(tensor => tensor.Type).OrderByDescending(group => group.Sum(tensor => tensor.Length)))
        {
            string tensors = group.Count().ToString(System.Globalization.CultureInfo.InvariantCulture);
            table.AddRow(
                new Text(group.Key), new Text(tensors), new Text(Count(group.Sum(tensor => tensor.Count))),
                new Text(Size(group.Sum(tensor => tensor.Length))));
        }
        return table;
    }

    private static Row Describe(string name, string className, WeightSource source)
    {
        var tensors = source.Entries.ToArray();
        string types = string.Join(
            ", ",
            tensors.GroupBy(tensor => tensor.Type)
                .OrderByDescending(group => group.Sum(tensor => tensor.Count))
                .Select(group => $"{group.Key} x {group.Count()}"));
        return new Row(name, className, Count(tensors.Sum(tensor => tensor.Count)), types, Size(tensors.Sum(tensor => tensor.Length)));
    }

    /// <summary>The bytes of a file, or of the file that a link leads to.</summary>
    private static long Length(string file)
    {
        var target = new FileInfo(File.ResolveLinkTarget(file, returnFinalTarget: true)?.FullName ?? file);
        return target.Exists ? target.Length : 0;
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
