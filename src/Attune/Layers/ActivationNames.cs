using Attune.Tensors;
using Attune.Weights;

namespace Attune.Layers;

/// <summary>The names that transformers and diffusers have for activations.</summary>
internal static class ActivationNames
{
    /// <summary>The activation that a configuration names.</summary>
    /// <exception cref="CheckpointException">The name is unknown.</exception>
    public static Activation Activation(this ModelConfig config, string key, string missing) =>
        Parse(config, key, config.String(key, missing));

    /// <summary>The activation of a name that was read from <paramref name="key"/>.</summary>
    /// <exception cref="CheckpointException">The name is unknown.</exception>
    public static Activation Parse(ModelConfig config, string key, string name) => name switch
    {
        "silu" or "swish" => Tensors.Activation.Silu,
        "gelu" or "gelu_python" => Tensors.Activation.Gelu,
        "gelu_new" or "gelu_fast" or "gelu_pytorch_tanh" or "gelu_accurate" => Tensors.Activation.GeluTanh,
        "quick_gelu" => Tensors.Activation.QuickGelu,
        "relu" => Tensors.Activation.Relu,
        "tanh" => Tensors.Activation.Tanh,
        "sigmoid" => Tensors.Activation.Sigmoid,
        "linear" => Tensors.Activation.None,
        _ =>
            throw new CheckpointException(
                $"'{config.Path}': {key} names the activation '{name}', expected silu, swish, gelu, gelu_new, quick_gelu, relu, tanh or "
                    + $"sigmoid."),
    };
}
