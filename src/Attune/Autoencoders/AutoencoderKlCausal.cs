using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Autoencoders;

/// <summary>
/// The causal video autoencoder of Wan 2.1, which Qwen-Image uses for single frames (AutoencoderKLWan, AutoencoderKLQwenImage of
/// diffusers).
/// A video goes through it piece by piece, so that memory does not grow with its length: to decode, one frame of latents after the other,
/// of
/// which the first becomes one frame and every other four; to encode, one frame and then four at a time.
/// </summary>
public sealed class AutoencoderKlCausal : IDisposable
{
    private readonly Checkpoint _checkpoint;
    private readonly int _patch;
    private readonly CausalEncoder _encoder;
    private readonly CausalDecoder _decoder;
    private readonly CausalConv3d _quantConv;
    private readonly CausalConv3d _postQuantConv;
    private readonly ChannelStatistics _statistics;

    private AutoencoderKlCausal(Checkpoint checkpoint, CausalConfig config)
    {
        var root = checkpoint.Root;
        _checkpoint = checkpoint;
        (LatentChannels, _patch) = (config.LatentChannels, config.PatchSize);
        PixelsPerLatent = _patch << (config.Multipliers.Length - 1);
        FramesPerLatent = 1 << config.HalvesFrames.Count(halves => halves);
        (DecodingBytesPerPixel, KeptBytesPerPixel) = (config.DecodingBytesPerPixel, config.KeptBytesPerPixel);
        _statistics = config.Statistics;
        _encoder = new CausalEncoder(root.At("encoder"), config);
        _decoder = new CausalDecoder(root.At("decoder"), config);
        _quantConv = new CausalConv3d(root.At("quant_conv"), 2 * LatentChannels, 2 * LatentChannels, 1, 1);
        _postQuantConv = new CausalConv3d(root.At("post_quant_conv"), LatentChannels, LatentChannels, 1, 1);
        checkpoint.RequireAllUsed();
    }

    /// <summary>The channels of latents.</summary>
    public int LatentChannels { get; }

    /// <summary>How many pixels, in each direction, a latent stands for: 8 in all known models.</summary>
    public int PixelsPerLatent { get; }

    /// <summary>How many frames a latent stands for, but the first, which is one frame: 4 in all known models.</summary>
    public int FramesPerLatent { get; }

    /// <summary>Bytes that decoding takes for each pixel of a single frame at its peak.</summary>
    internal long DecodingBytesPerPixel { get; }

    /// <summary>Bytes that are kept of earlier frames for each pixel of a frame while a video is decoded.</summary>
    internal long KeptBytesPerPixel { get; }

    /// <summary>The mean of each latent channel.</summary>
    public IReadOnlyList<float> LatentsMean => _statistics.Mean;

    /// <summary>The standard deviation of each latent channel.</summary>
    public IReadOnlyList<float> LatentsStd => _statistics.Deviation;

    /// <summary>Loads the folder of a component: config.json and its weights, which stay mapped.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="device">What computes.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static AutoencoderKlCausal Load(string folder, Device device) => Load(ComponentSource.Folder(folder, device));

    /// <summary>Builds the component from a source: a folder, or one with LoRA or renamed weights.</summary>
    /// <param name="source">Where it comes from.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static AutoencoderKlCausal Load(ComponentSource source) =>
        source.Build((checkpoint, config) => new AutoencoderKlCausal(checkpoint, CausalConfig.Read(config)));

    /// <summary>Encodes videos.</summary>
    /// <param name="video">[batch, frames, height, width, 3], values in [-1, 1]; one frame more than a multiple of
    /// <see cref="FramesPerLatent"/>, 1 for a picture; height and width multiples of <see cref="PixelsPerLatent"/>.</param>
    /// <param name="watch">Receives what submodules give, by the checkpoint's names, to find a fault; null watches nothing.</param>
    /// <param name="cancellation">Checked before every block.</param>
    /// <returns>
    /// Means and logarithms of variances of the latents, before <see cref="Normalize"/>, [batch, n + 1, height, width, channels]; tensors
    /// of the current scope.
    /// </returns>
    /// <exception cref="ArgumentException">The video has a wrong shape.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public (Tensor Mean, Tensor LogVariance) Encode(
        Tensor video, Action<string, Tensor>? watch = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(video);
        var s = video.Shape;
        if (s.Rank != 5 || s[4] != 3 || s[1] < 1 || (s[1] - 1) % FramesPerLatent != 0
            || s[2] % PixelsPerLatent != 0 || s[3] % PixelsPerLatent != 0)
        {
            throw new ArgumentException(
                $"The autoencoder encodes videos [batch, {FramesPerLatent} n + 1 frames, height, width, 3] whose sides are multiples of "
                    + $"{PixelsPerLatent}, not {s}.",
                nameof(video));
        }
        return EncodeFrames(s[1], (first, count) => video.Slice(1, first, count), watch, cancellation);
    }

    /// <summary>Encodes videos whose frames are read when it is their turn, so that no more than some of them are held.</summary>
    /// <param name="frames">How many: one more than a multiple of <see cref="FramesPerLatent"/>.</param>
    /// <param name="read">
    /// Gives frames, from a number and as many as are asked for, [batch, frames, height, width, 3], values in [-1, 1]; tensors of the
    /// current scope. Sides as for <see cref="Encode"/>.
    /// </param>
    /// <param name="watch">Receives what submodules give, by the checkpoint's names, to find a fault; null watches nothing.</param>
    /// <param name="cancellation">Checked before every block.</param>
    /// <returns>As <see cref="Encode"/>.</returns>
    /// <exception cref="ArgumentException">There is no such number of frames.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public (Tensor Mean, Tensor LogVariance) EncodeFrames(
        int frames, Func<int, int, Tensor> read, Action<string, Tensor>? watch = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(read);
        if (frames < 1 || (frames - 1) % FramesPerLatent != 0)
            throw new ArgumentException($"{frames} frames are not one more than a multiple of {FramesPerLatent}.", nameof(frames));
        using var scope = new TensorScope();
        using var cache = new FrameCache();
        using var bag = new TensorBag();
        int count = 1 + (frames - 1) / FramesPerLatent;
        var pieces = new List<Tensor>();
        for (int i = 0; i < count; i++)
        {
            using var piece = new TensorScope();
            cache.Begin(i, count);
            var next = i == 0 ? read(0, 1) : read(1 + FramesPerLatent * (i - 1), FramesPerLatent);
            pieces.Add(bag.Own(_encoder.Apply(CausalPatches.Pack(next, _patch), cache, watch, cancellation)));
        }
        var moments = _quantConv.Apply(TensorOperations.Concatenate(1, [.. pieces]), cache);
        var s = moments.Shape;
        using var posterior = new DiagonalGaussian(moments.Reshape(s[0] * count, s[2], s[3], s[4]));
        Shape shape = moments.Shape.With(4, LatentChannels);
        return (scope.Keep(posterior.Mean.Reshape(shape).Clone()), scope.Keep(posterior.LogVariance.Reshape(shape).Clone()));
    }

    /// <summary>Decodes latents.</summary>
    /// <param name="latents">[batch, frames, height, width, channels], as <see cref="Denormalize"/> gives them.</param>
    /// <param name="watch">Receives what submodules give, by the checkpoint's names, to find a fault; null watches nothing.</param>
    /// <param name="cancellation">Checked before every block.</param>
    /// <returns>Videos [batch, 4 (frames - 1) + 1, height, width, 3], clamped to [-1, 1]; a tensor of the current scope.</returns>
    /// <exception cref="ArgumentException">The latents have a wrong shape.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public Tensor Decode(Tensor latents, Action<string, Tensor>? watch = null, CancellationToken cancellation = default)
    {
        using var scope = new TensorScope();
        using var bag = new TensorBag();
        var pieces = new List<Tensor>();
        DecodeFrames(latents, frames => pieces.Add(bag.Own(frames.Clone())), watch, cancellation);
        return scope.Keep(TensorOperations.Concatenate(1, [.. pieces]));
    }

    /// <summary>
    /// Decodes latents and hands on frames as soon as they are there, so that memory does not grow with the number of frames.
    /// </summary>
    /// <param name="latents">[batch, frames, height, width, channels], as <see cref="Denormalize"/> gives them.</param>
    /// <param name="receive">Receives one frame after the other, [batch, 1, height, width, 3], clamped to [-1, 1]; valid during the
    /// call.</param>
    /// <param name="watch">Receives what submodules give, by the checkpoint's names, to find a fault; null watches nothing.</param>
    /// <param name="cancellation">Checked before every block.</param>
    /// <exception cref="ArgumentException">The latents have a wrong shape.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public void DecodeFrames(
        Tensor latents, Action<Tensor> receive, Action<string, Tensor>? watch = null, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(latents);
        ArgumentNullException.ThrowIfNull(receive);
        var s = latents.Shape;
        if (s.Rank != 5 || s[4] != LatentChannels || s[1] == 0)
        {
            throw new ArgumentException(
                $"The autoencoder decodes latents [batch, frames, height, width, {LatentChannels}], not {s}.", nameof(latents));
        }
        using var cache = new FrameCache();
        for (int i = 0; i < s[1]; i++)
        {
            cache.Begin(i, s[1]);
            using var scope = new TensorScope();
            var given = _postQuantConv.Apply(latents.Slice(1, i, 1), cache);
            watch?.Invoke("post_quant_conv", given);
            _decoder.Apply(
                given, cache,
                frame =>
                {
                    watch?.Invoke("decoder", frame);
                    var pixels = CausalPatches.Unpack(frame, _patch);
                    receive(pixels.Clamp(-1, 1, into: pixels));
                },
                watch, cancellation);
        }
    }

    /// <summary>Latents as a denoiser sees them: (x - mean) / deviation, for each channel.</summary>
    /// <param name="latents">[..., channels].</param>
    /// <returns>As the latents; a tensor of the current scope.</returns>
    public Tensor Normalize(Tensor latents)
    {
        ArgumentNullException.ThrowIfNull(latents);
        return _statistics.Normalize(latents);
    }

    /// <summary>The inverse of <see cref="Normalize"/>.</summary>
    /// <param name="latents">[..., channels].</param>
    /// <returns>As the latents; a tensor of the current scope.</returns>
    public Tensor Denormalize(Tensor latents)
    {
        ArgumentNullException.ThrowIfNull(latents);
        return _statistics.Denormalize(latents);
    }

    /// <inheritdoc/>
    public void Dispose() => _checkpoint.Dispose();
}

/// <summary>Video to moments of the latents.</summary>
internal sealed class CausalEncoder
{
    private readonly string _path;
    private readonly CausalConv3d _convIn;
    private readonly List<Func<Tensor, FrameCache, Tensor>> _downBlocks = [];
    private readonly CausalMidBlock _midBlock;
    private readonly CausalNorm _normOut;
    private readonly CausalConv3d _convOut;

    public CausalEncoder(WeightCursor at, CausalConfig config)
    {
        _path = at.Path;
        int inputs = config.BaseChannels;
        _convIn = new CausalConv3d(at.At("conv_in"), config.PixelChannels, inputs, 3, 3);
        for (int level = 0; level < config.Multipliers.Length; level++)
        {
            int outputs = config.BaseChannels * config.Multipliers[level];
            bool halves = level < config.Multipliers.Length - 1;
            if (config.IsResidual)
            {
                _downBlocks.Add(new CausalResidualDown(
                    at.At("down_blocks", level), inputs, outputs, config.ResnetsPerLevel, halves,
                    halves && config.HalvesFrames[level]).Apply);
                inputs = outputs;
                continue;
            }
            for (int i = 0; i < config.ResnetsPerLevel; i++)
            {
                _downBlocks.Add(new CausalResnet(at.At("down_blocks", _downBlocks.Count), inputs, outputs).Apply);
                inputs = outputs;
            }
            if (halves)
                _downBlocks.Add(new CausalDownsample(at.At("down_blocks", _downBlocks.Count), outputs, config.HalvesFrames[level]).Apply);
        }
        _midBlock = new CausalMidBlock(at.At("mid_block"), inputs);
        _normOut = new CausalNorm(at.At("norm_out"), inputs);
        _convOut = new CausalConv3d(at.At("conv_out"), inputs, 2 * config.LatentChannels, 3, 3);
    }

    public Tensor Apply(Tensor frames, FrameCache cache, Action<string, Tensor>? watch, CancellationToken cancellation)
    {
        var x = _convIn.Apply(frames, cache);
        for (int i = 0; i < _downBlocks.Count; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            x = x.Then(_downBlocks[i](x, cache));
            watch?.Invoke(FormattableString.Invariant($"{_path}.down_blocks.{i}"), x);
        }
        x = _midBlock.Apply(x, cache);
        watch?.Invoke(_path + ".mid_block", x);
        return x.Then(_convOut.Apply(_normOut.Apply(x, into: x).Activate(Activation.Silu, into: x), cache));
    }
}

/// <summary>
/// Latents to video. Levels behind the last one that makes more frames see one frame after the other: their maps are the largest, and
/// those of one frame are the peak then.
/// </summary>
internal sealed class CausalDecoder
{
    private readonly string _path;
    private readonly List<(Func<Tensor, FrameCache, Tensor> Apply, string? Name)> _stages = [];
    private readonly int _single;

    public CausalDecoder(WeightCursor at, CausalConfig config)
    {
        _path = at.Path;
        int levels = config.Multipliers.Length;
        int inputs = config.DecoderChannels * config.Multipliers[^1];
        _stages.Add((new CausalConv3d(at.At("conv_in"), config.LatentChannels, inputs, 3, 3).Apply, null));
        _stages.Add((new CausalMidBlock(at.At("mid_block"), inputs).Apply, "mid_block"));
        for (int i = 0; i < levels; i++)
        {
            int outputs = config.DecoderChannels * config.Multipliers[levels - 1 - i];
            bool doubles = i < levels - 1;
            bool frames = doubles && config.HalvesFrames[levels - 2 - i];
            var block = at.At("up_blocks", i);
            string name = FormattableString.Invariant($"up_blocks.{i}");
            if (config.IsResidual)
            {
                _stages.Add((
                    new CausalResidualUp(block, inputs, outputs, config.ResnetsPerLevel + 1, doubles, frames).Apply, name));
                inputs = outputs;
                if (frames)
                    _single = _stages.Count;
                continue;
            }
            for (int j = 0; j <= config.ResnetsPerLevel; j++)
            {
                bool last = j == config.ResnetsPerLevel && !doubles;
                _stages.Add((
                    new CausalResnet(block.At("resnets", j), j == 0 ? inputs : outputs, outputs).Apply, last ? name : null));
            }
            inputs = outputs / 2;
            if (!doubles)
                continue;
            var upsampler = new CausalUpsample(block.At("upsamplers.0"), outputs, inputs, frames);
            if (frames)
            {
                _stages.Add((upsampler.Double, null));
                _single = _stages.Count;
            }
            _stages.Add(((x, _) => upsampler.Enlarge(x, ends: true), name));
        }
        int width = config.DecoderChannels * config.Multipliers[0];
        var norm = new CausalNorm(at.At("norm_out"), width);
        var conv = new CausalSums(at.At("conv_out"), width, config.PixelChannels, 3, 3);
        _stages.Add(((x, cache) => conv.Apply(norm.Apply(x, into: x).Activate(Activation.Silu, into: x), cache), null));
    }

    /// <summary>Decodes a piece of a video.</summary>
    /// <param name="latents">[batch, 1, height, width, channels]; disposed.</param>
    /// <param name="cache">What is known of earlier pieces.</param>
    /// <param name="receive">Receives one frame after the other, [batch, 1, height, width, channels].</param>
    /// <param name="watch">Receives what submodules give; of those that see single frames only where the piece is one.</param>
    /// <param name="cancellation">Checked before every stage.</param>
    public void Apply(
        Tensor latents, FrameCache cache, Action<Tensor> receive, Action<string, Tensor>? watch, CancellationToken cancellation)
    {
        var x = Run(0, _single, latents, cache, watch, cancellation);
        int count = x.Shape[1];
        for (int frame = 0; frame < count; frame++)
        {
            using var scope = new TensorScope();
            cache.BeginFrame(frame, count);
            receive(Run(
                _single, _stages.Count, count == 1 ? x.View() : x.Slice(1, frame, 1).Clone(), cache, count == 1 ? watch : null,
                cancellation));
        }
        x.Dispose();
    }

    private Tensor Run(
        int first, int end, Tensor x, FrameCache cache, Action<string, Tensor>? watch, CancellationToken cancellation)
    {
        for (int i = first; i < end; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            var (apply, name) = _stages[i];
            var next = apply(x, cache);
            if (next != x)
                x.Dispose();
            x = next;
            if (name != null)
                watch?.Invoke($"{_path}.{name}", x);
        }
        return x;
    }
}

/// <summary>What config.json states.</summary>
internal sealed record CausalConfig(
    int BaseChannels, int LatentChannels, int[] Multipliers, int ResnetsPerLevel, bool[] HalvesFrames, ChannelStatistics Statistics)
{
    /// <summary>The channels of the decoder's last level.</summary>
    public required int DecoderChannels { get; init; }

    /// <summary>Whether levels have a shortcut beside them (Wan 2.2 5B).</summary>
    public required bool IsResidual { get; init; }

    /// <summary>How many pixels, in each direction, are one for the coders.</summary>
    public required int PatchSize { get; init; }

    /// <summary>The channels of what the coders take for a pixel.</summary>
    public int PixelChannels => 3 * PatchSize * PatchSize;

    /// <summary>
    /// Bytes that decoding a frame takes for each pixel: three maps of a residual block at full size, or the enlarged map of the level
    /// below beside the half of its channels that the convolution gives; float32.
    /// </summary>
    public long DecodingBytesPerPixel =>
        sizeof(float) * (long)DecoderChannels * Math.Max(3 * Multipliers[0], 3 * Multipliers[1] / 2) / (PatchSize * PatchSize);

    /// <summary>
    /// Bytes of the two frames that every convolution but the last keeps of a video, and of the frames of a piece that wait for the levels
    /// behind the last one that makes more of them, for each pixel of a frame.
    /// </summary>
    public long KeptBytesPerPixel
    {
        get
        {
            double channels = 0;
            double share = 1.0 / (PatchSize * PatchSize);       // of the pixels, at a level
            for (int level = 0; level < Multipliers.Length; level++, share /= 4)
            {
                bool last = level == Multipliers.Length - 1;
                int outputs = DecoderChannels * Multipliers[level];
                int inputs = last ? outputs : DecoderChannels * Multipliers[level + 1] / (IsResidual ? 1 : 2);
                channels += share * (inputs + outputs * (2 * ResnetsPerLevel + 1));
                if (level > 0 && HalvesFrames[level - 1])
                    channels += share * outputs;
                if (level > 0 && level - 1 == Array.IndexOf(HalvesFrames, true))
                {
                    // Counted in pairs of frames; where levels have shortcuts, height and width are doubled before.
                    channels += share * outputs * (IsResidual ? 4 : 1) * (1 << HalvesFrames.Count(halves => halves)) / 2;
                }
                if (last)
                    channels += share * (4 * outputs + LatentChannels);
            }
            return (long)(2 * sizeof(float) * channels);
        }
    }

    public static CausalConfig Read(ModelConfig json)
    {
        if (json.Floats("attn_scales").Length > 0)
            throw new CheckpointException($"'{json.Path}': attn_scales is not empty; attention in other places is not supported.");
        int channels = json.Size("z_dim", 16);
        int[] multipliers = json.Sizes("dim_mult", 1, 2, 4, 4);
        bool[] frames = ReadHalvings(json, multipliers, false, true, true);
        var statistics = ChannelStatistics.Read(json, channels);
        int width = json.Size("base_dim", 96);
        var config = new CausalConfig(
            width, channels, multipliers, json.Layers("num_res_blocks", 2), frames, statistics)
        {
            DecoderChannels = json.OptionalSize("decoder_base_dim") ?? width,
            IsResidual = json.Bool("is_residual", false),
            PatchSize = json.OptionalSize("patch_size") ?? 1,
        };
        foreach (string key in new[] { "in_channels", "out_channels" })
        {
            // Some versions of the reference multiply by the patch, others state the product.
            if (json.Size(key, 3) is var stated && stated != 3 && stated != config.PixelChannels)
                throw new CheckpointException($"'{json.Path}': {key} is {stated}, expected {config.PixelChannels} as patch_size says.");
        }
        if (config.IsResidual)
            config.CheckShortcuts(json);
        return config;
    }

    /// <summary>At which levels but the last the frames of a video are halved.</summary>
    /// <exception cref="CheckpointException">There is not one entry for each.</exception>
    internal static bool[] ReadHalvings(ModelConfig json, int[] multipliers, params bool[] missing)
    {
        bool[] frames = json.Bools("temperal_downsample", missing);
        return multipliers.Length >= 2 && frames.Length == multipliers.Length - 1 ? frames
            : throw new CheckpointException(
                $"'{json.Path}': temperal_downsample has {frames.Length} entries, expected one less than dim_mult, which has "
                    + $"{multipliers.Length}.");
    }

    /// <summary>The channels that shortcuts average, and those that they repeat, must divide into whole groups.</summary>
    private void CheckShortcuts(ModelConfig json)
    {
        for (int level = 0; level < Multipliers.Length; level++)
        {
            // The smallest cell has 4 pixels; the last level has none.
            int cell = level == Multipliers.Length - 1 ? 1 : 4;
            int below = level == 0 ? 1 : Multipliers[level - 1];
            if (Multipliers[level] % below == 0 && cell % (Multipliers[level] / below) == 0)
                continue;
            throw new CheckpointException(
                $"'{json.Path}': dim_mult is [{string.Join(", ", Multipliers)}], expected each 1, 2 or 4 times the one before it, from 1 "
                    + "on, and the last two equal: the shortcuts of is_residual need whole groups of channels.");
        }
    }
}
