using Attune.Prompts;
using Attune.Tensors;

namespace Attune.Models.Unet;

/// <summary>A prompt of a UNet.</summary>
/// <param name="text">[1, tokens, cross_attention_dim]; owned from here on.</param>
/// <param name="pooled">[1, channels], for models with <see cref="UnetConfig.HasTextTime"/>, else null; owned from here on.</param>
/// <param name="timeIds">[1, numbers]: original height and width, top and left of the crop, target height and width, in pixels, for models
/// with <see cref="UnetConfig.HasTextTime"/>, else null; owned from here on.</param>
/// <param name="values">As the text, of which values of cross-attention are made where they are not made of what keys are; null where
/// they are; owned from here on.</param>
public sealed class UnetConditioning(Tensor text, Tensor? pooled = null, Tensor? timeIds = null, Tensor? values = null)
    : Conditioning(text, ("pooled", pooled), ("time_ids", timeIds), ("values", values))
{
    /// <summary>[1, tokens, cross_attention_dim], of which values of cross-attention are made; keys are made of the text.</summary>
    public Tensor Values => Parts.GetValueOrDefault("values") ?? Text;

    /// <summary>[1, channels], or null.</summary>
    public Tensor? Pooled => Parts.GetValueOrDefault("pooled");

    /// <summary>[1, numbers], or null.</summary>
    public Tensor? TimeIds => Parts.GetValueOrDefault("time_ids");
}
