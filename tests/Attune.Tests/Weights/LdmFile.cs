using Attune.Weights;

namespace Attune.Tests.Weights;

/// <summary>
/// Writes a diffusers folder as one file under the names of the original code. It walks through the modules in the order in which that
/// code's constructors append them (openaimodel.py's input, middle and output blocks; the autoencoder's Encoder and Decoder; OpenCLIP's
/// transformer), and shares nothing with the reader under test.
/// </summary>
internal sealed class LdmFile
{
    private readonly string _folder;
    private readonly SafetensorsWriter _file = new();

    private LdmFile(string folder) => _folder = folder;

    /// <param name="folder">A diffusers folder.</param>
    /// <param name="path">The file to write.</param>
    /// <param name="add">Adds further tensors.</param>
    public static string Write(string folder, string path, Action<SafetensorsWriter>? add = null)
    {
        var file = new LdmFile(folder);
        file.Unet();
        file.Autoencoder();
        if (Directory.Exists(Path.Combine(folder, "text_encoder_2")))
        {
            file.Transformers("conditioner.embedders.0.transformer.");
            file.OpenClip("text_encoder_2", "conditioner.embedders.1.model.", extraLayer: false);
        }
        else if (folder.Contains("sd21", StringComparison.Ordinal))
        {
            file.OpenClip("text_encoder", "cond_stage_model.model.", extraLayer: true);
        }
        else
        {
            file.Transformers("cond_stage_model.transformer.");
        }

        // What such files hold besides.
        file._file.Add("alphas_cumprod", new float[4], 4).Add("model_ema.decay", [0.9999f]).Add("model_ema.num_updates", "I32", new byte[4])
            .Add("model_ema.diffusion_modelinput_blocks00weight", new float[2], 2).Add("first_stage_model.loss.logvar", [0]);
        add?.Invoke(file._file);
        return file._file.Write(path);
    }

    private void Unet()
    {
        using var unet = WeightSource.Open(Path.Combine(_folder, "unet"));
        var config = ModelConfig.Read(Path.Combine(_folder, "unet", "config.json"));
        int levels = config.Ints("block_out_channels").Length;
        int resBlocks = config.Int("layers_per_block", 2);
        var names = new Dictionary<string, string>();
        void Resnet(string ldm, string diffusers)
        {
            names[ldm + "in_layers.0."] = diffusers + "norm1.";
            names[ldm + "in_layers.2."] = diffusers + "conv1.";
            names[ldm + "emb_layers.1."] = diffusers + "time_emb_proj.";
            names[ldm + "out_layers.0."] = diffusers + "norm2.";
            names[ldm + "out_layers.3."] = diffusers + "conv2.";
            names[ldm + "skip_connection."] = diffusers + "conv_shortcut.";
        }

        names["time_embed.0."] = "time_embedding.linear_1.";
        names["time_embed.2."] = "time_embedding.linear_2.";
        names["label_emb.0.0."] = "add_embedding.linear_1.";
        names["label_emb.0.2."] = "add_embedding.linear_2.";
        names["input_blocks.0.0."] = "conv_in.";
        int block = 1;
        for (int level = 0; level < levels; level++)
        {
            for (int i = 0; i < resBlocks; i++, block++)
            {
                Resnet($"input_blocks.{block}.0.", $"down_blocks.{level}.resnets.{i}.");
                names[$"input_blocks.{block}.1."] = $"down_blocks.{level}.attentions.{i}.";
            }
            if (level != levels - 1)
                names[$"input_blocks.{block++}.0.op."] = $"down_blocks.{level}.downsamplers.0.conv.";
        }
        Resnet("middle_block.0.", "mid_block.resnets.0.");
        names["middle_block.1."] = "mid_block.attentions.0.";
        Resnet("middle_block.2.", "mid_block.resnets.1.");
        block = 0;
        for (int level = 0; level < levels; level++)
        {
            for (int i = 0; i <= resBlocks; i++, block++)
            {
                int module = 0;
                Resnet($"output_blocks.{block}.{module++}.", $"up_blocks.{level}.resnets.{i}.");
                if (unet.Names.Any(name => name.StartsWith($"up_blocks.{level}.attentions.{i}.", StringComparison.Ordinal)))
                    names[$"output_blocks.{block}.{module++}."] = $"up_blocks.{level}.attentions.{i}.";
                if (i == resBlocks && level != levels - 1)
                    names[$"output_blocks.{block}.{module}.conv."] = $"up_blocks.{level}.upsamplers.0.conv.";
            }
        }
        names["out.0."] = "conv_norm_out.";
        names["out.2."] = "conv_out.";
        CopyAll(unet, names, "model.diffusion_model.");
    }

    private void Autoencoder()
    {
        using var vae = WeightSource.Open(Path.Combine(_folder, "vae"));
        var config = ModelConfig.Read(Path.Combine(_folder, "vae", "config.json"));
        int levels = config.Ints("block_out_channels").Length;
        int resBlocks = config.Int("layers_per_block", 1);
        var names = new Dictionary<string, string> { ["quant_conv."] = "quant_conv.", ["post_quant_conv."] = "post_quant_conv." };
        void Resnet(string ldm, string diffusers)
        {
            foreach (string same in new[] { "norm1.", "conv1.", "norm2.", "conv2." })
                names[ldm + same] = diffusers + same;
            names[ldm + "nin_shortcut."] = diffusers + "conv_shortcut.";
        }

        foreach (string side in new[] { "encoder.", "decoder." })
        {
            names[side + "conv_in."] = side + "conv_in.";
            Resnet(side + "mid.block_1.", side + "mid_block.resnets.0.");
            Resnet(side + "mid.block_2.", side + "mid_block.resnets.1.");
            string attention = side + "mid_block.attentions.0.";
            names[side + "mid.attn_1.norm."] = attention + "group_norm.";
            bool old = vae.Names.Any(name => name.StartsWith(attention + "query.", StringComparison.Ordinal));
            foreach (
                var (ldm, now, before) in new[] {
                    ("q.", "to_q.", "query."), ("k.", "to_k.", "key."), ("v.", "to_v.", "value."),
                    ("proj_out.", "to_out.0.", "proj_attn.") })
                names[$"{side}mid.attn_1.{ldm}"] = attention + (old ? before : now);
            names[side + "norm_out."] = side + "conv_norm_out.";
            names[side + "conv_out."] = side + "conv_out.";
        }
        for (int level = 0; level < levels; level++)
        {
            for (int i = 0; i < resBlocks; i++)
                Resnet($"encoder.down.{level}.block.{i}.", $"encoder.down_blocks.{level}.resnets.{i}.");
            names[$"encoder.down.{level}.downsample.conv."] = $"encoder.down_blocks.{level}.downsamplers.0.conv.";

            // The original decoder prepends its levels: up.0 is the last one that runs.
            int running = levels - 1 - level;
            for (int i = 0; i <= resBlocks; i++)
                Resnet($"decoder.up.{level}.block.{i}.", $"decoder.up_blocks.{running}.resnets.{i}.");
            names[$"decoder.up.{level}.upsample.conv."] = $"decoder.up_blocks.{running}.upsamplers.0.conv.";
        }
        CopyAll(
            vae, names, "first_stage_model.",
            (ldm, tensor) => ldm.Contains("mid.attn_1", StringComparison.Ordinal) && tensor.Dimensions.Count == 2
                ? [.. tensor.Dimensions, 1, 1]
                : []);
    }

    private void Transformers(string prefix)
    {
        using var encoder = WeightSource.Open(Path.Combine(_folder, "text_encoder"));
        foreach (var tensor in encoder.Entries)
            _file.Copy(tensor, prefix + tensor.Name);
    }

    private void OpenClip(string component, string prefix, bool extraLayer)
    {
        using var encoder = WeightSource.Open(Path.Combine(_folder, component));
        var tensors = encoder.Entries.ToDictionary(
            tensor => tensor.Name["text_model.".Length..] is var name && tensor.Name.StartsWith("text_model.", StringComparison.Ordinal)
                ? name
                : tensor.Name);
        void Copy(string theirs, string ours) => _file.Copy(tensors[ours], prefix + theirs);
        Copy("token_embedding.weight", "embeddings.token_embedding.weight");
        Copy("positional_embedding", "embeddings.position_embedding.weight");
        int layers = ModelConfig.Read(Path.Combine(_folder, component, "config.json")).Int("num_hidden_layers", 0);
        for (int i = 0; i < layers + (extraLayer ? 1 : 0); i++)
        {
            // Stable Diffusion 2 was trained on the output of the last layer but one; its files hold the last one too.
            var (theirs, ours) = ($"transformer.resblocks.{i}.", $"encoder.layers.{Math.Min(i, layers - 1)}.");
            foreach (string kind in new[] { "weight", "bias" })
            {
                var parts = "qkv".Select(letter => tensors[$"{ours}self_attn.{letter}_proj.{kind}"]).ToArray();
                _file.Add(
                    $"{prefix}{theirs}attn.in_proj_{kind}", parts[0].Type, [.. parts.SelectMany(SafetensorsWriter.Bytes)],
                    [3 * parts[0].Dimensions[0], .. parts[0].Dimensions.Skip(1)]);
                Copy($"{theirs}attn.out_proj.{kind}", $"{ours}self_attn.out_proj.{kind}");
                Copy($"{theirs}ln_1.{kind}", $"{ours}layer_norm1.{kind}");
                Copy($"{theirs}ln_2.{kind}", $"{ours}layer_norm2.{kind}");
                Copy($"{theirs}mlp.c_fc.{kind}", $"{ours}mlp.fc1.{kind}");
                Copy($"{theirs}mlp.c_proj.{kind}", $"{ours}mlp.fc2.{kind}");
            }
        }
        Copy("ln_final.weight", "final_layer_norm.weight");
        Copy("ln_final.bias", "final_layer_norm.bias");
        _file.Add(prefix + "logit_scale", [4.6f]);
        if (tensors.TryGetValue("text_projection.weight", out var projection))
        {
            var (rows, columns) = ((int)projection.Dimensions[0], (int)projection.Dimensions[1]);
            byte[] bytes = SafetensorsWriter.Bytes(projection);
            int size = bytes.Length / rows / columns;
            byte[] transposed = new byte[bytes.Length];
            for (int i = 0; i < rows * columns; i++)
                bytes.AsSpan(i * size, size).CopyTo(transposed.AsSpan((i % columns * rows + i / columns) * size));
            _file.Add(prefix + "text_projection", projection.Type, transposed, columns, rows);
        }
        else
        {
            _file.Add(prefix + "text_projection", new float[6], 2, 3);
        }
    }

    private void CopyAll(
        WeightSource checkpoint, Dictionary<string, string> names, string prefix, Func<string, TensorEntry, long[]>? shape = null)
    {
        var tensors = checkpoint.Entries.ToList();
        foreach (var (ldm, diffusers) in names)
        {
            foreach (var tensor in tensors.Where(tensor => tensor.Name.StartsWith(diffusers, StringComparison.Ordinal)).ToArray())
            {
                _file.Copy(tensor, prefix + ldm + tensor.Name[diffusers.Length..], shape?.Invoke(ldm, tensor) ?? []);
                tensors.Remove(tensor);
            }
        }
        Assert.Empty(tensors);
    }
}
