using System.Text.Json.Nodes;
using Attune.Weights;

namespace Attune.Evaluation.Metrics.Networks;

/// <summary>
/// open_clip's layout of a whole CLIP: query, key and value are one matrix, projections are stored as x @ p, and the configuration is
/// <c>open_clip_config.json</c>.
/// </summary>
internal static class OpenClipNames
{
    private static readonly (string From, string To)[] Begins =
    [
        ("visual.transformer.resblocks.", "vision_model.encoder.layers."), ("transformer.resblocks.", "text_model.encoder.layers."),
        ("visual.class_embedding", "vision_model.embeddings.class_embedding"),
        ("visual.conv1.", "vision_model.embeddings.patch_embedding."),
        ("visual.positional_embedding", "vision_model.embeddings.position_embedding.weight"),
        ("visual.ln_pre.", "vision_model.pre_layrnorm."), ("visual.ln_post.", "vision_model.post_layernorm."),
        ("token_embedding.", "text_model.embeddings.token_embedding."),
        ("positional_embedding", "text_model.embeddings.position_embedding.weight"), ("ln_final.", "text_model.final_layer_norm."),
    ];

    private static readonly (string From, string To)[] Parts =
    [
        (".ln_1.", ".layer_norm1."), (".ln_2.", ".layer_norm2."), (".attn.out_proj.", ".self_attn.out_proj."), (".mlp.c_fc.", ".mlp.fc1."),
        (".mlp.c_proj.", ".mlp.fc2."),
    ];

    /// <summary>A source under the names of transformers, which belongs to the result.</summary>
    public static WeightSource Rename(WeightSource source)
    {
        try
        {
            return new RenamedSource(source, Map(source));
        }
        catch
        {
            source.Dispose();
            throw;
        }
    }

    private static IEnumerable<RenamedTensor> Map(WeightSource source)
    {
        foreach (var entry in source.Entries)
        {
            if (entry.Name is "text_projection" or "visual.proj")
            {
                string name = entry.Name == "visual.proj" ? "visual_projection.weight" : "text_projection.weight";
                if (entry.Dimensions.Count != 2)
                    throw new CheckpointException($"'{source.Path}': the tensor {entry.Name} is {entry.Extents}, expected a matrix.");
                yield return new RenamedTensor(name, entry, Transposed: true);
            }
            else if (entry.Name.Contains(".attn.in_proj_", StringComparison.Ordinal))
            {
                if (entry.Dimensions.Count == 0 || entry.Dimensions[0] % 3 != 0)
                    throw new CheckpointException($"'{source.Path}': the tensor {entry.Name} is {entry.Extents}, expected three parts.");
                int rows = (int)(entry.Dimensions[0] / 3);
                for (int i = 0; i < 3; i++)
                {
                    string part = $".self_attn.{"qkv"[i]}_proj.";
                    yield return new RenamedTensor(
                        Rename(entry.Name).Replace(".attn.in_proj_", part, StringComparison.Ordinal), entry, Rows: (i * rows, rows));
                }
            }
            else if (entry.Name != "attn_mask")
                yield return new RenamedTensor(Rename(entry.Name), entry);
        }
    }

    /// <summary>The configuration in the keys of transformers.</summary>
    public static ModelConfig Config(ModelConfig file)
    {
        var model = file.Object("model_cfg") ?? file;
        if (model.Object("vision_cfg") is not { } vision || model.Object("text_cfg") is not { } text)
            throw new CheckpointException($"'{file.Path}' has no vision_cfg and text_cfg; expected open_clip's configuration.");
        int width = vision.Size("width", 768), textWidth = text.Size("width", 512), embed = model.Size("embed_dim", 512);
        foreach (string key in new[] { "timm_model_name", "hf_model_name" })
        {
            if (vision.Has(key) || text.Has(key))
                throw new CheckpointException($"'{file.Path}': {key}: towers of other libraries are not supported.");
        }
        string activation = model.Bool("quick_gelu", false) ? "quick_gelu" : "gelu";
        var json = new JsonObject
        {
            ["projection_dim"] = embed,
            ["vision_config"] = new JsonObject
            {
                ["hidden_size"] = width, ["intermediate_size"] = (int)(width * vision.Positive("mlp_ratio", 4, 64)),
                ["num_attention_heads"] = Math.Max(1, width / vision.Size("head_width", 64)),
                ["num_hidden_layers"] = vision.Layers("layers", 12), ["image_size"] = vision.Size("image_size", 224),
                ["patch_size"] = vision.Size("patch_size", 16), ["hidden_act"] = activation,
            },
            ["text_config"] = new JsonObject
            {
                ["hidden_size"] = textWidth, ["intermediate_size"] = (int)(textWidth * text.Positive("mlp_ratio", 4, 64)),
                ["num_attention_heads"] = text.Heads("heads", 8), ["num_hidden_layers"] = text.Layers("layers", 12),
                ["vocab_size"] = text.Length("vocab_size", 49408), ["max_position_embeddings"] = text.Length("context_length", 77),
                ["projection_dim"] = embed, ["hidden_act"] = activation,
                // Texts are pooled at the largest id, which transformers does for this one.
                ["eos_token_id"] = 2,
            },
        };
        return ModelConfig.Parse(file.Path, System.Text.Encoding.UTF8.GetBytes(json.ToJsonString()));
    }

    private static string Rename(string name)
    {
        foreach (var (from, to) in Begins)
        {
            if (name.StartsWith(from, StringComparison.Ordinal))
            {
                name = to + name[from.Length..];
                break;
            }
        }
        return Parts.Aggregate(name, (current, part) => current.Replace(part.From, part.To, StringComparison.Ordinal));
    }
}
