using Attune.Prompts;
using Attune.Tensors;
using Attune.TextEncoders.Clip;
using Attune.TextEncoders.T5;
using Attune.Tokenizers;
using Attune.Weights;

namespace Attune.Models.StableDiffusion3;

/// <summary>
/// Prompts of Stable Diffusion 3: the hidden states of two CLIP text encoders side by side, filled up with zeros to T5's channels, then
/// T5's rows, or zeros in their place where the model comes without T5. The pooled embeddings of both CLIP encoders stand side by side.
/// </summary>
internal sealed class StableDiffusion3Prompts : PromptEncoder
{
    /// <summary>The number of T5's rows in diffusers.</summary>
    private const int DefaultSequence = 256;
    private readonly ClipStage _encoder;
    private readonly ClipStage _encoder2;
    private readonly Tokenizer? _tokenizer3;
    private readonly T5EncoderModel? _encoder3;
    private readonly Device _device;
    private readonly int _channels;

    public StableDiffusion3Prompts(Components owned, ModelSource source, StableDiffusion3Config config)
    {
        ClipStage Clip(string encoder, string tokenizer) => owned.Add(
            new ClipStage(Tokenizer.Load(source, tokenizer), ClipTextModel.Load(source.Component(encoder))));
        (_encoder, _encoder2) = (Clip("text_encoder", "tokenizer"), Clip("text_encoder_2", "tokenizer_2"));
        if (source.Has("text_encoder_3"))
        {
            _tokenizer3 = Tokenizer.Load(source, "tokenizer_3");
            _encoder3 = owned.Add(T5EncoderModel.Load(source.Component("text_encoder_3")));
        }
        (_device, _channels) = (source.Device, config.JointAttentionDim);
        int clip = _encoder.Model.Channels + _encoder2.Model.Channels;
        if (clip > _channels || (_encoder3 != null && _encoder3.Channels != _channels))
        {
            throw new CheckpointException(
                $"'{source.Path}': the CLIP text encoders have {clip} channels "
                    + $"together{(_encoder3 == null ? "" : $", T5 {_encoder3.Channels}")}"
                    + $"; expected at most, and of T5 exactly, {_channels}, the transformer's joint_attention_dim.");
        }
        int pooled = _encoder.Model.ProjectionChannels + _encoder2.Model.ProjectionChannels
            ?? throw new CheckpointException(
                $"'{source.Path}': a CLIP text encoder has no projection; expected CLIPTextModelWithProjection.");
        if (pooled != config.PooledProjectionDim)
        {
            throw new CheckpointException(
                $"'{source.Path}': the CLIP text encoders' projections have {pooled} channels together, expected "
                    + $"{config.PooledProjectionDim}, the transformer's pooled_projection_dim.");
        }
    }

    public override Conditioning Encode(PromptInput input, CancellationToken cancellation = default)
    {
        string prompt = input.Text ?? "";
        int length = input.Settings.LengthFor(input.Role) ?? DefaultSequence;

        // The last layer is left out always; what a request skips comes on top. CLIP's cut matters where T5 does not read the rest.
        int skip = 1 + input.Settings.ClipSkipFor(input.Role);
        var rows = _encoder.Tokenize(prompt, null, warning: _encoder3 == null ? input.Warn : null);
        var rows2 = _encoder2.Tokenize(prompt, null);
        using var scope = new TensorScope();
        var (first, _, pooled) = _encoder.Encode(rows, skip, normalised: false, pooled: true, cancellation);
        var (second, _, pooled2) = _encoder2.Encode(rows2, skip, normalised: false, pooled: true, cancellation);
        int tokens = first.Shape[1];
        var text = Tensor.Zeros(_device, [1, tokens + length, _channels]);
        first.CopyTo(text.Slice(1, 0, tokens).Slice(2, 0, first.Shape[2]));
        second.CopyTo(text.Slice(1, 0, tokens).Slice(2, first.Shape[2], second.Shape[2]));
        if (_encoder3 != null)
        {
            int[] ids = PromptTokens.Of(_tokenizer3!, prompt, length, input.Warn);
            _encoder3.Encode([ids], cancellation: cancellation).CopyTo(text.Slice(1, tokens, length));
        }
        return new StableDiffusion3Conditioning(text, TensorOperations.Concatenate(1, pooled!, pooled2!));
    }

    public override void Dispose()
    {
        _encoder.Dispose();
        _encoder2.Dispose();
        _encoder3?.Dispose();
    }
}
