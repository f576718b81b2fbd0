using Attune.Attention;
using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Models.ZImage;

/// <summary>
/// Z-Image (ZImageTransformer2DModel of diffusers): blocks over the picture alone, blocks over the text alone, then blocks over both. Each
/// part is filled up to whole multiples of 32 rows with learned rows, which are rows like any others. Tokens are packed [latents, text,
/// negative text]. The negative text stands as far from the latents as if it were alone with them.
/// </summary>
public sealed class ZImageTransformer : Denoiser<ZImageConditioning>
{
    /// <summary>Parts of the sequence have multiples of so many rows.</summary>
    private const int Multiple = 32;

    /// <summary>Of the norm behind the last block.</summary>
    private const float LastEpsilon = 1e-6f;

    private const int SinusoidChannels = 256;

    private static readonly ModulationForm LastForm = new(1, [new BranchVectors(-1, 0, -1)]);

    private readonly Checkpoint _checkpoint;
    private readonly ZImageConfig _config;
    private readonly Linear _xEmbedder;
    private readonly RmsNorm _capNorm;
    private readonly Linear _capEmbedder;
    private readonly PreparedWeight _xPad;
    private readonly PreparedWeight _capPad;
    private readonly Linear _time1;
    private readonly Linear _time2;
    private readonly ZImageBlock[] _noiseRefiner;
    private readonly ZImageBlock[] _contextRefiner;
    private readonly BlockLoop<TimeEmbeddings?> _blocks;
    private readonly ModulationLayer _normOut;
    private readonly Linear _projOut;

    private ZImageTransformer(Checkpoint checkpoint, ZImageConfig config)
    {
        var root = checkpoint.Root;
        var (dim, patch) = (config.Dim, config.PatchSize * config.PatchSize * config.InChannels);
        (_checkpoint, _config) = (checkpoint, config);
        _xEmbedder = new Linear(root.At("all_x_embedder").At(config.PatchKey), patch, dim);
        _capNorm = new RmsNorm(root.At("cap_embedder.0"), config.CapFeatDim, config.Epsilon);
        _capEmbedder = new Linear(root.At("cap_embedder.1"), config.CapFeatDim, dim);
        _xPad = root.Get("x_pad_token", [1, dim], WeightRole.Table);
        _capPad = root.Get("cap_pad_token", [1, dim], WeightRole.Table);
        _time1 = new Linear(root.At("t_embedder.mlp.0"), SinusoidChannels, 1024);
        _time2 = new Linear(root.At("t_embedder.mlp.2"), 1024, config.TimeChannels);
        ZImageBlock[] Blocks(string name, int count, bool modulated) =>
            [.. Enumerable.Range(0, count).Select(i => new ZImageBlock(root.At(name, i), config, modulated))];
        _noiseRefiner = Blocks("noise_refiner", config.NumRefinerLayers, modulated: true);
        _contextRefiner = Blocks("context_refiner", config.NumRefinerLayers, modulated: false);
        _blocks = new BlockLoop<TimeEmbeddings?>(Blocks("layers", config.NumLayers, modulated: true));
        var last = root.At("all_final_layer").At(config.PatchKey);
        _normOut = new ModulationLayer(last.At("adaLN_modulation.1"), dim, LastForm, inputs: config.TimeChannels);
        _projOut = new Linear(last.At("linear"), dim, patch);
        (Sites, this.Blocks) = ([.. _blocks.Sites], [.. _blocks.Paths]);
        checkpoint.RequireAllUsed();
    }

    /// <summary>The configuration that was read.</summary>
    public ZImageConfig Config => _config;

    /// <inheritdoc/>
    public override IReadOnlyList<AttentionSite> Sites { get; }

    /// <inheritdoc/>
    internal override int StreamWidth => _config.Dim;

    /// <summary>In attention as others, or in the gated network: the stream, what is normed, and both products.</summary>
    private protected override long FloatsPerToken => Math.Max(base.FloatsPerToken, 2L * (_config.Dim + _config.Hidden));

    /// <inheritdoc/>
    public override IReadOnlyList<string> Blocks { get; }

    /// <summary>Loads the folder of a component: config.json and its weights, which stay mapped.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="device">What computes.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static ZImageTransformer Load(string folder, Device device) => Load(ComponentSource.Folder(folder, device));

    /// <summary>Builds the component from a source: a folder, or one with LoRA or renamed weights.</summary>
    /// <param name="source">Where it comes from.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static ZImageTransformer Load(ComponentSource source) =>
        source.Build((checkpoint, config) => new ZImageTransformer(checkpoint, ZImageConfig.Read(config)));

    /// <inheritdoc/>
    public override void Dispose() => _checkpoint.Dispose();

    /// <summary>The predicted velocity, [batch, height, width, channels]: the negative of what the network gives.</summary>
    /// <inheritdoc/>
    protected override Tensor Predict(
        DenoiserInput input, ZImageConditioning positive, ZImageConditioning? negative, Steering steering, CancellationToken cancellation)
    {
        Check(input, positive, negative);
        using var scope = new TensorScope();
        if (!_blocks.ReadsNegativeText(steering.Attention))
            negative = null;
        var time = Embed(input);
        input.Watch?.Invoke("t_embedder", time);
        using var stream = Pack(input, positive, negative, time, steering.Attention, cancellation);
        _blocks.Run(stream, new TimeEmbeddings(time), steering, cancellation);

        var latents = stream.RowsOf(TokenKind.Latent).Slice(1, 0, input.Grid.Count).LayerNorm(null, null, LastEpsilon);
        var scale = new TimeEmbeddings(time.Activate(Activation.Silu)).Through(_normOut).Attention.Scale(TokenKind.Latent);
        var output = _projOut.Apply(latents.AddGated(scale, latents, latents)).Affine(-1);
        var (grid, patch) = (input.Grid, _config.PatchSize);
        return scope.Keep(
            output.Reshape(output.Shape[0], grid.Height, grid.Width, patch, patch, -1).Permute(0, 1, 3, 2, 4, 5)
                .Reshape(output.Shape[0], patch * grid.Height, patch * grid.Width, -1));
    }

    /// <summary>The embedding of the time, which runs from 0 at pure noise to 1: [batch, channels].</summary>
    private Tensor Embed(DenoiserInput input)
    {
        float[] times = [.. input.ItemTimesteps.Select(timestep => (1000 - timestep) / 1000 * _config.TimeScale)];
        return _time2.Apply(_time1.Apply(Sinusoid.Of(input.Latents.Device, times, SinusoidChannels), Activation.Silu));
    }

    private TokenStream Pack(
        DenoiserInput input, ZImageConditioning positive, ZImageConditioning? negative, Tensor time, IAttention attention,
        CancellationToken cancellation)
    {
        using var scope = new TensorScope();
        var text = Text(positive, input.Watch, cancellation);
        int length = text.Shape[1];
        var parts = new List<TokenPart>
        {
            Latents(input, length, time, cancellation), new(TokenKind.Text, text, TokenIds.Along(length, axes: 3, axis: 0, first: 1)),
        };
        if (negative != null)
        {
            var rows = Text(negative, null, cancellation);
            int from = 1 + length - rows.Shape[1];      // the distances to the latents are those that it would have alone
            parts.Add(new(TokenKind.NegativeText, rows, TokenIds.Along(rows.Shape[1], axes: 3, axis: 0, from)));
        }
        return Stream(attention, [.. parts]);
    }

    /// <summary>The text after its own blocks, filled up: it depends on nothing else.</summary>
    private Tensor Text(ZImageConditioning prompt, Action<string, Tensor>? watch, CancellationToken cancellation) =>
        prompt.Once(_capEmbedder, () =>
        {
            var embedded = _capEmbedder.Apply(_capNorm.Apply(prompt.Text));
            watch?.Invoke("cap_embedder", embedded);
            var rows = Filled(embedded, _capPad);
            var ids = TokenIds.Along(rows.Shape[1], axes: 3, axis: 0, first: 1);
            return Refine(_contextRefiner, new TokenPart(TokenKind.Text, rows, ids), null, watch, cancellation);
        });

    /// <summary>The picture after its own blocks, filled up with rows at position 0.</summary>
    private TokenPart Latents(DenoiserInput input, int textRows, Tensor time, CancellationToken cancellation)
    {
        var (batch, grid, patch) = (input.Latents.Shape[0], input.Grid, _config.PatchSize);
        using var scope = new TensorScope();
        var patches = input.Latents.Reshape(batch, grid.Height, patch, grid.Width, patch, -1).Permute(0, 1, 3, 2, 4, 5)
            .Reshape(batch, grid.Count, -1);
        var embedded = _xEmbedder.Apply(patches);
        input.Watch?.Invoke("all_x_embedder." + _config.PatchKey, embedded);
        var rows = Filled(embedded, _xPad);
        var ids = TokenIds.Of(grid, time: textRows + 1).Then(TokenIds.Same(rows.Shape[1] - grid.Count, 0, 0, 0));
        var part = new TokenPart(TokenKind.Latent, rows, ids, grid);
        return part with { Rows = scope.Keep(Refine(_noiseRefiner, part, new TimeEmbeddings(time), input.Watch, cancellation)) };
    }

    /// <summary>Rows of one kind after blocks of their own.</summary>
    private Tensor Refine(
        ZImageBlock[] blocks, TokenPart part, TimeEmbeddings? time, Action<string, Tensor>? watch, CancellationToken cancellation)
    {
        using var scope = new TensorScope();
        using var stream = Stream(PlainAttention.Instance, part);
        foreach (var block in blocks)
        {
            cancellation.ThrowIfCancellationRequested();
            block.Apply(stream, time);
            watch?.Invoke(block.Path, stream.RowsOf(part.Kind));
        }
        return scope.Keep(stream.RowsOf(part.Kind).Clone());
    }

    private TokenStream Stream(IAttention attention, params ReadOnlySpan<TokenPart> parts) =>
        new(attention, _config.HeadChannels, _config.Epsilon, _config.Rotary, parts);

    /// <summary>Rows [batch, rows, channels] and as many copies of another row as make them a whole multiple; a new tensor.</summary>
    private static Tensor Filled(Tensor rows, PreparedWeight pad)
    {
        int missing = (Multiple - rows.Shape[1] % Multiple) % Multiple;
        if (missing == 0)
            return rows;
        using var scope = new TensorScope();
        var pads = pad.Embed(new int[missing]).Reshape(1, missing, rows.Shape[2]).Expand(0, rows.Shape[0]);
        return scope.Keep(TensorOperations.Concatenate(1, rows, pads));
    }

    private void Check(DenoiserInput input, params ReadOnlySpan<ZImageConditioning?> prompts)
    {
        RequirePixels(input, _config.PatchSize, _config.InChannels);
        foreach (var prompt in prompts)
            RequireText(input, prompt, _config.CapFeatDim);
    }
}
