using Attune.Attention;
using Attune.Autoencoders;
using Attune.Models;
using Attune.Models.Flux;
using Attune.Models.Unet;
using Attune.Tensors;
using Attune.TextEncoders.Clip;
using Attune.TextEncoders.T5;

namespace Attune.Verification;

internal static partial class CaseRunner
{
    private static void RunComponent(GoldenCase golden, CaseResults results)
    {
        switch (golden.Class)
        {
            case "CLIPTextModel" or "CLIPTextModelWithProjection": RunClip(golden, results); break;
            case "T5EncoderModel" or "UMT5EncoderModel": RunT5(golden, results); break;
            case "AutoencoderKL" or "AutoencoderKLFlux2" or "AutoencoderTiny": RunAutoencoder(golden, results); break;
            case "FluxTransformer2DModel": RunFluxTransformer(golden, results); break;
            case "UNet2DConditionModel": RunUnet(golden, results); break;
            default: throw new UnsupportedCaseException($"class {golden.Class}");
        }
    }

    private static void RunClip(GoldenCase golden, CaseResults results)
    {
        using var model = ClipTextModel.Load(golden.Checkpoint);
        int[] hidden = [.. Enumerable.Range(0, model.Layers + 1)];
        using var output = model.Encode(IdRows(golden, "input_ids"), hidden);
        results.Check("last_hidden_state", output.LastHiddenState!);
        if (output.PooledOutput is { } pooled)
            results.Check("pooler_output", pooled);
        if (output.TextEmbeds is { } embeds)
            results.Check("text_embeds", embeds);
        for (int i = 0; i < hidden.Length; i++)
            results.Check(FormattableString.Invariant($"hidden_states.{i}"), output.HiddenStates[i]);
    }

    /// <summary>Where a mask is given, the reference sets the rows of pads to zero before comparison.</summary>
    private static void RunT5(GoldenCase golden, CaseResults results)
    {
        using var model = T5EncoderModel.Load(golden.Checkpoint);
        var ids = IdRows(golden, "input_ids");
        var mask = golden.HasInput("attention_mask") ? IdRows(golden, "attention_mask") : null;
        int[] hidden = [.. Enumerable.Range(0, model.Layers + 1)];
        var states = model.EncodeHiddenStates(ids, hidden, mask);
        for (int i = 0; i < states.Count; i++)
        {
            var state = states[i];
            if (mask != null)
                state = state.Multiply(golden.Input("attention_mask").Reshape(ids.Count, ids[0].Length, 1));
            results.Check(FormattableString.Invariant($"hidden_states.{i}"), state);
            if (i == states.Count - 1)
                results.Check("last_hidden_state", state);
        }
    }

    private static void RunAutoencoder(GoldenCase golden, CaseResults results)
    {
        bool decode = golden.Text("method") == "decode";
        var input = golden.Input(decode ? "latents" : "image").Permute(0, 2, 3, 1);
        void Check(string name, Tensor value) => results.Check(name, value.Permute(0, 3, 1, 2));
        void CheckPosterior(DiagonalGaussian posterior)
        {
            Check("mean", posterior.Mean);
            Check("logvar", posterior.LogVariance);
        }

        if (golden.Class == "AutoencoderKL")
        {
            using var model = AutoencoderKl.Load(golden.Checkpoint);
            if (decode)
                Check("image", model.Decode(input));
            else
                CheckPosterior(model.Encode(input));
        }
        else if (golden.Class == "AutoencoderKLFlux2")
        {
            using var model = AutoencoderKlFlux2.Load(golden.Checkpoint);
            if (decode)
                Check("image", model.Decode(input));
            else
                CheckPosterior(model.Encode(input));
        }
        else
        {
            using var model = AutoencoderTiny.Load(golden.Checkpoint);
            var output = decode ? model.Decode(input) : model.Encode(input);
            Check(decode ? "image" : "latents", output);
            if (results.Wants("scale_latents"))
                Check("scale_latents", model.ToUnitRange(output));
        }
    }

    private static void RunFluxTransformer(GoldenCase golden, CaseResults results)
    {
        using var model = FluxTransformer.Load(golden.Checkpoint);
        float? guidance = golden.HasInput("guidance") ? golden.Input("guidance").ToArray()[0] : null;
        results.Check("sample", Predict(model, golden.Input, guidance));
    }

    /// <summary>
    /// A forward pass over inputs as the reference has them: the timestep is t / 1000, positions are stated token by token.
    /// </summary>
    private static Tensor Predict(FluxTransformer model, Func<string, Tensor> input, float? guidance)
    {
        using var conditioning = new FluxConditioning(input("encoder_hidden_states").View(), input("pooled_projections").View());
        float[] timesteps = [.. input("timestep").ToArray().Select(t => t * 1000)];
        var asked = new DenoiserInput(
            input("hidden_states"), GridOf(input("img_ids")), timesteps, conditioning) { GuidanceScale = guidance };
        return model.Predict(asked, Steering.Plain);
    }

    /// <summary>The rows and columns of ids (0, row, column) that run over a whole grid in row-major order.</summary>
    private static LatentGrid GridOf(Tensor ids)
    {
        float[] positions = ids.ToArray();
        int count = ids.Shape[0];
        int columns = (int)positions[^1] + 1;
        for (int i = 0; i < count; i++)
        {
            if (positions[3 * i] != 0 || positions[3 * i + 1] != i / columns || positions[3 * i + 2] != i % columns)
                throw new UnsupportedCaseException("img_ids that are no grid");
        }
        return new LatentGrid(1, count / columns, columns);
    }

    private static void RunUnet(GoldenCase golden, CaseResults results)
    {
        using var model = Unet2DConditionModel.Load(golden.Checkpoint);
        Tensor? Optional(string name) => golden.HasInput(name) ? golden.Input(name) : null;
        using var conditioning = new UnetConditioning(
            golden.Input("encoder_hidden_states").View(), Optional("text_embeds")?.View(), Optional("time_ids")?.View());
        var sample = golden.Input("sample").Permute(0, 2, 3, 1);
        var input = new DenoiserInput(
            sample, new LatentGrid(1, sample.Shape[1], sample.Shape[2]), golden.Input("timestep").ToArray(), conditioning)
        {
            GuidanceScale = (float?)golden.OptionalDouble("guidance_scale"),
        };
        results.Check("sample", model.Watch(input, Steering.Plain, Probe).Permute(0, 3, 1, 2));

        // The case calls what a down block hands on its first result.
        void Probe(string name, Tensor value) => results.Check(
            name.StartsWith("down_blocks", StringComparison.Ordinal)
                ? name + ".0"
                : name, value.Shape.Rank == 4 ? value.Permute(0, 3, 1, 2)
                : value);
    }

    /// <summary>An integer input [batch, tokens] as rows.</summary>
    private static IReadOnlyList<int[]> IdRows(GoldenCase golden, string name)
    {
        int length = golden.InputShape(name)[1];
        return [.. golden.InputIntegers(name).Chunk(length).Select(row => row.Select(id => (int)id).ToArray())];
    }
}
