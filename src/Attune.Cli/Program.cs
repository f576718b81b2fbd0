using System.CommandLine;
using Attune.Cli.Commands;

var root = new RootCommand("Attune generates images with diffusion models and steers them in attention space.") { VerifyCommand.Create() };
return root.Parse(args).Invoke();
