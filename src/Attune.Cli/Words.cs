using Spectre.Console;

namespace Attune.Cli;

/// <summary>
/// Where the words of a command go: what it did to standard output, warnings and progress to standard error, so that scripts can tell
/// them apart.
/// </summary>
internal sealed class Words
{
    private readonly IAnsiConsole? _results;
    private readonly List<string> _warnings = [];

    /// <summary>Words of a command.</summary>
    /// <param name="quiet">Whether only warnings and errors are said.</param>
    /// <param name="outputTaken">Whether standard output is for something else: a picture or JSON.</param>
    public Words(bool quiet = false, bool outputTaken = false)
    {
        Error = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });
        if (!Error.Profile.Out.IsTerminal)
            MakePlain(Error);
        Quiet = quiet;
        _results = quiet ? null : outputTaken ? Error : AnsiConsole.Console;
    }

    /// <summary>Whether only warnings and errors are said.</summary>
    public bool Quiet { get; }

    /// <summary>Standard error.</summary>
    public IAnsiConsole Error { get; }

    /// <summary>The warnings so far.</summary>
    public IReadOnlyList<string> Warnings => _warnings;

    /// <summary>Says what was done.</summary>
    public void Say(string line) => _results?.WriteLine(line);

    /// <summary>Says which files were written.</summary>
    public void Wrote(IEnumerable<string> files) => _results?.MarkupLineInterpolated($"[green]Wrote[/] {string.Join(", ", files)}");

    /// <summary>Says how far it is; only where no bar is drawn.</summary>
    public void Progress(string line)
    {
        if (!Quiet)
            Error.WriteLine(line);
    }

    /// <summary>Warns, each time once.</summary>
    public void Warn(string message)
    {
        lock (_warnings)
        {
            if (_warnings.Contains(message))
                return;
            _warnings.Add(message);
            Error.MarkupLineInterpolated($"[yellow]Warning:[/] {message}");
        }
    }

    /// <summary>No colours, and no wrapping at a width that a file or pipe does not have.</summary>
    public static void MakePlain(IAnsiConsole console)
    {
        console.Profile.Width = 4096;
        console.Profile.Capabilities.Ansi = false;
    }
}
