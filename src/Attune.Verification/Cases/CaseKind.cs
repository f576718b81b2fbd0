using Attune.Weights;

namespace Attune.Verification;

/// <summary>How one kind of case is run.</summary>
internal abstract class CaseKind
{
    /// <summary>The <c>kind</c> of its cases.</summary>
    public abstract string Kind { get; }

    /// <summary>The arguments that are understood. <see cref="Run"/> heeds all of them, but for those that only inform.</summary>
    public abstract IReadOnlyCollection<string> Arguments { get; }

    /// <summary>The inputs that are understood; <c>NAME.i</c> is numbered.</summary>
    protected virtual IReadOnlyCollection<string> Inputs => [];

    /// <summary>Whether cases of this <c>class</c> can be run.</summary>
    public virtual bool Takes(string? className) => true;

    /// <summary>Whether an input is understood.</summary>
    public virtual bool Knows(string input, GoldenCase golden)
    {
        int dot = input.LastIndexOf('.');
        return Inputs.Contains(input) || (dot >= 0 && input[(dot + 1)..].All(char.IsAsciiDigit) && Inputs.Contains(input[..dot] + ".i"));
    }

    /// <summary>Runs a case and compares its outputs.</summary>
    /// <exception cref="UnsupportedCaseException">What the case asks for is not implemented.</exception>
    public abstract void Run(GoldenCase golden, Comparison results);

    /// <summary>What is loaded; a class or file format that the product says it does not support makes the case unsupported.</summary>
    protected static T Supported<T>(Func<T> load)
    {
        try
        {
            return load();
        }
        catch (CheckpointException exception) when (exception.Message.Contains("not supported", StringComparison.Ordinal))
        {
            throw new UnsupportedCaseException(exception.Message);
        }
    }
}
