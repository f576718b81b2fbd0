using System.Text.Json.Nodes;

namespace Attune.Weights.SingleFile;

/// <summary>The UNet (<c>model.diffusion_model.</c>): numbered input and output blocks instead of levels.</summary>
/// <param name="heads">The number of heads for the channels of a level: no shape tells it.</param>
internal sealed class LdmUnetLayout(Func<int, int> heads) : ILdmLayout
{
    private const string AttentionProjection = "attn2.to_k.weight";

    /// <inheritdoc/>
    public JsonObject Describe(LdmPart part)
    {
        var (levels, layers) = Size(part);
        int First(int level) => 1 + level * (layers + 1);
        int Depth(string block) => part.Count(i => FormattableString.Invariant($"{block}.transformer_blocks.{i}.{AttentionProjection}"));
        string Down(int level) => FormattableString.Invariant($"input_blocks.{First(level)}.1");
        string Up(int level) => FormattableString.Invariant($"output_blocks.{level * (layers + 1)}.1");
        bool HasAttention(string block) => part.Has(block + ".proj_in.weight");

        int[] indices = [.. Enumerable.Range(0, levels)];
        int[] channels = [
            .. indices.Select(level => part.Extent(FormattableString.Invariant($"input_blocks.{First(level)}.0.out_layers.3.weight"), 0))];
        int middle = Depth("middle_block.1");

        // A level without attention gets what diffusers' configurations write there: the middle takes the depth of the last one.
        int[] depths = [
            .. indices.Select(level => HasAttention(Down(level)) ? Depth(Down(level)) : level == levels - 1 ? Math.Max(middle, 1) : 1)];
        string? attention = indices.Select(Down).Append("middle_block.1").FirstOrDefault(HasAttention);
        var config = new JsonObject
        {
            ["in_channels"] = part.Extent("input_blocks.0.0.weight", 1),
            ["out_channels"] = part.Extent("out.2.weight", 0),
            ["layers_per_block"] = layers,
            ["block_out_channels"] = List(channels.Select(value => (JsonNode)value)),
            ["down_block_types"] = List(
                indices.Select(level => (JsonNode)(HasAttention(Down(level)) ? "CrossAttnDownBlock2D" : "DownBlock2D"))),
            ["up_block_types"] = List(indices.Select(level => (JsonNode)(HasAttention(Up(level)) ? "CrossAttnUpBlock2D" : "UpBlock2D"))),
            ["transformer_layers_per_block"] = List(depths.Select(value => (JsonNode)value)),
            ["attention_head_dim"] = List(channels.Select(value => (JsonNode)heads(value))),
        };
        if (attention != null)
        {
            config["cross_attention_dim"] = part.Extent($"{attention}.transformer_blocks.0.{AttentionProjection}", 1);
            config["use_linear_projection"] = part.Rank(attention + ".proj_in.weight") == 2;
        }
        if (part.Has("label_emb.0.0.weight"))
            config["projection_class_embeddings_input_dim"] = part.Extent("label_emb.0.0.weight", 1);
        return config;
    }

    /// <inheritdoc/>
    public IEnumerable<RenamedTensor> Map(LdmPart part)
    {
        var (levels, layers) = Size(part);
        var names = new PrefixMap(LdmUnetNames.Pairs(levels, layers).Select(pair => (pair.Ldm, pair.Diffusers)));
        return part.Tensors.Select(
            entry => new RenamedTensor(names.Rename(entry.Key).FirstOrDefault() ?? entry.Value.Name, entry.Value));
    }

    private static (int Levels, int Layers) Size(LdmPart part)
    {
        int layers = part.Count(i => FormattableString.Invariant($"input_blocks.{i}.0.in_layers.2.weight"), first: 1);
        int blocks = 1;
        while (part.HasAny(FormattableString.Invariant($"input_blocks.{blocks}.0.")))
            blocks++;
        if (layers == 0 || blocks % (layers + 1) != 0)
            throw new CheckpointException(
                $"'{part.Path}': the UNet has {blocks} input blocks, {layers} residual blocks before the first downsampler; expected the "
                    + $"same number on every level.");
        return (blocks / (layers + 1), layers);
    }

    private static JsonArray List(IEnumerable<JsonNode> values) => [.. values];
}
