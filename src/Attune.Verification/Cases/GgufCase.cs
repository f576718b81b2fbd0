using System.Globalization;
using System.Text.Json;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Verification;

/// <summary>A GGUF file: what it says of itself, the types of its tensors, and what they mean in float32.</summary>
internal sealed class GgufCase : CaseKind
{
    public override string Kind => "gguf";

    public override IReadOnlyCollection<string> Arguments { get; } = ["types", "exact", "optional", "metadata", "metadata_types"];

    public override void Run(GoldenCase golden, Comparison results)
    {
        using var source = WeightSource.Open(golden.Checkpoint);
        foreach (var type in golden.Arguments.GetProperty("types").EnumerateObject())
        {
            string? found = source.Describe(type.Name)?.Type;
            results.Require(found == type.Value.GetString(), $"{type.Name} is of type {found ?? "none"}, expected {type.Value}");
        }
        string[] extra = [.. source.Names.Except(golden.Outputs.Keys)];
        results.Require(extra.Length == 0, $"the file has {string.Join(", ", extra)}, which the case has not");
        CheckMetadata(golden, results);
        foreach (string name in golden.Outputs.Keys)
        {
            using var scope = new TensorScope();
            using var weight = Supported(() => source.Find(name));
            if (weight != null)
                results.Check(name, weight.ToTensor(golden.Device), exact: golden.Flag("exact", false));
        }
    }

    private static void CheckMetadata(GoldenCase golden, Comparison results)
    {
        if (!golden.Arguments.TryGetProperty("metadata", out var metadata))
            return;
        using var file = GgufFile.Open(golden.Checkpoint);
        string[] keys = [.. metadata.EnumerateObject().Select(entry => entry.Name)];
        results.Require(file.Keys.ToHashSet().SetEquals(keys), $"the keys are {string.Join(", ", file.Keys)}");
        foreach (var entry in metadata.EnumerateObject())
        {
            object? value = file.Find(entry.Name);
            results.Require(IsEqual(value, entry.Value), $"{entry.Name} is {value}, expected {entry.Value}");
        }
        foreach (var entry in golden.Arguments.GetProperty("metadata_types").EnumerateObject())
            results.Require(
                file.TypeOf(entry.Name) == entry.Value.GetString(), $"{entry.Name} is of type {file.TypeOf(entry.Name)}");
    }

    private static bool IsEqual(object? value, JsonElement expected) => (value, expected.ValueKind) switch
    {
        (object[] values, JsonValueKind.Array) =>
            values.Length == expected.GetArrayLength()
                && values.Zip(expected.EnumerateArray()).All(pair => IsEqual(pair.First, pair.Second)),
        (string text, JsonValueKind.String) => text == expected.GetString(),
        (bool flag, JsonValueKind.True or JsonValueKind.False) => flag == expected.GetBoolean(),
        (float number, JsonValueKind.Number) => number == expected.GetSingle(),
        (double number, JsonValueKind.Number) => number == expected.GetDouble(),
        (IFormattable number, JsonValueKind.Number) => number.ToString(null, CultureInfo.InvariantCulture) == expected.GetRawText(),
        _ => false,
    };
}
