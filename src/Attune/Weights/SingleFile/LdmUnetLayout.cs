using System.Text.Json.Nodes;

namespace Attune.Weights.SingleFile;

/// <summary>The UNet (<c>model.diffusion_model.</c>): numbered input and output blocks instead of levels.</summary>
/// <param name="heads">The number of heads for the channels of a level: no shape tells it.</param>
internal sealed class LdmUnetLayout(Func<int, int> heads) 
{
    /// <summary>
    /// A key of our own: the transformer blocks of the middle, where they are not as many as those behind the first residual block of the
    /// last level. diffusers' configurations have no such key.
    /// </summary>
    internal const string MiddleDepthKey = "mid_block_transformer_layers";

    private const string AttentionProjection = "attn2.to_k.weight";

    /// <summary>What names and shapes say about the configuration.</summary>
    /// <exception cref="CheckpointException">A tensor is missing.</exception>
    public JsonObject Describe(FilePart part)
    {
        var (levels, layers) = Size(part);
        int First(int level) => 1 + level * (layers + 1);
        int[] indices = [.. Enumerable.Range(0, levels)];
        int[] channels = [
            .. indices.Select(level => part.Extent(FormattableString.Invariant($"input_blocks.{First(level)}.0.out_layers.3.weight"), 0))];
        int[]?[] down = [.. indices.Select(level => Depths(part, "input_blocks", First(level), layers))];
        int[]?[] up = [.. indices.Select(level => Depths(part, "output_blocks", level * (layers + 1), layers + 1))];
        int? middle = Depths(part, "middle_block", 1, 1, module: "")?[0];
        var config = new JsonObject
        {
            ["in_channels"] = part.Extent("input_blocks.0.0.weight", 1),
            ["out_channels"] = part.Extent("out.2.weight", 0),
            ["layers_per_block"] = layers,
            ["block_out_channels"] = List(channels),
            ["down_block_types"] = new JsonArray(
                [.. down.Select(depths => (JsonNode)(depths != null ? "CrossAttnDownBlock2D" : "DownBlock2D"))]),
            ["up_block_types"] = new JsonArray(
                [.. up.Select(depths => (JsonNode)(depths != null ? "CrossAttnUpBlock2D" : "UpBlock2D"))]),
            ["attention_head_dim"] = List(channels.Select(heads)),
        };
        AddDepths(config, down, up, middle);
        if (middle == null)
            config["mid_block_type"] = part.HasAny("middle_block.0.") ? "UNetMidBlock2D" : null;
        string? attention = part.Tensors.Select(tensor => tensor.Key)
            .FirstOrDefault(name => name.EndsWith(".transformer_blocks.0." + AttentionProjection, StringComparison.Ordinal));
        if (attention != null)
        {
            config["cross_attention_dim"] = part.Extent(attention, 1);
            config["use_linear_projection"] =
                part.Rank(attention[..attention.IndexOf(".transformer_blocks.", StringComparison.Ordinal)] + ".proj_in.weight") == 2;
        }
        if (part.Has("label_emb.0.0.weight"))
            config["projection_class_embeddings_input_dim"] = part.Extent("label_emb.0.0.weight", 1);
        return config;
    }

    /// <summary>
    /// The numbers of transformer blocks behind the residual blocks of a level; null for a level without attention. Pruned models (SSD-1B,
    /// Segmind Vega) have different ones within a level.
    /// </summary>
    private static int[]? Depths(FilePart part, string blocks, int first, int count, string module = ".1")
    {
        string[] places = [.. Enumerable.Range(first, count).Select(i => FormattableString.Invariant($"{blocks}.{i}{module}"))];
        string[] attending = [.. places.Where(place => part.Has(place + ".proj_in.weight"))];
        if (attending.Length == 0)
            return null;
        if (attending.Length < count)
            throw new CheckpointException(
                $"'{part.Path}': the UNet has attention in {string.Join(", ", attending)} alone, expected it in all of "
                    + $"{string.Join(", ", places)} or in none.");
        return [
            .. places.Select(
                place => part.Count(i => FormattableString.Invariant($"{place}.transformer_blocks.{i}.{AttentionProjection}")))];
    }

    /// <summary>
    /// The depths as diffusers' configurations have them: a number for each level, where the encoder, the decoder and the middle agree;
    /// else lists. A level without attention gets what these configurations write there: the middle takes the depth of the last one.
    /// </summary>
    private static void AddDepths(JsonObject config, int[]?[] down, int[]?[] up, int? middle)
    {
        int levels = down.Length;
        int[] plain = [
            .. Enumerable.Range(0, levels)
                .Select(
                    level => down[level]?[0] ?? up[levels - 1 - level]?[0] ?? (level == levels - 1 ? Math.Max(middle ?? 1, 1) : 1))];
        bool uniform = Enumerable.Range(0, levels)
            .All(level => (down[level] ?? []).Concat(up[levels - 1 - level] ?? []).All(depth => depth == plain[level]));
        config["transformer_layers_per_block"] = uniform ? List(plain) : Nested(down, plain);
        if (!uniform)
            config["reverse_transformer_layers_per_block"] = Nested(up, [.. plain.Reverse()]);
        if (middle is { } depth && depth != (down[^1]?[0] ?? plain[^1]))
            config[MiddleDepthKey] = depth;
    }

    private static JsonArray Nested(int[]?[] depths, int[] missing) =>
        [.. depths.Select((level, i) => level != null ? List(level) : (JsonNode)missing[i])];

    /// <summary>The tensors under the names of diffusers. One that is not known keeps its name, so that the model reports it.</summary>
    public static IEnumerable<RenamedTensor> Map(FilePart part)
    {
        var (levels, layers) = Size(part);
        var names = new PrefixMap(LdmUnetNames.Pairs(levels, layers).Select(pair => (pair.Ldm, pair.Diffusers)));
        return part.Tensors.Select(
            entry => new RenamedTensor(names.Rename(entry.Key).FirstOrDefault() ?? entry.Value.Name, entry.Value));
    }

    private static (int Levels, int Layers) Size(FilePart part)
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

    private static JsonArray List(IEnumerable<int> values) => [.. values.Select(value => (JsonNode)value)];
}
