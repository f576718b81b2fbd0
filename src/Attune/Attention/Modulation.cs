using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Attention;

/// <summary>The vectors of a modulation, in the order of the checkpoint.</summary>
/// <param name="Vectors">How many there are.</param>
/// <param name="Branches">Which of them belong to a block's branches: its attention, its feed-forward.</param>
internal sealed record ModulationForm(int Vectors, IReadOnlyList<BranchVectors> Branches)
{
    /// <summary>Whether gates go through tanh.</summary>
    public bool BoundsGates { get; init; }

    /// <summary>Shift, scale, gate, of one branch after the other: AdaLayerNormZero and AdaLayerNormZeroSingle of diffusers.</summary>
    public static ModulationForm ShiftScaleGate(int branches) =>
        new(3 * branches, [.. Enumerable.Range(0, branches).Select(i => new BranchVectors(3 * i, 3 * i + 1, 3 * i + 2))]);

    /// <summary>Shift, scale of one branch, whose result is not gated: the last norm of AdaLN-single.</summary>
    public static ModulationForm ShiftScale { get; } = new(2, [new BranchVectors(Shift: 0, Scale: 1, Gate: -1)]);

    /// <summary>Scale, shift of one branch, whose result is not gated: AdaLayerNormContinuous.</summary>
    public static ModulationForm ScaleShift { get; } = new(2, [new BranchVectors(Shift: 1, Scale: 0, Gate: -1)]);
}

/// <summary>Where the vectors of one branch stand.</summary>
/// <param name="Shift">What the normalised rows are shifted by; -1 for nothing.</param>
/// <param name="Scale">What they are multiplied with, less 1.</param>
/// <param name="Gate">What the branch's result is multiplied with before it is added; -1 for none.</param>
internal readonly record struct BranchVectors(int Shift, int Scale, int Gate);

/// <summary>A linear layer that makes the vectors of a block's adaptive norms from an embedding.</summary>
/// <param name="at">The linear layer.</param>
/// <param name="width">The channels of each vector.</param>
/// <param name="form">Which vector is which.</param>
/// <param name="bias">Whether the layer has a bias.</param>
/// <param name="inputs">The channels of the embedding; null for the width.</param>
internal sealed class ModulationLayer(WeightCursor at, int width, ModulationForm form, bool bias = true, int? inputs = null)
{
    private readonly Linear _linear = new(at, inputs ?? width, form.Vectors * width, bias);

    /// <summary>All vectors, [batch, vectors * width], of an embedding [batch, width].</summary>
    public Tensor Apply(Tensor embedding)
    {
        var vectors = _linear.Apply(embedding);
        if (form.BoundsGates)
        {
            foreach (var branch in form.Branches.Where(branch => branch.Gate >= 0))
            {
                var gate = vectors.Slice(1, branch.Gate * width, width);
                gate.Activate(Activation.Tanh, into: gate);
            }
        }
        return vectors;
    }

    /// <summary>One vector of those, [batch, width]; null where the form has none.</summary>
    public Tensor? Pick(Tensor vectors, int branch, Func<BranchVectors, int> which) =>
        which(form.Branches[branch]) is >= 0 and var vector ? vectors.Slice(1, vector * width, width) : null;
}

/// <summary>
/// The embedding that modulates a pass, by kind of token: of the timestep, and of the pooled text where the model has one, so that the rows
/// of the negative prompt have another than those of the prompt.
/// </summary>
/// <param name="prompt">[batch, width], activated as the model's modulations begin.</param>
/// <param name="negative">The same for negative text and twins of the latents; null for <paramref name="prompt"/>.</param>
/// <param name="references">The same for references, whose time may be another; null for <paramref name="prompt"/>.</param>
internal sealed class TimeEmbeddings(Tensor prompt, Tensor? negative = null, Tensor? references = null)
{
    /// <summary>The vectors that a layer makes, for all rows.</summary>
    public LayerModulation Through(ModulationLayer layer) => new(this, _ => layer);

    /// <summary>The vectors that two layers make, for text and for images.</summary>
    public LayerModulation Through(Dual<ModulationLayer> layers) => new(this, layers.For);

    /// <summary>The embedding for rows of a kind.</summary>
    public Tensor For(TokenKind kind) => kind switch
    {
        TokenKind.NegativeText or TokenKind.NegativeLatent => negative ?? prompt,
        TokenKind.Reference => references ?? prompt,
        _ => prompt,
    };
}

/// <summary>The vectors with which a block modulates its rows.</summary>
internal abstract class Modulation
{
    /// <summary>Those around the attention; in a single-stream block, around all of it.</summary>
    public Branch Attention => new(this, 0);

    /// <summary>Those around the feed-forward network.</summary>
    public Branch FeedForward => new(this, 1);

    /// <summary>One vector, [batch, width]; null where there is none.</summary>
    public abstract Tensor? Pick(TokenKind kind, int branch, Func<BranchVectors, int> which);
}

/// <summary>
/// Vectors that layers make of an embedding: when they are first asked for, for the kinds of rows that there are. They belong to the
/// scope in which that happens.
/// </summary>
internal sealed class LayerModulation(TimeEmbeddings time, Func<TokenKind, ModulationLayer> layers) : Modulation
{
    private readonly List<(ModulationLayer Layer, Tensor Embedding, Tensor Vectors)> _known = [];

    /// <summary>Makes the vectors for rows of some kinds now, in the current scope: of a modulation that several blocks share.</summary>
    public LayerModulation Make(params ReadOnlySpan<TokenKind> kinds)
    {
        foreach (var kind in kinds)
            VectorsOf(kind);
        return this;
    }

    /// <inheritdoc/>
    public override Tensor? Pick(TokenKind kind, int branch, Func<BranchVectors, int> which) =>
        layers(kind).Pick(VectorsOf(kind), branch, which);

    private Tensor VectorsOf(TokenKind kind)
    {
        var (layer, embedding) = (layers(kind), time.For(kind));
        var vectors = _known.Find(known => known.Layer == layer && known.Embedding == embedding).Vectors;
        if (vectors == null)
            _known.Add((layer, embedding, vectors = layer.Apply(embedding)));
        return vectors;
    }
}

/// <summary>Vectors that stand in a table, those of a block one after the other.</summary>
/// <param name="table">[batch, vectors, width].</param>
/// <param name="form">Which vector of a block is which.</param>
/// <param name="text">The first vector for text.</param>
/// <param name="image">The first vector for latents, their twins and references.</param>
internal sealed class TableModulation(Tensor table, ModulationForm form, int text, int image) : Modulation
{
    /// <inheritdoc/>
    public override Tensor? Pick(TokenKind kind, int branch, Func<BranchVectors, int> which)
    {
        int vector = which(form.Branches[branch]);
        int first = kind is TokenKind.Text or TokenKind.NegativeText ? text : image;
        return vector < 0 ? null : table.Slice(1, first + vector, 1).Reshape(table.Shape[0], table.Shape[2]);
    }
}

/// <summary>
/// A table of a block's own that is added to vectors which all blocks share: AdaLN-single of PixArt (Chen et al., arXiv 2310.00426).
/// </summary>
/// <param name="at">Where its <c>scale_shift_table</c> is.</param>
/// <param name="width">The channels of each vector.</param>
/// <param name="form">Which vector is which.</param>
internal sealed class ModulationTable(WeightCursor at, int width, ModulationForm form)
{
    private readonly Embedding _table = new(at, form.Vectors, width, "scale_shift_table");

    /// <summary>The vectors of the block, in the current scope.</summary>
    /// <param name="shared">[batch, vectors or 1, width].</param>
    /// <param name="ofReferences">The same for references, whose time is another; null where there are none, or it is the same.</param>
    public Modulation Over(Tensor shared, Tensor? ofReferences = null)
    {
        var own = Over(shared);
        return ofReferences == null ? own : new ReferenceModulation(own, Over(ofReferences));
    }

    private TableModulation Over(Tensor shared) => new(shared.Add(_table.First(form.Vectors)), form, text: 0, image: 0);
}

/// <summary>Vectors for references that are not those of the other rows.</summary>
internal sealed class ReferenceModulation(Modulation others, Modulation references) : Modulation
{
    /// <inheritdoc/>
    public override Tensor? Pick(TokenKind kind, int branch, Func<BranchVectors, int> which) =>
        (kind == TokenKind.Reference ? references : others).Pick(kind, branch, which);
}

/// <summary>The vectors of one branch of a block.</summary>
internal readonly record struct Branch(Modulation Modulation, int Index)
{
    /// <summary>What rows of a kind are shifted by, [batch, width]; null for nothing.</summary>
    public Tensor? Shift(TokenKind kind) => Modulation.Pick(kind, Index, vectors => vectors.Shift);

    /// <summary>What rows of a kind are scaled by, less 1, [batch, width].</summary>
    public Tensor Scale(TokenKind kind) => Modulation.Pick(kind, Index, vectors => vectors.Scale)!;

    /// <summary>What is multiplied with the branch's result in rows of a kind, [batch, width].</summary>
    public Tensor Gate(TokenKind kind) => Modulation.Pick(kind, Index, vectors => vectors.Gate)!;
}
