using System.CommandLine;
using System.CommandLine.Invocation;
using Attune.Tensors;
using Attune.Weights;
using Spectre.Console;

namespace Attune.Cli;

/// <summary>Runs a command line so that an error is one clear line and an exit code, never a stack trace.</summary>
internal static class Application
{
    /// <summary>Words that begin with @ are text: prompts do, and what others write must not be able to name a file of options.</summary>
    private static readonly ParserConfiguration Parser = new() { ResponseFileTokenReplacer = null };

    public static async Task<int> RunAsync(RootCommand root, string[] args)
    {
        // Tables and summaries in a file or pipe are not wrapped at a terminal's width, and have no colours.
        if (!AnsiConsole.Console.Profile.Out.IsTerminal)
            Words.MakePlain(AnsiConsole.Console);
        try
        {
            var command = root.Parse(args.Length == 0 ? ["--help"] : args, Parser);
            if (command.Action is ParseErrorAction)
            {
                await Console.Error.WriteLineAsync($"attune: {UsageErrors.Describe(command, args)}").ConfigureAwait(false);
                return 1;
            }
            // The parser's own way waits two seconds for a run to end, and one operation of a large picture takes longer than that: the
            // process would end in the middle of one, without a word.
            using var interrupts = new Interrupts();
            return await command.InvokeAsync(
                new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null }, interrupts.Token)
                .ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            await Console.Error.WriteLineAsync("attune: cancelled").ConfigureAwait(false);
            return Interrupts.ExitCode;
        }
        catch (Exception exception)
            when (exception is CheckpointException or ArgumentException or FormatException or IOException or UnauthorizedAccessException
                or NotSupportedException or OutOfMemoryException or InvalidOperationException or NotFiniteException)
        {
            string message = exception is ArgumentException { ParamName: { } name }
                ? exception.Message.Replace($" (Parameter '{name}')", "", StringComparison.Ordinal)
                : exception.Message;
            await Console.Error.WriteLineAsync($"attune: {message.ReplaceLineEndings(" ")}").ConfigureAwait(false);
            return 1;
        }
    }
}
