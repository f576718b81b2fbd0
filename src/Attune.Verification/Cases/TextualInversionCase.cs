using Attune.Generation;
using Attune.Tensors;
using Attune.TextEncoders.Clip;
using Attune.Tokenizers;

namespace Attune.Verification;

/// <summary>Embeddings on a checkpoint: the rows that they add, the ids that texts become, and what the encoders make of them.</summary>
internal sealed class TextualInversionCase : CaseKind
{
    private const string LargestId = "largest-id";

    public override string Kind => "textual-inversion";

    public override IReadOnlyCollection<string> Arguments { get; } = ["embeddings", "texts", "pooled"];

    /// <summary>The embeddings that a case loads.</summary>
    public static IEnumerable<EmbeddingWeights> Embeddings(GoldenCase golden)
    {
        if (!golden.Arguments.TryGetProperty("embeddings", out var list))
            yield break;
        foreach (var embedding in list.EnumerateArray())
        {
            if (embedding.EnumerateObject().Select(key => key.Name).FirstOrDefault(key => key is not ("file" or "token")) is { } unknown)
                throw new UnsupportedCaseException($"argument embeddings.{unknown}");
            yield return new EmbeddingWeights(
                Path.Combine(golden.Root, embedding.GetProperty("file").GetString()!), embedding.GetProperty("token").GetString());
        }
    }

    public override void Run(GoldenCase golden, Comparison results)
    {
        if (golden.OptionalText("pooled") == LargestId)
            throw new UnsupportedCaseException($"argument pooled: {LargestId}");
        var source = new LoadOptions { Device = golden.Device, Embeddings = [.. Embeddings(golden)] }.Open(golden.Checkpoint);
        bool pair = source.Has("text_encoder_2");
        string[] texts = golden.Texts("texts")!;
        var states = new List<Tensor>[texts.Length];
        for (int stage = 0; stage < (pair ? 2 : 1); stage++)
        {
            var (suffix, number) = (stage == 0 ? "" : "_2", stage == 0 ? "" : "_2");
            var tokenizer = Tokenizer.Load(source, "tokenizer" + number);
            int first = Tokenizer.Load(source.Tokenizer("tokenizer" + number), source.ClassOf("tokenizer" + number)).VocabularySize;
            var component = source.Component("text_encoder" + number);
            using (var weights = component.OpenWeights())
            {
                string table = weights.Names.Single(name => name.EndsWith("token_embedding.weight", StringComparison.Ordinal));
                using var stored = weights.Find(table)!;
                results.Check("rows" + suffix, stored.Rows(first, tokenizer.VocabularySize - first).ToTensor(golden.Device));
            }
            using var encoder = ClipTextModel.Load(component);
            for (int i = 0; i < texts.Length; i++)
            {
                var padded = new TokenizerOptions { MaxLength = encoder.MaxLength, Padding = TokenPadding.MaxLength, Truncation = true };
                int[] ids = tokenizer.Encode(texts[i], padded).Ids;
                results.CheckIntegers(FormattableString.Invariant($"input_ids{suffix}.{i}"), [.. ids.Select(id => (long)id)]);
                var output = encoder.Encode([ids], pair ? [-2] : null);
                (states[i] ??= []).Add(pair ? output.HiddenStates[0] : output.LastHiddenState!);
                if (stage == 1)
                    results.Check(FormattableString.Invariant($"pooled_prompt_embeds.{i}"), output.TextEmbeds!);
            }
        }
        for (int i = 0; i < texts.Length; i++)
            results.Check(
                FormattableString.Invariant($"prompt_embeds.{i}"),
                states[i].Count == 1 ? states[i][0] : TensorOperations.Concatenate(2, [.. states[i]]));
    }
}
