using Microsoft.Extensions.Logging;

namespace Attune.Cli.Commands;

/// <summary>Where commands that go on until they are ended say what happens.</summary>
internal static class Logs
{
    /// <summary>On standard error, in lines.</summary>
    /// <param name="verbose">Whether the framework's own are among them.</param>
    /// <param name="least">What is said of the command's own.</param>
    public static Action<ILoggingBuilder> ToStandardError(bool verbose, LogLevel least = LogLevel.Information) => logging => logging
        .SetMinimumLevel(least)
        .AddFilter("Microsoft", verbose ? LogLevel.Information : LogLevel.Warning)
        .AddSimpleConsole(console => console.SingleLine = true)
        .AddConsole(console => console.LogToStandardErrorThreshold = LogLevel.Trace);
}
