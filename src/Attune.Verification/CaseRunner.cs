using System.Text.Json;
using Attune.Guidance;
using Attune.Tensors;
using Attune.Tokenizers;
using Attune.Weights;

namespace Attune.Verification;

/// <summary>Runs golden cases through the classes that users call.</summary>
internal static partial class CaseRunner
{
    /// <summary>Runs one case.</summary>
    /// <exception cref="UnsupportedCaseException">What the case asks for is not implemented.</exception>
    public static CaseResults Run(GoldenCase golden)
    {
        using var scope = new TensorScope();
        var results = new CaseResults(golden);
        switch (golden.Kind)
        {
            case "randn": RunRandn(golden, results); break;
            case "tokenizer": RunTokenizer(golden, results); break;
            case "attention": RunAttention(golden, results); break;
            case "entmax": RunEntmax(golden, results); break;
            case "scheduler": RunScheduler(golden, results); break;
            case "guider": RunGuider(golden, results); break;
            case "pipeline": RunPipeline(golden, results); break;
            case "lora": RunLora(golden, results); break;
            case "component": RunComponent(golden, results); break;
            default: throw new UnsupportedCaseException($"kind {golden.Kind}");
        }
        results.Complete();
        return results;
    }

    /// <summary>The rules that a case's guidance lists.</summary>
    internal static IReadOnlyList<GuidanceRule> Rules(GoldenCase golden)
    {
        if (!golden.Arguments.TryGetProperty("guidance", out var list))
            return [];
        var rules = new List<GuidanceRule>();
        foreach (var entry in list.EnumerateArray())
        {
            var parameters = new Dictionary<string, string>();
            foreach (var parameter in entry.EnumerateObject())
            {
                var (name, value) = (parameter.Name, parameter.Value);
                if (name == "rescale")
                    rules.Add(
                        value.ValueKind == JsonValueKind.String ? new NormKeeping() : new DeviationRescale { Share = value.GetSingle() });
                else if (name == "steps")
                    parameters[name] = $"{value[0].GetInt32()}-{value[1].GetInt32()}";
                else if (name == "sigma_interval")
                    parameters["steps"] = $"sigma:{value[0].GetRawText()}-{value[1].GetRawText()}";
                else if (name == "layers")
                    parameters[name] = string.Join('|', value.EnumerateArray().Select(layer => layer.ToString()));
                else if (name is not ("rule" or "perturbed" or "kernel_size"))       // what is compared, and informative
                    parameters[name] = value.ValueKind == JsonValueKind.String ? value.GetString()! : value.GetRawText();
            }
            try
            {
                rules.Add(RuleCatalog.Create(entry.GetProperty("rule").GetString()!, parameters));
            }
            catch (FormatException exception)
            {
                throw new UnsupportedCaseException(exception.Message);
            }
        }
        return rules;
    }

    private static void RunRandn(GoldenCase golden, CaseResults results)
    {
        var shape = Shape.Create([.. golden.Arguments.GetProperty("shape").EnumerateArray().Select(axis => axis.GetInt32())]);
        var random = new TorchRandom(golden.Arguments.GetProperty("seed").GetInt64());
        var draws = Enumerable.Range(0, golden.Int("draws", 1)).Select(_ =>
        {
            var draw = Tensor.Empty(shape);
            random.Normal(draw.Span);
            return draw;
        }).ToArray();
        results.Check("values", draws.Length == 1 ? draws[0] : TensorOperations.Concatenate(0, draws));
    }

    private static void RunTokenizer(GoldenCase golden, CaseResults results)
    {
        Tokenizer tokenizer;
        try
        {
            tokenizer = Tokenizer.Load(golden.Checkpoint);
        }
        catch (CheckpointException exception) when (exception.Message.Contains("not supported", StringComparison.Ordinal))
        {
            throw new UnsupportedCaseException(exception.Message);
        }
        if (!golden.Arguments.TryGetProperty("texts", out var texts))
        {
            foreach (var row in golden.Beside("strings").EnumerateArray())
            {
                string text = row.GetProperty("text").GetString()!;
                int[] expected = [.. row.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32())];
                int[] ids = tokenizer.Encode(text).Ids;
                results.Require(
                    ids.AsSpan().SequenceEqual(expected),
                    $"'{text}' is [{string.Join(' ', ids)}], expected [{string.Join(' ', expected)}]");
            }
            return;
        }
        var options = new TokenizerOptions
        {
            MaxLength = golden.Int("max_length", 0),
            Padding = TokenPadding.MaxLength,
            PaddingSide = golden.OptionalText("padding_side") switch { "left" => TokenSide.Left, "right" => TokenSide.Right, _ => null },
            Truncation = true,
        };
        var rows = tokenizer.EncodeBatch([.. texts.EnumerateArray().Select(text => text.GetString()!)], options);
        results.CheckIntegers("input_ids", [.. rows.SelectMany(row => row.Ids.Select(id => (long)id))]);
        results.CheckIntegers("attention_mask", [.. rows.SelectMany(row => row.Mask.Select(id => (long)id))]);
    }
}
