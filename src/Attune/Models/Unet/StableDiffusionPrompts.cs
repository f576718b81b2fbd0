using Attune.Prompts;
using Attune.Tensors;
using Attune.TextEncoders.Clip;
using Attune.Tokenizers;
using Attune.Weights;

namespace Attune.Models.Unet;

/// <summary>Prompts of Stable Diffusion 1.x and 2.x: one CLIP text encoder.</summary>
internal sealed class StableDiffusionPrompts(Components owned, ModelSource source) : PromptEncoder
{
    private readonly ClipStage _encoder = owned.Add(
        new ClipStage(Tokenizer.Load(source, "tokenizer"), ClipTextModel.Load(source.Component("text_encoder"))));

    public int Channels => _encoder.Model.Channels;

    public override Conditioning Encode(PromptInput input, CancellationToken cancellation = default)
    {
        var settings = input.Settings;
        var rows = _encoder.Tokenize(input.Text ?? "", settings.LengthFor(input.Role), settings, input.Warn);
        int skip = settings.ClipSkipFor(input.Role);
        using var scope = new TensorScope();
        var (text, values, _) = _encoder.Encode(rows, skip, normalised: true, pooled: false, cancellation);
        return new UnetConditioning(text, values: values);
    }

    public override void Dispose() => _encoder.Dispose();
}
