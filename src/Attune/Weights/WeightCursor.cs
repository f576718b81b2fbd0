using Attune.Tensors;
using Attune.Weights.Lora;

namespace Attune.Weights;

/// <summary>
/// A place in a checkpoint's tree of names. Models read their weights through cursors while they are built, so that a missing or misshapen
/// tensor fails at once, with its full path.
/// </summary>
public readonly struct WeightCursor
{
    private readonly Checkpoint _checkpoint;

    internal WeightCursor(Checkpoint checkpoint, string path) => (_checkpoint, Path) = (checkpoint, path);

    /// <summary>The path of this place: <c>transformer_blocks.3.attn</c>; empty at the top.</summary>
    public string Path { get; }

    /// <summary>The place below with the given name, which may itself hold dots.</summary>
    public WeightCursor At(string name) => new(_checkpoint, Join(name));

    /// <summary>The numbered place below: <c>At("transformer_blocks", 3)</c>.</summary>
    public WeightCursor At(string name, int index) => At(FormattableString.Invariant($"{name}.{index}"));

    /// <summary>Whether a tensor or a place with this name exists below.</summary>
    public bool Contains(string name) => _checkpoint.Contains(Join(name));

    /// <summary>The shape of a tensor, or null when there is none: for weights that are stored in several forms.</summary>
    internal Shape? ShapeOf(string name) => _checkpoint.ShapeOf(Join(name));

    /// <summary>Says that a tensor, should it exist, is known and not needed.</summary>
    internal void Ignore(string name) => _checkpoint.Ignore(Join(name));

    /// <summary>A tensor that must exist with the given shape.</summary>
    /// <exception cref="CheckpointException">It is missing, has another shape or a type that is no float.</exception>
    public Weight Get(string name, Shape shape) => _checkpoint.Get(Join(name), shape);

    /// <summary>As <see cref="Get"/>, for layers that can compute low-rank addends beside the weight.</summary>
    internal LayerWeight GetLayer(string name, Shape shape) => _checkpoint.GetLayer(Join(name), shape);

    /// <summary>A tensor that may be absent.</summary>
    /// <exception cref="CheckpointException">It has another shape or a type that is no float.</exception>
    public Weight? Find(string name, Shape shape) => _checkpoint.Find(Join(name), shape);

    private string Join(string name) => Path.Length == 0 ? name : Path + "." + name;
}
