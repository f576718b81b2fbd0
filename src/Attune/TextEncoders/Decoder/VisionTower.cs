using Attune.Tensors;
using Attune.Weights;

namespace Attune.TextEncoders.Decoder;

/// <summary>A picture as the vision tower takes it.</summary>
/// <param name="Patches">
/// [rows * columns, channels * frames * side * side]: one row for each patch, in the order (channel, frame, row, column), a still picture's
/// frame as often as the tower counts; patches go by groups of merged ones.
/// </param>
/// <param name="Rows">Rows of patches, a multiple of the merge size.</param>
/// <param name="Columns">Columns of patches.</param>
public sealed record VisionPicture(Tensor Patches, int Rows, int Columns)
{
    /// <summary>Patches that are merged, in each direction, and frames of a patch, in all towers of Qwen.</summary>
    internal const int Merge = 2, Frames = 2;

    /// <summary>A picture cut into patches; a tensor of the current scope.</summary>
    /// <param name="pixels">[1, height, width, 3], normalised as the tower wants it; whole groups of patches.</param>
    /// <param name="side">The pixels of a patch, in each direction.</param>
    internal static VisionPicture Of(Tensor pixels, int side)
    {
        var (rows, columns) = (pixels.Shape[1] / side, pixels.Shape[2] / side);
        using var scope = new TensorScope();
        var patches = pixels.Reshape(rows, side, columns, side, 3).Permute(0, 2, 4, 1, 3)
            .Reshape(rows / Merge, Merge, columns / Merge, Merge, 3 * side * side).Permute(0, 2, 1, 3, 4)
            .Reshape(rows * columns, 3, 1, side * side);
        var frames = Tensor.Empty(pixels.Device, [rows * columns, 3, Frames, side * side]);
        patches.Expand(2, Frames).CopyTo(frames);
        return new VisionPicture(scope.Keep(frames.Reshape(rows * columns, 3 * Frames * side * side)), rows, columns);
    }
}

/// <summary>What a picture becomes for a language model.</summary>
/// <param name="Embeds">[slots, channels]: what stands in the place of its tokens.</param>
/// <param name="Deepstack">[slots, channels], added behind the first layers, one after the other.</param>
internal sealed record VisionEmbeds(Tensor Embeds, IReadOnlyList<Tensor> Deepstack);

/// <summary>What config.json says of any vision tower; the defaults are those of each.</summary>
internal abstract record VisionConfig
{
    public required int HiddenSize { get; init; }

    public required int Depth { get; init; }

    public required int NumHeads { get; init; }

    public required int IntermediateSize { get; init; }

    public required int InChannels { get; init; }

    public required int PatchSize { get; init; }

    public required int TemporalPatchSize { get; init; }

    public required int MergeSize { get; init; }

    public required int OutHiddenSize { get; init; }

    public required Activation HiddenAct { get; init; }

    public int PatchValues => InChannels * TemporalPatchSize * PatchSize * PatchSize;
}

/// <summary>What makes rows of a language model of a picture.</summary>
/// <param name="at">The tower's weights.</param>
/// <param name="config">Its configuration.</param>
internal abstract class VisionTower(WeightCursor at, VisionConfig config)
{
    private const double Theta = 10000;

    /// <summary>How many patches, in each direction, become one row.</summary>
    public int MergeSize { get; } = config.MergeSize;

    /// <summary>The channels of the rows.</summary>
    public int Channels { get; } = config.OutHiddenSize;

    /// <summary>Where the weights are.</summary>
    protected Device Device { get; } = at.Device;

    /// <summary>What makes a row of a patch.</summary>
    protected PreparedWeight Patch { get; } = at.Get(
        "patch_embed.proj.weight",
        [config.HiddenSize, config.InChannels, config.TemporalPatchSize, config.PatchSize, config.PatchSize], WeightRole.Matrix);

    /// <summary>What a picture becomes; tensors of the current scope.</summary>
    /// <param name="picture">The picture.</param>
    /// <param name="watch">Receives what submodules give, to find a fault; null watches nothing.</param>
    /// <param name="cancellation">Checked before every block.</param>
    /// <exception cref="ArgumentException">The patches have a wrong shape.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public abstract VisionEmbeds Apply(VisionPicture picture, Action<string, Tensor>? watch, CancellationToken cancellation);

    /// <summary>Checks the shape of a picture's patches.</summary>
    protected void Require(VisionPicture picture)
    {
        int values = config.PatchValues;
        int count = picture.Rows * picture.Columns;
        if (picture.Patches.Shape != [count, values] || picture.Rows % MergeSize != 0 || picture.Columns % MergeSize != 0)
        {
            throw new ArgumentException(
                $"Patches {picture.Patches.Shape} are not [{picture.Rows} x {picture.Columns}, {values}], in groups of "
                    + $"{MergeSize} x {MergeSize}.",
                nameof(picture));
        }
    }

    /// <summary>The places of patches, group by group.</summary>
    protected static IEnumerable<(int Row, int Column)> Places(int rows, int columns, int merge)
    {
        for (int group = 0; group < rows / merge * (columns / merge); group++)
        {
            var (top, left) = Math.DivRem(group, columns / merge);
            for (int inside = 0; inside < merge * merge; inside++)
                yield return (top * merge + inside / merge, left * merge + inside % merge);
        }
    }

    /// <summary>What turns patches: the first half of a head's pairs by their rows, the second by their columns. The caller disposes
    /// it.</summary>
    protected static RotaryEmbedding Rotary(Device device, IReadOnlyList<(int Row, int Column)> places, int headChannels)
    {
        int quarter = headChannels / 4;
        var (cosines, sines) = (new float[places.Count * 2 * quarter], new float[places.Count * 2 * quarter]);
        for (int i = 0; i < places.Count; i++)
        {
            for (int pair = 0; pair < 2 * quarter; pair++)
            {
                float frequency = 1 / (float)Math.Pow(Theta, (float)(pair % quarter) / quarter);
                float angle = (pair < quarter ? places[i].Row : places[i].Column) * frequency;
                (cosines[i * 2 * quarter + pair], sines[i * 2 * quarter + pair]) = (MathF.Cos(angle), MathF.Sin(angle));
            }
        }
        Shape shape = [places.Count, 2 * quarter];
        return new RotaryEmbedding(
            TensorScope.Detach(Tensor.From(device, cosines, shape)), TensorScope.Detach(Tensor.From(device, sines, shape)),
            RotaryPairing.Halves);
    }
}
