using Attune.Guidance;
using Attune.Imaging;
using Attune.Generation;
using CustomRule;

// Makes the same picture without guidance and with a rule of our own, beside one of the library's.
string model = args.Length > 0 ? args[0] : "models/scenes-flux-schnell";
RuleCatalog.Register(new OrthogonalNegativeGuidance());
using var pipeline = DiffusionPipeline.Load(model);
var plain = new GenerationRequest {
    Prompt = "a panda on a blue background", NegativePrompt = "sunglasses", Width = 64, Height = 64, Steps = 2, MaxSequenceLength = 32,
    Guidance = GuidanceChoice.None };       // a negative prompt alone would turn on what is published for the model
var before = (await pipeline.GenerateAsync(plain))[0];
foreach (string text in new[] { "orthogonal:scale=0", "orthogonal", "orthogonal:scale=1,steps=0-1 + pladis" })
{
    var guidance = new GuidanceSchedule(RuleCatalog.Parse(text, pipeline.Preset));
    var after = (await pipeline.GenerateAsync(plain with { Guidance = guidance }))[0];
    int changed = Enumerable.Range(0, before.Rgb.Length).Count(i => before.Rgb[i] != after.Rgb[i]);
    Console.WriteLine($"{string.Join(" + ", guidance.Rules.Select(RuleCatalog.Format))}: {changed} of {before.Rgb.Length} values changed");
    if (args.Length > 1)
        Png.Save(after, args[1]);
}
