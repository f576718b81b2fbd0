using Attune.Attention;
using Attune.Models;
using Attune.Models.Flux;
using Attune.Models.Unet;
using Attune.Generation;
using Attune.Tensors;
using Attune.TextEncoders.Clip;
using Attune.Weights;

namespace Attune.Verification;

internal static partial class CaseRunner
{
    private static void RunLora(GoldenCase golden, CaseResults results)
    {
        var plain = new ComponentFolders(golden.Checkpoint);
        var options = new LoadOptions
        {
            Loras = [.. golden.Arguments.GetProperty("loras").EnumerateArray().Select(lora =>
                new LoraWeights(Path.Combine(golden.Root, lora.GetProperty("file").GetString()!), lora.GetProperty("scale").GetSingle()))],
        };
        var merged = options.Apply(plain);
        var changed = new List<string>();
        foreach (string component in plain.Components)
            CheckWeights(component, plain.Component(component), merged.Component(component), changed, results);
        changed.Sort(StringComparer.Ordinal);
        string?[] expected = [
            .. golden.Arguments.GetProperty("changed").EnumerateArray().Select(name => name.GetString()).Order(StringComparer.Ordinal)];
        results.Require(
            changed.SequenceEqual(expected),
            $"changed are {changed.Count} weights, expected {expected.Length}; they differ in "
                + $"{string.Join(", ", changed.Except(expected).Concat(expected.Except(changed)).Take(5))}");
        foreach (
            string component in plain.Components.Where(
                component => golden.Outputs.Keys.Any(name => name.StartsWith(component + ".", StringComparison.Ordinal))))
            RunMerged(golden, results, component, merged.Component(component));
    }

    /// <summary>Compares merged weights, and finds which ones differ from those of the plain checkpoint.</summary>
    private static void CheckWeights(
        string component, ComponentSource plain, ComponentSource merged, List<string> changed, CaseResults results)
    {
        using var before = plain.Open();
        using var after = merged.Open();
        foreach (var stored in before.StoredTensors.Where(tensor => tensor.Type is "F32" or "F16" or "BF16"))
        {
            using var scope = new TensorScope();
            var shape = Shape.Create([.. stored.Dimensions.Select(extent => (int)extent)]);
            var value = after.Root.Get(stored.Name, shape).ToTensor();
            if (!value.Span.SequenceEqual(before.Root.Get(stored.Name, shape).ToTensor().Span))
                changed.Add($"{component}.{stored.Name}");
            results.Check($"merged.{component}.{stored.Name}", value);
        }
    }

    /// <summary>Runs a component with merged weights on the stored inputs.</summary>
    /// <exception cref="UnsupportedCaseException">There is no such model yet; a case whose weights are wrong has failed all the
    /// same.</exception>
    private static void RunMerged(GoldenCase golden, CaseResults results, string component, ComponentSource source)
    {
        using var scope = new TensorScope();
        Tensor Input(string name) => golden.Input($"{component}.{name}");
        switch (source.Config.ClassName)
        {
            case "CLIPTextModel" or "CLIPTextModelWithProjection":
                using (var model = ClipTextModel.Load(source))
                {
                    using var output = model.Encode(IdRows(golden, "input_ids"), [model.Layers]);
                    results.Check($"{component}.hidden_states", output.HiddenStates[0]);
                    if (output.TextEmbeds is { } embeds)
                        results.Check($"{component}.text_embeds", embeds);
                }
                break;
            case "FluxTransformer2DModel":
                using (var model = FluxTransformer.Load(source))
                {
                    results.Check($"{component}.output", Predict(model, Input, null));
                }
                break;
            case "UNet2DConditionModel":
                using (var model = Unet2DConditionModel.Load(source))
                {
                    using var conditioning = new UnetConditioning(Input("encoder_hidden_states").View());
                    var sample = Input("sample").Permute(0, 2, 3, 1);
                    var input = new DenoiserInput(
                        sample, new LatentGrid(1, sample.Shape[1], sample.Shape[2]), Input("timestep").ToArray(), conditioning);
                    results.Check($"{component}.output", model.Predict(input, Steering.Plain).Permute(0, 3, 1, 2));
                }
                break;
            default:
                if (results.WorstRatio <= 1)
                    throw new UnsupportedCaseException($"class {source.Config.ClassName}");
                break;
        }
    }

    /// <summary>The folders of components without a model_index.json.</summary>
    private sealed class ComponentFolders(string folder) : ModelSource
    {
        public IReadOnlyList<string> Components { get; } = [
            .. Directory.GetDirectories(folder).Select(component => System.IO.Path.GetFileName(component)!).Order(StringComparer.Ordinal)];

        public override string Path => folder;

        public override ModelConfig Index => throw new NotSupportedException();

        public override ModelConfig Scheduler => throw new NotSupportedException();

        public override bool Has(string component) => Components.Contains(component);

        public override ComponentSource Component(string name) => ComponentSource.Folder(System.IO.Path.Combine(folder, name));

        public override string Tokenizer(string name) => throw new NotSupportedException();
    }
}
