using Attune.Tensors;

namespace Attune.Weights;

/// <summary>
/// A place in a checkpoint's tree of names. Models read their weights through cursors while they are built, so that a missing or misshapen
/// tensor fails at once, with its full path. The checkpoint owns what they get.
/// </summary>
public readonly struct WeightCursor
{
    private readonly Checkpoint _checkpoint;

    internal WeightCursor(Checkpoint checkpoint, string path) => (_checkpoint, Path) = (checkpoint, path);

    /// <summary>The path of this place: <c>transformer_blocks.3.attn</c>; empty at the top.</summary>
    public string Path { get; }

    /// <summary>The device that weights are prepared for.</summary>
    public Device Device => _checkpoint.Device;

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

    /// <summary>A weight that must exist with the given shape, ready to compute with.</summary>
    /// <param name="name">Its name below this place.</param>
    /// <param name="shape">Its shape; of a matrix, also [out, in, 1, 1] and [out, channels, frames, height,
    /// width], which are then [out, all of the others]; of a table, also [1, rows, channels],
    /// [rows, 1, height, width], which is then [rows, height * width], and [channels], which is one row; of a vector, also [channels, 1, 1,
    /// 1].
    /// </param>
    /// <param name="role">How the layer reads it.</param>
    /// <exception cref="CheckpointException">It is missing, has another shape or a type that is no float.</exception>
    public PreparedWeight Get(string name, Shape shape, WeightRole role) => _checkpoint.Get(Join(name), shape, role);

    /// <summary>A vector that must exist, with a number added to each of its elements: of norms that multiply by 1 + weight.</summary>
    internal PreparedWeight GetPlus(string name, Shape shape, float number) => _checkpoint.GetPlus(Join(name), shape, number);

    /// <summary>As <see cref="Get"/>, for a weight that may be absent: then null.</summary>
    /// <exception cref="CheckpointException">It has another shape or a type that is no float.</exception>
    public PreparedWeight? Find(string name, Shape shape, WeightRole role) => _checkpoint.Find(Join(name), shape, role);

    /// <summary>A weight that must exist with the given shape, for the host to read. To be disposed.</summary>
    /// <exception cref="CheckpointException">It is missing, has another shape or a type that is no float.</exception>
    public StoredWeight Read(string name, Shape shape) => _checkpoint.Read(Join(name), shape);

    private string Join(string name) => Path.Length == 0 ? name : Path + "." + name;
}
