using System.Text;
using Attune.Attention;
using Attune.Models.Chroma;
using Attune.Models.ErnieImage;
using Attune.Models.Flux2;
using Attune.Models;
using Attune.Models.Krea2;
using Attune.Models.PixArt;
using Attune.Models.QwenImage;
using Attune.Models.QwenImage21;
using Attune.Models.Sana;
using Attune.Models.StableDiffusion3;
using Attune.Models.Wan;
using Attune.Models.ZImage;
using Attune.Prompts;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Bench;

/// <summary>
/// A few blocks of a transformer over a token stream, of real size, with random bfloat16 weights. No block is the last: all rows are
/// computed. Tensors belong to the scope in which it is made.
/// </summary>
internal sealed class StreamBlocks
{
    private readonly Action<TokenStream> _run;
    private readonly Func<IAttention, TokenPart[], TokenStream> _pack;
    private readonly TokenPart[] _parts;
    private readonly double _linearOfRow;
    private readonly int _blocks;
    private readonly int _width;

    private StreamBlocks(
        string description, int blocks, int width, double weightsOfRow, TokenPart[] parts,
        Func<IAttention, TokenPart[], TokenStream> pack, Action<TokenStream> run)
    {
        (Description, _blocks, _width, _linearOfRow) = (description, blocks, width, 2 * weightsOfRow * width * width);
        (_parts, _pack, _run) = (parts, pack, run);
    }

    /// <summary>The shapes, and the text tokens of a prompt where none are asked for.</summary>
    public static IReadOnlyDictionary<string, int> Shapes { get; } = new Dictionary<string, int>
    {
        ["sd35"] = 333, ["flux2-klein"] = 512, ["qwen-image"] = 256, ["z-image"] = 128, ["chroma"] = 256,
        ["ernie-image"] = 256, ["qwen-image-2.1"] = 64, ["qwen-image-2.1-reference"] = 64, ["krea2"] = 256,
        ["wan-1.3b"] = 512, ["wan-14b"] = 512, ["sana"] = 300, ["pixart"] = 300,
    };

    /// <summary>What they are.</summary>
    public string Description { get; }

    /// <summary>
    /// The arithmetic of a pass without the negative text: linear layers, two operations for each weight that a row meets, and attention.
    /// </summary>
    public double Operations =>
        _blocks * (_linearOfRow * Rows + Pair * Rows * ((LatentsAttend ? Latents + Text : Text) + RowsOf(TokenKind.Reference)));

    /// <summary>
    /// What the negative text adds: its rows, its attention to itself and the latents, and that of the latents to it, and once more to
    /// each other or to references where these stand elsewhere beside it.
    /// </summary>
    public double NegativeOperations => _blocks
        * (Pair * Latents * NegativeText
            + (TextIsPrefix ? 0 : _linearOfRow * NegativeText + Pair * NegativeText * (NegativeText + Latents))
            + Pair * Latents * _parts.Where(part => part.BesideNegative != null).Sum(part => part.Rows.Shape[1]));

    /// <summary>What sparse attention over the text adds: its product with the values.</summary>
    public double SparseOperations => _blocks * Pair / 2 * Latents * Text;

    /// <summary>Whether texts are no rows of a pass, but keys and values that were made before.</summary>
    private bool TextIsPrefix { get; init; }

    /// <summary>Whether each latent attends to each, as linear attention does not.</summary>
    private bool LatentsAttend { get; init; } = true;

    private double Rows => TextIsPrefix ? Latents : Latents + Text;

    private double Latents => RowsOf(TokenKind.Latent);

    private double Text => RowsOf(TokenKind.Text);

    private double NegativeText => RowsOf(TokenKind.NegativeText);

    private double Pair => 4.0 * _width;

    /// <summary>Makes blocks and their input; the negative prompt is as long as the prompt, or longer by one token where that costs
    /// more.</summary>
    /// <param name="shape">One of <see cref="Shapes"/>.</param>
    /// <param name="device">What computes.</param>
    /// <param name="latents">Latent tokens, the square of a whole number.</param>
    /// <param name="text">Text tokens of each prompt.</param>
    /// <param name="noise">Draws inputs.</param>
    public static StreamBlocks Of(string shape, Device device, int latents, int text, Func<Shape, Tensor> noise)
    {
        int side = (int)Math.Sqrt(latents);
        if (side * side != latents)
            throw new ArgumentException($"--latents is {latents}, expected the square of a whole number.");
        var grid = new LatentGrid(1, side, side);
        var root = RandomWeights.Checkpoint(device, seed: 1).Root;
        return shape switch
        {
            "sd35" => Large35(root, grid, text, noise),
            "flux2-klein" => Klein(root, grid, text, noise),
            "qwen-image" => Qwen(root, grid, text, noise),
            "z-image" => ZImage(root, grid, text, noise),
            "ernie-image" => Ernie(root, grid, text, noise),
            "qwen-image-2.1" => Qwen21(root, grid, text, noise, reference: false),
            "qwen-image-2.1-reference" => Qwen21(root, grid, text, noise, reference: true),
            "krea2" => Krea(root, grid, text, noise),
            "wan-1.3b" => Wan("1.3B", """{ "num_attention_heads": 12, "ffn_dim": 8960 }""", root, grid, text, noise),
            "wan-14b" => Wan("14B", "{}", root, grid, text, noise),
            "sana" => Sana(root, grid, text, noise),
            "pixart" => PixArt(root, grid, text, noise),
            _ => Chroma(root, grid, text, noise),
        };
    }

    /// <summary>One forward pass, with or without the negative text.</summary>
    public void Pass(IAttention attention, bool negative)
    {
        using var scope = new TensorScope();
        using var stream = _pack(attention, negative ? _parts : [.. _parts.Where(part => part.Kind != TokenKind.NegativeText)]);
        _run(stream);
    }

    private int RowsOf(TokenKind kind) => _parts.Where(part => part.Kind == kind).Sum(part => part.Rows.Shape[1]);

    private static StreamBlocks Large35(WeightCursor root, LatentGrid grid, int text, Func<Shape, Tensor> noise)
    {
        var config = StableDiffusion3Config.Read(
            Json("""{ "num_layers": 38, "num_attention_heads": 38, "caption_projection_dim": 2432, "qk_norm": "rms_norm" }"""));
        JointBlock[] blocks = [.. Enumerable.Range(0, 2)
            .Select(i => new JointBlock(root.At("transformer_blocks", i), config, second: false, last: false))];
        var time = new TimeEmbeddings(noise([1, config.Width]), noise([1, config.Width]));
        TokenPart[] parts =
        [
            new(TokenKind.Latent, noise([1, grid.Count, config.Width]), TokenIds.Same(grid.Count, 0), grid),
            new(TokenKind.Text, noise([1, text, config.Width]), TokenIds.Same(text, 0)),
            new(TokenKind.NegativeText, noise([1, text, config.Width]), TokenIds.Same(text, 0)),
        ];
        return new StreamBlocks(
            "Stable Diffusion 3.5 large blocks (2)", blocks.Length, config.Width, 12, parts,
            (attention, given) => new TokenStream(attention, config.AttentionHeadDim, StableDiffusion3Config.Epsilon, null, given),
            stream => Run(blocks, stream, time));
    }

    private static StreamBlocks Klein(WeightCursor root, LatentGrid grid, int text, Func<Shape, Tensor> noise)
    {
        var config = Flux2Config.Read(Json("""{ "num_attention_heads": 24, "joint_attention_dim": 7680, "guidance_embeds": false }"""));
        IStreamBlock<Flux2Modulations>[] blocks =
        [
            new Flux2DoubleBlock(root.At("transformer_blocks.0"), config),
            new Flux2SingleBlock(root.At("single_transformer_blocks.0"), config),
            new Flux2SingleBlock(root.At("single_transformer_blocks.1"), config),
        ];
        var time = new Flux2Time(root, config).Blocks(new TimeEmbeddings(noise([1, config.Width])));
        var parts = TextFirst(config.Width, grid, text, TokenIds.Along(text, 4, 3), TokenIds.Of(grid, axes: 4), noise);
        return new StreamBlocks(
            "FLUX.2 klein 4B blocks (1 double, 2 single)", blocks.Length, config.Width, 13, parts,
            (attention, given) => new TokenStream(attention, config.AttentionHeadDim, config.Epsilon, config.Rotary, given),
            stream => Run(blocks, stream, time));
    }

    private static StreamBlocks Qwen(WeightCursor root, LatentGrid grid, int text, Func<Shape, Tensor> noise)
    {
        var config = QwenImageConfig.Read(Json("{}"));
        QwenImageBlock[] blocks =
            [.. Enumerable.Range(0, 2).Select(i => new QwenImageBlock(root.At("transformer_blocks", i), config))];
        var time = new TimeEmbeddings(noise([1, config.Width]));
        var ids = TokenIds.Diagonal(text, 3, grid.Height / 2);
        var parts = TextFirst(config.Width, grid, text, ids, TokenIds.Centred(grid), noise);
        return new StreamBlocks(
            "Qwen-Image blocks (2)", blocks.Length, config.Width, 12, parts,
            (attention, given) => new TokenStream(attention, config.AttentionHeadDim, QwenImageConfig.Epsilon, config.Rotary, given),
            stream => Run(blocks, stream, time));
    }

    private static StreamBlocks Chroma(WeightCursor root, LatentGrid grid, int text, Func<Shape, Tensor> noise)
    {
        var config = ChromaConfig.Read(Json("""{ "num_layers": 1, "num_single_layers": 2 }"""));
        IStreamBlock<ChromaTime>[] blocks =
        [
            new ChromaDoubleBlock(root.At("transformer_blocks.0"), config, 0),
            new ChromaSingleBlock(root.At("single_transformer_blocks.0"), config, 0),
            new ChromaSingleBlock(root.At("single_transformer_blocks.1"), config, 1),
        ];
        var time = new ChromaTime(noise([1, 3 * config.NumSingleLayers + 12 * config.NumLayers + 2, config.Width]), config);
        var parts = TextFirst(config.Width, grid, text, TokenIds.Same(text, 0, 0, 0), TokenIds.Of(grid), noise);
        return new StreamBlocks(
            "Chroma blocks (1 double, 2 single)", blocks.Length, config.Width, 12, parts,
            (attention, given) => new TokenStream(attention, config.AttentionHeadDim, ChromaConfig.Epsilon, config.Rotary, given),
            stream => Run(blocks, stream, time));
    }

    private static StreamBlocks ZImage(WeightCursor root, LatentGrid grid, int text, Func<Shape, Tensor> noise)
    {
        var config = ZImageConfig.Read(Json("{}"));
        ZImageBlock[] blocks =
            [.. Enumerable.Range(0, 2).Select(i => new ZImageBlock(root.At("layers", i), config, modulated: true))];
        var time = new TimeEmbeddings(noise([1, config.TimeChannels]));
        var ids = TokenIds.Along(text, 3, 0, first: 1);
        TokenPart[] parts =
        [
            new(TokenKind.Latent, noise([1, grid.Count, config.Dim]), TokenIds.Of(grid, text + 1), grid),
            new(TokenKind.Text, noise([1, text, config.Dim]), ids), new(TokenKind.NegativeText, noise([1, text, config.Dim]), ids),
        ];
        return new StreamBlocks(
            "Z-Image blocks (2)", blocks.Length, config.Dim, 12, parts,
            (attention, given) => new TokenStream(attention, config.HeadChannels, config.Epsilon, config.Rotary, given),
            stream => Run(blocks, stream, time));
    }

    /// <summary>The negative text is one token longer, so that the latents stand elsewhere beside it.</summary>
    private static StreamBlocks Ernie(WeightCursor root, LatentGrid grid, int text, Func<Shape, Tensor> noise)
    {
        var config = ErnieImageConfig.Read(
            Json("""{ "hidden_size": 4096, "num_attention_heads": 32, "ffn_hidden_size": 12288, "text_in_dim": 3072 }"""));
        ErnieImageBlock[] blocks = [.. Enumerable.Range(0, 2).Select(i => new ErnieImageBlock(root.At("layers", i), config))];
        int width = config.HiddenSize;
        var layer = new ModulationLayer(root.At("adaLN_modulation.1"), width, ModulationForm.ShiftScaleGate(branches: 2));
        var time = new TimeEmbeddings(noise([1, width])).Through(layer).Make(TokenKind.Latent);
        TokenPart Text(TokenKind kind, int length) => new(kind, noise([1, length, width]), TokenIds.Along(length, 3, 0));
        TokenPart[] parts =
        [
            Text(TokenKind.NegativeText, text + 1),
            new(TokenKind.Latent, noise([1, grid.Count, width]), TokenIds.Of(grid, text), grid)
            {
                BesideNegative = TokenIds.Of(grid, text + 1),
            },
            Text(TokenKind.Text, text),
        ];
        return new StreamBlocks(
            "ERNIE-Image blocks (2), texts of unequal length", blocks.Length, width, 13, parts,
            (attention, given) => new TokenStream(attention, config.HeadChannels, config.Epsilon, config.Rotary, given),
            stream => Run(blocks, stream, time));
    }

    /// <summary>Beside a reference, of as many latents, the negative text is one token longer, so that it stands elsewhere.</summary>
    private static StreamBlocks Qwen21(WeightCursor root, LatentGrid grid, int text, Func<Shape, Tensor> noise, bool reference)
    {
        var config = QwenImage21Config.Read(Json("{}"));
        QwenImage21Block[] blocks =
            [.. Enumerable.Range(0, 2).Select(i => new QwenImage21Block(root.At("transformer_blocks", i), config, i))];
        int width = config.Width;
        var layer = new ModulationLayer(root.At("modulation.1"), width, QwenImage21Block.Form, bias: false);
        var time = new TimeEmbeddings(noise([1, width])).Through(layer).Make(TokenKind.Latent);
        var made = noise([2 * blocks.Length, text + 1 + (reference ? grid.Count : 0), width]);
        TokenPart Text(TokenKind kind, int length) => new(kind, noise([1, length, width]), TokenIds.Diagonal(length, 3, 0));
        TokenPart[] parts =
        [
            Text(TokenKind.NegativeText, reference ? text + 1 : text), Text(TokenKind.Text, text),
            .. reference
                ? new TokenPart[]
                {
                    new(TokenKind.Reference, noise([1, grid.Count, width]), TokenIds.Centred(grid, 3))
                    {
                        BesideNegative = TokenIds.Centred(grid, 2),
                    },
                }
                : [],
            new(TokenKind.Latent, noise([1, grid.Count, width]), TokenIds.Centred(grid, text + (reference ? grid.Width : 0)), grid),
        ];
        return new StreamBlocks(
            $"Qwen-Image-2.1 blocks (2), texts {(reference ? "of unequal length and a reference " : "")}made before", blocks.Length,
            width, 13, parts,
            (attention, given) => new TokenStream(attention, config.AttentionHeadDim, config.Epsilon, config.Rotary, given[^1])
            {
                Prefix = [.. given[..^1].Select(part => new PrefixPart(
                    part.Kind, made, part.Kind == TokenKind.Reference ? text + 1 : 0, part.Ids) { BesideNegative = part.BesideNegative })],
            },
            stream => Run(blocks, stream, time))
        {
            TextIsPrefix = true,
        };
    }

    private static StreamBlocks Krea(WeightCursor root, LatentGrid grid, int text, Func<Shape, Tensor> noise)
    {
        var config = Krea2Config.Read(Json("{}"));
        Krea2Block[] blocks = [.. Enumerable.Range(0, 2).Select(i => new Krea2Block(root.At("transformer_blocks", i), config))];
        var time = noise([1, 6, config.Width]);
        var parts = TextFirst(config.Width, grid, text, TokenIds.Same(text, 0, 0, 0), TokenIds.Of(grid), noise);

        // Queries, gate and output of the whole width, keys and values of a quarter of it; three matrices of 8/3 of the width.
        double weights = 3 + 2.0 * config.NumKeyValueHeads / config.NumAttentionHeads + 3.0 * config.IntermediateSize / config.Width;
        return new StreamBlocks(
            "Krea 2 blocks (2)", blocks.Length, config.Width, weights, parts,
            (attention, given) => new TokenStream(attention, config.AttentionHeadDim, config.Epsilon, config.Rotary, given),
            stream => Run(blocks, stream, time));
    }

    private static StreamBlocks Wan(
        string name, string json, WeightCursor root, LatentGrid grid, int text, Func<Shape, Tensor> noise)
    {
        var config = WanConfig.Read(Json(json));
        WanBlock[] blocks = [.. Enumerable.Range(0, 2).Select(i => new WanBlock(root.At("blocks", i), config))];
        var modulation = noise([1, 6, config.Width]);
        var rotary = new RotaryAxes(config.RotaryChannels, WanTransformer.RotaryTheta);
        return Cross(
            $"Wan {name} blocks (2)", blocks, config.Width, config.AttentionHeadDim, 6 + 2.0 * config.FfnDim / config.Width, rotary, grid,
            text, noise, texts => new WanPass(modulation, null, texts, null, null));
    }

    private static StreamBlocks Sana(WeightCursor root, LatentGrid grid, int text, Func<Shape, Tensor> noise)
    {
        var config = SanaConfig.Read(Json("{}"));
        SanaBlock[] blocks = [.. Enumerable.Range(0, 2).Select(i => new SanaBlock(root.At("transformer_blocks", i), config))];
        var modulation = noise([1, 6, config.Width]);

        // The gated convolution widens to twice its channels, and its heads are small: what attention costs is that of a row.
        double weights = 6 + 3.0 * config.Hidden / config.Width + 2.0 * config.AttentionHeadDim / config.Width;
        return Cross(
            "Sana 1.6B blocks (2)", blocks, config.Width, config.CrossAttentionHeadDim, weights, null, grid, text, noise,
            texts => new SanaPass(modulation, texts, grid), latentsAttend: false);
    }

    private static StreamBlocks PixArt(WeightCursor root, LatentGrid grid, int text, Func<Shape, Tensor> noise)
    {
        var config = PixArtConfig.Read(Json("""{ "caption_channels": 4096 }"""));
        PixArtBlock[] blocks = [.. Enumerable.Range(0, 2).Select(i => new PixArtBlock(root.At("transformer_blocks", i), config))];
        var modulation = noise([1, 6, config.Width]);
        return Cross(
            "PixArt blocks (2)", blocks, config.Width, config.AttentionHeadDim, 14, null, grid, text, noise,
            texts => new PixArtPass(modulation, texts));
    }

    /// <summary>Blocks whose texts are read in cross-attention; keys and values are made once, as in a run.</summary>
    private static StreamBlocks Cross<TPass>(
        string description, IReadOnlyList<IStreamBlock<TPass>> blocks, int width, int headChannels, double weightsOfRow,
        RotaryAxes? rotary, LatentGrid grid, int text, Func<Shape, Tensor> noise, Func<PromptTexts, TPass> pass,
        bool latentsAttend = true)
    {
        const float Epsilon = 1e-6f;
        var memo = new Memo();
        var (positive, negative) = (new Prompt(noise([1, text, width])), new Prompt(noise([1, text, width])));
        TokenPart[] parts =
        [
            new(TokenKind.NegativeText, negative.Text, TokenIds.Same(text, 0)), new(TokenKind.Text, positive.Text, TokenIds.Same(text, 0)),
            new(TokenKind.Latent, noise([1, grid.Count, width]), TokenIds.OfFrames(grid), grid),
        ];
        PromptTexts? texts = null;
        return new StreamBlocks(
            description, blocks.Count, width, weightsOfRow, parts,
            (attention, given) =>
            {
                texts = new PromptTexts(attention, memo, positive, given.Length == parts.Length ? negative : null);
                return new TokenStream(attention, headChannels, Epsilon, rotary, given[^1]);
            },
            stream => Run(blocks, stream, pass(texts!)))
        {
            TextIsPrefix = true,
            LatentsAttend = latentsAttend,
        };
    }

    private sealed class Prompt(Tensor text) : Conditioning(text);

    private static TokenPart[] TextFirst(
        int width, LatentGrid grid, int text, TokenIds textIds, TokenIds ids, Func<Shape, Tensor> noise) =>
    [
        new(TokenKind.NegativeText, noise([1, text, width]), textIds), new(TokenKind.Text, noise([1, text, width]), textIds),
        new(TokenKind.Latent, noise([1, grid.Count, width]), ids, grid),
    ];

    private static void Run<TTime>(IReadOnlyList<IStreamBlock<TTime>> blocks, TokenStream stream, TTime time)
    {
        foreach (var block in blocks)
            block.Apply(stream, time);
    }

    private static ModelConfig Json(string text) => ModelConfig.Parse("released model", Encoding.UTF8.GetBytes(text));
}
