using Attune.Attention;
using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.Krea2;

/// <summary>
/// Krea 2 (Krea2Transformer2DModel of diffusers): blocks over one sequence, packed [negative text, text, latents]. All text stands at one
/// place, so prompts of any length see the picture alike.
/// </summary>
public sealed class Krea2Transformer : Denoiser<Krea2Conditioning>
{
    private readonly Checkpoint _checkpoint;
    private readonly Krea2Config _config;
    private readonly Linear _imgIn;
    private readonly Linear _time1;
    private readonly Linear _time2;
    private readonly Linear _timeModProj;
    private readonly Krea2TextFusion _textFusion;
    private readonly RmsNorm _textNorm;
    private readonly Linear _text1;
    private readonly Linear _text2;
    private readonly BlockLoop<Tensor> _blocks;
    private readonly ModulationTable _lastTable;
    private readonly RmsNorm _lastNorm;
    private readonly Linear _lastLinear;

    private Krea2Transformer(Checkpoint checkpoint, Krea2Config config)
    {
        var (root, width) = (checkpoint.Root, config.Width);
        var last = root.At("final_layer");
        (_checkpoint, _config) = (checkpoint, config);
        _imgIn = new Linear(root.At("img_in"), config.InChannels, width);
        _time1 = new Linear(root.At("time_embed.linear_1"), config.TimestepEmbedDim, width);
        _time2 = new Linear(root.At("time_embed.linear_2"), width, width);
        _timeModProj = new Linear(root.At("time_mod_proj"), width, 6 * width);
        _textFusion = new Krea2TextFusion(root.At("text_fusion"), config);
        _textNorm = config.Norm(root.At("txt_in.norm"), config.TextHiddenDim);
        _text1 = new Linear(root.At("txt_in.linear_1"), config.TextHiddenDim, width);
        _text2 = new Linear(root.At("txt_in.linear_2"), width, width);
        _blocks = new BlockLoop<Tensor>(
            [.. Enumerable.Range(0, config.NumLayers).Select(i => new Krea2Block(root.At("transformer_blocks", i), config))]);
        _lastTable = new ModulationTable(last, width, ModulationForm.ScaleShift);
        _lastNorm = config.Norm(last.At("norm"), width);
        _lastLinear = new Linear(last.At("linear"), width, config.InChannels);
        (Sites, Blocks) = ([.. _blocks.Sites], [.. _blocks.Paths]);
        checkpoint.RequireAllUsed();
    }

    /// <summary>The configuration that was read.</summary>
    public Krea2Config Config => _config;

    /// <inheritdoc/>
    public override IReadOnlyList<AttentionSite> Sites { get; }

    /// <inheritdoc/>
    internal override int StreamWidth => _config.Width;

    /// <summary>In attention as others, or in the gated network: the stream, what is normed, and both products.</summary>
    private protected override long FloatsPerToken => Math.Max(base.FloatsPerToken, 2L * (_config.Width + _config.IntermediateSize));

    /// <inheritdoc/>
    public override IReadOnlyList<string> Blocks { get; }

    /// <summary>Loads the folder of a component: config.json and its weights, which stay mapped.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="device">What computes.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static Krea2Transformer Load(string folder, Device device) => Load(ComponentSource.Folder(folder, device));

    /// <summary>Builds the component from a source: a folder, or one with LoRA or renamed weights.</summary>
    /// <param name="source">Where it comes from.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static Krea2Transformer Load(ComponentSource source) =>
        source.Build((checkpoint, config) => new Krea2Transformer(checkpoint, Krea2Config.Read(config)));

    /// <inheritdoc/>
    public override void Dispose() => _checkpoint.Dispose();

    /// <summary>The predicted velocity.</summary>
    /// <inheritdoc/>
    protected override Tensor Predict(
        DenoiserInput input, Krea2Conditioning positive, Krea2Conditioning? negative, Steering steering, CancellationToken cancellation)
    {
        Check(input, positive, negative);
        using var scope = new TensorScope();
        if (!_blocks.ReadsNegativeText(steering.Attention))
            negative = null;
        int batch = input.Latents.Shape[0];
        var time = Embed(input);
        var shared = _timeModProj.Apply(time.Activate(Activation.GeluTanh)).Reshape(batch, 6, _config.Width);
        using var stream = Pack(input, positive, negative, steering.Attention, cancellation);
        _blocks.Run(stream, shared, steering, cancellation);
        var last = _lastTable.Over(time.Reshape(batch, 1, _config.Width)).Attention;
        var rows = _lastNorm.Apply(stream.RowsOf(TokenKind.Latent));
        return scope.Keep(_lastLinear.Apply(rows.Modulate(last.Scale(TokenKind.Latent), last.Shift(TokenKind.Latent)!, rows)));
    }

    private Tensor Embed(DenoiserInput input)
    {
        // Divided and multiplied by 1000 on their way, as in the reference: float32 rounds them twice.
        float[] times = [.. input.ItemTimesteps.Select(timestep => timestep / 1000 * 1000)];
        var sinusoid = Sinusoid.Of(input.Latents.Device, times, _config.TimestepEmbedDim);
        return _time2.Apply(_time1.Apply(sinusoid, Activation.GeluTanh));
    }

    private TokenStream Pack(
        DenoiserInput input, Krea2Conditioning positive, Krea2Conditioning? negative, IAttention attention, CancellationToken cancellation)
    {
        using var scope = new TensorScope();
        var parts = new List<TokenPart>();
        if (negative != null)
            parts.Add(Text(TokenKind.NegativeText, negative, null, cancellation));
        parts.Add(Text(TokenKind.Text, positive, input.Watch, cancellation));
        var latents = _imgIn.Apply(input.Latents);
        input.Watch?.Invoke("img_in", latents);
        parts.Add(new TokenPart(TokenKind.Latent, latents, TokenIds.Of(input.Grid), input.Grid));
        return new TokenStream(attention, _config.AttentionHeadDim, _config.Epsilon, _config.Rotary, [.. parts]);
    }

    /// <summary>The text's rows, which depend on the prompt alone.</summary>
    private TokenPart Text(TokenKind kind, Krea2Conditioning prompt, Action<string, Tensor>? watch, CancellationToken cancellation)
    {
        var rows = prompt.Once(this, () =>
        {
            var fused = _textFusion.Apply(prompt.Text, cancellation);
            watch?.Invoke("text_fusion", fused);
            var text = _text2.Apply(_text1.Apply(_textNorm.Apply(fused), Activation.GeluTanh));
            watch?.Invoke("txt_in", text);
            return text;
        });
        return new(kind, rows, TokenIds.Same(rows.Shape[1], 0, 0, 0));
    }

    private void Check(DenoiserInput input, params ReadOnlySpan<Krea2Conditioning?> prompts)
    {
        RequireRows(input, _config.InChannels);
        foreach (var prompt in prompts)
        {
            if (prompt != null && (prompt.Text.Shape is not { Rank: 4 } text || text[2] != _config.NumTextLayers
                || text[3] != _config.TextHiddenDim || (text[0] != 1 && text[0] != input.Latents.Shape[0])))
            {
                throw new ArgumentException(
                    $"Text embeddings {prompt.Text.Shape} are not [1, tokens, {_config.NumTextLayers}, {_config.TextHiddenDim}].",
                    nameof(input));
            }
        }
    }
}
