using Attune.Attention;
using Attune.Guidance;
using Attune.Tensors;

namespace Attune.Caching;

/// <summary>
/// Leaves work out in steps that hardly differ from those before. It remembers one kind of pass of one run; <see cref="Reset"/> wherever a
/// pass is no longer like the one before it. Not safe for several threads at once.
/// </summary>
internal abstract class StepCache : IDisposable
{
    /// <summary>What decided in the last pass, as the kind of cache measures it; null for nothing.</summary>
    public double? Measure { get; private protected set; }

    /// <summary>Whether the last pass computed what this cache leaves out.</summary>
    public bool Computed { get; private protected set; } = true;

    /// <summary>How much more the blocks added in the last pass than in the one before it; null where that is not measured.</summary>
    public virtual double? Magnitude => null;

    /// <summary>Leaves out blocks; null where all run.</summary>
    public virtual IBlockPolicy? Blocks => null;

    /// <summary>Stands for attention layers; null where all are computed.</summary>
    public virtual IAttentionOutputs? Outputs => null;

    /// <summary>A pass begins.</summary>
    public virtual void Begin(StepPoint at)
    {
    }

    /// <summary>What stands for the whole pass, in the current scope; null where the denoiser runs.</summary>
    public virtual Tensor? Recall() => null;

    /// <summary>Receives what the denoiser predicted.</summary>
    public virtual void Keep(Tensor prediction)
    {
    }

    /// <summary>
    /// How many tensors it keeps at most that are as large as the stream of the latents, or as what an attention layer finds for it.
    /// </summary>
    /// <param name="sites">The attention layers of the denoiser.</param>
    public abstract int KeptOf(IReadOnlyList<AttentionSite> sites);

    /// <summary>Forgets the passes so far: the next one is computed.</summary>
    public abstract void Reset();

    /// <inheritdoc/>
    public abstract void Dispose();

    /// <summary>The steering of a pass with this cache in it.</summary>
    public Steering Steer(Steering steering) => steering with
    {
        Blocks = Blocks, Attention = Outputs == null ? steering.Attention : new RememberingAttention(steering.Attention, Outputs),
    };

    /// <summary>Attention whose layers may be left out.</summary>
    private sealed class RememberingAttention(IAttention attention, IAttentionOutputs outputs) : IAttention
    {
        public IAttentionOutputs Outputs => outputs;

        public Tensor Attend(AttentionCall call) => attention.Attend(call);

        public bool ReadsNegativeText(AttentionSite site) => attention.ReadsNegativeText(site);
    }
}
