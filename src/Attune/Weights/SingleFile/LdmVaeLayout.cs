using System.Text.Json.Nodes;

namespace Attune.Weights.SingleFile;

/// <summary>
/// An autoencoder under the names of the original code: its decoder counts levels from the image, and its attention layers are 1 x 1
/// convolutions.
/// </summary>
internal static class LdmVaeLayout
{
    private static readonly string[] Sides = ["encoder", "decoder"];
    private static readonly (string Ldm, string Diffusers)[] Attention = [
        ("norm", "group_norm"), ("q", "to_q"), ("k", "to_k"), ("v", "to_v"), ("proj_out", "to_out.0")];

    /// <summary>What the shapes say about the configuration, by the names of diffusers.</summary>
    /// <exception cref="CheckpointException">A tensor is missing.</exception>
    public static JsonObject Describe(FilePart part)
    {
        string Resnet(int level, int layer) => FormattableString.Invariant($"encoder.down_blocks.{level}.resnets.{layer}.conv1.weight");
        int levels = part.Count(level => Resnet(level, 0));
        JsonArray Types(string type) => [.. Enumerable.Repeat(type, levels).Select(name => (JsonNode)name)];
        return new JsonObject
        {
            ["in_channels"] = part.Extent("encoder.conv_in.weight", 1),
            ["out_channels"] = part.Extent("decoder.conv_out.weight", 0),
            ["latent_channels"] = part.Extent("decoder.conv_in.weight", 1),
            ["layers_per_block"] = part.Count(layer => Resnet(0, layer)),
            ["block_out_channels"] = new JsonArray(
                [.. Enumerable.Range(0, levels).Select(level => (JsonNode)part.Extent(Resnet(level, 0), 0))]),
            ["down_block_types"] = Types("DownEncoderBlock2D"),
            ["up_block_types"] = Types("UpDecoderBlock2D"),
            ["use_quant_conv"] = part.Has("quant_conv.weight"),
            ["use_post_quant_conv"] = part.Has("post_quant_conv.weight"),
        };
    }

    /// <summary>
    /// The tensors under the names of diffusers, which a file may have already. One that is not known keeps its name, so that the model
    /// reports it.
    /// </summary>
    public static IEnumerable<RenamedTensor> Map(FilePart part)
    {
        int levels = part.Count(i => FormattableString.Invariant($"encoder.down.{i}.block.0.conv1.weight"));
        int layers = part.Count(i => FormattableString.Invariant($"encoder.down.0.block.{i}.conv1.weight"));
        var names = new PrefixMap(Pairs(levels, layers));
        foreach (var (name, tensor) in part.Tensors)
        {
            if (name.StartsWith("loss.", StringComparison.Ordinal))
                continue;
            bool matrix = tensor.Dimensions is [_, _, 1, 1] && name.Contains(".mid.attn_1.", StringComparison.Ordinal);

            // Statistics of FLUX.2's latents have one name everywhere.
            bool same = levels == 0 || name.StartsWith("bn.", StringComparison.Ordinal);
            yield return new RenamedTensor(
                names.Rename(name).FirstOrDefault() ?? (same ? name : tensor.Name), tensor, matrix ? [.. tensor.Dimensions.Take(2)] : null);
        }
    }

    private static IEnumerable<(string Ldm, string Diffusers)> Pairs(int levels, int layers)
    {
        yield return ("quant_conv", "quant_conv");
        yield return ("post_quant_conv", "post_quant_conv");
        yield return ("encoder.quant_conv", "quant_conv");
        yield return ("decoder.post_quant_conv", "post_quant_conv");
        foreach (string side in Sides)
        {
            yield return ($"{side}.conv_in", $"{side}.conv_in");
            yield return ($"{side}.conv_out", $"{side}.conv_out");
            yield return ($"{side}.norm_out", $"{side}.conv_norm_out");
            yield return ($"{side}.mid.block_1", $"{side}.mid_block.resnets.0");
            yield return ($"{side}.mid.block_2", $"{side}.mid_block.resnets.1");
            yield return ($"{side}.mid.block_1.nin_shortcut", $"{side}.mid_block.resnets.0.conv_shortcut");
            yield return ($"{side}.mid.block_2.nin_shortcut", $"{side}.mid_block.resnets.1.conv_shortcut");
            foreach (var (ldm, diffusers) in Attention)
                yield return ($"{side}.mid.attn_1.{ldm}", $"{side}.mid_block.attentions.0.{diffusers}");
        }
        for (int level = 0; level < levels; level++)
        {
            var (down, up) = ($"encoder.down_blocks.{level}", $"decoder.up_blocks.{levels - 1 - level}");
            for (int layer = 0; layer < layers; layer++)
            {
                yield return ($"encoder.down.{level}.block.{layer}", $"{down}.resnets.{layer}");
                yield return ($"encoder.down.{level}.block.{layer}.nin_shortcut", $"{down}.resnets.{layer}.conv_shortcut");
            }
            for (int layer = 0; layer <= layers; layer++)
            {
                yield return ($"decoder.up.{level}.block.{layer}", $"{up}.resnets.{layer}");
                yield return ($"decoder.up.{level}.block.{layer}.nin_shortcut", $"{up}.resnets.{layer}.conv_shortcut");
            }
            yield return ($"encoder.down.{level}.downsample.conv", $"{down}.downsamplers.0.conv");
            yield return ($"decoder.up.{level}.upsample.conv", $"{up}.upsamplers.0.conv");
        }
    }
}
