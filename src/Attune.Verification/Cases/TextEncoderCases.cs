using Attune.Tensors;
using Attune.TextEncoders.Clip;
using Attune.TextEncoders.Decoder;
using Attune.TextEncoders.T5;
using Attune.Tokenizers;
using Attune.Weights;

namespace Attune.Verification;

/// <summary>CLIP's text encoder, with and without projection.</summary>
internal sealed class ClipCase : ComponentCase
{
    protected override IReadOnlyCollection<string> Inputs { get; } = ["input_ids"];

    public override bool Takes(string? className) => className is "CLIPTextModel" or "CLIPTextModelWithProjection";

    public override void Run(ComponentRun run, ComponentSource source)
    {
        using var model = ClipTextModel.Load(source);
        int[] hidden = [.. Enumerable.Range(0, model.Layers + 1)];
        using var output = model.Encode(run.Rows("input_ids"), hidden);
        run.Check("last_hidden_state", output.LastHiddenState!);
        if (output.PooledOutput is { } pooled)
            run.Check("pooler_output", pooled);
        if (output.TextEmbeds is { } embeds)
            run.Check("text_embeds", embeds);
        for (int i = 0; i < hidden.Length; i++)
            run.Check(FormattableString.Invariant($"hidden_states.{i}"), output.HiddenStates[i]);
        run.Check("hidden_states", output.HiddenStates[^1]);
    }
}

/// <summary>The encoder of T5 and UMT5. Where a mask is given, the reference sets the rows of pads to zero before comparison.</summary>
internal sealed class T5Case : ComponentCase
{
    protected override IReadOnlyCollection<string> Inputs { get; } = ["input_ids", "attention_mask"];

    public override bool Takes(string? className) => className is "T5EncoderModel" or "UMT5EncoderModel";

    public override void Run(ComponentRun run, ComponentSource source)
    {
        using var model = T5EncoderModel.Load(source);
        var ids = run.Rows("input_ids");
        var mask = run.Has("attention_mask") ? run.Rows("attention_mask") : null;
        int[] hidden = [.. Enumerable.Range(0, model.Layers + 1)];
        var states = model.EncodeHiddenStates(ids, hidden, mask);
        for (int i = 0; i < states.Count; i++)
        {
            var state = states[i];
            if (mask != null)
                state = state.Multiply(run.Input("attention_mask").Reshape(ids.Count, ids[0].Length, 1));
            run.Check(FormattableString.Invariant($"hidden_states.{i}"), state);
            if (i == states.Count - 1)
                run.Check("last_hidden_state", state);
        }
    }
}

/// <summary>
/// The text tower of a language model. The cases compare the last hidden state after the final norm, except those of Qwen3-VL, which also
/// name it last_hidden_state there.
/// </summary>
internal sealed class DecoderTextCase : ComponentCase
{
    /// <summary>Says which of the outputs a pipeline reads.</summary>
    public override IReadOnlyCollection<string> Arguments { get; } = ["select_layers", "text", "processor"];

    protected override IReadOnlyCollection<string> Inputs { get; } = [
            "input_ids", "attention_mask", "position_ids", "pixel_values", "image_grid_thw", "mm_token_type_ids", "image.i"];

    public override bool Takes(string? className) => className is "Qwen2_5_VLForConditionalGeneration" or "Qwen3ForCausalLM"
        or "Qwen3Model" or "Qwen3VLModel" or "Qwen3VLForConditionalGeneration" or "Mistral3ForConditionalGeneration" or "Mistral3Model"
        or "Gemma2Model";

    public override void Run(ComponentRun run, ComponentSource source)
    {
        if (run.Golden.OptionalText("text") is { } text)
        {
            RunTextWithPictures(run, source, text);
            return;
        }
        if (run.Has("pixel_values"))
        {
            RunPictures(run, source);
            return;
        }
        using var model = DecoderTextModel.Load(source);
        var ids = run.Rows("input_ids");
        var mask = run.Has("attention_mask") ? run.Rows("attention_mask") : null;
        int[] hidden = [.. Enumerable.Range(0, model.Layers + 1)];
        if (run.Has("position_ids"))
        {
            RunWithoutPads(run, model, ids, mask!, hidden);
            return;
        }
        bool apart = run.Wants("last_hidden_state") && !IsGemma(source);
        var states = model.EncodeHiddenStates(ids, hidden, mask, finalNorm: !apart);
        for (int i = 0; i < states.Count; i++)
            run.Check(FormattableString.Invariant($"hidden_states.{i}"), Compared(run, states[i], mask));
        if (run.Wants("last_hidden_state"))
            run.Check("last_hidden_state", Compared(run, model.EncodeHiddenStates(ids, [-1], mask)[0], mask));
    }

    /// <summary>A text and pictures, as a pipeline gets them.</summary>
    private static void RunTextWithPictures(ComponentRun run, ComponentSource source, string text)
    {
        string folder = Path.Combine(run.Golden.Root, "checkpoints", run.Golden.Text("processor"));
        using var model = DecoderTextModel.Load(source, seesPictures: true);
        var images = CasePictures.All(run.Golden);
        var processor = QwenPictures.Read(folder);
        VisionPicture[] pictures = [.. images.Select(image => processor.Prepare(image, run.Golden.Device))];
        int[] ids = Tokenizer.Load(folder).Encode(
            processor.Expand(text, images), new TokenizerOptions { AddSpecialTokens = false }).Ids;
        run.CheckIntegers("input_ids", [.. ids.Select(id => (long)id)]);
        run.CheckIntegers(
            "image_grid_thw", [.. pictures.SelectMany(picture => new long[] { 1, picture.Rows, picture.Columns })]);
        run.CheckIntegers("position_ids", [.. model.PositionsOf(ids, pictures).Select(id => (long)id)]);
        run.Check("pixel_values", TensorOperations.Concatenate(0, [.. pictures.Select(picture => picture.Patches)]));
        int[] hidden = [.. Enumerable.Range(0, model.Layers + 1)];
        var states = model.EncodeWithPictures(ids, pictures, hidden);
        for (int i = 0; i < states.Count; i++)
            run.Check(FormattableString.Invariant($"hidden_states.{i}"), states[i]);
        run.Check("in_a_line.hidden_states", model.EncodeWithPictures(ids, pictures, [-1], inALine: true)[0]);
    }

    /// <summary>One text with pictures in it.</summary>
    private static void RunPictures(ComponentRun run, ComponentSource source)
    {
        using var model = DecoderTextModel.Load(source, seesPictures: true);
        int[] ids = run.Rows("input_ids").Single();
        if (run.Rows("attention_mask").Single().Any(one => one != 1))
            throw new UnsupportedCaseException("pads beside pictures");
        var pixels = run.Input("pixel_values");
        var pictures = new List<VisionPicture>();
        int at = 0;
        foreach (int[] grid in run.Rows("image_grid_thw"))
        {
            int count = grid[1] * grid[2];
            pictures.Add(new VisionPicture(pixels.Slice(0, at, count).Clone(), grid[1], grid[2]));
            at += count;
        }
        int[] hidden = [.. Enumerable.Range(0, model.Layers + 1)];
        var states = model.EncodeWithPictures(ids, pictures, hidden, finalNorm: false, run.Check);
        for (int i = 0; i < states.Count; i++)
            run.Check(FormattableString.Invariant($"hidden_states.{i}"), states[i]);
        run.Check("last_hidden_state", model.EncodeWithPictures(ids, pictures, [-1])[0]);
    }

    /// <summary>
    /// Pads that stand anywhere and have no positions of their own are as if they were not there: each row runs without them.
    /// </summary>
    private static void RunWithoutPads(
        ComponentRun run, DecoderTextModel model, IReadOnlyList<int[]> ids, IReadOnlyList<int[]> mask, int[] hidden)
    {
        var positions = run.Rows("position_ids");
        var rows = hidden.Select(_ => new List<Tensor>()).ToArray();
        for (int item = 0; item < ids.Count; item++)
        {
            int[] counted = [.. Enumerable.Range(0, ids[item].Length).Where(i => mask[item][i] != 0)];
            if (counted.Where((place, i) => positions[item][place] != i).Any())
                throw new UnsupportedCaseException("position_ids that do not count the tokens");
            int[] own = [.. counted.Select(i => ids[item][i])];
            var states = model.EncodeHiddenStates([own], hidden);
            for (int i = 0; i < hidden.Length; i++)
            {
                var all = Tensor.Zeros(states[i].Device, [1, ids[item].Length, model.Channels]);
                for (int row = 0; row < counted.Length; row++)
                    states[i].Slice(1, row, 1).CopyTo(all.Slice(1, counted[row], 1));
                rows[i].Add(all);
            }
        }
        for (int i = 0; i < hidden.Length; i++)
            run.Check(FormattableString.Invariant($"hidden_states.{i}"), TensorOperations.Concatenate(0, [.. rows[i]]));
    }

    private static bool IsGemma(ComponentSource source) => source.Config.ClassName == "Gemma2Model";

    /// <summary>
    /// The rows of pads are compared where a pipeline uses them (FLUX.2); elsewhere the reference has zeros in their place.
    /// </summary>
    private static Tensor Compared(ComponentRun run, Tensor state, IReadOnlyList<int[]>? mask) =>
        mask == null || run.Golden.Class is "Qwen3ForCausalLM" or "Mistral3ForConditionalGeneration" ? state
            : state.Multiply(run.Input("attention_mask").Reshape(mask.Count, mask[0].Length, 1));
}

/// <summary>The vision tower of Qwen2.5-VL alone.</summary>
internal sealed class VisionTowerCase : ComponentCase
{
    public override IReadOnlyCollection<string> Arguments { get; } = ["prefix", "full_attention_blocks", "window_size"];

    protected override IReadOnlyCollection<string> Inputs { get; } = ["pixel_values", "grid_thw"];

    public override bool Takes(string? className) => className == "Qwen2_5_VisionTransformerPretrainedModel";

    public override void Run(ComponentRun run, ComponentSource source)
    {
        using var model = DecoderTextModel.Load(source, seesPictures: true);
        using var kept = new TensorBag();       // what is watched ends with the pass
        var watched = new Dictionary<string, List<Tensor>>();
        var pixels = run.Input("pixel_values");
        int at = 0;
        foreach (int[] grid in run.Rows("grid_thw"))
        {
            int count = grid[1] * grid[2];
            var picture = new VisionPicture(pixels.Slice(0, at, count).Clone(), grid[1], grid[2]);
            Add("merged", model.See(picture, Add));
            at += count;
        }
        foreach (var (name, parts) in watched)
            run.Check(name, TensorOperations.Concatenate(0, [.. parts]));

        void Add(string name, Tensor value)
        {
            if (!watched.TryGetValue(name, out var parts))
                watched.Add(name, parts = []);
            parts.Add(kept.Own(value.Clone()));
        }
    }
}
