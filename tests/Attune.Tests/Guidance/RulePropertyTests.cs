using Attune.Attention;
using Attune.Guidance;
using Attune.Generation;
using Attune.Tensors;

namespace Attune.Tests.Guidance;

/// <summary>
/// What holds for every rule of the library, whatever it does. Rules are found, not listed: a new one is tested from its first day.
/// </summary>
[NoLeaks]
public class RulePropertyTests
{
    private static readonly AttentionKind[] Kinds = [AttentionKind.Cross, AttentionKind.Joint, AttentionKind.Self];

    public static TheoryData<string> Rules => [.. Library.Select(rule => rule.Form.Name)];

    // sorted by name, so that draws repeat
    private static IEnumerable<GuidanceRule> Library =>
        RuleCatalog.Rules.Where(rule => rule.GetType().Assembly == typeof(RuleCatalog).Assembly);

    private static GuidanceRule New(string name) => RuleCatalog.Create(name, new Dictionary<string, string>());

    /// <summary>A rule with parameters drawn from their ranges; now and then an end of the range itself.</summary>
    private static GuidanceRule Draw(string name, Random random, bool placed = false)
    {
        var parameters = new Dictionary<string, string>();
        foreach (var parameter in RuleCatalog.Find(name).Form.Parameters)
        {
            var type = parameter.Type;
            if (type == typeof(StepRange) || type == typeof(LayerSelector))
            {
                string[] texts = type == typeof(StepRange)
                    ? ["all", "0-2", "3-", "0%-50%", "25%-100%", "t:250-1000", "t:500-", "sigma:0.2-1.6"]
                    : ["all", "mid", "down|up", "transformer_blocks.3", "7-9|single.2", "cross"];
                if (placed)
                    parameters[parameter.Name] = texts[random.Next(texts.Length)];
            }
            else if (parameter.Choices.Count > 0)
            {
                parameters[parameter.Name] = parameter.Choices[random.Next(parameter.Choices.Count)];
            }
            else
            {
                var range = parameter.Range!.Value;
                double low = range.Minimum, high = Math.Min(range.Maximum, low + 12);
                double value = random.Next(8) switch
                {
                    0 when range.ClosedBelow => low,
                    1 when double.IsPositiveInfinity(range.Maximum) && range.ClosedAbove => double.PositiveInfinity,
                    1 when range.ClosedAbove => range.Maximum,
                    _ => high - random.NextDouble() * (high - low),
                };
                parameters[parameter.Name] = double.IsPositiveInfinity(value) ? "infinite"
                    : type == typeof(int) ? FormattableString.Invariant($"{(int)Math.Floor(value)}")
                        : FormattableString.Invariant($"{(float)value}");
            }
        }
        return RuleCatalog.Create(name, parameters);
    }

    /// <summary>An attention call with given numbers of tokens; numbers come from a function of kind (q, k or v) and position.</summary>
    private static AttentionCall Call(
        AttentionKind kind, Random random, double sharpness = 1.5, int text = 7, int negative = 5, Func<TokenKind, bool>? counts = null,
        Device? device = null, double values = 1)
    {
        const int Latents = 12, Heads = 2, Channels = 8;
        var grid = new LatentGrid(1, 3, 4);
        var (queries, keys) = kind switch
        {
            AttentionKind.Cross =>
                (Layout([(TokenKind.Latent, Latents)], grid), Layout([(TokenKind.NegativeText, negative), (TokenKind.Text, text)], grid)),
            AttentionKind.Self => (Layout([(TokenKind.Latent, Latents)], grid), Layout([(TokenKind.Latent, Latents)], grid)),
            _ =>
                (
                    Layout([(TokenKind.NegativeText, negative), (TokenKind.Text, text), (TokenKind.Latent, Latents)], grid),
                    Layout([(TokenKind.NegativeText, negative), (TokenKind.Text, text), (TokenKind.Latent, Latents)], grid)),
        };
        Tensor Noise(int tokens, double scale) =>
            Tensor.From(
                device ?? Host,
                [.. Enumerable.Range(0, tokens * Heads * Channels).Select(_ => (float)(scale * (2 * random.NextDouble() - 1)))],
                [1, tokens, Heads, Channels]);
        float[] counted = [.. keys.Spans.SelectMany(span => Enumerable.Repeat(counts == null || counts(span.Kind) ? 1f : 0, span.Length))];
        var mask = counts == null ? null : new AttentionMask { Keys = Tensor.From(device ?? Host, counted, [1, keys.Length]) };
        return new AttentionCall(
            Noise(queries.Length, sharpness), Noise(keys.Length, sharpness), Noise(keys.Length, values), .35f, queries, keys,
            new AttentionSite("transformer_blocks.3.attn", kind), Mask: mask);
    }

    private static TokenLayout Layout((TokenKind Kind, int Length)[] parts, LatentGrid grid)
    {
        int at = 0;
        return new TokenLayout(
            [
                .. parts.Select(
                    part => new TokenSpan(
                        part.Kind, (at += part.Length) - part.Length, part.Length, part.Kind == TokenKind.Latent ? grid : null))]);
    }

    /// <summary>Attention with rules, whether they are neutral or not.</summary>
    private static Tensor Force(AttentionCall call, params GuidanceRule[] rules) =>
        new GuidedAttention(
            [
                .. rules.Select(
                    rule => new AttentionEffect(
                        site => rule.ActsAt(site.Kind), rule as IAttentionBase, rule as IAttentionCorrection, rule.ReadsNegativeText))])
            .Attend(call);

    private static Tensor Random(Random random, Shape shape, double scale = 1)
    {
        var tensor = Tensor.Empty(Host, shape);
        foreach (ref float value in tensor.Span)
            value = (float)(scale * (2 * random.NextDouble() - 1));
        return tensor;
    }

    private static PredictionFacts Facts(Random random, IEnumerable<GuidanceRule> rules, GuidanceState state, Func<Tensor>? tensor = null)
    {
        tensor ??= () => Random(random, [2, 3, 4, 5]);
        var facts = new PredictionFacts(new StepPoint(2, 4, 500, .5), tensor(), tensor(), state) { Negative = tensor(), Empty = tensor() };
        foreach (var rule in rules.Where(rule => rule.Needs.HasFlag(PassKinds.Perturbed)))
            facts.SetPerturbed(rule, tensor());
        return facts;
    }

    /// <summary>A correction of nothing: what the seam itself gives, put together from the parts that corrections read.</summary>
    private sealed record Nothing : GuidanceRule, IAttentionCorrection
    {
        public void AddTo(Tensor output, AttentionFacts facts)
        {
        }
    }

    private sealed record NothingSparse(float Entmax) : GuidanceRule, IAttentionCorrection, ISparseTextReader
    {
        public void AddTo(Tensor output, AttentionFacts facts)
        {
        }
    }

    [Theory]
    [MemberData(nameof(Rules))]
    public void Neutral_parameters_give_exactly_the_plain_result_even_when_the_rule_is_evaluated(string name)
    {
        var random = new Random(11);
        for (int trial = 0; trial < 20; trial++)
        {
            using var scope = new TensorScope();
            if (Draw(name, random).Neutral is not { } neutral)
            {
                Assert.False(New(name).IsNeutral, $"{name} says that it is never neutral, and that it is.");
                return;
            }
            neutral.Validate();
            Assert.True(neutral.IsNeutral);
            Assert.Same(Steering.Plain, new GuidanceSchedule(neutral).At(0, 4).Steering);
            if (neutral is IAttentionCorrection)
            {
                foreach (var kind in new[] { AttentionKind.Cross, AttentionKind.Joint })
                {
                    var call = Call(kind, random);
                    GuidanceRule nothing = neutral is ISparseTextReader reader ? new NothingSparse(reader.Entmax) : new Nothing();
                    Assert.Equal(Force(call, nothing).ToArray(), Force(call, neutral).ToArray());
                }
            }
            if (neutral is IPredictionRule prediction)
            {
                using var state = new GuidanceState();
                var facts = Facts(random, [neutral], state);
                Assert.Equal(facts.Positive.ToArray(), prediction.Apply(facts.Positive, facts).ToArray());
            }
            if (neutral is ISkipConnection skips)
            {
                var (hidden, skip) = (Random(random, [1, 3, 5, 8]), Random(random, [1, 3, 5, 4]));
                foreach (string path in new[] { "up_blocks.0", "up_blocks.1", "up_blocks.2" })
                {
                    var (first, second) = skips.Adjust(path, hidden, skip);
                    Assert.Equal(hidden.ToArray(), first.ToArray());
                    Assert.Equal(skip.ToArray(), second.ToArray());
                }
            }
        }
    }

    [Fact]
    public void The_order_of_writing_changes_no_bit_in_attention()
    {
        var random = new Random(12);
        string[] corrections = [.. Library.Where(rule => rule is IAttentionCorrection).Select(rule => rule.Form.Name)];
        string[] bases = [
            .. Library.Where(rule => rule is IAttentionBase && !rule.Needs.HasFlag(PassKinds.Perturbed)).Select(rule => rule.Form.Name)];
        Assert.True(corrections.Length >= 4 && bases.Length >= 1);
        for (int trial = 0; trial < 40; trial++)
        {
            using var scope = new TensorScope();
            GuidanceRule[] rules = [
                .. Enumerable.Range(0, random.Next(3, 6)).Select(_ => Draw(corrections[random.Next(corrections.Length)], random))];
            if (trial % 3 == 0)
                rules = [.. rules, Draw(bases[random.Next(bases.Length)], random)];
            var call = Call(trial % 2 == 0 ? AttentionKind.Cross : AttentionKind.Joint, random);
            float[] Attend() => new GuidanceSchedule(rules).At(0, 1).Steering.Attention.Attend(call).ToArray();
            float[] first = Attend();
            for (int order = 0; order < 3; order++)
            {
                random.Shuffle(rules);
                Assert.Equal(first, Attend());
            }
        }
    }

    [Fact]
    public void The_order_of_writing_changes_no_bit_in_prediction()
    {
        var random = new Random(13);
        string[] Of(PredictionStage stage) =>
            [.. Library.Where(rule => rule is IPredictionRule prediction && prediction.Stage == stage).Select(rule => rule.Form.Name)];
        string[] contrasts = Of(PredictionStage.Contrast), terms = Of(PredictionStage.Term),
        normalisations = Of(PredictionStage.Normalisation);
        for (int trial = 0; trial < 60; trial++)
        {
            using var scope = new TensorScope();
            GuidanceRule[] rules = [
                Draw(contrasts[trial % contrasts.Length], random),
                .. Enumerable.Range(0, 3).Select(_ => Draw(terms[random.Next(terms.Length)], random)),
                Draw(normalisations[trial % normalisations.Length], random)];
            int seed = random.Next();
            Tensor[] given = [.. Enumerable.Range(0, 4 + rules.Length).Select(_ => Random(random, [2, 3, 4, 5]))];
            float[] Combine(GuidanceRule[] written)
            {
                using var state = new GuidanceState();
                var facts = new PredictionFacts(
                    new StepPoint(2, 4, 500, .5), given[0], given[1], state) { Negative = given[2], Empty = given[3] };
                // Equal rules take the same away: they have equal passes, whichever is written first.
                for (int i = 0; i < rules.Length; i++)
                    facts.SetPerturbed(rules[i], given[4 + Array.IndexOf(rules, rules[i])]);
                return new GuidanceSchedule(written).At(facts.Point).Combine(facts).ToArray();
            }

            float[] first = Combine(rules);
            for (int order = 0; order < 3; order++)
            {
                var written = (GuidanceRule[])rules.Clone();
                random.Shuffle(written);
                Assert.Equal(first, Combine(written));
            }
        }
    }

    [Theory]
    [MemberData(nameof(Rules))]
    public void Extreme_inputs_stay_finite(string name)
    {
        var random = new Random(14);
        void Finite(Tensor tensor, GuidanceRule rule, string what) =>
            Assert.True(tensor.ToArray().All(float.IsFinite), $"{RuleCatalog.Format(rule)}: {what}");
        for (int trial = 0; trial < 12; trial++)
        {
            using var scope = new TensorScope();
            var rule = trial == 0 ? New(name) : Draw(name, random);
            foreach (var kind in Kinds.Where(rule.ActsAt).Where(_ => rule is IAttentionBase or IAttentionCorrection))
            {
                Finite(Force(Call(kind, random, sharpness: 0, values: 0), rule), rule, "zeros");
                Finite(Force(Call(kind, random, sharpness: 170), rule), rule, "logits of 1e4");
                Finite(Force(Call(kind, random, text: 1, negative: 1), rule), rule, "one token of text");
                Finite(Force(Call(kind, random, counts: key => key is not TokenKind.Text), rule), rule, "masked text");
                Finite(Force(Call(kind, random, counts: key => key is not TokenKind.NegativeText), rule), rule, "masked negative text");
                Finite(Force(Call(kind, random, counts: key => key is TokenKind.Latent), rule), rule, "masked texts");
                Finite(Force(Call(kind, random, values: 1e-30), rule), rule, "tiny values");
                var equal = Call(kind, random, text: 6, negative: 6);
                foreach (var side in new[] { equal.Key, equal.Value })
                {
                    if (kind != AttentionKind.Self)
                        side.Slice(1, 0, 6).CopyTo(side.Slice(1, 6, 6));
                }
                Finite(Force(equal, rule), rule, "equal prompts");
                equal.Query.Slice(1, equal.Queries.Length - 1, 1).Affine(0, 0, equal.Query.Slice(1, equal.Queries.Length - 1, 1));
                Finite(Force(equal, rule), rule, "a row of zeros");
            }
            if (rule is IPredictionRule prediction)
            {
                foreach (double scale in new[] { 0, 1e-30, 1e4 })
                {
                    using var state = new GuidanceState();
                    var facts = Facts(random, [rule], state, () => Random(random, [2, 3, 4, 5], scale));
                    Finite(prediction.Apply(facts.Positive, facts), rule, $"predictions of {scale}");
                    var one = Random(random, [2, 3, 4, 5], scale);
                    facts = Facts(random, [rule], state, () => one);
                    Finite(prediction.Apply(one, facts), rule, $"equal predictions of {scale}");
                    bool turn = false;
                    facts = Facts(
                        random, [rule], state,
                        () => (turn = !turn) ? Random(random, [2, 3, 4, 5]) : Tensor.Zeros(Host, [2, 3, 4, 5]));
                    Finite(prediction.Apply(facts.Positive, facts), rule, "some predictions of zeros");
                }
            }
            if (rule is ISkipConnection skips)
            {
                foreach (string path in new[] { "up_blocks.0", "up_blocks.1" })
                {
                    var (hidden, skip) = skips.Adjust(path, Random(random, [1, 1, 1, 2], 1e4), Tensor.Zeros(Host, [1, 1, 1, 2]));
                    Finite(hidden, rule, "one pixel");
                    Finite(skip, rule, "one pixel of zeros");
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Rules))]
    public void Text_rows_are_the_plain_ones_to_the_bit(string name)
    {
        var random = new Random(15);
        for (int trial = 0; trial < 10; trial++)
        {
            using var scope = new TensorScope();
            var rule = Draw(name, random);
            if (rule is not (IAttentionBase or IAttentionCorrection))
                return;
            var call = Call(AttentionKind.Joint, random);
            int text = call.Queries.CountOf(TokenKind.NegativeText) + call.Queries.CountOf(TokenKind.Text);
            float[] plain = PlainAttention.Instance.Attend(call).Slice(1, 0, text).Contiguous().ToArray();
            Assert.Equal(plain, Force(call, rule).Slice(1, 0, text).Contiguous().ToArray());
        }
    }

    [Theory]
    [MemberData(nameof(Rules))]
    public void A_rule_that_is_off_costs_no_attention(string name)
    {
        using var scope = new TensorScope();
        var device = new CountingDevice(Host);
        var random = new Random(16);
        var drawn = New(name);
        var off = new List<(string Why, GuidanceRule Rule, StepPoint Point)>
        {
            ("its steps are over", drawn with { Steps = StepRange.Iterations(0, 1) }, new StepPoint(2, 4, 500, .5)),
        };
        if (drawn.HasLayers)
            off.Add(
                ("its layers are others", drawn with { Layers = LayerSelector.Of("transformer_blocks.4") }, new StepPoint(0, 4, 1000, 1)));
        if (drawn.Neutral is { } neutral)
            off.Add(("it is neutral", neutral, new StepPoint(1, 8, 900, .9)));
        foreach (var kind in Kinds)
        {
            var call = Call(kind, random, device: device);
            int Count(Action attend)
            {
                device.Attentions = 0;
                attend();
                return device.Attentions;
            }

            int plain = Count(() => PlainAttention.Instance.Attend(call));
            foreach (var (why, rule, point) in off)
            {
                var guidance = new GuidanceSchedule(rule).At(point);
                bool reads = false;
                int count = Count(() =>
                {
                    reads = guidance.Steering.Attention.ReadsNegativeText(call.Site);
                    guidance.Steering.Attention.Attend(call);
                    if (why == "its layers are others")
                    {
                        foreach (var pass in guidance.Passes.Where(pass => pass.Rule != null))
                        {
                            Assert.Equal(plain, Count(() => pass.Steering.Attention.Attend(call)));
                            device.Attentions = plain;
                        }
                    }
                    else
                    {
                        Assert.Empty(guidance.Passes);
                    }
                });
                Assert.True(count == plain && !reads, $"{name} on {kind}: {why}, and yet {count} products instead of {plain}.");
            }
        }
    }

    /// <summary>
    /// Every rule, alone or after CFG where it normalises, on a model with joint attention and on one with self- and cross-attention and
    /// skip connections.
    /// </summary>
    [Theory]
    [MemberData(nameof(Rules))]
    public async Task Whole_models_are_guided(string name)
    {
        foreach (string model in new[] { "flux-schnell", "sd15" })
        {
            using var pipeline = DiffusionPipeline.Load(Repository.Golden("checkpoints", model));
            var rule = New(name) with
            {
                Layers = New(name) is IBlockPolicy ? LayerSelector.Of(pipeline.Denoiser.Blocks[0]) : LayerSelector.All,
            };
            if (rule is SkipLayerGuidance skips)
                rule = skips with { Stop = 1 };
            GuidanceRule[] rules = rule is IPredictionRule { Stage: PredictionStage.Normalisation } ? [new ClassifierFreeGuidance(), rule]
                : [rule];
            var request = new GenerationRequest {
                Prompt = "a panda", NegativePrompt = "sunglasses", Width = 64, Height = 64, Steps = 2,
                MaxSequenceLength = model == "sd15" ? null : 16 };
            async Task<float[]> Latents(params GuidanceRule[] guidance)
            {
                float[] latents = [];
                await foreach (var step in pipeline.DenoiseAsync(request with { Guidance = new GuidanceSchedule(guidance) }))
                    latents = step.Latents.ToArray();
                return latents;
            }

            float[] plain = await Latents(rules[..^1]);
            if (rule is ISkipConnection && !pipeline.Denoiser.HasSkipConnections)
            {
                await Assert.ThrowsAsync<ArgumentException>(() => Latents(rules));
                continue;
            }
            float[] guided = await Latents(rules);
            Assert.All(guided, value => Assert.True(float.IsFinite(value)));
            Assert.NotEqual(plain, guided);
            if (rule.Neutral is { } neutral)
                Assert.Equal(plain, await Latents([.. rules[..^1], neutral]));
        }
    }

    [Fact]
    public void Two_rules_go_together_or_are_refused_by_name()
    {
        static bool Excludes(GuidanceRule a, GuidanceRule b) =>
            a is IAttentionBase && b is IAttentionBase && !a.Needs.HasFlag(PassKinds.Perturbed) && !b.Needs.HasFlag(PassKinds.Perturbed)
            || a is ISkipConnection && b is ISkipConnection
            || a is IPredictionRule x && b is IPredictionRule y && x.Stage == y.Stage && x.Stage != PredictionStage.Term;
        foreach (var first in Library)
        {
            foreach (var second in Library)
            {
                if (!Excludes(first, second))
                {
                    Assert.Equal(2, new GuidanceSchedule(first, second).Rules.Count);
                    continue;
                }
                string message = Assert.Throws<ArgumentException>(() => new GuidanceSchedule(first, second)).Message;
                string[] names = [.. new[] { first.Form.Name, second.Form.Name }.Order(StringComparer.Ordinal)];
                Assert.Contains($"{names[0]} and {names[1]}", message, StringComparison.Ordinal);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Rules))]
    public void A_text_form_reads_back(string name)
    {
        var random = new Random(17);
        for (int trial = 0; trial < 60; trial++)
        {
            var rule = Draw(name, random, placed: true);
            string text = RuleCatalog.Format(rule);
            Assert.Equal(rule, Assert.Single(RuleCatalog.Parse(text)));
            Assert.Equal(text, RuleCatalog.Format(RuleCatalog.Parse(text)[0]));
        }
    }

    [Fact]
    public void No_rule_is_missing_from_the_catalog()
    {
        var types = typeof(RuleCatalog).Assembly.GetTypes().Where(type => type.IsSubclassOf(typeof(GuidanceRule)) && !type.IsAbstract);
        Assert.Equal(types.OrderBy(type => type.Name), Library.Select(rule => rule.GetType()).OrderBy(type => type.Name));
        string[] names = [.. Library.SelectMany(rule => rule.Form.Names)];
        Assert.Equal(names.Distinct(), names);
    }

    [Theory]
    [MemberData(nameof(Rules))]
    public void Every_property_that_can_be_set_is_a_parameter(string name)
    {
        var rule = RuleCatalog.Find(name);
        var properties = rule.GetType().GetProperties().Where(
            property => property.SetMethod is { IsPublic: true } && (rule.HasLayers || property.Name != nameof(GuidanceRule.Layers)));
        Assert.Equal(
            properties.Select(property => (property.Name, property.PropertyType)).OrderBy(pair => pair.Name),
            rule.Form.Parameters.Select(parameter => (parameter.Property, parameter.Type)).OrderBy(pair => pair.Property));
        string[] names = [
            .. rule.Form.Parameters.SelectMany(parameter => parameter.Names), .. rule.Form.Aliases.Select(alias => alias.Name)];
        Assert.Equal(names.Distinct(), names);
        Assert.All(rule.Form.Aliases, alias => Assert.Contains(alias.Parameter, names));
    }

    [Theory]
    [MemberData(nameof(Rules))]
    public void Every_number_has_a_range_and_is_held_to_it(string name)
    {
        foreach (
            var parameter in RuleCatalog.Find(name).Form.Parameters
                .Where(parameter => parameter.Range != null || parameter.Type == typeof(float) || parameter.Type == typeof(int)))
        {
            Assert.True(parameter.Range != null, $"{name}: {parameter.Name} states no range.");
            var range = parameter.Range!.Value;
            foreach (
                double value in new[] { range.Minimum - 1, range.Maximum + 1, double.NaN, range.ClosedBelow ? double.NaN : range.Minimum })
            {
                if (double.IsInfinity(value) || double.IsNaN(value) && parameter.Type == typeof(int))
                    continue;
                var exception = Assert.Throws<ArgumentOutOfRangeException>(
                    () =>
                        RuleCatalog.Create(
                            name, new Dictionary<string, string> { [parameter.Name] = FormattableString.Invariant($"{value}") }));
                Assert.Contains($"{name}: {parameter.Name} is", exception.Message, StringComparison.Ordinal);
                Assert.Contains(range.ToString(), exception.Message, StringComparison.Ordinal);
            }
        }
    }
}
