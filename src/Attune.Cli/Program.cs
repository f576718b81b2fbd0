using System.CommandLine;
using Attune.Cli;
using Attune.Cli.Commands;
using Attune.Media.Skia;

SkiaFormats.Register();
var root = new RootCommand("Attune generates images with diffusion models and steers them in attention space.")
{
    GenerateCommand.Create(), TraceCommand.Create(), VerifyCommand.Create(), BenchCommand.Create(), InspectCommand.Create(),
    ConvertCommand.Create(), PresetsCommand.Create(), EvaluateCommand.Create(), MetricsCommand.Create(),
    ServeCommand.Create(), WorkCommand.Create(), McpCommand.Create(),
};
DeviceOptions.AddTo(root);
return await Application.RunAsync(root, args).ConfigureAwait(false);
