using System.Text.Json;
using Attune.Generation;
using Attune.Tensors;
using Attune.Weights;
using Attune.Weights.SingleFile;

namespace Attune.Verification;

/// <summary>
/// A released file that holds components under the names of the original code, without the values. It is written as a file without
/// contents and opened as a user's file is: it must be told to be these components, each must have the names and shapes of its folder, and
/// is built from them, every tensor read once: with the configuration of the folder, and with that which the shapes and the family's
/// embedded data tell, which may not contradict it.
/// </summary>
internal sealed class ManifestFileCase : CaseKind
{
    private const string Ending = ":single-file";

    /// <summary>Names of attention in autoencoders' folders of 2022, which models still read.</summary>
    private static readonly (string Old, string New)[] OldNames =
        [(".query.", ".to_q."), (".key.", ".to_k."), (".value.", ".to_v."), (".proj_attn.", ".to_out.0.")];

    /// <summary>The components of a pipeline, in the order in which manifests list the parts of a file.</summary>
    private static readonly string[] Slots = ["unet", "transformer", "vae", "text_encoder", "text_encoder_2", "text_encoder_3"];

    public override string Kind => "manifest";

    public override IReadOnlyCollection<string> Arguments { get; } =
    [
        "repository", "file", "parts", "dtype", "dtypes", "count", "parameters", "verified", "source", "unverified", "ignorable", "sha256",
        "tensors", "note",
    ];

    public override bool Takes(string? className) =>
        className != null && className.EndsWith(Ending, StringComparison.Ordinal)
            && ManifestCase.Loaders.ContainsKey(className[..^Ending.Length]);

    public override void Run(GoldenCase golden, Comparison results)
    {
        var tensors = ManifestTensors.Of(golden, results);
        string folder = Directory.CreateTempSubdirectory().FullName;
        try
        {
            string file = Path.Combine(folder, "model.safetensors");
            tensors.Write(file);
            Run(golden, tensors, file, results);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static void Run(GoldenCase golden, ManifestTensors tensors, string file, Comparison results)
    {
        var expected = golden.Arguments.GetProperty("parts").EnumerateObject()
            .ToDictionary(part => part.Name, part => golden.Other("manifests/" + part.Value.GetString()));
        FileComponent[] parts;
        using (var source = WeightSource.Open(file))
            parts = [.. FileComponent.Of(source)];
        results.Require(
            parts.Select(part => part.Prefix).ToHashSet().SetEquals(expected.Keys),
            $"taken for {string.Join(", ", parts.Select(part => $"{part.Name} behind '{part.Prefix}'"))}");
        foreach (var part in parts)
        {
            if (expected.TryGetValue(part.Prefix, out var component))
                CheckPart(part, component, tensors, golden.Device, results);
        }
        if (parts.Any(part => part.Kind.Role == PartRole.Denoiser))
            CheckModel(file, [.. expected.Values], golden.Device, results);
    }

    private static void CheckPart(FileComponent part, GoldenCase component, ManifestTensors file, Device device, Comparison results)
    {
        var config = ManifestTensors.Config(component);
        var released = ManifestTensors.Of(component, results);
        using var source = new CountedSource(part.Open(config));
        var theirs = released.All.Values.ToDictionary(
            tensor => OldNames.Aggregate(tensor.Name, (name, pair) => name.Replace(pair.Old, pair.New, StringComparison.Ordinal)));
        bool MayBeLeft(string name) => file.MayBeLeft(part.Prefix + name);
        foreach (var (name, tensor) in theirs.Where(entry => !released.MayBeLeft(entry.Value.Name)))
        {
            var ours = source.Describe(name);
            results.Require(
                ours != null && tensor.Dimensions.SequenceEqual(ours.Dimensions),
                $"{component.Name}: {name} is {ours?.Extents ?? "missing"}, expected {tensor.Extents}");
        }
        foreach (string name in source.Names)
            results.Require(theirs.ContainsKey(name) || MayBeLeft(name), $"{component.Name} has no {name}");
        using var built = ManifestCase.Loaders[component.Class!](new ComponentSource(config, device, () => source));
        source.RequireReadOnce(component.Name, MayBeLeft, results);
    }

    /// <summary>The file as a model: its components get their places, and configurations that say what the released ones say.</summary>
    private static void CheckModel(string file, GoldenCase[] expected, Device device, Comparison results)
    {
        var source = (SingleFileSource)new LoadOptions { Device = device }.Open(file);
        string[] slots = [.. Slots.Where(slot => source.ClassOf(slot) != null && source.Has(slot) && !source.Missing.Contains(slot))];
        results.Require(slots.Length == expected.Length, $"taken for {string.Join(", ", slots)}");
        foreach (var (slot, released) in slots.Zip(expected))
        {
            var component = source.Component(slot);
            foreach (var key in released.Arguments.GetProperty("config").EnumerateObject())
            {
                results.Require(
                    key.Name.StartsWith('_') || component.Config.Find(key.Name) is not { } ours || Says(ours, key.Value),
                    $"{slot}: {key.Name} is {component.Config.Find(key.Name)}, expected {key.Value}");
            }
            using var built = ManifestCase.Loaders[released.Class!](component);
        }
    }

    /// <summary>Whether two values say the same: a list of one number for all levels is that number.</summary>
    private static bool Says(JsonElement ours, JsonElement theirs) => (ours.ValueKind, theirs.ValueKind) switch
    {
        (JsonValueKind.Array, JsonValueKind.Array) =>
            ours.GetArrayLength() == theirs.GetArrayLength()
                && ours.EnumerateArray().Zip(theirs.EnumerateArray()).All(pair => Says(pair.First, pair.Second)),
        (JsonValueKind.Array, JsonValueKind.Number) => ours.EnumerateArray().All(one => Says(one, theirs)),
        (JsonValueKind.Number, JsonValueKind.Array) => theirs.EnumerateArray().All(one => Says(ours, one)),
        (JsonValueKind.Number, JsonValueKind.Number) => ours.GetDouble().Equals(theirs.GetDouble()),
        _ => JsonElement.DeepEquals(ours, theirs),
    };
}
