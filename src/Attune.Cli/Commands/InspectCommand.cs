using System.CommandLine;
namespace Attune.Cli.Commands;
internal static class InspectCommand
{
    public static Command Create() => new("inspect", "x");
}
