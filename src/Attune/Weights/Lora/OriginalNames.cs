using System.Globalization;

namespace Attune.Weights.Lora;

/// <summary>
/// A layer under the name of a model's original code, and the modules of diffusers whose rows, one after the other, are its rows.
/// </summary>
/// <param name="Name">The original name; <see cref="OriginalNames.Number"/> stands for a block's number.</param>
/// <param name="HalvesSwapped">Whether the halves of the rows are the other way round in diffusers: (shift, scale) there, (scale, shift)
/// here.</param>
/// <param name="Modules">The modules; all must exist.</param>
internal sealed record OriginalName(string Name, bool HalvesSwapped, params string[] Modules);

/// <summary>
/// The layers of transformers that diffusers renames: FLUX.1 and FLUX.2 (Black Forest Labs' code, and xlabs' names of attention
/// processors), Wan, Krea 2. A row counts where the checkpoint has its modules, so one list serves all models.
/// </summary>
internal static class OriginalNames
{
    /// <summary>Stands for a number in names.</summary>
    public const string Number = "#";

    public static readonly OriginalName[] All =
    [
        // FLUX.1 and FLUX.2, double-stream blocks
        Row(
            "double_blocks.#.img_attn.qkv", "transformer_blocks.#.attn.to_q", "transformer_blocks.#.attn.to_k",
            "transformer_blocks.#.attn.to_v"),
        Row(
            "double_blocks.#.txt_attn.qkv", "transformer_blocks.#.attn.add_q_proj", "transformer_blocks.#.attn.add_k_proj",
            "transformer_blocks.#.attn.add_v_proj"),
        Row("double_blocks.#.img_attn.proj", "transformer_blocks.#.attn.to_out.0"),
        Row("double_blocks.#.txt_attn.proj", "transformer_blocks.#.attn.to_add_out"),
        Row("double_blocks.#.img_attn.norm.query_norm", "transformer_blocks.#.attn.norm_q"),
        Row("double_blocks.#.img_attn.norm.key_norm", "transformer_blocks.#.attn.norm_k"),
        Row("double_blocks.#.txt_attn.norm.query_norm", "transformer_blocks.#.attn.norm_added_q"),
        Row("double_blocks.#.txt_attn.norm.key_norm", "transformer_blocks.#.attn.norm_added_k"),
        Row("double_blocks.#.img_mlp.0", "transformer_blocks.#.ff.net.0.proj"),
        Row("double_blocks.#.img_mlp.2", "transformer_blocks.#.ff.net.2"),
        Row("double_blocks.#.txt_mlp.0", "transformer_blocks.#.ff_context.net.0.proj"),
        Row("double_blocks.#.txt_mlp.2", "transformer_blocks.#.ff_context.net.2"),
        Row("double_blocks.#.img_mod.lin", "transformer_blocks.#.norm1.linear"),
        Row("double_blocks.#.txt_mod.lin", "transformer_blocks.#.norm1_context.linear"),
        Row("double_blocks.#.img_mlp.0", "transformer_blocks.#.ff.linear_in"),
        Row("double_blocks.#.img_mlp.2", "transformer_blocks.#.ff.linear_out"),
        Row("double_blocks.#.txt_mlp.0", "transformer_blocks.#.ff_context.linear_in"),
        Row("double_blocks.#.txt_mlp.2", "transformer_blocks.#.ff_context.linear_out"),
        Row(
            "double_blocks.#.processor.qkv_lora1", "transformer_blocks.#.attn.to_q", "transformer_blocks.#.attn.to_k",
            "transformer_blocks.#.attn.to_v"),
        Row(
            "double_blocks.#.processor.qkv_lora2", "transformer_blocks.#.attn.add_q_proj", "transformer_blocks.#.attn.add_k_proj",
            "transformer_blocks.#.attn.add_v_proj"),
        Row("double_blocks.#.processor.proj_lora1", "transformer_blocks.#.attn.to_out.0"),
        Row("double_blocks.#.processor.proj_lora2", "transformer_blocks.#.attn.to_add_out"),

        // single-stream blocks
        Row(
            "single_blocks.#.linear1", "single_transformer_blocks.#.attn.to_q", "single_transformer_blocks.#.attn.to_k",
            "single_transformer_blocks.#.attn.to_v", "single_transformer_blocks.#.proj_mlp"),
        Row("single_blocks.#.linear2", "single_transformer_blocks.#.proj_out"),
        Row("single_blocks.#.modulation.lin", "single_transformer_blocks.#.norm.linear"),
        Row("single_blocks.#.norm.query_norm", "single_transformer_blocks.#.attn.norm_q"),
        Row("single_blocks.#.norm.key_norm", "single_transformer_blocks.#.attn.norm_k"),
        Row("single_blocks.#.linear1", "single_transformer_blocks.#.attn.to_qkv_mlp_proj"),
        Row("single_blocks.#.linear2", "single_transformer_blocks.#.attn.to_out"),
        Row(
            "single_blocks.#.processor.qkv_lora", "single_transformer_blocks.#.attn.to_q", "single_transformer_blocks.#.attn.to_k",
            "single_transformer_blocks.#.attn.to_v"),
        Row("single_blocks.#.processor.proj_lora", "single_transformer_blocks.#.proj_out"),

        // what stands before and after the blocks
        Row("img_in", "x_embedder"),
        Row("txt_in", "context_embedder"),
        Row("time_in.in_layer", "time_text_embed.timestep_embedder.linear_1"),
        Row("time_in.out_layer", "time_text_embed.timestep_embedder.linear_2"),
        Row("vector_in.in_layer", "time_text_embed.text_embedder.linear_1"),
        Row("vector_in.out_layer", "time_text_embed.text_embedder.linear_2"),
        Row("guidance_in.in_layer", "time_text_embed.guidance_embedder.linear_1"),
        Row("guidance_in.out_layer", "time_text_embed.guidance_embedder.linear_2"),
        Row("time_in.in_layer", "time_guidance_embed.timestep_embedder.linear_1"),
        Row("time_in.out_layer", "time_guidance_embed.timestep_embedder.linear_2"),
        Row("guidance_in.in_layer", "time_guidance_embed.guidance_embedder.linear_1"),
        Row("guidance_in.out_layer", "time_guidance_embed.guidance_embedder.linear_2"),
        Row("double_stream_modulation_img.lin", "double_stream_modulation_img.linear"),
        Row("double_stream_modulation_txt.lin", "double_stream_modulation_txt.linear"),
        Row("single_stream_modulation.lin", "single_stream_modulation.linear"),
        Row("final_layer.linear", "proj_out"),
        new("final_layer.adaLN_modulation.1", HalvesSwapped: true, "norm_out.linear"),

        // Wan
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

        // Krea 2
        .. GatedLayer("blocks.#", "transformer_blocks.#"),
        .. GatedLayer("txtfusion.layerwise_blocks.#", "text_fusion.layerwise_blocks.#"),
        .. GatedLayer("txtfusion.refiner_blocks.#", "text_fusion.refiner_blocks.#"),
        Row("txtfusion.projector", "text_fusion.projector"),
        Row("first", "img_in"),
        Row("tmlp.0", "time_embed.linear_1"),
        Row("tmlp.2", "time_embed.linear_2"),
        Row("tproj.1", "time_mod_proj"),
        Row("txtmlp.0", "txt_in.norm"),
        Row("txtmlp.1", "txt_in.linear_1"),
        Row("txtmlp.3", "txt_in.linear_2"),
        Row("last.norm", "final_layer.norm"),
        Row("last.linear", "final_layer.linear"),
    ];

    /// <summary>A name with a block's number.</summary>
    public static string Numbered(string name, int number) =>
        name.Replace(Number, number.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal);

    private static OriginalName[] GatedLayer(string name, string module) =>
    [
        Row(name + ".attn.wq", module + ".attn.to_q"), Row(name + ".attn.wk", module + ".attn.to_k"),
        Row(name + ".attn.wv", module + ".attn.to_v"), Row(name + ".attn.wo", module + ".attn.to_out.0"),
        Row(name + ".attn.gate", module + ".attn.to_gate"), Row(name + ".attn.qknorm.qnorm", module + ".attn.norm_q"),
        Row(name + ".attn.qknorm.knorm", module + ".attn.norm_k"), Row(name + ".mlp.gate", module + ".ff.gate"),
        Row(name + ".mlp.up", module + ".ff.up"), Row(name + ".mlp.down", module + ".ff.down"),
        Row(name + ".prenorm", module + ".norm1"), Row(name + ".postnorm", module + ".norm2"),
    ];

    private static OriginalName Row(string name, params string[] modules) => new(name, false, modules);
}
