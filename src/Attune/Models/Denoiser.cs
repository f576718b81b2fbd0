using Attune.Attention;
using Attune.Latents;
using Attune.Prompts;
using Attune.Tensors;

namespace Attune.Models;

/// <summary>The inputs of one forward pass of a denoiser.</summary>
/// <param name="Latents">The noisy latents in the denoiser's form, batch first: [batch, height, width, channels] for UNets, [batch, tokens,
/// channels] for models whose latents are packed, [batch, frames, height, width, channels] for videos.</param>
/// <param name="Grid">How the latents lie, in tokens.</param>
/// <param name="Timesteps">The scheduler's timestep, 0 to 1000: one, or one for each item of the batch.</param>
/// <param name="Positive">The prompt.</param>
/// <param name="Negative">The negative prompt, for rules that read it in attention; null leaves it out. Any length.</param>
public sealed record DenoiserInput(
    Tensor Latents, LatentGrid Grid, IReadOnlyList<float> Timesteps, Conditioning Positive, Conditioning? Negative = null)
{
    /// <summary>The guidance scale, for models that embed one (<see cref="Denoiser.EmbedsGuidanceScale"/>).</summary>
    public float? GuidanceScale { get; init; }

    /// <summary>Pictures that the model looks at, for families that take them; empty for none.</summary>
    public IReadOnlyList<ReferenceLatents> References { get; init; } = [];

    /// <summary>
    /// Channels that stand beside the latents, [batch or 1, ..., channels], for models that read a picture so (image to video of Wan 2.2,
    /// inpainting of Stable Diffusion and FLUX.1, control pictures of FLUX.1); null for others.
    /// </summary>
    public Tensor? Beside { get; init; }

    /// <summary>
    /// How many of a video's first latent frames are no noise, but given: their rows are modulated as at time 0 (Wan 2.2 5B with a
    /// picture). 0 for models without such.
    /// </summary>
    public int CleanFrames { get; init; }

    /// <summary>
    /// What a vision tower made of the picture with which a video begins, [1, rows, channels], for models that read that (image to video of
    /// Wan 2.1); null for others.
    /// </summary>
    public Tensor? Picture { get; init; }

    /// <summary>
    /// What depends on several inputs that do not change from step to step, such as the keys of two prompts; null keeps nothing.
    /// </summary>
    public Memo? Memo { get; init; }

    /// <summary>
    /// Receives what submodules give, by the checkpoint's names, to find a fault; tensors are valid during the call. Null watches nothing.
    /// </summary>
    public Action<string, Tensor>? Watch { get; init; }

    /// <summary>The timestep of each item of the batch.</summary>
    internal IEnumerable<float> ItemTimesteps => Enumerable.Range(0, Latents.Shape[0])
        .Select(item => Timesteps.Count == 1 ? Timesteps[0] : Timesteps[item]);
}

/// <summary>A network that predicts what the noise in latents hides. It keeps no state between passes: concurrent ones share it.</summary>
public abstract class Denoiser : IDisposable
{
    /// <summary>The attention layers, in the order in which a forward pass calls them.</summary>
    public abstract IReadOnlyList<AttentionSite> Sites { get; }

    /// <summary>The names of the blocks that rules can leave out (<see cref="IBlockPolicy"/>), in the order in which they run.</summary>
    public abstract IReadOnlyList<string> Blocks { get; }

    /// <summary>Whether it has skip connections that rules can change (<see cref="ISkipConnection"/>).</summary>
    public virtual bool HasSkipConnections => false;

    /// <summary>Whether it embeds a guidance scale (<see cref="DenoiserInput.GuidanceScale"/>).</summary>
    public virtual bool EmbedsGuidanceScale => false;

    /// <summary>How many networks share the noise levels (Wan 2.2: one for high and one for low noise); 1 for nearly all models.</summary>
    public virtual int Experts => 1;

    /// <summary>Which of them predicts at a timestep of the scheduler, counted from 0 at the highest noise.</summary>
    public virtual int ExpertOf(double timestep) => 0;

    /// <summary>What is kept of each row of a prompt and of a reference while a request runs, in bytes; 0 where little is.</summary>
    public virtual long KeptBytesPerTextRow => 0;

    /// <summary>About how many bytes a pass takes at its peak, beside weights and what is kept of prompts.</summary>
    /// <param name="grid">How the latents lie.</param>
    /// <param name="count">How many there are.</param>
    public virtual long ActivationBytes(LatentGrid grid, int count) => sizeof(float) * (long)grid.Count * count * FloatsPerToken;

    /// <summary>
    /// Floats of a token's stream, and of what an attention layer finds for it; of UNets those at full size, which are the most.
    /// </summary>
    internal virtual int StreamWidth => 0;

    /// <summary>
    /// About how many floats there are for each token of the latents at the peak of a pass. That is in attention, but where another layer
    /// is wider: the stream, what is normed, queries, keys and values, the former two turned, what is found.
    /// </summary>
    private protected virtual long FloatsPerToken => 9L * StreamWidth;

    /// <summary>
    /// The positions, on the axes of its rotary embedding, that the model gives the tokens of latents and references, in the order in which
    /// it packs them; empty for models without such positions.
    /// </summary>
    /// <param name="latents">The grid of the latents.</param>
    /// <param name="references">Those of the references.</param>
    public virtual IReadOnlyList<int[]> PositionsOf(LatentGrid latents, IReadOnlyList<LatentGrid> references) => [];

    /// <summary>One forward pass.</summary>
    /// <returns>The prediction (noise, velocity or clean sample, as the model was trained), shaped as the latents; a tensor of the current
    /// scope.</returns>
    /// <exception cref="ArgumentException">An input has the wrong shape or form, or one that the model needs is missing.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; checked before every block.</exception>
    public abstract Tensor Predict(DenoiserInput input, Steering steering, CancellationToken cancellation = default);

    /// <inheritdoc/>
    public abstract void Dispose();
}

/// <summary>A denoiser of a family whose prompts become a conditioning of one type.</summary>
/// <typeparam name="TConditioning">The conditionings of the family.</typeparam>
public abstract class Denoiser<TConditioning> : Denoiser
    where TConditioning : Conditioning
{
    /// <inheritdoc/>
    public sealed override Tensor Predict(DenoiserInput input, Steering steering, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(input);
        ArgumentNullException.ThrowIfNull(steering);
        int batch = input.Latents.Shape[0];
        if (input.Timesteps.Count != 1 && input.Timesteps.Count != batch)
            throw new ArgumentException($"{input.Timesteps.Count} timesteps do not fit a batch of {batch}.", nameof(input));
        if (EmbedsGuidanceScale && input.GuidanceScale == null)
            throw new ArgumentException("This model embeds a guidance scale; none was given.", nameof(input));
        return Predict(input, Typed(input.Positive), input.Negative == null ? null : Typed(input.Negative), steering, cancellation);
    }

    /// <summary>One forward pass with conditionings of the family's type; inputs that no family checks for itself are checked.</summary>
    /// <inheritdoc cref="Denoiser.Predict(DenoiserInput, Steering, CancellationToken)"/>
    protected abstract Tensor Predict(
        DenoiserInput input, TConditioning positive, TConditioning? negative, Steering steering, CancellationToken cancellation);

    /// <summary>Checks that packed latents are [batch, tokens of the grid, channels].</summary>
    private protected static void RequireRows(DenoiserInput input, int channels) =>
        RequireRows(input, input.Latents, input.Grid, channels, "Latents");

    /// <summary>Checks that what stands beside packed latents has a row for each of theirs, and says how many channels it has.</summary>
    private protected static int RequireBeside(DenoiserInput input)
    {
        if (input.Beside?.Shape is not { } beside)
            return 0;
        var latents = input.Latents.Shape;
        return beside.Rank == 3 && beside[1] == latents[1] && (beside[0] == 1 || beside[0] == latents[0]) ? beside[2]
            : throw new ArgumentException($"What stands beside the latents, {beside}, does not fit {latents}.", nameof(input));
    }

    /// <summary>Checks that packed latents of all references are [batch, tokens of their grid, channels].</summary>
    private protected static void RequireReferences(DenoiserInput input, int channels)
    {
        foreach (var reference in input.References)
            RequireRows(input, reference.Latents, reference.Grid, channels, "Latents of a reference");
    }

    /// <summary>Checks that latents are [batch, height, width, channels], of patches of so many pixels that the grid counts.</summary>
    private protected static void RequirePixels(DenoiserInput input, int patch, int channels)
    {
        var (latents, grid) = (input.Latents.Shape, input.Grid);
        if (latents.Rank != 4 || latents[1] != patch * grid.Height || latents[2] != patch * grid.Width || latents[3] != channels)
        {
            throw new ArgumentException(
                $"Latents {latents} are not [batch, {patch * grid.Height}, {patch * grid.Width}, {channels}], as the grid {grid} says.",
                nameof(input));
        }
    }

    /// <summary>Checks that a prompt's text is [1 or batch, tokens, width]; no prompt passes.</summary>
    private protected static void RequireText(DenoiserInput input, Conditioning? prompt, int width)
    {
        if (prompt != null && (prompt.Text.Shape is not { Rank: 3 } text
            || text[2] != width || (text[0] != 1 && text[0] != input.Latents.Shape[0])))
            throw new ArgumentException($"Text embeddings {prompt.Text.Shape} are not [1, tokens, {width}].", nameof(input));
    }

    private static void RequireRows(DenoiserInput input, Tensor latents, LatentGrid grid, int channels, string what)
    {
        if (latents.Shape.Rank != 3 || latents.Shape[1] != grid.Count || latents.Shape[2] != channels)
        {
            throw new ArgumentException(
                $"{what} {latents.Shape} are not [batch, {grid.Count}, {channels}], as the grid {grid} says.", nameof(input));
        }
    }

    private TConditioning Typed(Conditioning conditioning) => conditioning as TConditioning
        ?? throw new ArgumentException($"{GetType().Name} takes a {typeof(TConditioning).Name}, not a {conditioning.GetType().Name}.");
}
