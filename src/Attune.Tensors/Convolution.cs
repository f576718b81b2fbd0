using System.Globalization;

namespace Attune.Tensors;

/// <summary>How a convolution is computed.</summary>
public enum ConvolutionAlgorithm
{
    /// <summary>The fastest for the shape among those whose error is accepted (<see cref="ConvolutionOptions.MaxError"/>).</summary>
    Auto,

    /// <summary>Sums of products as the definition says. For any kernel and stride.</summary>
    Direct,

    /// <summary>Winograd's F(2 x 2, 3 x 3): 2.25 times fewer multiplications, for 3 x 3 kernels with stride 1.</summary>
    Winograd2,

    /// <summary>Winograd's F(4 x 4, 3 x 3): 4 times fewer multiplications, for 3 x 3 kernels with stride 1.</summary>
    Winograd4,
}

/// <summary>
/// How the managed device computes convolutions. Winograd's minimal filtering (Lavin and Gray, 2016, arXiv:1509.09308) evaluates tiles of
/// the output as polynomials at a few points, which needs fewer multiplications and rounds more coarsely; <see cref="ErrorBound"/> states
/// how coarsely.
/// </summary>
public sealed class ConvolutionOptions
{
    /// <summary>The environment variable that sets the <see cref="Algorithm"/>: auto, direct, winograd2 or winograd4.</summary>
    public const string AlgorithmVariable = "ATTUNE_CONVOLUTION";

    /// <summary>The environment variable that sets the <see cref="MaxError"/>.</summary>
    public const string MaxErrorVariable = "ATTUNE_CONVOLUTION_ERROR";

    /// <summary>The default of <see cref="MaxError"/>: it accepts every algorithm.</summary>
    public const double DefaultMaxError = 1e-5;

    /// <summary>
    /// What is used where it can be; a forced Winograd algorithm leaves other kernels and strides to
    /// <see cref="ConvolutionAlgorithm.Direct"/>.
    /// </summary>
    public ConvolutionAlgorithm Algorithm { get; init; }

    /// <summary>
    /// The <see cref="ErrorBound"/> that <see cref="ConvolutionAlgorithm.Auto"/> may reach, relative to the largest output.
    /// </summary>
    public double MaxError { get; init; } = DefaultMaxError;

    /// <summary>
    /// The bound on the error of an algorithm: the largest difference to exact arithmetic, relative to the largest output of the layer. It
    /// holds for up to 4096 input channels and data without much cancellation (outputs whose largest is not far below that of random
    /// signs); typical errors are a third of it.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">The algorithm is <see cref="ConvolutionAlgorithm.Auto"/> or unknown.</exception>
    public static double ErrorBound(ConvolutionAlgorithm algorithm) => algorithm switch
    {
        ConvolutionAlgorithm.Direct => 2e-6,
        ConvolutionAlgorithm.Winograd2 => 3e-6,
        ConvolutionAlgorithm.Winograd4 => 1e-5,
        _ => throw new ArgumentOutOfRangeException(nameof(algorithm), algorithm, "Only a particular algorithm has a bound."),
    };

    /// <summary>The options that the environment asks for.</summary>
    /// <exception cref="ArgumentException">A variable has a value that is not understood.</exception>
    public static ConvolutionOptions FromEnvironment()
    {
        var algorithm = ConvolutionAlgorithm.Auto;
        if (Environment.GetEnvironmentVariable(AlgorithmVariable) is { Length: > 0 } name)
        {
            // Numbers are no names.
            if (!char.IsAsciiLetter(name[0]) || !Enum.TryParse(name, ignoreCase: true, out algorithm))
                throw new ArgumentException($"{AlgorithmVariable} is '{name}', expected auto, direct, winograd2 or winograd4.");
        }
        double error = DefaultMaxError;
        if (Environment.GetEnvironmentVariable(MaxErrorVariable) is { Length: > 0 } text)
        {
            if (!double.TryParse(text, CultureInfo.InvariantCulture, out error) || !(error >= 0))
                throw new ArgumentException($"{MaxErrorVariable} is '{text}', expected a number such as 1e-5.");
        }
        return new ConvolutionOptions { Algorithm = algorithm, MaxError = error };
    }
}
