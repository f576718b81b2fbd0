using Attune.Generation;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Verification;

/// <summary>
/// LoRA files, or adapters of other kinds, on a checkpoint: which weights change, merged weights, and what components compute with them.
/// </summary>
/// <param name="kind"><c>lora</c>, or <c>adapter</c>: kinds of adapters beyond LoRA.</param>
internal sealed class LoraCase(string kind) : CaseKind
{
    public override string Kind => kind;

    public override IReadOnlyCollection<string> Arguments { get; } = ["loras", "changed"];

    /// <summary>COMPONENT.INPUT is an input of that component; all text encoders read the same ids.</summary>
    public override bool Knows(string input, GoldenCase golden)
    {
        int dot = input.IndexOf('.', StringComparison.Ordinal);
        return input == "input_ids" || !CanRun(golden)
            || (
                dot > 0
                    && KindOf(new ComponentFolders(golden.Checkpoint, golden.Device).Component(input[..dot]))
                        .Knows(input[(dot + 1)..], golden));
    }

    /// <summary>Dialects of LoRA are known before the models for which they are: their weights are compared all the same.</summary>
    public override void Run(GoldenCase golden, Comparison results)
    {
        var unsupported = new UnsupportedCaseException($"class {golden.Class}");
        var plain = new ComponentFolders(golden.Checkpoint, golden.Device);
        try
        {
            var merged = new LoadOptions { Loras = [.. Loras(golden)] }.Apply(plain);
            CheckWeights(golden, plain, merged, results);
            if (CanRun(golden))
                RunComponents(golden, plain.Components, merged, results);
        }
        catch (CheckpointException) when (!CanRun(golden))
        {
            throw unsupported;
        }
        if (!CanRun(golden) && results.WorstRatio <= 1)
            throw unsupported;
    }

    /// <summary>Whether the components that the case has outputs of are known, whatever pipeline they would belong to.</summary>
    private static bool CanRun(GoldenCase golden)
    {
        var folders = new ComponentFolders(golden.Checkpoint, golden.Device);
        return folders.Components
            .Where(component => HasOutputs(golden, component))
            .All(component => CaseRunner.ComponentOf(folders.Component(component).Config.ClassName) != null);
    }

    private static bool HasOutputs(GoldenCase golden, string component) =>
        golden.Outputs.Keys.Any(name => name.StartsWith(component + ".", StringComparison.Ordinal));

    private static IEnumerable<LoraWeights> Loras(GoldenCase golden)
    {
        foreach (var lora in golden.Arguments.GetProperty("loras").EnumerateArray())
        {
            if (lora.EnumerateObject().Select(key => key.Name).FirstOrDefault(key => key is not ("file" or "scale")) is { } unknown)
                throw new UnsupportedCaseException($"argument loras.{unknown}");
            yield return new LoraWeights(
                Path.Combine(golden.Root, lora.GetProperty("file").GetString()!), lora.GetProperty("scale").GetSingle());
        }
    }

    private static ComponentCase KindOf(ComponentSource source) =>
        CaseRunner.ComponentOf(source.Config.ClassName) ?? throw new UnsupportedCaseException($"class {source.Config.ClassName}");

    /// <summary>Compares merged weights, and finds which ones differ from those of the plain checkpoint.</summary>
    private static void CheckWeights(GoldenCase golden, ComponentFolders plain, ModelSource merged, Comparison results)
    {
        var changed = new List<string>();
        foreach (string component in plain.Components)
        {
            using var before = plain.Component(component).OpenWeights();
            using var after = merged.Component(component).OpenWeights();
            foreach (string name in before.Entries.Where(entry => entry.Type is "F32" or "F16" or "BF16").Select(entry => entry.Name))
            {
                using var scope = new TensorScope();
                using var plainWeight = before.Find(name)!;
                using var mergedWeight = after.Find(name)!;
                var value = mergedWeight.ToTensor(golden.Device);
                if (plainWeight.Shape != mergedWeight.Shape
                    || !value.ToArray().AsSpan().SequenceEqual(plainWeight.ToTensor(golden.Device).ToArray()))
                    changed.Add($"{component}.{name}");
                results.Check($"merged.{component}.{name}", value);
            }
        }
        changed.Sort(StringComparer.Ordinal);
        string?[] expected = [
            .. golden.Arguments.GetProperty("changed").EnumerateArray().Select(name => name.GetString()).Order(StringComparer.Ordinal)];
        results.Require(
            changed.SequenceEqual(expected),
            $"changed are {changed.Count} weights, expected {expected.Length}; they differ in "
                + $"{string.Join(", ", changed.Except(expected).Concat(expected.Except(changed)).Take(5))}");
    }

    /// <summary>Runs the components with merged weights of which the case has outputs.</summary>
    private static void RunComponents(GoldenCase golden, IEnumerable<string> components, ModelSource merged, Comparison results)
    {
        foreach (string component in components.Where(component => HasOutputs(golden, component)))
        {
            using var scope = new TensorScope();
            var source = merged.Component(component);
            KindOf(source).Run(new ComponentRun(golden, results, component), source);
        }
    }

    /// <summary>The folders that hold weights; a checkpoint for LoRA need not be a whole pipeline.</summary>
    private sealed class ComponentFolders(string folder, Device device) : ModelSource(device)
    {
        public IReadOnlyList<string> Components { get; } = [
            .. Directory.GetDirectories(folder)
                .Where(component => File.Exists(System.IO.Path.Combine(component, "config.json")))
                .Select(component => System.IO.Path.GetFileName(component)!)
                .Order(StringComparer.Ordinal)];

        public override string Path => folder;

        public override ModelConfig Index => throw new NotSupportedException();

        public override ModelConfig Scheduler => throw new NotSupportedException();

        public override bool Has(string component) => Components.Contains(component);

        public override ComponentSource Component(string name) => ComponentSource.Folder(System.IO.Path.Combine(folder, name), Device);

        public override string Tokenizer(string name) => throw new NotSupportedException();
    }
}
