using System.Globalization;

namespace Attune.Weights.SingleFile;

/// <summary>
/// A layer under the name of a model's original code, and the modules of diffusers whose rows, one after the other, are its rows: in equal
/// parts, or, where there are four, three of the layer's width and the rest.
/// </summary>
/// <param name="Name">The original name; <see cref="OriginalNames.Number"/> stands for a block's number. A parameter that is no weight or
/// bias of a module has its whole name.</param>
/// <param name="Modules">The modules; none for what diffusers does not have.</param>
internal sealed record OriginalName(string Name, params string[] Modules)
{
    /// <summary>Whether the halves of the rows are the other way round in diffusers: (shift, scale) there, (scale, shift) here.</summary>
    public bool HalvesSwapped { get; init; }

    /// <summary>A module of diffusers beside which the halves are not swapped, or null.</summary>
    public string? SwappedUnless { get; init; }

    /// <summary>The rows of a table that the original has as one vector; 0 for what has the same shape.</summary>
    public int TableRows { get; init; }
}

/// <summary>
/// The layers that diffusers renames, fuses or splits, by families of models. A row counts where a model has its modules. Files with
/// original names are read by these, and adapters that name layers so.
/// </summary>
internal static class OriginalNames
{
    /// <summary>Nothing that has other names in diffusers.</summary>
    public static readonly IReadOnlyList<OriginalName> None = [];

    /// <summary>Stands for a number in names.</summary>
    public const string Number = "#";

    /// <summary>What FLUX.1, FLUX.2 and Chroma share: Black Forest Labs' code.</summary>
    private static readonly OriginalName[] FluxAttention =
    [
        Fused("double_blocks.#.img_attn.qkv", "transformer_blocks.#.attn"),
        Row(
            "double_blocks.#.txt_attn.qkv", "transformer_blocks.#.attn.add_q_proj", "transformer_blocks.#.attn.add_k_proj",
            "transformer_blocks.#.attn.add_v_proj"),
        Row("double_blocks.#.img_attn.proj", "transformer_blocks.#.attn.to_out.0"),
        Row("double_blocks.#.txt_attn.proj", "transformer_blocks.#.attn.to_add_out"),
        Row("double_blocks.#.img_attn.norm.query_norm", "transformer_blocks.#.attn.norm_q"),
        Row("double_blocks.#.img_attn.norm.key_norm", "transformer_blocks.#.attn.norm_k"),
        Row("double_blocks.#.txt_attn.norm.query_norm", "transformer_blocks.#.attn.norm_added_q"),
        Row("double_blocks.#.txt_attn.norm.key_norm", "transformer_blocks.#.attn.norm_added_k"),
        Row("single_blocks.#.norm.query_norm", "single_transformer_blocks.#.attn.norm_q"),
        Row("single_blocks.#.norm.key_norm", "single_transformer_blocks.#.attn.norm_k"),
        Row("img_in", "x_embedder"),
        Row("txt_in", "context_embedder"),
        Row("final_layer.linear", "proj_out"),
    ];

    /// <summary>What the blocks of FLUX.1 and Chroma have besides.</summary>
    private static readonly OriginalName[] FluxBlocks =
    [
        Row("double_blocks.#.img_mlp.0", "transformer_blocks.#.ff.net.0.proj"),
        Row("double_blocks.#.img_mlp.2", "transformer_blocks.#.ff.net.2"),
        Row("double_blocks.#.txt_mlp.0", "transformer_blocks.#.ff_context.net.0.proj"),
        Row("double_blocks.#.txt_mlp.2", "transformer_blocks.#.ff_context.net.2"),
        Row(
            "single_blocks.#.linear1", "single_transformer_blocks.#.attn.to_q", "single_transformer_blocks.#.attn.to_k",
            "single_transformer_blocks.#.attn.to_v", "single_transformer_blocks.#.proj_mlp"),
        Row("single_blocks.#.linear2", "single_transformer_blocks.#.proj_out"),
    ];

    /// <summary>The attention processors of xlabs' adapters for FLUX.1.</summary>
    private static readonly OriginalName[] FluxProcessors =
    [
        Fused("double_blocks.#.processor.qkv_lora1", "transformer_blocks.#.attn"),
        Row(
            "double_blocks.#.processor.qkv_lora2", "transformer_blocks.#.attn.add_q_proj", "transformer_blocks.#.attn.add_k_proj",
            "transformer_blocks.#.attn.add_v_proj"),
        Row("double_blocks.#.processor.proj_lora1", "transformer_blocks.#.attn.to_out.0"),
        Row("double_blocks.#.processor.proj_lora2", "transformer_blocks.#.attn.to_add_out"),
        Fused("single_blocks.#.processor.qkv_lora", "single_transformer_blocks.#.attn"),
        Row("single_blocks.#.processor.proj_lora", "single_transformer_blocks.#.proj_out"),
    ];

    /// <summary>FLUX.1.</summary>
    public static IReadOnlyList<OriginalName> Flux { get; } =
    [
        .. FluxAttention, .. FluxBlocks,
        Row("double_blocks.#.img_mod.lin", "transformer_blocks.#.norm1.linear"),
        Row("double_blocks.#.txt_mod.lin", "transformer_blocks.#.norm1_context.linear"),
        Row("single_blocks.#.modulation.lin", "single_transformer_blocks.#.norm.linear"),
        .. Pair("time_in.in_layer", "time_in.out_layer", "time_text_embed.timestep_embedder"),
        .. Pair("vector_in.in_layer", "vector_in.out_layer", "time_text_embed.text_embedder"),
        .. Pair("guidance_in.in_layer", "guidance_in.out_layer", "time_text_embed.guidance_embedder"),
        Row("final_layer.adaLN_modulation.1", "norm_out.linear") with { HalvesSwapped = true },
    ];

    /// <summary>Chroma: its modulations are those of a network, in the original's order.</summary>
    public static IReadOnlyList<OriginalName> Chroma { get; } =
    [
        .. FluxAttention, .. FluxBlocks,
        Row("distilled_guidance_layer.in_proj", "distilled_guidance_layer.in_proj"),
        Row("distilled_guidance_layer.out_proj", "distilled_guidance_layer.out_proj"),
        .. Pair(
            "distilled_guidance_layer.layers.#.in_layer", "distilled_guidance_layer.layers.#.out_layer",
            "distilled_guidance_layer.layers.#"),
        Row("distilled_guidance_layer.norms.#", "distilled_guidance_layer.norms.#"),
    ];

    /// <summary>FLUX.2.</summary>
    public static IReadOnlyList<OriginalName> Flux2 { get; } =
    [
        .. FluxAttention,
        Row("double_blocks.#.img_mlp.0", "transformer_blocks.#.ff.linear_in"),
        Row("double_blocks.#.img_mlp.2", "transformer_blocks.#.ff.linear_out"),
        Row("double_blocks.#.txt_mlp.0", "transformer_blocks.#.ff_context.linear_in"),
        Row("double_blocks.#.txt_mlp.2", "transformer_blocks.#.ff_context.linear_out"),
        Row("single_blocks.#.linear1", "single_transformer_blocks.#.attn.to_qkv_mlp_proj"),
        Row("single_blocks.#.linear2", "single_transformer_blocks.#.attn.to_out"),
        .. Pair("time_in.in_layer", "time_in.out_layer", "time_guidance_embed.timestep_embedder"),
        .. Pair("guidance_in.in_layer", "guidance_in.out_layer", "time_guidance_embed.guidance_embedder"),
        Row("double_stream_modulation_img.lin", "double_stream_modulation_img.linear"),
        Row("double_stream_modulation_txt.lin", "double_stream_modulation_txt.linear"),
        Row("single_stream_modulation.lin", "single_stream_modulation.linear"),
        Row("final_layer.adaLN_modulation.1", "norm_out.linear") with { HalvesSwapped = true },
    ];

    /// <summary>
    /// Stable Diffusion 3 and 3.5. The context of the last block is scaled and shifted and nothing else, in the order of the final layer.
    /// </summary>
    public static IReadOnlyList<OriginalName> StableDiffusion3 { get; } =
    [
        Row("pos_embed", "pos_embed.pos_embed"),
        Row("x_embedder.proj", "pos_embed.proj"),
        .. Pair("t_embedder.mlp.0", "t_embedder.mlp.2", "time_text_embed.timestep_embedder"),
        .. Pair("y_embedder.mlp.0", "y_embedder.mlp.2", "time_text_embed.text_embedder"),
        Row("context_embedder", "context_embedder"),
        Fused("joint_blocks.#.x_block.attn.qkv", "transformer_blocks.#.attn"),
        Row("joint_blocks.#.x_block.attn.ln_q", "transformer_blocks.#.attn.norm_q"),
        Row("joint_blocks.#.x_block.attn.ln_k", "transformer_blocks.#.attn.norm_k"),
        Row("joint_blocks.#.x_block.attn.proj", "transformer_blocks.#.attn.to_out.0"),
        Fused("joint_blocks.#.x_block.attn2.qkv", "transformer_blocks.#.attn2"),
        Row("joint_blocks.#.x_block.attn2.ln_q", "transformer_blocks.#.attn2.norm_q"),
        Row("joint_blocks.#.x_block.attn2.ln_k", "transformer_blocks.#.attn2.norm_k"),
        Row("joint_blocks.#.x_block.attn2.proj", "transformer_blocks.#.attn2.to_out.0"),
        Row("joint_blocks.#.x_block.adaLN_modulation.1", "transformer_blocks.#.norm1.linear"),
        Row("joint_blocks.#.x_block.mlp.fc1", "transformer_blocks.#.ff.net.0.proj"),
        Row("joint_blocks.#.x_block.mlp.fc2", "transformer_blocks.#.ff.net.2"),
        Row(
            "joint_blocks.#.context_block.attn.qkv", "transformer_blocks.#.attn.add_q_proj", "transformer_blocks.#.attn.add_k_proj",
            "transformer_blocks.#.attn.add_v_proj"),
        Row("joint_blocks.#.context_block.attn.ln_q", "transformer_blocks.#.attn.norm_added_q"),
        Row("joint_blocks.#.context_block.attn.ln_k", "transformer_blocks.#.attn.norm_added_k"),
        Row("joint_blocks.#.context_block.attn.proj", "transformer_blocks.#.attn.to_add_out"),
        Row("joint_blocks.#.context_block.adaLN_modulation.1", "transformer_blocks.#.norm1_context.linear") with
        {
            HalvesSwapped = true, SwappedUnless = "transformer_blocks.#.ff_context.net.2",
        },
        Row("joint_blocks.#.context_block.mlp.fc1", "transformer_blocks.#.ff_context.net.0.proj"),
        Row("joint_blocks.#.context_block.mlp.fc2", "transformer_blocks.#.ff_context.net.2"),
        Row("final_layer.linear", "proj_out"),
        Row("final_layer.adaLN_modulation.1", "norm_out.linear") with { HalvesSwapped = true },
    ];

    /// <summary>Z-Image. The halves of its final layer are in the original's order.</summary>
    public static IReadOnlyList<OriginalName> ZImage { get; } =
    [
        Row("x_embedder", "all_x_embedder.2-1"),
        Row("final_layer.linear", "all_final_layer.2-1.linear"),
        Row("final_layer.adaLN_modulation.1", "all_final_layer.2-1.adaLN_modulation.1"),
        .. new[] { "layers", "noise_refiner", "context_refiner" }.SelectMany(
            blocks => new[]
            {
                Fused($"{blocks}.#.attention.qkv", $"{blocks}.#.attention"),
                Row($"{blocks}.#.attention.out", $"{blocks}.#.attention.to_out.0"),
                Row($"{blocks}.#.attention.q_norm", $"{blocks}.#.attention.norm_q"),
                Row($"{blocks}.#.attention.k_norm", $"{blocks}.#.attention.norm_k"),
            }),
        Row("norm_final.weight"),
    ];

    /// <summary>What PixArt and Sana share.</summary>
    private static readonly OriginalName[] CrossAttentionBlocks =
    [
        .. Pair("y_embedder.y_proj.fc1", "y_embedder.y_proj.fc2", "caption_projection"),
        Row("blocks.#.scale_shift_table", "transformer_blocks.#.scale_shift_table"),
        Fused("blocks.#.attn.qkv", "transformer_blocks.#.attn1"),
        Row("blocks.#.attn.proj", "transformer_blocks.#.attn1.to_out.0"),
        Row("blocks.#.cross_attn.q_linear", "transformer_blocks.#.attn2.to_q"),
        Row("blocks.#.cross_attn.kv_linear", "transformer_blocks.#.attn2.to_k", "transformer_blocks.#.attn2.to_v"),
        Row("blocks.#.cross_attn.proj", "transformer_blocks.#.attn2.to_out.0"),
        Row("final_layer.linear", "proj_out"),
        Row("final_layer.scale_shift_table", "scale_shift_table"),
        Row("pos_embed"),
        Row("y_embedder.y_embedding"),
    ];

    /// <summary>PixArt-alpha and PixArt-Sigma.</summary>
    public static IReadOnlyList<OriginalName> PixArt { get; } =
    [
        .. CrossAttentionBlocks,
        Row("x_embedder.proj", "pos_embed.proj"),
        .. Pair("t_embedder.mlp.0", "t_embedder.mlp.2", "adaln_single.emb.timestep_embedder"),
        .. Pair("csize_embedder.mlp.0", "csize_embedder.mlp.2", "adaln_single.emb.resolution_embedder"),
        .. Pair("ar_embedder.mlp.0", "ar_embedder.mlp.2", "adaln_single.emb.aspect_ratio_embedder"),
        Row("t_block.1", "adaln_single.linear"),
        Row("blocks.#.attn.q_norm", "transformer_blocks.#.attn1.q_norm"),
        Row("blocks.#.attn.k_norm", "transformer_blocks.#.attn1.k_norm"),
        Row("blocks.#.mlp.fc1", "transformer_blocks.#.ff.net.0.proj"),
        Row("blocks.#.mlp.fc2", "transformer_blocks.#.ff.net.2"),
    ];

    private static readonly OriginalName[] SanaBlocks =
    [
        .. CrossAttentionBlocks,
        Row("x_embedder.proj", "patch_embed.proj"),
        Row("t_block.1", "time_embed.linear"),
        Row("attention_y_norm", "caption_norm"),
        Row("blocks.#.attn.q_norm", "transformer_blocks.#.attn1.norm_q"),
        Row("blocks.#.attn.k_norm", "transformer_blocks.#.attn1.norm_k"),
        Row("blocks.#.cross_attn.q_norm", "transformer_blocks.#.attn2.norm_q"),
        Row("blocks.#.cross_attn.k_norm", "transformer_blocks.#.attn2.norm_k"),
        Row("blocks.#.mlp.inverted_conv.conv", "transformer_blocks.#.ff.conv_inverted"),
        Row("blocks.#.mlp.depth_conv.conv", "transformer_blocks.#.ff.conv_depth"),
        Row("blocks.#.mlp.point_conv.conv", "transformer_blocks.#.ff.conv_point"),
    ];

    /// <summary>Sana.</summary>
    public static IReadOnlyList<OriginalName> Sana { get; } =
        [.. SanaBlocks, .. Pair("t_embedder.mlp.0", "t_embedder.mlp.2", "time_embed.emb.timestep_embedder")];

    /// <summary>Sana-Sprint, which embeds a guidance scale.</summary>
    public static IReadOnlyList<OriginalName> Sprint { get; } =
    [
        .. SanaBlocks,
        .. Pair("t_embedder.mlp.0", "t_embedder.mlp.2", "time_embed.timestep_embedder"),
        .. Pair("cfg_embedder.mlp.0", "cfg_embedder.mlp.2", "time_embed.guidance_embedder"),
    ];

    /// <summary>Wan 2.1 and 2.2.</summary>
    public static IReadOnlyList<OriginalName> Wan { get; } =
    [
        Row("blocks.#.self_attn.q", "blocks.#.attn1.to_q"),
        Row("blocks.#.self_attn.k", "blocks.#.attn1.to_k"),
        Row("blocks.#.self_attn.v", "blocks.#.attn1.to_v"),
        Row("blocks.#.self_attn.o", "blocks.#.attn1.to_out.0"),
        Row("blocks.#.self_attn.norm_q", "blocks.#.attn1.norm_q"),
        Row("blocks.#.self_attn.norm_k", "blocks.#.attn1.norm_k"),
        Row("blocks.#.cross_attn.q", "blocks.#.attn2.to_q"),
        Row("blocks.#.cross_attn.k", "blocks.#.attn2.to_k"),
        Row("blocks.#.cross_attn.v", "blocks.#.attn2.to_v"),
        Row("blocks.#.cross_attn.o", "blocks.#.attn2.to_out.0"),
        Row("blocks.#.cross_attn.norm_q", "blocks.#.attn2.norm_q"),
        Row("blocks.#.cross_attn.norm_k", "blocks.#.attn2.norm_k"),
        Row("blocks.#.cross_attn.k_img", "blocks.#.attn2.add_k_proj"),
        Row("blocks.#.cross_attn.v_img", "blocks.#.attn2.add_v_proj"),
        Row("blocks.#.cross_attn.norm_k_img", "blocks.#.attn2.norm_added_k"),
        Row("blocks.#.ffn.0", "blocks.#.ffn.net.0.proj"),
        Row("blocks.#.ffn.2", "blocks.#.ffn.net.2"),
        Row("blocks.#.norm3", "blocks.#.norm2"),
        Row("text_embedding.0", "condition_embedder.text_embedder.linear_1"),
        Row("text_embedding.2", "condition_embedder.text_embedder.linear_2"),
        Row("time_embedding.0", "condition_embedder.time_embedder.linear_1"),
        Row("time_embedding.2", "condition_embedder.time_embedder.linear_2"),
        Row("time_projection.1", "condition_embedder.time_proj"),
        Row("head.head", "proj_out"),
        Row("blocks.#.modulation", "blocks.#.scale_shift_table"),
        Row("head.modulation", "scale_shift_table"),
        Row("patch_embedding", "patch_embedding"),
        Row("img_emb.proj.0", "condition_embedder.image_embedder.norm1"),
        Row("img_emb.proj.1", "condition_embedder.image_embedder.ff.net.0.proj"),
        Row("img_emb.proj.3", "condition_embedder.image_embedder.ff.net.2"),
        Row("img_emb.proj.4", "condition_embedder.image_embedder.norm2"),
        Row("img_emb.emb_pos", "condition_embedder.image_embedder.pos_embed"),
    ];

    /// <summary>Qwen-Image-2.1: gate and hidden channels of a feed-forward network in one matrix; all else as in diffusers.</summary>
    public static IReadOnlyList<OriginalName> QwenImage2 { get; } =
    [
        Row("transformer_blocks.#.img_mlp.gate_up", "transformer_blocks.#.img_mlp.gate_layer", "transformer_blocks.#.img_mlp.proj"),
    ];

    /// <summary>Krea 2. A block's table is one vector there.</summary>
    public static IReadOnlyList<OriginalName> Krea2 { get; } =
    [
        Row("first", "img_in"),
        .. Pair("tmlp.0", "tmlp.2", "time_embed"),
        Row("tproj.1", "time_mod_proj"),
        Row("txtmlp.0", "txt_in.norm"),
        .. Pair("txtmlp.1", "txtmlp.3", "txt_in"),
        Row("txtfusion.projector", "text_fusion.projector"),
        Row("blocks.#.mod.lin", "transformer_blocks.#.scale_shift_table") with { TableRows = 6 },
        Row("last.modulation.lin", "final_layer.scale_shift_table"),
        Row("last.norm", "final_layer.norm"),
        Row("last.linear", "final_layer.linear"),
        Row("last.down.weight"),
        Row("last.up.weight"),
        .. new[]
        {
            ("blocks.#", "transformer_blocks.#"), ("txtfusion.layerwise_blocks.#", "text_fusion.layerwise_blocks.#"),
            ("txtfusion.refiner_blocks.#", "text_fusion.refiner_blocks.#"),
        }.SelectMany(
            blocks => new (string, string)[]
            {
                ("attn.wq", "attn.to_q"), ("attn.wk", "attn.to_k"), ("attn.wv", "attn.to_v"), ("attn.wo", "attn.to_out.0"),
                ("attn.gate", "attn.to_gate"), ("attn.qknorm.qnorm", "attn.norm_q"), ("attn.qknorm.knorm", "attn.norm_k"),
                ("mlp.gate", "ff.gate"), ("mlp.up", "ff.up"), ("mlp.down", "ff.down"), ("prenorm", "norm1"), ("postnorm", "norm2"),
            }.Select(layer => Row($"{blocks.Item1}.{layer.Item1}", $"{blocks.Item2}.{layer.Item2}"))),
    ];

    /// <summary>T5 and UMT5 as llama.cpp calls their parts.</summary>
    public static IReadOnlyList<OriginalName> LlamaT5 { get; } =
    [
        Row("token_embd", "shared"),
        Row("enc.output_norm", "encoder.final_layer_norm"),
        Row("enc.blk.#.attn_norm", "encoder.block.#.layer.0.layer_norm"),
        .. new[] { "q", "k", "v", "o" }.Select(part => Row($"enc.blk.#.attn_{part}", $"encoder.block.#.layer.0.SelfAttention.{part}")),
        Row("enc.blk.#.attn_rel_b", "encoder.block.#.layer.0.SelfAttention.relative_attention_bias"),
        Row("enc.blk.#.ffn_norm", "encoder.block.#.layer.1.layer_norm"),
        Row("enc.blk.#.ffn_gate", "encoder.block.#.layer.1.DenseReluDense.wi_0"),
        Row("enc.blk.#.ffn_up", "encoder.block.#.layer.1.DenseReluDense.wi_1"),
        Row("enc.blk.#.ffn_down", "encoder.block.#.layer.1.DenseReluDense.wo"),
    ];

    /// <summary>UMT5 as Wan's own files have it.</summary>
    public static IReadOnlyList<OriginalName> WanT5 { get; } =
    [
        Row("token_embedding", "shared"),
        Row("norm", "encoder.final_layer_norm"),
        Row("blocks.#.norm1", "encoder.block.#.layer.0.layer_norm"),
        .. new[] { "q", "k", "v", "o" }.Select(part => Row($"blocks.#.attn.{part}", $"encoder.block.#.layer.0.SelfAttention.{part}")),
        Row("blocks.#.pos_embedding.embedding", "encoder.block.#.layer.0.SelfAttention.relative_attention_bias"),
        Row("blocks.#.norm2", "encoder.block.#.layer.1.layer_norm"),
        Row("blocks.#.ffn.gate.0", "encoder.block.#.layer.1.DenseReluDense.wi_0"),
        Row("blocks.#.ffn.fc1", "encoder.block.#.layer.1.DenseReluDense.wi_1"),
        Row("blocks.#.ffn.fc2", "encoder.block.#.layer.1.DenseReluDense.wo"),
    ];

    /// <summary>Language models as llama.cpp calls their parts.</summary>
    public static IReadOnlyList<OriginalName> Llama { get; } =
    [
        Row("token_embd", "model.embed_tokens"),
        Row("output_norm", "model.norm"),
        Row("output", "lm_head"),
        Row("rope_freqs.weight"),
        .. new (string, string)[]
        {
            ("attn_norm", "input_layernorm"), ("attn_q", "self_attn.q_proj"), ("attn_k", "self_attn.k_proj"),
            ("attn_v", "self_attn.v_proj"), ("attn_q_norm", "self_attn.q_norm"), ("attn_k_norm", "self_attn.k_norm"),
            ("attn_output", "self_attn.o_proj"), ("ffn_norm", "post_attention_layernorm"), ("ffn_gate", "mlp.gate_proj"),
            ("ffn_up", "mlp.up_proj"), ("ffn_down", "mlp.down_proj"),
        }.Select(layer => Row("blk.#." + layer.Item1, "model.layers.#." + layer.Item2)),
    ];

    /// <summary>Qwen3-VL in files that leave out where the language model stands; the vision tower has its names.</summary>
    public static IReadOnlyList<OriginalName> Qwen3Vision { get; } =
    [
        Row("model.embed_tokens", "model.language_model.embed_tokens"),
        Row("model.norm", "model.language_model.norm"),
        .. new[]
        {
            "input_layernorm", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.q_norm", "self_attn.k_norm",
            "self_attn.o_proj", "post_attention_layernorm", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj",
        }.Select(layer => Row("model.layers.#." + layer, "model.language_model.layers.#." + layer)),
    ];

    /// <summary>All that adapters may name, whatever the model.</summary>
    public static IReadOnlyList<OriginalName> All { get; } =
    [
        .. Flux, .. FluxProcessors, .. Flux2, .. Chroma, .. StableDiffusion3, .. ZImage, .. PixArt, .. Sana, .. Sprint, .. Wan,
        .. Krea2, .. QwenImage2,
    ];

    /// <summary>A name with a block's number.</summary>
    public static string Numbered(string name, int number) =>
        name.Replace(Number, number.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal);

    private static OriginalName Row(string name, params string[] modules) => new(name, modules);

    /// <summary>Query, key and value in one matrix.</summary>
    private static OriginalName Fused(string name, string attention) =>
        Row(name, attention + ".to_q", attention + ".to_k", attention + ".to_v");

    /// <summary>The two layers of a small network.</summary>
    private static OriginalName[] Pair(string first, string second, string network) =>
        [Row(first, network + ".linear_1"), Row(second, network + ".linear_2")];
}
