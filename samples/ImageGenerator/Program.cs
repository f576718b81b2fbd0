using Attune.Extensions.AI;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;

// ImageGenerator [MODEL] [FILE]: a picture without what the negative prompt names.
var services = new ServiceCollection();
services.AddAttune(args.Length > 0 ? args[0] : "models/scenes-flux-schnell");
services.AddAttuneImageGenerator();                 // returns the builder: UseLogging(), UseOpenTelemetry(), ...
await using var provider = services.BuildServiceProvider();

var generator = provider.GetRequiredService<IImageGenerator>();
var options = new AttuneImageGenerationOptions { NegativePrompt = "sunglasses", Guidance = "nag:scale=4", Seed = 7 };
var response = await generator.GenerateImagesAsync("a panda on a blue background", options);

var picture = (DataContent)response.Contents[0];
await File.WriteAllBytesAsync(args.Length > 1 ? args[1] : "picture.png", picture.Data.ToArray());
Console.WriteLine($"seed {picture.AdditionalProperties!["seed"]}");
