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

    /// <summary>What the layer changes in all parameters that it is for, this one too, in the order of its rows.</summary>
    public IReadOnlyList<LoraDelta> Whole { get; set; } = [];

    /// <summary>What the product of the factors is multiplied with: the user's scale times alpha / rank.</summary>
    public float ProductScale => (float)(UserScale * (Layer.LowRank?.Scale ?? 1));

    /// <summary>The columns of the product of the factors, or 0 where there are none.</summary>
    public long Columns => Layer.LowRank?.Columns ?? 0;

    /// <summary>Whether its rows cannot be computed without those of other targets.</summary>
    public bool NeedsWhole(Shape shape) => Whole.Count > 1 && (Layer.Forms.Any(form => form.NeedsAllRows) || HasLengthsByInput(shape));

    /// <summary>
    /// Whether the magnitudes are those of input channels: files of LyCORIS may have them so, [1, in, ...], those of peft never.
    /// </summary>
    public bool HasLengthsByInput(Shape shape) =>
        Layer.Magnitude is { } magnitude
            && magnitude.Name.EndsWith(".dora_scale", StringComparison.Ordinal) && shape.Rank >= 2 && magnitude.Dimensions.Count >= 2
            && magnitude.Dimensions[0] == 1 && magnitude.Dimensions[1] == shape[1] && magnitude.Count == shape[1];

    /// <summary>Whether the parameter gets more columns: the old ones come first, then zeros, then the product is added to all.</summary>
    public bool Widens(Shape shape) => !IsBias && Parameter == Widened && shape.Rank == 2 && Columns > shape[1];

    /// <summary>Changes the rows of the parameter that the layer is for, or all rows of the layer.</summary>
    public void Apply(AdapterTarget target)
    {
        foreach (var form in Layer.Forms)
            form.Apply(target);
        if (Layer.Magnitude is { } magnitude)
            DoraLengths.Set(target, magnitude, HasLengthsByInput(target.Shape) ? target.Shape[1] : 0);
    }

    /// <summary>Checks that the layer fits the rows and columns of the parameter.</summary>
    /// <param name="shape">The parameter's shape.</param>
    /// <param name="rows">The number of rows of all targets of the layer.</param>
    /// <exception cref="CheckpointException">It does not; the message names file, layer and parameter.</exception>
    public void Check(Shape shape, int rows)
    {
        if (IsBias)
        {
            foreach (var bias in new[] { Layer.UpBias, Layer.BiasDifference })
            {
                if (bias != null && bias.Count != rows * (shape.Count / shape[0]))
                    throw Wrong(shape, $"{bias.Name} is {bias.Extents}, expected {rows * (shape.Count / shape[0])} numbers");
            }
            return;
        }
        var wide = Widens(shape) ? Shape.Create([shape[0], (int)Columns]) : shape;
        foreach (var form in Layer.Forms)
        {
            if (form.Misfit(form is LowRankForm ? wide : shape, rows) is { } misfit)
                throw Wrong(shape, misfit);
        }
        if (Layer.Magnitude is { } magnitude && magnitude.Count != rows && !HasLengthsByInput(shape))
            throw Wrong(shape, $"{magnitude.Name} is {magnitude.Extents}, expected one number for each of {rows} rows");
    }

    private CheckpointException Wrong(Shape shape, string what) =>
        new($"'{File}' does not fit the model: {Parameter} is {shape}, but {what}.");
}
