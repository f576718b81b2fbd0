using Attune.Prompts;
using Attune.Tensors;

namespace Attune.Models.Unet;

/// <summary>A prompt of a UNet.</summary>
/// <param name="text">[1, tokens, cross_attention_dim]; owned from here on.</param>
/// <param name="pooled">[1, channels], for models with <see cref="UnetConfig.HasTextTime"/>, else null; owned from here on.</param>
/// <param name="timeIds">[1, numbers]: original height and width, top and left of the crop, target height and width, in pixels, for models
/// with <see cref="UnetConfig.HasTextTime"/>, else null; owned from here on.</param>
public sealed class UnetConditioning(Tensor text, Tensor? pooled = null, Tensor? timeIds = null) : Conditioning(text)
{
    /// <summary>[1, channels], or null.</summary>
    public Tensor? Pooled { get; } = Detached(pooled);

    /// <summary>[1, numbers], or null.</summary>
    public Tensor? TimeIds { get; } = Detached(timeIds);

    /// <inheritdoc/>
    protected override void Release()
    {
        Pooled?.Dispose();
        TimeIds?.Dispose();
    }

    private static Tensor? Detached(Tensor? tensor) => tensor == null ? null : TensorScope.Detach(tensor);
}
