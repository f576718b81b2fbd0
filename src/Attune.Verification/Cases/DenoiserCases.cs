using Attune.Attention;
using Attune.Latents;
using Attune.Models;
using Attune.Models.Chroma;
using Attune.Models.ErnieImage;
using Attune.Models.Flux;
using Attune.Models.Flux2;
using Attune.Models.Krea2;
using Attune.Models.PixArt;
using Attune.Models.QwenImage;
using Attune.Models.QwenImage21;
using Attune.Models.Sana;
using Attune.Models.StableDiffusion3;
using Attune.Models.Unet;
using Attune.Models.Wan;
using Attune.Models.ZImage;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Verification;

/// <summary>
/// A forward pass of FLUX.1's transformer, without guidance rules. The case's timestep is t / 1000, and positions are stated token by
/// token.
/// </summary>
internal sealed class FluxTransformerCase : ComponentCase
{
    protected override IReadOnlyCollection<string> Inputs { get; } =
        ["hidden_states", "encoder_hidden_states", "pooled_projections", "timestep", "guidance", "img_ids", "txt_ids"];

    public override bool Takes(string? className) => className == "FluxTransformer2DModel";

    public override void Run(ComponentRun run, ComponentSource source)
    {
        // The model gives every text token position 0, as the pipelines of the reference do.
        if (run.Has("txt_ids") && run.Input("txt_ids").ToArray().Any(id => id != 0))
            throw new UnsupportedCaseException("txt_ids other than 0");
        using var model = FluxTransformer.Load(source);
        using var conditioning = new FluxConditioning(run.Input("encoder_hidden_states").View(), run.Input("pooled_projections").View());
        float[] timesteps = [.. run.Input("timestep").ToArray().Select(t => t * 1000)];
        var input = new DenoiserInput(run.Input("hidden_states"), GridOf(run.Input("img_ids")), timesteps, conditioning)
        {
            GuidanceScale = run.Optional("guidance")?.ToArray()[0],
        };
        run.Check(run.Sample, model.Predict(input, Steering.Plain));
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
}

/// <summary>
/// A forward pass of FLUX.2's transformer, without guidance rules. Positions are stated token by token: the latents' grid, then those of
/// references, each with a time of its own.
/// </summary>
internal sealed class Flux2TransformerCase : ComponentCase
{
    protected override IReadOnlyCollection<string> Inputs { get; } =
        ["hidden_states", "encoder_hidden_states", "timestep", "guidance", "img_ids", "txt_ids"];

    public override bool Takes(string? className) => className == "Flux2Transformer2DModel";

    public override void Run(ComponentRun run, ComponentSource source)
    {
        using var model = Flux2Transformer.Load(source);
        using var conditioning = new Flux2Conditioning(run.Input("encoder_hidden_states").View());
        var rows = run.Input("hidden_states");
        var grids = GridsOf(model, run.Input("img_ids"), rows.Shape[1]);
        var parts = new List<ReferenceLatents>();
        int at = 0;
        foreach (var grid in grids)
        {
            parts.Add(new ReferenceLatents(rows.Slice(1, at, grid.Count), grid));
            at += grid.Count;
        }
        float[] timesteps = [.. run.Input("timestep").ToArray().Select(t => t * 1000)];
        var input = new DenoiserInput(parts[0].Latents, grids[0], timesteps, conditioning)
        {
            GuidanceScale = run.Optional("guidance")?.ToArray()[0],
            References = parts[1..],
        };
        using var scope = new TensorScope();
        var sample = model.Predict(input, Steering.Plain);

        // The reference also computes what it would predict for references, which nobody reads.
        run.CheckRows(run.Sample, sample);
    }

    /// <summary>The grids of ids (time, row, column, 0), which must be those that the model itself gives them.</summary>
    private static List<LatentGrid> GridsOf(Flux2Transformer model, Tensor ids, int count)
    {
        float[] positions = ids.ToArray();
        var grids = new List<LatentGrid>();
        for (int at = 0; at < count;)
        {
            int end = at;
            while (end < count && positions[4 * end] == positions[4 * at])
                end++;
            int columns = (int)positions[4 * (end - 1) + 2] + 1;
            grids.Add(new LatentGrid(1, (end - at) / columns, columns));
            at = end;
        }
        var own = model.PositionsOf(grids[0], grids[1..]).SelectMany(ids => ids).Select(id => (float)id).ToArray();
        if (!own.SequenceEqual(positions.Take(own.Length)))
            throw new UnsupportedCaseException("img_ids that are no grids");
        return grids;
    }
}

/// <summary>
/// A forward pass of Z-Image's transformer, without guidance rules, one caption after the other. The case's timestep is (1000 - t) / 1000,
/// and its sample is what the network gives, the negative of the prediction.
/// </summary>
internal sealed class ZImageTransformerCase : ComponentCase
{
    protected override IReadOnlyCollection<string> Inputs { get; } = ["latents", "timestep", "caption.i"];

    public override bool Takes(string? className) => className == "ZImageTransformer2DModel";

    public override void Run(ComponentRun run, ComponentSource source)
    {
        using var model = ZImageTransformer.Load(source);
        var latents = run.Input("latents");         // [batch, channels, 1, height, width]
        var shape = latents.Shape;
        var all = latents.Reshape(shape[0], shape[1], shape[3], shape[4]).Permute(0, 2, 3, 1);
        float[] times = run.Input("timestep").ToArray();
        var grid = new LatentGrid(1, shape[3] / model.Config.PatchSize, shape[4] / model.Config.PatchSize);
        var samples = new List<Tensor>();
        for (int i = 0; i < shape[0]; i++)
        {
            var caption = run.Input(FormattableString.Invariant($"caption.{i}"));
            using var conditioning = new ZImageConditioning(caption.Reshape(1, caption.Shape[0], caption.Shape[1]).Clone());
            var input = new DenoiserInput(all.Slice(0, i, 1).Clone(), grid, [1000 - 1000 * times[i]], conditioning)
            {
                // The embedders of the reference also run over rows that pads replace.
                Watch = shape[0] > 1 ? null : (name, value) => run.CheckRows(name, value),
            };
            samples.Add(model.Predict(input, Steering.Plain).Affine(-1).Permute(0, 3, 1, 2));
        }
        run.Check(run.Sample, TensorOperations.Concatenate(0, [.. samples]).Reshape(shape));
    }
}

/// <summary>
/// A forward pass of Qwen-Image's transformer, without guidance rules. Masked text rows count for nobody: each item of a batch runs alone,
/// with the rows of its own text.
/// </summary>
internal sealed class QwenImageTransformerCase : ComponentCase
{
    public override IReadOnlyCollection<string> Arguments { get; } = ["image_shapes"];

    protected override IReadOnlyCollection<string> Inputs { get; } =
        ["hidden_states", "encoder_hidden_states", "encoder_hidden_states_mask", "timestep"];

    public override bool Takes(string? className) => className == "QwenImageTransformer2DModel";

    public override void Run(ComponentRun run, ComponentSource source)
    {
        var (latents, text) = (run.Input("hidden_states"), run.Input("encoder_hidden_states"));
        var grids = GridsOf(run.Golden, latents.Shape[1]);
        using var model = QwenImageTransformer.Load(source);
        var mask = run.Has("encoder_hidden_states_mask") ? run.Rows("encoder_hidden_states_mask") : null;
        float[] timesteps = run.Input("timestep").ToArray();
        using var kept = new TensorBag();       // what is watched ends with the pass
        var (samples, norms) = (new List<Tensor>(), new List<Tensor>());
        for (int i = 0; i < latents.Shape[0]; i++)
        {
            int length = mask?[i].Sum() ?? text.Shape[1];
            using var conditioning = new QwenImageConditioning(text.Slice(0, i, 1).Slice(1, 0, length).Clone());
            var rows = latents.Slice(0, i, 1);
            var parts = new List<ReferenceLatents>();
            foreach (var grid in grids)
                parts.Add(new ReferenceLatents(rows.Slice(1, parts.Sum(part => part.Grid.Count), grid.Count).Clone(), grid));
            var input = new DenoiserInput(parts[0].Latents, grids[0], [1000 * timesteps[i]], conditioning)
            {
                Watch = Watch, References = parts[1..],
            };
            samples.Add(model.Predict(input, Steering.Plain));
        }

        // The reference also computes what it would predict for references, which nobody reads.
        run.CheckRows(run.Sample, TensorOperations.Concatenate(0, [.. samples]));
        run.CheckMasked("txt_norm", TensorOperations.Concatenate(0, [.. norms]), mask);

        void Watch(string name, Tensor value)
        {
            if (name == "txt_norm")
                norms.Add(kept.Own(value.WithPads(text.Shape[1])));
            else if (name != "rope.text" || value.Shape[0] == text.Shape[1])
                run.Check(name, value);
        }
    }

    /// <summary>As the case says; where it does not, the landscape that is nearest to a square.</summary>
    private static LatentGrid[] GridsOf(GoldenCase golden, int rows)
    {
        if (!golden.Arguments.TryGetProperty("image_shapes", out var shapes))
        {
            int height = Enumerable.Range(1, rows).Last(side => side * side <= rows && rows % side == 0);
            return [new LatentGrid(1, height, rows / height)];
        }
        return [
            .. shapes.EnumerateArray().Select(shape => new LatentGrid(shape[0].GetInt32(), shape[1].GetInt32(), shape[2].GetInt32()))];
    }
}

/// <summary>
/// A forward pass of Chroma's transformer, without guidance rules. With a boolean mask, masked text rows count for nobody: each item of a
/// batch runs alone.
/// </summary>
internal sealed class ChromaTransformerCase : ComponentCase
{
    public override IReadOnlyCollection<string> Arguments { get; } = ["mask"];

    protected override IReadOnlyCollection<string> Inputs { get; } =
        ["hidden_states", "encoder_hidden_states", "timestep", "img_ids", "txt_ids", "attention_mask"];

    public override bool Takes(string? className) => className == "ChromaTransformer2DModel";

    public override void Run(ComponentRun run, ComponentSource source)
    {
        using var model = ChromaTransformer.Load(source);
        var (latents, text) = (run.Input("hidden_states"), run.Input("encoder_hidden_states"));
        var mask = run.Has("attention_mask") ? run.Rows("attention_mask") : null;
        bool additive = run.Golden.OptionalText("mask") == "additive";
        float[] timesteps = run.Input("timestep").ToArray();
        float[] last = run.Input("img_ids").ToArray()[^3..];
        var grid = new LatentGrid(1, (int)last[1] + 1, (int)last[2] + 1);
        using var kept = new TensorBag();
        var (samples, tables) = (new List<Tensor>(), new List<Tensor>());
        for (int i = 0; i < latents.Shape[0]; i++)
        {
            int counted = mask?[i].Take(text.Shape[1]).Sum() ?? text.Shape[1];
            using var conditioning = new ChromaConditioning(text.Slice(0, i, 1).Clone(), counted, additive);
            var input = new DenoiserInput(latents.Slice(0, i, 1).Clone(), grid, [1000 * timesteps[i]], conditioning)
            {
                Watch = (_, table) => tables.Add(kept.Own(table.Clone())),
            };
            samples.Add(model.Predict(input, Steering.Plain));
        }
        run.Check(run.Sample, TensorOperations.Concatenate(0, [.. samples]));
        run.Check("distilled_guidance_layer", TensorOperations.Concatenate(0, [.. tables]));
    }
}

/// <summary>
/// A forward pass of PixArt's transformer, without guidance rules. Masked text rows count for nobody: each item of a batch runs alone, with
/// the rows of its own text.
/// </summary>
internal sealed class PixArtTransformerCase : ComponentCase
{
    protected override IReadOnlyCollection<string> Inputs { get; } =
        ["hidden_states", "encoder_hidden_states", "timestep", "encoder_attention_mask", "resolution", "aspect_ratio"];

    public override bool Takes(string? className) => className == "PixArtTransformer2DModel";

    public override void Run(ComponentRun run, ComponentSource source)
    {
        using var model = PixArtTransformer.Load(source);
        using var watched = new WatchedItems();
        var text = run.Input("encoder_hidden_states");
        var mask = run.Has("encoder_attention_mask") ? run.Rows("encoder_attention_mask") : null;
        var latents = run.Input("hidden_states").Permute(0, 2, 3, 1);
        float[] timesteps = run.Input("timestep").ToArray();
        var grid = new LatentGrid(1, latents.Shape[1] / model.Config.PatchSize, latents.Shape[2] / model.Config.PatchSize);
        void Pass(Func<int, int> lengthOf, Action<string, Tensor> watch)
        {
            for (int i = 0; i < latents.Shape[0]; i++)
            {
                Tensor? Item(string name) => run.Optional(name)?.Slice(0, i, 1).Clone();
                using var conditioning = new PixArtConditioning(
                    text.Slice(0, i, 1).Slice(1, 0, lengthOf(i)).Clone(), Item("resolution"), Item("aspect_ratio"));
                var input = new DenoiserInput(latents.Slice(0, i, 1).Clone(), grid, [timesteps[i]], conditioning) { Watch = watch };
                model.Predict(input, Steering.Plain);
            }
        }

        Pass(i => mask?[i].Sum() ?? text.Shape[1], watched.Add);
        run.Check(run.Sample, watched.Of("sample").Permute(0, 3, 1, 2));
        foreach (string name in new[] { "pos_embed", "adaln_single.0", "adaln_single.1" })
            run.Check(name, watched.Of(name));
        run.CheckMasked("caption_projection", watched.Padded("caption_projection", text.Shape[1]), mask);

        // The recipe records submodules in a last pass that has no mask.
        using var unmasked = new WatchedItems();
        Pass(_ => text.Shape[1], unmasked.Add);
        run.Check("proj_out", unmasked.Of("proj_out"));
    }
}

/// <summary>
/// A forward pass of Sana's transformer, or of the network inside of Sana-Sprint, without guidance rules. Masked text rows count for
/// nobody: each item of a batch runs alone, with the rows of its own text. The case's guidance is the scale as it is embedded.
/// </summary>
internal sealed class SanaTransformerCase : ComponentCase
{
    protected override IReadOnlyCollection<string> Inputs { get; } =
        ["hidden_states", "encoder_hidden_states", "timestep", "encoder_attention_mask", "guidance"];

    public override bool Takes(string? className) => className == "SanaTransformer2DModel";

    public override void Run(ComponentRun run, ComponentSource source)
    {
        using var model = SanaTransformer.Load(source);
        using var watched = new WatchedItems();
        var text = run.Input("encoder_hidden_states");
        var mask = run.Has("encoder_attention_mask") ? run.Rows("encoder_attention_mask") : null;
        var latents = run.Input("hidden_states").Permute(0, 2, 3, 1);
        float[] timesteps = run.Input("timestep").ToArray();
        float[]? guidance = run.Optional("guidance")?.ToArray();
        var grid = new LatentGrid(1, latents.Shape[1] / model.Config.PatchSize, latents.Shape[2] / model.Config.PatchSize);
        var samples = new List<Tensor>();
        for (int i = 0; i < latents.Shape[0]; i++)
        {
            using var conditioning = new SanaConditioning(
                text.Slice(0, i, 1).Slice(1, 0, mask?[i].Sum() ?? text.Shape[1]).Clone());
            float timestep = timesteps[i] / model.Config.TimestepScale;
            samples.Add(model.Predict(
                new DenoiserInput(latents.Slice(0, i, 1).Clone(), grid, [timestep], conditioning)
                {
                    GuidanceScale = guidance?[i] / model.Config.GuidanceEmbedsScale,
                    Watch = watched.Add,
                },
                Steering.Plain));
        }
        run.Check(run.Sample, TensorOperations.Concatenate(0, [.. samples]).Permute(0, 3, 1, 2));
        foreach (string name in new[] { "patch_embed", "time_embed.0", "time_embed.1", "proj_out" })
            run.Check(name, watched.Of(name));
        run.CheckMasked("caption_norm", watched.Padded("caption_norm", text.Shape[1]), mask);
    }
}

/// <summary>
/// A forward pass of Qwen-Image-2.1's transformer, without guidance rules: the prefix, then the picture's rows. Masked text rows count for
/// nobody but in the positions: each item of a batch runs alone, with the rows of its own text.
/// </summary>
internal sealed class QwenImage21TransformerCase : ComponentCase
{
    public override IReadOnlyCollection<string> Arguments { get; } = ["image_shapes"];

    protected override IReadOnlyCollection<string> Inputs { get; } =
        ["hidden_states", "encoder_hidden_states", "encoder_hidden_states_mask", "timestep", "img_mask"];

    public override bool Takes(string? className) => className == "QwenImage21Transformer2DModel";

    public override void Run(ComponentRun run, ComponentSource source)
    {
        using var model = QwenImage21Transformer.Load(source);
        using var watched = new WatchedItems();
        var (rows, text) = (run.Input("hidden_states"), run.Input("encoder_hidden_states"));
        var mask = run.Has("encoder_hidden_states_mask") ? run.Rows("encoder_hidden_states_mask") : null;
        LatentGrid[] grids = [.. run.Golden.Arguments.GetProperty("image_shapes").EnumerateArray()
            .Select(shape => new LatentGrid(shape[0].GetInt32(), shape[1].GetInt32(), shape[2].GetInt32()))];
        float[] timesteps = run.Input("timestep").ToArray();
        var samples = new List<Tensor>();
        for (int i = 0; i < rows.Shape[0]; i++)
        {
            int length = mask?[i].Sum() ?? text.Shape[1];
            bool[] slots = [.. run.Rows("img_mask")[i].Take(length).Select(slot => slot != 0)];
            using var conditioning = new QwenImage21Conditioning(
                text.Slice(0, i, 1).Slice(1, 0, length).Clone(), slots, text.Shape[1]);
            var parts = new List<Tensor>();
            int at = 0;
            foreach (var grid in grids)
            {
                parts.Add(rows.Slice(0, i, 1).Slice(1, at, grid.Count).Clone());
                at += grid.Count;
            }
            var input = new DenoiserInput(parts[^1], grids[^1], [1000 * timesteps[i]], conditioning)
            {
                References = [.. grids[..^1].Select((grid, place) => new ReferenceLatents(parts[place], grid))],
                // The positions of all rows are those of an item without pads.
                Watch = (name, value) =>
                {
                    if (name != "rope")
                        watched.Add(name, value);
                    else if (length == text.Shape[1])
                        run.Check(name, value);
                },
            };
            samples.Add(model.Predict(input, Steering.Plain));
        }
        run.Check(run.Sample, TensorOperations.Concatenate(0, [.. samples]));
        run.Check("time_text_embed", TensorOperations.Concatenate(
            0, watched.Of("time_text_embed"), watched.Of("time_text_embed.zero").Slice(0, 0, 1)));
    }
}

/// <summary>
/// A forward pass of Krea 2's transformer, without guidance rules. Masked text rows count for nobody: each item of a batch runs alone, with
/// the rows of its own text.
/// </summary>
internal sealed class Krea2TransformerCase : ComponentCase
{
    public override IReadOnlyCollection<string> Arguments { get; } = ["image_grid"];

    protected override IReadOnlyCollection<string> Inputs { get; } =
        ["hidden_states", "encoder_hidden_states", "encoder_attention_mask", "timestep", "position_ids"];

    public override bool Takes(string? className) => className == "Krea2Transformer2DModel";

    public override void Run(ComponentRun run, ComponentSource source)
    {
        using var model = Krea2Transformer.Load(source);
        var (rows, text) = (run.Input("hidden_states"), run.Input("encoder_hidden_states"));
        var mask = run.Has("encoder_attention_mask") ? run.Rows("encoder_attention_mask") : null;
        int length = text.Shape[1];
        float[] last = run.Input("position_ids").ToArray()[^3..];
        var grid = new LatentGrid(1, (int)last[1] + 1, (int)last[2] + 1);
        if (run.Input("position_ids").Slice(0, 0, length).ToArray().Any(position => position != 0) || grid.Count != rows.Shape[1])
            throw new UnsupportedCaseException("position_ids of text other than 0, or of no grid");
        float[] timesteps = run.Input("timestep").ToArray();
        var samples = new List<Tensor>();
        for (int i = 0; i < rows.Shape[0]; i++)
        {
            var own = text.Slice(0, i, 1);
            using var conditioning = new Krea2Conditioning(
                mask == null ? own.Clone() : TensorOperations.Concatenate(
                    1, [.. Enumerable.Range(0, length).Where(row => mask[i][row] != 0).Select(row => own.Slice(1, row, 1))]));
            var input = new DenoiserInput(rows.Slice(0, i, 1).Clone(), grid, [1000 * timesteps[i]], conditioning)
            {
                Watch = mask == null && rows.Shape[0] == 1 ? run.Check : null,
            };
            samples.Add(model.Predict(input, Steering.Plain));
        }
        run.Check(run.Sample, TensorOperations.Concatenate(0, [.. samples]));
    }
}

/// <summary>
/// A forward pass of ERNIE-Image's transformer, without guidance rules. Text rows beyond a length count for nobody: each item of a batch
/// runs alone, with the rows of its own text.
/// </summary>
internal sealed class ErnieImageTransformerCase : ComponentCase
{
    protected override IReadOnlyCollection<string> Inputs { get; } = ["hidden_states", "timestep", "text_bth", "text_lens"];

    public override bool Takes(string? className) => className == "ErnieImageTransformer2DModel";

    public override void Run(ComponentRun run, ComponentSource source)
    {
        using var model = ErnieImageTransformer.Load(source);
        using var watched = new WatchedItems();
        var (latents, text) = (run.Input("hidden_states").Permute(0, 2, 3, 1), run.Input("text_bth"));
        int[] lengths = [.. run.Integers("text_lens")];
        float[] timesteps = run.Input("timestep").ToArray();
        var grid = new LatentGrid(1, latents.Shape[1], latents.Shape[2]);
        var samples = new List<Tensor>();
        for (int i = 0; i < latents.Shape[0]; i++)
        {
            using var conditioning = new ErnieImageConditioning(text.Slice(0, i, 1).Slice(1, 0, lengths[i]).Clone());
            var input = new DenoiserInput(latents.Slice(0, i, 1).Clone(), grid, [timesteps[i]], conditioning) { Watch = watched.Add };
            samples.Add(model.Predict(input, Steering.Plain));
        }
        run.Check(run.Sample, TensorOperations.Concatenate(0, [.. samples]).Permute(0, 3, 1, 2));
        run.Check("x_embedder", watched.Of("x_embedder"));
        run.Check("time_embedding", watched.Of("time_embedding"));
        run.Check("text_proj", watched.Padded("text_proj", text.Shape[1]));
    }
}

/// <summary>A forward pass of Wan's transformer, without guidance rules.</summary>
internal sealed class WanTransformerCase : ComponentCase
{
    protected override IReadOnlyCollection<string> Inputs { get; } = ["hidden_states", "timestep", "encoder_hidden_states"];

    public override bool Takes(string? className) => className == "WanTransformer3DModel";

    public override void Run(ComponentRun run, ComponentSource source)
    {
        using var model = Supported(() => WanTransformer.Load(source));
        using var conditioning = new WanConditioning(run.Input("encoder_hidden_states").View());
        var latents = run.Input("hidden_states").Permute(0, 2, 3, 4, 1).Clone();
        int patch = model.Config.PatchSize;
        var grid = new LatentGrid(latents.Shape[1], latents.Shape[2] / patch, latents.Shape[3] / patch);
        var input = new DenoiserInput(latents, grid, run.Input("timestep").ToArray(), conditioning) { Watch = Watch };
        run.Check(run.Sample, model.Predict(input, Steering.Plain).Permute(0, 4, 1, 2, 3));

        // The reference's patches are channels first.
        void Watch(string name, Tensor value) => run.Check(
            name, name != "patch_embedding" ? value
                : value.Reshape(value.Shape[0], grid.Frames, grid.Height, grid.Width, value.Shape[2]).Permute(0, 4, 1, 2, 3));
    }
}

/// <summary>A forward pass of Stable Diffusion 3's transformer, without guidance rules.</summary>
internal sealed class StableDiffusion3TransformerCase : ComponentCase
{
    protected override IReadOnlyCollection<string> Inputs { get; } =
        ["hidden_states", "encoder_hidden_states", "pooled_projections", "timestep"];

    public override bool Takes(string? className) => className == "SD3Transformer2DModel";

    public override void Run(ComponentRun run, ComponentSource source)
    {
        using var model = StableDiffusion3Transformer.Load(source);
        using var conditioning = new StableDiffusion3Conditioning(
            run.Input("encoder_hidden_states").View(), run.Input("pooled_projections").View());
        var latents = run.Input("hidden_states").Permute(0, 2, 3, 1);
        var (height, width) = (latents.Shape[1] / model.Config.PatchSize, latents.Shape[2] / model.Config.PatchSize);
        var input = new DenoiserInput(latents, new LatentGrid(1, height, width), run.Input("timestep").ToArray(), conditioning);
        run.Check(run.Sample, model.Predict(input, Steering.Plain).Permute(0, 3, 1, 2));
    }
}

/// <summary>A forward pass of the UNet of Stable Diffusion and SDXL, without guidance rules.</summary>
internal sealed class UnetCase : ComponentCase
{
    protected override IReadOnlyCollection<string> Inputs { get; } =
        ["sample", "timestep", "encoder_hidden_states", "text_embeds", "time_ids"];

    public override bool Takes(string? className) => className == "UNet2DConditionModel";

    public override void Run(ComponentRun run, ComponentSource source)
    {
        using var model = Unet2DConditionModel.Load(source);
        using var conditioning = new UnetConditioning(
            run.Input("encoder_hidden_states").View(), run.Optional("text_embeds")?.View(), run.Optional("time_ids")?.View());
        var sample = run.Input("sample").Permute(0, 2, 3, 1);
        var input = new DenoiserInput(
            sample, new LatentGrid(1, sample.Shape[1], sample.Shape[2]), run.Input("timestep").ToArray(), conditioning);
        run.Check(run.Sample, model.Watch(input, Steering.Plain, Probe).Permute(0, 3, 1, 2));

        // The case calls what a down block hands on its first result.
        void Probe(string name, Tensor value) => run.Check(
            name.StartsWith("down_blocks", StringComparison.Ordinal) ? name + ".0" : name,
            value.Shape.Rank == 4 ? value.Permute(0, 3, 1, 2) : value);
    }
}
