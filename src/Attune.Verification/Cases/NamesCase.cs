using System.Globalization;
using System.Text;
using System.Text.Json;
using Attune.Tensors;
using Attune.Weights;
using Attune.Weights.SingleFile;
using Attune.Weights.Writing;

namespace Attune.Verification;

/// <summary>
/// How a component is called in single files: a folder's weights are written under those names, to safetensors and to GGUF, and read as a
/// single file is; every parameter must come back once and equal.
/// </summary>
internal sealed class NamesCase : CaseKind
{
    public override string Kind => "names";

    public override IReadOnlyCollection<string> Arguments { get; } = ["family", "prefix", "tensors"];

    public override void Run(GoldenCase golden, Comparison results)
    {
        var component = ComponentSource.Folder(golden.Checkpoint, golden.Device);
        using var folder = component.OpenWeights();
        var tensors = Tensors(golden, folder).ToArray();
        string safetensors = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName() + ".safetensors");
        string gguf = Path.ChangeExtension(safetensors, ".gguf");
        try
        {
            WriteSafetensors(safetensors, tensors);
            Compare(safetensors, golden, component.Config, folder, results);
            WeightConversion.Convert(safetensors, gguf, type: null);
            Compare(gguf, golden, component.Config, folder, results);
        }
        finally
        {
            File.Delete(safetensors);
            File.Delete(gguf);
        }
    }

    private static void Compare(string file, GoldenCase golden, ModelConfig config, WeightSource folder, Comparison results)
    {
        FileComponent[] parts;
        using (var source = WeightSource.Open(file))
            parts = [.. FileComponent.Of(source)];
        results.Require(
            parts.Length == 1 && parts[0].Prefix == golden.Text("prefix"),
            $"taken for {string.Join(", ", parts.Select(part => $"{part.Name} behind '{part.Prefix}'"))}");
        using var renamed = parts[0].Open(WeightSource.Open(file), config);
        string[] expected = [.. folder.Entries.Where(tensor => tensor.Type is "F32" or "F16" or "BF16").Select(tensor => tensor.Name)];
        results.Require(
            renamed.Names.Order(StringComparer.Ordinal).SequenceEqual(expected.Order(StringComparer.Ordinal)),
            $"{Path.GetExtension(file)}: the names differ in "
                + $"{string.Join(", ", renamed.Names.Except(expected).Concat(expected.Except(renamed.Names)).Take(5))}");
        foreach (string name in expected.Where(renamed.Names.Contains))
        {
            using var scope = new TensorScope();
            using var theirs = folder.Find(name)!;
            using var ours = renamed.Find(name, theirs.Shape)!;
            results.Require(
                theirs.Shape == ours.Shape
                    && theirs.ToTensor(golden.Device).ToArray().AsSpan().SequenceEqual(ours.ToTensor(golden.Device).ToArray()),
                $"{Path.GetExtension(file)}: {name} is another");
        }
    }

    /// <summary>The tensors of the file, as the case says how they are made.</summary>
    private static IEnumerable<(string Name, int[] Shape, float[] Values)> Tensors(GoldenCase golden, WeightSource folder)
    {
        foreach (var tensor in golden.Arguments.GetProperty("tensors").EnumerateObject())
        {
            var recipe = tensor.Value;
            if (recipe.EnumerateObject().Select(key => key.Name)
                .FirstOrDefault(key => key is not ("from" or "swap" or "transpose" or "shape")) is { } unknown)
                throw new UnsupportedCaseException($"argument tensors.{unknown}");

            // A counter of a batch norm is no parameter.
            if (recipe.GetProperty("from").EnumerateArray().Any(name => folder.Describe(name.GetString()!)?.Type == "I64"))
                continue;
            var values = new List<float>();
            int[]? shape = null;
            foreach (string from in recipe.GetProperty("from").EnumerateArray().Select(name => name.GetString()!))
            {
                using var scope = new TensorScope();
                using var stored = folder.Find(from)!;
                values.AddRange(stored.ToTensor(golden.Device).ToArray());
                int[] extents = [.. Enumerable.Range(0, stored.Shape.Rank).Select(axis => stored.Shape[axis])];
                if (shape != null)
                    shape[0] += extents[0];
                shape ??= extents;
            }
            float[] all = [.. values];
            if (Flag(recipe, "swap"))
                all = [.. all[(all.Length / 2)..], .. all[..(all.Length / 2)]];
            if (Flag(recipe, "transpose"))
            {
                var (rows, columns) = (shape![0], shape[1]);
                all = [.. Enumerable.Range(0, all.Length).Select(i => all[i % rows * columns + i / rows])];
                shape = [columns, rows];
            }
            if (recipe.TryGetProperty("shape", out var other))
                shape = [.. other.EnumerateArray().Select(extent => extent.GetInt32())];
            if (all.Length == 0)
                all = new float[shape!.Aggregate(1, (product, extent) => product * extent)];
            yield return (tensor.Name, shape!, all);
        }
    }

    private static bool Flag(JsonElement recipe, string key) => recipe.TryGetProperty(key, out var value) && value.GetBoolean();

    private static void WriteSafetensors(string file, (string Name, int[] Shape, float[] Values)[] tensors)
    {
        var header = new StringBuilder("{");
        long at = 0;
        foreach (var (name, shape, values) in tensors)
        {
            long end = at + 4L * values.Length;
            header.Append(header.Length > 1 ? "," : "").Append(
                CultureInfo.InvariantCulture,
                $"\"{name}\":{{\"dtype\":\"F32\",\"shape\":[{string.Join(",", shape)}],\"data_offsets\":[{at},{end}]}}");
            at = end;
        }
        byte[] text = Encoding.UTF8.GetBytes(header.Append('}').ToString());
        using var stream = new BinaryWriter(File.Create(file));
        stream.Write((long)text.Length);
        stream.Write(text);
        foreach (float value in tensors.SelectMany(tensor => tensor.Values))
            stream.Write(value);
    }
}
