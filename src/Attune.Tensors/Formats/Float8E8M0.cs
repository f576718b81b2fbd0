namespace Attune.Tensors.Formats;

/// <summary>
/// The exponent of a power of two, 2^(code - 127); 0xFF is NaN (Open Compute Project, "Microscaling formats", 2023). Only scales are of
/// this format. ComfyUI writes 0 for blocks of zeros and reads it as 0.
/// </summary>
internal sealed class Float8E8M0 : WeightFormat
{
    public override string Name => "F8_E8M0";

    public override int BlockLength => 1;

    public override int BlockBytes => 1;

    protected override void WidenBlocks(ReadOnlySpan<byte> blocks, Span<float> values)
    {
        for (int i = 0; i < values.Length; i++)
            values[i] = blocks[i] switch { 0 => 0, 0xFF => float.NaN, _ => MathF.ScaleB(1, blocks[i] - 127) };
    }
}
