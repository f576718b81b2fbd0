namespace Attune.Weights.SingleFile;

/// <summary>
/// Modules of the UNet under the names of the original latent diffusion code (<c>input_blocks.4.1</c>) beside those of diffusers
/// (<c>down_blocks.1.attentions.0</c>). Single-file checkpoints have the former, and the LoRA files that kohya's trainer writes for SDXL.
/// </summary>
internal static class LdmUnetNames
{
    private static readonly (string Ldm, string Diffusers)[] Ends =
    [
        ("input_blocks.0.0", "conv_in"), ("time_embed.0", "time_embedding.linear_1"), ("time_embed.2", "time_embedding.linear_2"),
        ("label_emb.0.0", "add_embedding.linear_1"), ("label_emb.0.2", "add_embedding.linear_2"), ("out.0", "conv_norm_out"),
        ("out.2", "conv_out"),
        ("middle_block.1", "mid_block.attentions.0"),
    ];

    private static readonly (string Ldm, string Diffusers)[] Resnet =
    [
        ("in_layers.0", "norm1"), ("in_layers.2", "conv1"), ("emb_layers.1", "time_emb_proj"), ("out_layers.0", "norm2"),
        ("out_layers.3", "conv2"), ("skip_connection", "conv_shortcut"),
    ];

    /// <summary>All pairs of names, of modules that may exist and of the beginnings of such.</summary>
    /// <param name="levels">The number of down blocks, and of up blocks.</param>
    /// <param name="layers">The number of residual blocks in a down block; an up block has one more.</param>
    public static IEnumerable<(string Ldm, string Diffusers)> Pairs(int levels, int layers)
    {
        foreach (
            var pair in Ends.Concat(ResnetPairs("middle_block.0", "mid_block.resnets.0"))
                .Concat(ResnetPairs("middle_block.2", "mid_block.resnets.1")))
            yield return pair;
        for (int level = 0; level < levels; level++)
        {
            for (int layer = 0; layer < layers; layer++)
            {
                foreach (var pair in Layer($"input_blocks.{1 + level * (layers + 1) + layer}", $"down_blocks.{level}", layer))
                    yield return pair;
            }
            yield return ($"input_blocks.{(level + 1) * (layers + 1)}.0.op", $"down_blocks.{level}.downsamplers.0.conv");
            for (int layer = 0; layer <= layers; layer++)
            {
                foreach (var pair in Layer($"output_blocks.{level * (layers + 1) + layer}", $"up_blocks.{level}", layer))
                    yield return pair;
            }

            // The upsampler is the last module of its block, behind an attention if there is one.
            for (int index = 1; index <= 2; index++)
                yield return ($"output_blocks.{level * (layers + 1) + layers}.{index}.conv", $"up_blocks.{level}.upsamplers.0.conv");
        }
    }

    private static IEnumerable<(string Ldm, string Diffusers)> Layer(string ldm, string diffusers, int layer) =>
        ResnetPairs(ldm + ".0", FormattableString.Invariant($"{diffusers}.resnets.{layer}"))
            .Append((ldm + ".1", FormattableString.Invariant($"{diffusers}.attentions.{layer}")));

    private static IEnumerable<(string Ldm, string Diffusers)> ResnetPairs(string ldm, string diffusers) =>
        Resnet.Select(pair => ($"{ldm}.{pair.Ldm}", $"{diffusers}.{pair.Diffusers}"));
}

/// <summary>Names by their beginnings: the longest beginning that is known, up to a dot, is replaced.</summary>
internal sealed class PrefixMap(IEnumerable<(string From, string To)> pairs)
{
    private readonly ILookup<string, string> _pairs = pairs.ToLookup(pair => pair.From, pair => pair.To, StringComparer.Ordinal);

    /// <summary>The new names: none, one, or several where a place has several names.</summary>
    public IEnumerable<string> Rename(string name)
    {
        for (int end = name.Length; end > 0; end = name.LastIndexOf('.', end - 1))
        {
            if (_pairs.Contains(name[..end]))
                return _pairs[name[..end]].Select(to => to + name[end..]);
        }
        return [];
    }
}
