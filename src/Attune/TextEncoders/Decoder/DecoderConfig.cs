using Attune.Layers;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.TextEncoders.Decoder;

/// <summary>What config.json, or the text part of one, says of a language model, with the defaults of transformers.</summary>
internal sealed record DecoderConfig
{
    public required int VocabSize { get; init; }

    public required int HiddenSize { get; init; }

    public required int IntermediateSize { get; init; }

    public required int NumHiddenLayers { get; init; }

    public required int NumAttentionHeads { get; init; }

    public required int NumKeyValueHeads { get; init; }

    /// <summary>Channels of a head; all heads together may be more or fewer than the hidden channels.</summary>
    public required int HeadDim { get; init; }

    public required float RmsNormEps { get; init; }

    public required Activation HiddenAct { get; init; }

    public required RotaryPositionTable Rotary { get; init; }

    /// <summary>Whether queries, keys and values have a bias (Qwen2.5).</summary>
    public bool QkvBias { get; init; }

    /// <summary>Whether the output of the attention has a bias.</summary>
    public bool OutputBias { get; init; }

    /// <summary>Whether queries and keys are normalised per head (Qwen3).</summary>
    public bool QkNorm { get; init; }

    /// <summary>
    /// Whether attention and feed-forward have a norm behind them too, and norms multiply by 1 + weight, as in Gemma 2.
    /// </summary>
    public bool NormsBehind { get; init; }

    /// <summary>What token embeddings are multiplied by.</summary>
    public float EmbeddingScale { get; init; } = 1;

    /// <summary>What logits are multiplied by.</summary>
    public required float LogitScale { get; init; }

    /// <summary>Logits z become cap tanh(z / cap); 0 leaves them.</summary>
    public float LogitCap { get; init; }

    public int QueryChannels => NumAttentionHeads * HeadDim;

    public int KeyChannels => NumKeyValueHeads * HeadDim;

    /// <summary>How many keys a query of a layer sees at most, 0 for all before it; empty where no layer has such a bound.</summary>
    public IReadOnlyList<int> Windows { get; init; } = [];

    /// <summary>The bound of one layer.</summary>
    public int WindowOf(int layer) => Windows.Count == 0 ? 0 : Windows[layer];

    /// <summary>A norm of the model.</summary>
    public RmsNorm Norm(WeightCursor at, int channels) => new(at, channels, RmsNormEps, plusOne: NormsBehind);

    public static DecoderConfig Read(ModelConfig whole)
    {
        string outer = whole.String("model_type", "");
        var config = whole.Object("text_config") ?? whole;
        string type = config.String("model_type", outer);
        bool gemma = type == "gemma2";
        bool qwen2 = type is "qwen2" or "qwen2_5_vl" or "qwen2_5_vl_text";
        bool qwen3 = type is "qwen3" or "qwen3_vl" or "qwen3_vl_text";
        if (!gemma && !qwen2 && !qwen3 && type is not ("mistral" or "ministral3"))
        {
            throw new CheckpointException(
                $"'{whole.Path}': model_type is '{type}'; the language models that are supported as text encoders are Qwen2.5-VL, Qwen3, "
                    + "Qwen3-VL, Mistral 3, Ministral 3 and Gemma 2.");
        }
        int hidden = Required(config, "hidden_size", config.OptionalSize);
        int heads = Required(config, "num_attention_heads", key => config.Has(key) ? config.Heads(key, 0) : null);
        int layers = Required(config, "num_hidden_layers", key => config.Has(key) ? config.Layers(key, 0) : null);
        int headDim = config.Size("head_dim", gemma ? 256 : qwen3 ? 128 : hidden / heads);
        int keyHeads = config.Heads("num_key_value_heads", heads);
        if (keyHeads < 1 || heads % keyHeads != 0)
            throw new CheckpointException($"'{whole.Path}': num_key_value_heads {keyHeads} does not divide num_attention_heads {heads}.");
        if (headDim % 2 != 0)
            throw new CheckpointException($"'{whole.Path}': head_dim is {headDim}, expected an even number.");
        bool bias = config.Bool("attention_bias", false);
        return new DecoderConfig
        {
            VocabSize = Required(config, "vocab_size", config.OptionalLength),
            HiddenSize = hidden,
            IntermediateSize = Required(config, "intermediate_size", config.OptionalSize),
            NumHiddenLayers = layers,
            NumAttentionHeads = heads,
            NumKeyValueHeads = keyHeads,
            HeadDim = headDim,
            RmsNormEps = config.Epsilon("rms_norm_eps", 1e-6),
            HiddenAct = config.Activation(
                config.Has("hidden_activation") ? "hidden_activation" : "hidden_act", gemma ? "gelu_pytorch_tanh" : "silu"),
            Rotary = RotaryPositionTable.Read(config, headDim, gemma || qwen2 || qwen3 ? 10000 : 1_000_000, inTurn: !qwen2),
            QkvBias = qwen2 || bias,
            OutputBias = bias,
            QkNorm = qwen3,
            NormsBehind = gemma,
            EmbeddingScale = gemma ? MathF.Sqrt(hidden) : 1,
            LogitScale = 1 / MathF.Sqrt(gemma ? (float)config.Positive("query_pre_attn_scalar", 256) : headDim),
            LogitCap = gemma ? config.Float("attn_logit_softcapping", 50) : 0,
            Windows = ReadWindows(config, layers, gemma),
        };
    }

    /// <summary>
    /// The windows of all layers, as layer_types says; without it Gemma 2 alternates, and the others have none unless use_sliding_window
    /// says so, which no text encoder of a diffusion model does.
    /// </summary>
    private static int[] ReadWindows(ModelConfig config, int layers, bool gemma)
    {
        int? window = config.OptionalLength("sliding_window") ?? (gemma ? 4096 : null);
        string[] types = config.Strings("layer_types");
        if (types.Length != 0 && types.Length != layers)
            throw new CheckpointException($"'{config.Path}': layer_types has {types.Length} entries, expected {layers}.");
        if (window is not { } keys)
            return [];
        if (types.Length > 0)
            return [.. types.Select(type => type == "sliding_attention" ? keys : 0)];
        if (gemma)
            return [.. Enumerable.Range(0, layers).Select(i => i % 2 == 0 ? keys : 0)];
        if (!config.Bool("use_sliding_window", false))
            return [];
        throw new CheckpointException($"'{config.Path}': use_sliding_window without layer_types is not supported.");
    }

    private static int Required(ModelConfig config, string key, Func<string, int?> read) =>
        read(key) ?? throw new CheckpointException($"'{config.Path}': {key} is missing.");
}
