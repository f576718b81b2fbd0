using Attune.Evaluation.Metrics.Networks;
using Attune.Imaging;
using Attune.Layers;
using Attune.Tensors;
using Attune.Tokenizers;
using Attune.Weights;

namespace Attune.Evaluation.Metrics;

/// <summary>
/// ImageReward (Xu et al., "ImageReward: Learning and Evaluating Human Preferences for Text-to-Image Generation", 2023): how well a picture
/// pleases people who read the prompt; 0 is the mean of the pictures that it was trained on, 1 a standard deviation above.
/// </summary>
public sealed class ImageReward : IDisposable
{
    /// <summary>Prompts are cut to and filled up to so many tokens.</summary>
    public const int PromptLength = 35;

    /// <summary>The mean and the deviation of the network's numbers, which are subtracted and divided by.</summary>
    private const double Mean = 0.16717362830052426, Deviation = 1.0333394966054072;

    private static readonly string[] WeightNames = ["ImageReward.safetensors", "ImageReward.pt"];
    private static readonly int[] HeadWidths = [1024, 128, 64, 16, 1];
    private static readonly int[] HeadPlaces = [0, 2, 4, 6, 7];

    private readonly Checkpoint _checkpoint;
    private readonly BlipVision _vision;
    private readonly BlipText _text;
    private readonly Linear[] _head;

    private ImageReward(Checkpoint checkpoint, ModelConfig config, Tokenizer tokenizer, int? visionHeads)
    {
        (_checkpoint, Tokenizer) = (checkpoint, tokenizer);
        var root = checkpoint.Root;
        _vision = new BlipVision(root.At("blip.visual_encoder"), visionHeads);
        _text = new BlipText(root.At("blip.text_encoder"), config, _vision.Channels);
        int[] widths = [_text.Channels, .. HeadWidths];
        _head = [.. HeadPlaces.Select((place, i) => new Linear(root.At("mlp.layers", place), widths[i], widths[i + 1]))];
        checkpoint.RequireAllUsed("blip.vision_proj.*", "blip.text_proj.*");
    }

    /// <summary>BERT's, with the two tokens that BLIP adds.</summary>
    internal Tokenizer Tokenizer { get; }

    /// <summary>
    /// Loads a folder with ImageReward.pt or ImageReward.safetensors, med_config.json, and the tokenizer of bert-base-uncased.
    /// </summary>
    /// <param name="folder">The folder.</param>
    /// <param name="device">What computes.</param>
    /// <exception cref="CheckpointException">A file is missing or malformed, or does not fit the architecture.</exception>
    public static ImageReward Load(string folder, Device device) => Load(folder, device, null);

    internal static ImageReward Load(string folder, Device device, int? visionHeads)
    {
        ArgumentNullException.ThrowIfNull(folder);
        string weights = WeightNames.Select(name => Path.Combine(folder, name))
            .FirstOrDefault(File.Exists)
            ?? throw new CheckpointException($"'{folder}' holds neither ImageReward.safetensors nor ImageReward.pt.");
        var config = ModelConfig.Read(Path.Combine(folder, "med_config.json"));
        var tokenizer = Tokenizer.Load(folder, "BertTokenizer").With("[DEC]", "[ENC]");
        return MetricWeights.Build(
            MetricWeights.Open(weights), device, checkpoint => new ImageReward(checkpoint, config, tokenizer, visionHeads));
    }

    /// <summary>The rewards of pictures for prompts.</summary>
    /// <returns>[prompts][pictures].</returns>
    public double[][] Score(IReadOnlyList<string> prompts, IReadOnlyList<Image> images)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        ArgumentNullException.ThrowIfNull(images);
        var tokens = Tokenize(prompts);
        var scores = prompts.Select(_ => new double[images.Count]).ToArray();
        for (int i = 0; i < images.Count; i++)
        {
            using var scope = new TensorScope();
            var picture = Encode(Preparation.ImageReward.Apply(images[i], _vision.ImageSize, _checkpoint.Device));
            for (int j = 0; j < prompts.Count; j++)
                scores[j][i] = Reward(Read(tokens[j].Ids, tokens[j].Mask, picture));
        }
        return scores;
    }

    /// <summary>The token ids of prompts, filled up.</summary>
    internal TokenSequence[] Tokenize(IReadOnlyList<string> prompts) => Tokenizer.EncodeBatch(
        prompts, new TokenizerOptions { MaxLength = PromptLength, Padding = TokenPadding.MaxLength, Truncation = true });

    /// <summary>What the network makes of a prepared picture, [1, tokens, channels].</summary>
    internal Tensor Encode(Tensor pixels) => _vision.Apply(pixels);

    /// <summary>What the network makes of a text beside a picture, [1, tokens, channels].</summary>
    internal Tensor Read(int[] ids, int[] mask, Tensor picture) => _text.Apply(ids, mask, picture);

    /// <inheritdoc/>
    public void Dispose() => _checkpoint.Dispose();

    /// <summary>Five linear layers without activations, of the text's first token.</summary>
    private double Reward(Tensor text)
    {
        using var scope = new TensorScope();
        var x = _head.Aggregate(text.Slice(1, 0, 1).Reshape(1, -1), (current, layer) => layer.Apply(current));
        return (x.ToArray()[0] - Mean) / Deviation;
    }
}
