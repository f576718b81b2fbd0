using Attune.Attention;
using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.QwenImage21;

/// <summary>
/// Qwen-Image-2.1 (QwenImage21Transformer2DModel of diffusers): one sequence of text, references in their places, and the picture. What is
/// before the picture never sees it and is modulated as at time 0. So it is a prefix: its keys and values are made once for a prompt, and a
/// pass runs over the picture's rows alone. A negative prompt has a prefix of its own, which is moved along the frames so that the picture
/// stands as far from it as if it were alone with it.
/// </summary>
public sealed class QwenImage21Transformer : Denoiser<QwenImage21Conditioning>
{
    private const int SinusoidChannels = 256;

    private static readonly ModulationForm LastForm = new(1, [new BranchVectors(-1, 0, -1)]);

    private readonly Checkpoint _checkpoint;
    private readonly QwenImage21Config _config;
    private readonly RmsNorm _textNorm;
    private readonly Linear _textIn;
    private readonly Linear _textOut;
    private readonly Linear _imgIn;
    private readonly EmbeddingMlp _time;
    private readonly ModulationLayer _modulation;
    private readonly QwenImage21Block[] _all;
    private readonly BlockLoop<Modulation> _blocks;
    private readonly ModulationLayer _normOut;
    private readonly Linear _projOut;

    private QwenImage21Transformer(Checkpoint checkpoint, QwenImage21Config config)
    {
        var (root, width) = (checkpoint.Root, config.Width);
        (_checkpoint, _config) = (checkpoint, config);
        _textNorm = new RmsNorm(root.At("txt_in.text_norm"), config.ContextInDim, config.Epsilon, plusOne: true);
        _textIn = new Linear(root.At("txt_in.in_layer"), config.ContextInDim, width, bias: false);
        _textOut = new Linear(root.At("txt_in.out_layer"), width, width, bias: false);
        _imgIn = new Linear(root.At("img_in"), config.InChannels, width, bias: false);
        _time = new EmbeddingMlp(root.At("time_text_embed.timestep_embedder"), SinusoidChannels, width, bias: false);
        _modulation = new ModulationLayer(root.At("modulation.1"), width, QwenImage21Block.Form, bias: false);
        _all = [.. Enumerable.Range(0, config.NumLayers).Select(i => new QwenImage21Block(root.At("transformer_blocks", i), config, i))];
        _blocks = new BlockLoop<Modulation>(_all);
        _normOut = new ModulationLayer(root.At("norm_out.linear"), width, LastForm, bias: false);
        _projOut = new Linear(root.At("proj_out"), width, config.InChannels, bias: false);
        (Sites, Blocks) = ([.. _blocks.Sites], [.. _blocks.Paths]);
        checkpoint.RequireAllUsed();
    }

    /// <summary>The configuration that was read.</summary>
    public QwenImage21Config Config => _config;

    /// <inheritdoc/>
    public override IReadOnlyList<AttentionSite> Sites { get; }

    /// <inheritdoc/>
    internal override int StreamWidth => _config.Width;

    /// <inheritdoc/>
    public override IReadOnlyList<string> Blocks { get; }

    /// <summary>Keys and values of all blocks in float32: 1 MiB in the released model.</summary>
    /// <inheritdoc/>
    public override long KeptBytesPerTextRow => 2L * _config.NumLayers * _config.Width * sizeof(float);

    /// <summary>Loads the folder of a component: config.json and its weights, which stay mapped.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="device">What computes.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static QwenImage21Transformer Load(string folder, Device device) => Load(ComponentSource.Folder(folder, device));

    /// <summary>Builds the component from a source: a folder, or one with LoRA or renamed weights.</summary>
    /// <param name="source">Where it comes from.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static QwenImage21Transformer Load(ComponentSource source) =>
        source.Build((checkpoint, config) => new QwenImage21Transformer(checkpoint, QwenImage21Config.Read(config)));

    /// <inheritdoc/>
    public override void Dispose() => _checkpoint.Dispose();

    /// <summary>The predicted velocity.</summary>
    /// <inheritdoc/>
    protected override Tensor Predict(
        DenoiserInput input, QwenImage21Conditioning positive, QwenImage21Conditioning? negative, Steering steering,
        CancellationToken cancellation)
    {
        Check(input, positive, negative);
        using var scope = new TensorScope();
        if (!_blocks.ReadsNegativeText(steering.Attention))
            negative = null;
        var time = Embed(input.Latents.Device, [.. input.ItemTimesteps]);
        input.Watch?.Invoke("time_text_embed", time);
        var layout = new QwenImage21Layout(positive, input.References);
        var here = TokenIds.Centred(input.Grid, layout.Frame);
        var prefix = new List<PrefixPart>();
        if (negative != null)
            AddNegative(prefix, negative, layout, input, cancellation);
        AddParts(prefix, layout, Made(positive, layout, input, cancellation), negative);
        if (input.Watch is { } watch)
            Show(watch, layout.Ids.Then(here));
        var modulation = new TimeEmbeddings(time.Activate(Activation.Silu)).Through(_modulation).Make(TokenKind.Latent);
        var latents = new TokenPart(TokenKind.Latent, _imgIn.Apply(input.Latents), here, input.Grid);
        using var stream = new TokenStream(steering.Attention, _config.AttentionHeadDim, _config.Epsilon, _config.Rotary, latents)
        {
            Prefix = prefix,
        };
        _blocks.Run(stream, modulation, steering, cancellation);
        var last = new TimeEmbeddings(time.Activate(Activation.Silu)).Through(_normOut).Attention;
        return scope.Keep(_projOut.Apply(stream.NormOf(TokenKind.Latent, last).Tensor));

        // The references stand elsewhere beside a negative text of another length.
        void AddParts(List<PrefixPart> parts, QwenImage21Layout own, Tensor made, QwenImage21Conditioning? other)
        {
            parts.Add(new PrefixPart(TokenKind.Text, made, 0, own.IdsOf(text: true)!));
            if (own.IdsOf(text: false) is { } ids)
            {
                int moved = other == null ? 0 : layout.Frame - new QwenImage21Layout(other, input.References).Frame;
                parts.Add(new PrefixPart(TokenKind.Reference, made, own.TextRows, ids)
                {
                    BesideNegative = moved == 0 ? null : ids.Moved(0, moved),
                });
            }
        }
    }

    /// <summary>
    /// Rows of the negative text, so far along the frames that the picture stands behind them as if they were alone. What is before them,
    /// the references, has the same keys and values as in the prompt's prefix.
    /// </summary>
    private void AddNegative(
        List<PrefixPart> parts, QwenImage21Conditioning negative, QwenImage21Layout positive, DenoiserInput input,
        CancellationToken cancellation)
    {
        var layout = new QwenImage21Layout(negative, input.References);
        var ids = layout.IdsOf(text: true)!.Moved(axis: 0, positive.Frame - layout.Frame);
        parts.Add(new PrefixPart(TokenKind.NegativeText, Made(negative, layout, input, cancellation), 0, ids));
    }

    /// <summary>
    /// Keys and values of the rows before the picture: of the prompt alone for as long as it lives, with references as long as the run.
    /// </summary>
    private Tensor Made(QwenImage21Conditioning prompt, QwenImage21Layout layout, DenoiserInput input, CancellationToken cancellation)
    {
        Tensor Make() => Record(prompt, layout, input, cancellation);
        return input.References.Count == 0 ? prompt.Once(this, Make)
            : input.Memo == null ? Make() : input.Memo.Once((this, prompt), Make);
    }

    private Tensor Record(QwenImage21Conditioning prompt, QwenImage21Layout layout, DenoiserInput input, CancellationToken cancellation)
    {
        using var scope = new TensorScope();
        var device = prompt.Text.Device;
        var text = _textOut.Apply(_textIn.Apply(_textNorm.Apply(prompt.Text), Activation.GeluTanh));
        var rows = TensorOperations.Concatenate(1, [.. layout.Segments.Select(segment => segment.IsText
            ? text.Slice(1, segment.Start, segment.Ids.Count) : _imgIn.Apply(input.References[segment.Start].Latents))]);
        var made = Tensor.Empty(device, [2 * _config.NumLayers, layout.Rows, _config.Width]);
        var recorder = new PrefixRecorder(layout, made);
        var time = Embed(device, [0]);
        input.Watch?.Invoke("time_text_embed.zero", time);
        var modulation = new TimeEmbeddings(time.Activate(Activation.Silu)).Through(_modulation).Make(TokenKind.Text);
        using var stream = new TokenStream(
            recorder, _config.AttentionHeadDim, _config.Epsilon, _config.Rotary, new TokenPart(TokenKind.Text, rows, layout.Ids));
        for (int i = 0; i < _all.Length; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            if (i < _all.Length - 1)
            {
                _all[i].Apply(stream, modulation);
                continue;
            }
            var (key, value) = _all[i].KeysOf(stream, modulation);
            recorder.Keep(key, value);
        }
        return scope.Keep(made);
    }

    /// <summary>The embedding of timesteps 0 to 1000: [timesteps, width].</summary>
    private Tensor Embed(Device device, float[] timesteps)
    {
        // Divided and multiplied by 1000 on their way, as in the reference: float32 rounds them twice.
        float[] times = [.. timesteps.Select(timestep => timestep / 1000 * 1000)];
        return _time.Apply(Sinusoid.Of(device, times, SinusoidChannels));
    }

    /// <summary>Cosines and sines of all rows, [rows, pairs, 2].</summary>
    private void Show(Action<string, Tensor> watch, TokenIds ids)
    {
        using var scope = new TensorScope();
        using var table = _config.Rotary.Table(_checkpoint.Device, ids);
        var shape = table.Cosine.Shape;
        watch("rope", TensorOperations.Concatenate(
            2, table.Cosine.Reshape(shape[0], shape[1], 1), table.Sine.Reshape(shape[0], shape[1], 1)));
    }

    private void Check(DenoiserInput input, params ReadOnlySpan<QwenImage21Conditioning?> prompts)
    {
        RequireRows(input, _config.InChannels);
        RequireReferences(input, _config.InChannels);
        foreach (var prompt in prompts)
        {
            if (prompt != null && (prompt.Text.Shape is not { Rank: 3 } text || text[0] != 1 || text[2] != _config.ContextInDim))
            {
                throw new ArgumentException(
                    $"Text embeddings {prompt.Text.Shape} are not [1, tokens, {_config.ContextInDim}].", nameof(input));
            }
        }
    }
}
