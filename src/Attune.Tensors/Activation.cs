namespace Attune.Tensors;

/// <summary>Elementwise functions of one number.</summary>
public enum Activation
{
    /// <summary>The identity.</summary>
    None,

    /// <summary>x sigmoid(x), also called swish.</summary>
    Silu,

    /// <summary>x Phi(x) with the exact normal distribution function.</summary>
    Gelu,

    /// <summary>The tanh approximation of GELU.</summary>
    GeluTanh,

    /// <summary>x sigmoid(1.702 x), as in OpenAI's CLIP.</summary>
    QuickGelu,

    /// <summary>max(x, 0).</summary>
    Relu,

    /// <summary>The hyperbolic tangent.</summary>
    Tanh,

    /// <summary>1 / (1 + exp(-x)).</summary>
    Sigmoid,

    /// <summary>e^x; 0 for minus infinity.</summary>
    Exp,

    /// <summary>The natural logarithm; minus infinity for 0, not a number below.</summary>
    Log,
}

/// <summary>Elementwise operations of two tensors.</summary>
public enum BinaryOperation
{
    /// <summary>a + b.</summary>
    Add,

    /// <summary>a - b.</summary>
    Subtract,

    /// <summary>a b.</summary>
    Multiply,

    /// <summary>a / b.</summary>
    Divide,

    /// <summary>The smaller; not a number where one of them is not.</summary>
    Minimum,

    /// <summary>The larger; not a number where one of them is not.</summary>
    Maximum,
}
