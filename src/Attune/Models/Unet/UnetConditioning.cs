using Attune.Prompts;
using Attune.Tensors;

namespace Attune.Models.Unet;

/// <summary>A prompt of a UNet.</summary>
/// <param name="text">[1, tokens, cross_attention_dim]; owned from here on.</param>
/// <param name="pooled">[1, channels], for models with <see cref="UnetConfig.HasTextTime"/>, else null; owned from here on.</param>
/// <param name="timeIds">[1, numbers]: original height and width, top and left of the crop, target height and width, in pixels, for models
/// with <see cref="UnetConfig.HasTextTime"/>, else null; owned from here on.</param>
public sealed class UnetConditioning(Tensor text, Tensor? pooled = null, Tensor? timeIds = null)
    : Conditioning(text, ("pooled", pooled), ("time_ids", timeIds))
{
    /// <summary>[1, channels], or null.</summary>
    public Tensor? Pooled => Parts.GetValueOrDefault("pooled");

    /// <summary>[1, numbers], or null.</summary>
    public Tensor? TimeIds => Parts.GetValueOrDefault("time_ids");
}
