namespace Attune.Weights.Lora;

/// <summary>
/// Folders that were saved while a LoRA was attached: peft keeps a layer as <c>X.base_layer.weight</c> beside
/// <c>X.lora_A.NAME.weight</c>, and nothing says whether the LoRA is already in it.
/// </summary>
internal static class AdapterInside
{
    private static readonly string[] Marks =
        [".base_layer.", ".lora_A.", ".lora_B.", ".lora_magnitude_vector.", "_lora.down.", "_lora.up."];

    /// <summary>Fails when weights of a component are such.</summary>
    /// <exception cref="CheckpointException">They are; the message says what to do.</exception>
    public static void Refuse(WeightSource source)
    {
        if (source.Names.FirstOrDefault(name => Marks.Any(mark => name.Contains(mark, StringComparison.Ordinal))) is { } name)
        {
            throw new CheckpointException(
                $"'{source.Path}' was saved with a LoRA inside ({name}), and whether it is merged into the weights already cannot be "
                    + "known; expected weights that were saved after it was merged or unloaded.");
        }
    }
}
