using Attune.Tensors;

namespace Attune.Verification;

/// <summary>
/// Runs golden cases through the classes that users call. A case is unsupported when its kind, its class, one of its arguments or one of
/// its inputs is not known here: nothing that a case states is ignored.
/// </summary>
/// <param name="folder">Where the cases are.</param>
/// <param name="device">What computes.</param>
public sealed class CaseRunner(GoldenFolder folder, Device device)
{
    /// <summary>Every kind of case, and every class of components, that can be run.</summary>
    private static readonly CaseKind[] Kinds =
    [
        new RandomNumbersCase(), new TokenizerCase(), new EntmaxCase(), new PlainAttentionCase(), new GuidedAttentionCase(),
        new GuiderCase(), new SchedulerCase(), new ClipCase(), new T5Case(), new DecoderTextCase(), new AutoencoderCase(),
        new FluxTransformerCase(), new Flux2TransformerCase(), new ZImageTransformerCase(),
        new QwenImageTransformerCase(), new ChromaTransformerCase(), new PixArtTransformerCase(),
        new SanaTransformerCase(), new WanTransformerCase(), new DcAutoencoderCase(), new CausalAutoencoderCase(),
        new StableDiffusion3TransformerCase(), new UnetCase(),
        new LoraCase("lora"), new LoraCase("adapter"), new LoraRefuseCase(),
        new NamesCase(), new TextualInversionCase(), new PromptWeightsCase(),
        new GgufCase(), new QuantisedCase(), new WeightFileRefuseCase(),
        new VisionTowerCase(), new PillowResizeCase(), new ImageProcessorCase(),
        new ErnieImageTransformerCase(), new QwenImage21AutoencoderCase(),
        new QwenImage21TransformerCase(), new Krea2TransformerCase(),
        new ManifestCase(), new ManifestFileCase(), new PipelineCase(),
        new ImageResizeCase(), new ImagePreparationCase(), new FrechetCase(), new KernelCase(), new StatisticsCase(),
        new ClipFeaturesCase(), new ClipScoreCase(), new ClipImageSimilarityCase(), new PickScoreCase(), new HpsCase(), new ClipFidCase(),
        new InceptionFeaturesCase(), new FidFoldersCase(), new PatchFidCase(), new LpipsCase(), new TorchFileCase(),
        new ImageRewardCase(), new ImageRewardPartsCase(),
    ];

    /// <summary>
    /// Runs one case. What goes wrong in it, an error of the library too, is its result; a tensor that outlives it is a failure.
    /// </summary>
    /// <param name="name">One of <see cref="GoldenFolder.Names"/>.</param>
    public CaseResult Run(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        long before = TensorMemory.LiveTensors;
        CaseResult result;
        try
        {
            result = Run(GoldenCase.Read(folder, name, device));
        }
        catch (UnsupportedCaseException exception)
        {
            return new CaseResult(name, CaseVerdict.Unsupported, 0, exception.Message);
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            return Failed($"{exception.GetType().Name}: {exception.Message}");
        }
        long leaked = TensorMemory.LiveTensors - before;
        return leaked == 0 ? result : Failed($"{leaked} tensors leaked");

        CaseResult Failed(string what) => new(name, CaseVerdict.Failed, double.PositiveInfinity, what);
    }

    /// <summary>The kind of components whose class is <paramref name="className"/>, or null.</summary>
    internal static ComponentCase? ComponentOf(string? className) =>
        Kinds.OfType<ComponentCase>().FirstOrDefault(kind => kind.Takes(className));

    private static CaseResult Run(GoldenCase golden)
    {
        var kinds = Kinds.Where(kind => kind.Kind == golden.Kind).ToArray();
        if (kinds.Length == 0)
            throw new UnsupportedCaseException($"kind {golden.Kind}");
        var kind = kinds.FirstOrDefault(kind => kind.Takes(golden.Class)) ?? throw new UnsupportedCaseException($"class {golden.Class}");
        if (golden.ArgumentNames.FirstOrDefault(name => !kind.Arguments.Contains(name)) is { } argument)
            throw new UnsupportedCaseException($"argument {argument}");
        if (golden.InputNames.FirstOrDefault(name => !kind.Knows(name, golden)) is { } input)
            throw new UnsupportedCaseException($"input {input}");
        using var scope = new TensorScope();
        var results = new Comparison(golden);
        kind.Run(golden, results);
        results.Complete();
        return new CaseResult(
            golden.Name, results.WorstRatio <= 1 ? CaseVerdict.Passed : CaseVerdict.Failed, results.WorstRatio, results.Worst);
    }
}
