using Attune.Tensors;

namespace Attune.Weights.Lora;

/// <summary>What one layer of a LoRA file adds to rows of one parameter.</summary>
/// <param name="File">The file.</param>
/// <param name="Layer">The layer in it.</param>
/// <param name="Parameter">The parameter in the component's checkpoint.</param>
/// <param name="IsBias">Whether the parameter is the bias of its module: then the layer's differences of biases count, not its
/// factors.</param>
/// <param name="Rows">Which rows of the layer go to which rows of the parameter.</param>
/// <param name="UserScale">The scale that the user gave the file.</param>
internal sealed record LoraDelta(string File, LoraLayer Layer, string Parameter, bool IsBias, LoraTarget Rows, float UserScale)
{
    /// <summary>
    /// The parameter that may get more columns than it has: FLUX.1's control files (Depth, Canny) let the denoiser read a control picture
    /// beside the latents.
    /// </summary>
    private const string Widened = "x_embedder.weight";

    /// <summary>What the product of the factors is multiplied with: the user's scale times alpha / rank.</summary>
    public float ProductScale => (float)(UserScale * Layer.Scale);

    /// <summary>
    /// Whether the magnitudes are those of input channels: files of LyCORIS may have them so, [1, in, ...], those of peft never.
    /// </summary>
    public bool HasLengthsByInput(Shape shape) =>
        Layer.Magnitude is { } magnitude
            && magnitude.Name.EndsWith(".dora_scale", StringComparison.Ordinal) && shape.Rank >= 2 && Rows.Rows == shape[0]
        && magnitude.Dimensions.Count >= 2
            && magnitude.Dimensions[0] == 1 && magnitude.Dimensions[1] == shape[1] && magnitude.Count == shape[1];

    /// <summary>The columns of the product of the factors, or 0 where there are none.</summary>
    public long Columns =>
        Layer.Down is not { } down ? 0
            : down.Count / down.Dimensions[0] * (Layer.Mid is { } mid ? mid.Count / (mid.Dimensions[0] * mid.Dimensions[1]) : 1);

    /// <summary>Whether the parameter gets more columns: the old ones come first, then zeros, then the product is added to all.</summary>
    public bool Widens(Shape shape) => !IsBias && Parameter == Widened && shape.Rank == 2 && Columns > shape[1];

    /// <summary>Checks that the layer fits the rows and columns of the parameter.</summary>
    /// <param name="shape">The parameter's shape.</param>
    /// <param name="rows">The number of rows of all targets of the layer.</param>
    /// <exception cref="CheckpointException">It does not; the message names file, layer and parameter.</exception>
    public void Check(Shape shape, int rows)
    {
        long columns = shape.Count / shape[0];
        if (IsBias)
        {
            Require(Layer.UpBias, rows * columns);
            Require(Layer.BiasDifference, rows * columns);
            return;
        }
        Require(Layer.Difference, rows * columns);
        Require(Layer.Replacement, rows * columns);
        if (Layer.Replacement is { } replacement && shape.Rank != 1)
            throw Wrong(shape, $"{replacement.Name} {replacement.Extents} takes the place of a norm's vector");
        if (Layer.Down is { } down && Layer.Up is { } up && (up.Dimensions[0] != rows || (Columns != columns && !Widens(shape))))
            throw Wrong(
                shape,
                $"{up.Name} {up.Extents} and {down.Name} {down.Extents} make {up.Dimensions[0]} rows of {Columns} numbers, expected "
                    + $"{rows} of {columns}");
        if (Layer.Magnitude is { } magnitude && magnitude.Count != rows && !(HasLengthsByInput(shape) && rows == shape[0]))
            throw Wrong(shape, $"{magnitude.Name} is {magnitude.Extents}, expected one number for each of {rows} rows");

        void Require(TensorEntry? tensor, long count)
        {
            if (tensor != null && tensor.Count != count)
                throw Wrong(shape, $"{tensor.Name} is {tensor.Extents}, expected {count} numbers");
        }
    }

    private CheckpointException Wrong(Shape shape, string what) =>
        new($"'{File}' does not fit the model: {Parameter} is {shape}, but {what}.");
}
