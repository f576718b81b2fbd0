using System.Text.Json;
using Attune.Generation;
using Attune.Imaging;
using Attune.Models;
using Attune.Prompts;
using Attune.Tensors;
using Attune.TextEncoders.Clip;
using Attune.Tokenizers;

namespace Attune.Verification;

/// <summary>Prompts with weights: the parts that a text is cut into, and what the encoders of a checkpoint make of it.</summary>
internal sealed class PromptWeightsCase : CaseKind
{
    /// <summary>How near weights of parts must come.</summary>
    private const double Tolerance = 1e-9;

    public override string Kind => "prompt-weights";

    public override IReadOnlyCollection<string> Arguments { get; } = ["syntax", "scheme", "texts", "long", "comma_backtrack"];

    public override bool Takes(string? className) => className is "parse" or "encode";

    public override void Run(GoldenCase golden, Comparison results)
    {
        // Words are never moved to the next piece.
        if (golden.Int("comma_backtrack", 0) != 0)
            throw new UnsupportedCaseException("comma_backtrack");
        if (golden.Class == "parse")
            Parse(golden, results);
        else
            Encode(golden, results);
    }

    private static void Parse(GoldenCase golden, Comparison results)
    {
        var weighting = PromptWeightings.Parse(golden.Text("syntax"), "syntax");
        foreach (var row in golden.Beside("segments").EnumerateArray())
        {
            string text = row.GetProperty("text").GetString()!;
            JsonElement[] expected = [.. row.GetProperty("segments").EnumerateArray()];
            var parts = WeightedTexts.Parse(text, weighting);
            bool equal = parts.Count == expected.Length && parts.Zip(expected).All(
                pair => pair.First.Text == pair.Second[0].GetString()
                    && Math.Abs(pair.First.Weight - pair.Second[1].GetDouble()) <= Tolerance);
            results.Require(equal, $"'{text}' is {string.Join(" | ", parts)}");
        }
    }

    private static void Encode(GoldenCase golden, Comparison results)
    {
        var weighting = PromptWeightings.Parse(golden.Text("scheme"), "scheme");
        results.Require(
            golden.Text("syntax") == (weighting is PromptWeighting.A1111 or PromptWeighting.A1111NoNorm ? "a1111" : "comfyui"),
            $"the scheme {golden.Text("scheme")} has another syntax than {golden.Text("syntax")}");
        var settings = new PromptSettings { Weights = weighting, LongPrompts = golden.Flag("long", missing: false) };
        var source = new LoadOptions { Device = golden.Device }.Open(golden.Checkpoint);
        using var encoder = new ClipStage(Tokenizer.Load(source, "tokenizer"), ClipTextModel.Load(source.Component("text_encoder")));
        using var model = Family.Of(source.Index.ClassName!)!.Open(source);
        string[] texts = golden.Texts("texts")!;
        for (int i = 0; i < texts.Length; i++)
        {
            string Numbered(string name) => FormattableString.Invariant($"{name}.{i}");
            using var scope = new TensorScope();
            var rows = encoder.Tokenize(texts[i], null, settings);
            results.CheckIntegers(Numbered("input_ids"), [.. rows.Ids.SelectMany(row => row.Select(id => (long)id))]);
            results.Check(
                Numbered("weights"),
                [.. rows.Ids.SelectMany((row, at) => rows.Weights?[at] ?? Enumerable.Repeat(1f, row.Length))]);
            using var conditioning = model.Prompts.Encode(
                new PromptInput(texts[i], PromptRole.Prompt, new PixelSize(64, 64), settings));
            results.Check(Numbered("prompt_embeds"), conditioning.Text);
            results.Check(Numbered("key_embeds"), conditioning.Text);
            results.Check(Numbered("value_embeds"), conditioning.Parts.GetValueOrDefault("values") ?? conditioning.Text);
            if (conditioning.Parts.GetValueOrDefault("pooled") is { } pooled)
                results.Check(Numbered("pooled_prompt_embeds"), pooled);
        }
    }
}
