using Attune.Generation;
using Attune.Imaging;
using Attune.Weights;

// Generate [MODEL] [FILE]: a picture without what the negative prompt names. Ctrl+C stops it within a block of the model.
string model = args.Length > 0 ? args[0] : "models/scenes-flux-schnell";
string file = args.Length > 1 ? args[1] : "picture.png";
var request = new GenerationRequest
{
    Prompt = "a panda on a blue background",
    NegativePrompt = "sunglasses",
    Guidance = GuidanceChoice.Parse("nag"),         // scale, tau and alpha as published for the model
    Seed = 7,
};

using var stop = new CancellationTokenSource();
Console.CancelKeyPress += (_, pressed) =>
{
    pressed.Cancel = true;                          // not the process: the run, which frees what it holds
    stop.Cancel();
};
try
{
    await using var pipeline = DiffusionPipeline.Load(model);
    var warnings = new WarningObserver(Console.Error.WriteLine);
    await foreach (var step in pipeline.DenoiseAsync(request, warnings, stop.Token))
    {
        Console.WriteLine($"step {step.Index + 1} of {step.Count}");
        if (step.IsLast)
            Png.Save((await step.DecodeAsync(stop.Token))[0], file);
    }
    Console.WriteLine($"wrote {file}");
    return 0;
}
catch (OperationCanceledException)
{
    Console.Error.WriteLine("cancelled");
    return 130;
}
catch (Exception exception) when (exception is CheckpointException or ArgumentException or FormatException)
{
    Console.Error.WriteLine(exception.Message);     // names the file or the value, and what was expected
    return 1;
}
