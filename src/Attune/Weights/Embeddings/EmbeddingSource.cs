using Attune.Tensors;

namespace Attune.Weights.Embeddings;

/// <summary>A name that a tokenizer cuts out of texts, and the ids that it becomes.</summary>
/// <param name="Content">The name.</param>
/// <param name="Ids">Its ids, one for each vector.</param>
internal sealed record NamedTokens(string Content, IReadOnlyList<int> Ids);

/// <summary>
/// A model with embeddings of textual inversion: their vectors become rows of the CLIP encoders' tables, behind the vocabulary and in the
/// order of the files; the tokenizers find their names. The first end of text stays where a text is pooled, however large the new ids are.
/// </summary>
internal sealed class EmbeddingSource : ModelSource
{
    private static readonly (string Encoder, string Tokenizer)[] Stages =
        [("text_encoder", "tokenizer"), ("text_encoder_2", "tokenizer_2"), ("text_encoder_3", "tokenizer_3")];

    private readonly ModelSource _model;
    private readonly Dictionary<string, Stage> _stages = new(StringComparer.Ordinal);

    /// <param name="model">The model.</param>
    /// <param name="embeddings">The embeddings, in order.</param>
    /// <param name="sizeOf">How many tokens the tokenizer of a name has.</param>
    /// <exception cref="CheckpointException">An embedding is of another family.</exception>
    public EmbeddingSource(ModelSource model, IReadOnlyList<TokenVectors> embeddings, Func<string, int> sizeOf)
        : base(model.Device)
    {
        _model = model;
        foreach (var (encoder, tokenizer) in Stages.Where(stage => model.Has(stage.Encoder)))
        {
            using var weights = model.Component(encoder).OpenWeights();
            const string Table = "embeddings.token_embedding.weight";
            if (weights.Names.FirstOrDefault(name => name.EndsWith(Table, StringComparison.Ordinal)) is { } table
                && weights.ShapeOf(table) is { Rank: 2 } shape)
                _stages.Add(encoder, new Stage(tokenizer, table, shape, sizeOf(tokenizer)));
        }
        if (_stages.Count == 0)
            throw new CheckpointException($"'{model.Path}' has no CLIP text encoder, which embeddings of textual inversion are for.");
        foreach (var embedding in embeddings)
            Add(embedding);
        CheckPairs(embeddings);
    }

    /// <inheritdoc/>
    public override string Path => _model.Path;

    /// <inheritdoc/>
    public override ModelConfig Index => _model.Index;

    /// <inheritdoc/>
    public override ModelConfig Scheduler => _model.Scheduler;

    /// <inheritdoc/>
    public override bool Has(string component) => _model.Has(component);

    /// <inheritdoc/>
    public override string Tokenizer(string name) => _model.Tokenizer(name);

    /// <inheritdoc/>
    public override ComponentSource Component(string name)
    {
        var component = _model.Component(name);
        if (!_stages.TryGetValue(name, out var stage) || stage.Rows.Count == 0)
            return component;
        var config = component.Config.Object("text_config") is { } inner ? inner : component.Config;
        return new ComponentSource(
            config.With("vocab_size", stage.Height).With("first_added_token", stage.First), Device,
            () => new ExtendedTable(component.OpenWeights(), stage.Table, stage.Height, stage.First, stage.Rows));
    }

    /// <inheritdoc/>
    internal override IReadOnlyList<NamedTokens> AddedTokens(string tokenizer) =>
        _stages.Values.FirstOrDefault(stage => stage.Tokenizer == tokenizer)?.Tokens ?? [];

    private void Add(TokenVectors embedding)
    {
        string[] fitting =
        [
            .. _stages.Where(stage => stage.Value.Shape[1] == embedding.Width && (embedding.Encoder == EmbeddingFile.Any
                || embedding.Encoder == stage.Key || _stages.Count == 1)).Select(stage => stage.Key),
        ];
        if (fitting.Length == 0)
            throw new CheckpointException(
                $"'{embedding.File}': the vectors {embedding.Key} have {embedding.Width} channels{FamilyOf(embedding.Width)}; the text "
                    + $"encoders of '{Path}' have {string.Join(", ", _stages.Select(stage => $"{stage.Value.Shape[1]} ({stage.Key})"))}.");
        var stage = _stages[fitting[0]];
        if (stage.Tokens.Exists(token => token.Content == embedding.Token))
            throw new CheckpointException(
                $"'{embedding.File}': the token '{embedding.Token}' is that of another embedding; give one of them another name, as "
                    + "FILE:TOKEN.");
        stage.Tokens.Add(new NamedTokens(embedding.Token, [.. Enumerable.Range(stage.First + stage.Rows.Count, embedding.Vectors.Length)]));
        stage.Rows.AddRange(embedding.Vectors);
    }

    /// <summary>A model with two CLIP encoders reads a name with both: vectors for one alone are of another family.</summary>
    private void CheckPairs(IReadOnlyList<TokenVectors> embeddings)
    {
        foreach (var embedding in embeddings)
        {
            string[] without = [.. _stages.Where(stage => !stage.Value.Tokens.Exists(token => token.Content == embedding.Token))
                .Select(stage => stage.Key)];
            if (without.Length > 0)
                throw new CheckpointException(
                    $"'{embedding.File}': the token '{embedding.Token}' has vectors of {embedding.Width} "
                        + $"channels{FamilyOf(embedding.Width)}, but none for {string.Join(", ", without)} of '{Path}'; expected a file "
                        + $"for this model, with vectors for {string.Join(" and ", _stages.Keys)} (clip_l and clip_g).");
        }
    }

    /// <summary>Which models have text encoders of a width, for messages.</summary>
    internal static string FamilyOf(int width) => width switch
    {
        768 => ", those of CLIP-L (Stable Diffusion 1.x, or half of a pair for SDXL)",
        1024 => ", those of Stable Diffusion 2.x",
        1280 => ", those of CLIP-G (half of a pair for SDXL)",
        4096 => ", those of T5",
        _ => "",
    };

    /// <summary>A text encoder's table and what is added to it.</summary>
    private sealed class Stage(string tokenizer, string table, Shape shape, int first)
    {
        public string Tokenizer => tokenizer;

        public string Table => table;

        public Shape Shape => shape;

        /// <summary>The id of the first new row: the tokenizer's size.</summary>
        public int First => first;

        public List<float[]> Rows { get; } = [];

        public List<NamedTokens> Tokens { get; } = [];

        /// <summary>The rows of the new table. Tables may have more rows than the tokenizer has tokens; those are never read.</summary>
        public int Height => Math.Max(shape[0], first + Rows.Count);
    }

    /// <summary>Weights of which one table has other rows from a place on, in float32.</summary>
    private sealed class ExtendedTable(WeightSource source, string table, int height, int first, IReadOnlyList<float[]> rows) : WeightSource
    {
        public override string Path => source.Path;

        public override IReadOnlyCollection<string> Names => source.Names;

        public override TensorEntry? Describe(string name)
        {
            var entry = source.Describe(name);
            return name == table ? entry! with { Dimensions = [height, entry.Dimensions[1]] } : entry;
        }

        public override StoredWeight? Find(string name, Shape? expected = null)
        {
            if (name != table)
                return source.Find(name, expected);
            using var stored = source.Find(name)!;
            var shape = stored.Shape.With(0, height);
            using var scope = new TensorScope();
            var values = Tensor.Zeros(Devices.Managed, shape);
            using (var view = values.Write())
            {
                stored.Widen(0, view.Span[..(int)stored.Shape.Count]);
                for (int i = 0; i < rows.Count; i++)
                    rows[i].CopyTo(view.Row(first + i));
            }
            return StoredWeight.Owning(name, values);
        }

        protected override void Dispose(bool disposing) => source.Dispose();
    }
}
