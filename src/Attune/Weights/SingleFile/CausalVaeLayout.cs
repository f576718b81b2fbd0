using System.Text.RegularExpressions;

namespace Attune.Weights.SingleFile;

/// <summary>
/// The video autoencoders of Wan 2.1 (Qwen-Image's too) and Wan 2.2 under the names of the original code. Blocks of the former are one
/// list, in which an upsampler ends a level; the latter has a list for each level.
/// </summary>
internal static partial class CausalVaeLayout
{
    private static readonly (string Original, string Diffusers)[] Ends =
    [
        ("residual.0.gamma", "norm1.gamma"), ("residual.2", "conv1"), ("residual.3.gamma", "norm2.gamma"), ("residual.6", "conv2"),
        ("shortcut", "conv_shortcut"),
    ];

    private static readonly PrefixMap Fixed = new(
        new (string, string)[] { ("conv1", "quant_conv"), ("conv2", "post_quant_conv") }.Concat(
            new[] { "encoder", "decoder" }.SelectMany(
                side => new (string, string)[]
                {
                    ($"{side}.conv1", $"{side}.conv_in"), ($"{side}.head.0", $"{side}.norm_out"), ($"{side}.head.2", $"{side}.conv_out"),
                    ($"{side}.middle.1", $"{side}.mid_block.attentions.0"),
                })));

    /// <summary>
    /// The tensors under the names of diffusers. One that is not known keeps its name. That of Qwen-Image-2.1 is the latter for pictures:
    /// its kernels are over one frame, and have no axis of frames in diffusers.
    /// </summary>
    public static IEnumerable<RenamedTensor> Map(FilePart part)
    {
        bool pictures = IsOfPictures(part);
        foreach (var (name, tensor) in part.Tensors)
        {
            var renamed = new RenamedTensor(Rename(part, name), tensor);
            yield return pictures && IsOfOneFrame(tensor)
                ? renamed with { Dimensions = [.. tensor.Dimensions.Where((_, axis) => axis != 2)] } : renamed;
        }
    }

    /// <summary>Whether it is one for pictures: its kernels are over one frame, or have no axis of frames.</summary>
    public static bool IsOfPictures(FilePart part) => part.Tensors.Any(
        tensor => (tensor.Key == "decoder.head.2.weight" && IsOfOneFrame(tensor.Value))
            || (tensor.Key == "decoder.conv_out.weight" && tensor.Value.Dimensions.Count == 4));

    private static bool IsOfOneFrame(TensorEntry tensor) => tensor.Dimensions.Count == 5 && tensor.Dimensions[2] == 1;

    private static string Rename(FilePart part, string name)
    {
        if (Fixed.Rename(name).FirstOrDefault() is { } renamed)
            return renamed;
        var match = Middle().Match(name);
        if (match.Success)
        {
            string resnet = match.Groups["block"].Value == "0" ? "0" : "1";
            return $"{match.Groups["side"].Value}.mid_block.resnets.{resnet}.{End(match.Groups["end"].Value)}";
        }
        match = Nested().Match(name);
        if (match.Success)
        {
            var (side, level, end) = (match.Groups["side"].Value, match.Groups["level"].Value, match.Groups["end"].Value);
            string blocks = side == "encoder" ? "down_blocks" : "up_blocks";
            string place = IsResidual(end) ? $"resnets.{match.Groups["block"].Value}" : side == "encoder" ? "downsampler" : "upsampler";
            return $"{side}.{blocks}.{level}.{place}.{End(end)}";
        }
        match = Flat().Match(name);
        if (!match.Success || !int.TryParse(match.Groups["block"].ValueSpan, out int block))
            return name;
        if (match.Groups["side"].Value == "encoder")
            return $"encoder.down_blocks.{block}.{End(match.Groups["end"].Value)}";
        int group = 0;
        int first = 0;
        for (int i = 0; i < block; i++)
        {
            if (part.Has(FormattableString.Invariant($"decoder.upsamples.{i}.resample.1.weight")))
                (group, first) = (group + 1, i + 1);
        }
        string at = IsResidual(match.Groups["end"].Value) ? FormattableString.Invariant($"resnets.{block - first}") : "upsamplers.0";
        return FormattableString.Invariant($"decoder.up_blocks.{group}.{at}.{End(match.Groups["end"].Value)}");
    }

    private static bool IsResidual(string end) =>
        end.StartsWith("residual.", StringComparison.Ordinal) || end.StartsWith("shortcut.", StringComparison.Ordinal);

    private static string End(string name)
    {
        foreach (var (original, diffusers) in Ends)
        {
            if (name == original || name.StartsWith(original + ".", StringComparison.Ordinal))
                return diffusers + name[original.Length..];
        }
        return name;
    }

    [GeneratedRegex(@"^(?<side>encoder|decoder)\.middle\.(?<block>[02])\.(?<end>.+)$", RegexOptions.NonBacktracking)]
    private static partial Regex Middle();

    [GeneratedRegex(
        @"^(?<side>encoder|decoder)\.(down|up)samples\.(?<level>[0-9]+)\.(down|up)samples\.(?<block>[0-9]+)\.(?<end>.+)$",
        RegexOptions.NonBacktracking | RegexOptions.ExplicitCapture)]
    private static partial Regex Nested();

    [GeneratedRegex(
        @"^(?<side>encoder|decoder)\.(down|up)samples\.(?<block>[0-9]+)\.(?<end>.+)$",
        RegexOptions.NonBacktracking | RegexOptions.ExplicitCapture)]
    private static partial Regex Flat();
}
