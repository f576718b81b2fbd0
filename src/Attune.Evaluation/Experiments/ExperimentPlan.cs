using Attune.Guidance;
using Attune.Generation;
using Attune.Weights;

namespace Attune.Evaluation.Experiments;

/// <summary>
/// What is made in one go, so that the methods' times can be compared: all methods at one prompt, seed and number of steps.
/// </summary>
/// <param name="Prompt">The index of the prompt.</param>
/// <param name="Seed">The seed.</param>
/// <param name="Steps">The number of steps.</param>
/// <param name="Turn">By how many places the methods behind the baseline are rotated.</param>
internal readonly record struct WorkItem(int Prompt, ulong Seed, int Steps, int Turn);

/// <summary>An experiment checked against its model and its judge, before anything is computed.</summary>
public sealed class ExperimentPlan
{
    private ExperimentPlan(Experiment experiment, MethodVariant[] variants, GuidanceSchedule[] schedules, string fingerprint) =>
        (Experiment, Variants, Schedules, FingerprintText) = (experiment, variants, schedules, fingerprint);

    /// <summary>The experiment.</summary>
    public Experiment Experiment { get; }

    /// <summary>All methods at all scales, the baseline first.</summary>
    public IReadOnlyList<MethodVariant> Variants { get; }

    /// <summary>The guidance of each of <see cref="Variants"/>.</summary>
    public IReadOnlyList<GuidanceSchedule> Schedules { get; }

    /// <summary>What tells the experiment, its model and its judge apart from others.</summary>
    internal string FingerprintText { get; }

    /// <summary>Checks an experiment.</summary>
    /// <param name="experiment">The experiment.</param>
    /// <param name="pipeline">Its model.</param>
    /// <param name="reader">Its judge.</param>
    /// <exception cref="FormatException">Rules select no layer of the model, the model does not take an option, its pictures cannot have
    /// the size or the judge cannot read them, or a prompt names an attribute that the judge does not know.</exception>
    /// <exception cref="CheckpointException">The references cannot be read or are of another judge.</exception>
    /// <exception cref="IOException">A file of the model, the judge or the dual encoder cannot be read.</exception>
    public static ExperimentPlan Create(Experiment experiment, DiffusionPipeline pipeline, IPictureReader reader)
    {
        ArgumentNullException.ThrowIfNull(experiment);
        ArgumentNullException.ThrowIfNull(pipeline);
        ArgumentNullException.ThrowIfNull(reader);
        CheckSizes(experiment, pipeline, reader);
        CheckAttributes(experiment, reader);
        if (experiment.References is { } references)
        {
            if (reader.FeatureCount == 0)
                throw new FormatException(
                    $"'{experiment.File}': references is given, which is what a judge sees, but there is no judge; metrics have references "
                        + "of their own.");
            ReferenceFeatures.Check(references, reader.FeatureCount);
            if (experiment.ReferencesWithoutNegative is { } others)
                ReferenceFeatures.Check(others, reader.FeatureCount);
        }
        MethodVariant[] variants = [.. experiment.Variants];
        GuidanceSchedule[] schedules = [.. variants.Select(variant => Schedule(experiment, variant, pipeline))];
        var rules = schedules.Select(schedule => string.Join('+', schedule.Rules.Select(RuleCatalog.Format)));
        var plan = new ExperimentPlan(experiment, variants, schedules, Fingerprint.Of(experiment, rules));
        plan.CheckRequests(pipeline);
        return plan;
    }

    /// <summary>A plan for estimates: of the methods alone, for records there is none.</summary>
    /// <exception cref="FormatException">Rules or options do not fit the model.</exception>
    internal static ExperimentPlan ForEstimate(Experiment experiment, DiffusionPipeline pipeline)
    {
        MethodVariant[] variants = [.. experiment.Variants];
        var plan = new ExperimentPlan(experiment, variants, [.. variants.Select(variant => Schedule(experiment, variant, pipeline))], "");
        plan.CheckRequests(pipeline);
        return plan;
    }

    /// <summary>How many pictures a part of an experiment has.</summary>
    /// <param name="shard">The part.</param>
    /// <param name="prompts">The number of prompts, from the first; null for all.</param>
    public int Count(Shard shard, int? prompts = null) =>
        Items(Experiment, shard, prompts).Sum(item => Variants.Count(variant => variant.Method.Steps.Contains(item.Steps)));

    /// <summary>
    /// The work of a part, seed by seed, so that a run that is stopped has seen all prompts alike. Pairs of a prompt and a seed are dealt
    /// in turn, each further number of steps one part further, so that every part gets all numbers of steps. Which part an item belongs to
    /// does not depend on <paramref name="prompts"/>. The methods' order is rotated from one item of the same number of steps to the next.
    /// </summary>
    internal static IReadOnlyList<WorkItem> Items(Experiment experiment, Shard shard, int? prompts = null)
    {
        var steps = experiment.Steps;
        var items = new List<WorkItem>();
        int[] turns = new int[steps.Count];
        for (long seed = 0; seed < experiment.SeedCount; seed++)
        {
            for (int prompt = 0; prompt < Math.Min(prompts ?? int.MaxValue, experiment.Prompts.Count); prompt++)
            {
                for (int i = 0; i < steps.Count; i++)
                {
                    if ((seed * experiment.Prompts.Count + prompt + i) % shard.Count == shard.Index - 1)
                        items.Add(new WorkItem(prompt, experiment.SeedOf(prompt, seed), steps[i], turns[i]++));
                }
            }
        }
        return items;
    }

    /// <summary>The indices of an item's methods in the order of their turns: the baseline first.</summary>
    internal IReadOnlyList<int> Order(WorkItem item)
    {
        int[] taking = [.. Enumerable.Range(0, Variants.Count).Where(i => Variants[i].Method.Steps.Contains(item.Steps))];
        int others = taking.Length - 1;
        return [taking[0], .. Enumerable.Range(0, others).Select(i => taking[1 + (i + item.Turn) % others])];
    }

    /// <summary>What is generated for a method in an item.</summary>
    internal GenerationRequest RequestFor(WorkItem item, int variant)
    {
        var (prompt, method) = (Experiment.Prompts[item.Prompt], Variants[variant].Method);
        var request = new GenerationRequest
        {
            Prompt = prompt.Prompt,
            NegativePrompt = method.Negative ? prompt.Negative : null,
            Width = Experiment.Width,
            Height = Experiment.Height,
            Steps = item.Steps,
            Seed = item.Seed,
            Guidance = Schedules[variant],
        };
        return Experiment.Options.Concat(method.Options)
            .Aggregate(request, (asked, option) => OptionCatalog.Find(option.Key)!.Set(asked, option.Value));
    }

    /// <summary>Resolves a request of each method at each number of steps.</summary>
    private void CheckRequests(DiffusionPipeline pipeline)
    {
        for (int i = 0; i < Variants.Count; i++)
        {
            foreach (int steps in Variants[i].Method.Steps)
            {
                try
                {
                    pipeline.Resolve(RequestFor(new WorkItem(0, Experiment.SeedOf(0, 0), steps, 0), i));
                }
                catch (ArgumentException exception)
                {
                    throw new FormatException(
                        $"'{Experiment.File}': {Experiment.PathOf(Variants[i].Method)} ({Variants[i].Name}) at {steps} steps, with its "
                            + $"options and the experiment's: {Experiment.Line(exception)}", exception);
                }
            }
        }
    }

    private static GuidanceSchedule Schedule(Experiment experiment, MethodVariant variant, DiffusionPipeline pipeline)
    {
        try
        {
            var preset = variant.Method.Preset is { } family ? GuidancePresets.For(family) : pipeline.Preset;
            var schedule = new GuidanceSchedule(RuleCatalog.Parse(variant.Rules, preset));
            var denoiser = pipeline.Denoiser;
            schedule.CheckLayers(denoiser.Sites, denoiser.Blocks, denoiser.HasSkipConnections);
            return schedule;
        }
        catch (Exception exception) when (exception is FormatException or ArgumentException)
        {
            throw new FormatException(
                $"'{experiment.File}': {experiment.PathOf(variant.Method)}.rules is '{variant.Rules}': {Experiment.Line(exception)}",
                exception);
        }
    }

    private static void CheckSizes(Experiment experiment, DiffusionPipeline pipeline, IPictureReader reader)
    {
        foreach (var (key, given) in new[] { ("width", experiment.Width), ("height", experiment.Height) })
        {
            int size = given ?? pipeline.Facts.DefaultSize;
            if (size % pipeline.SizeMultiple != 0)
                throw new FormatException(
                    $"'{experiment.File}': {key} is {size}, expected a multiple of {pipeline.SizeMultiple} for "
                        + $"{pipeline.Facts.ClassName}.");
            if (experiment.Metrics.FirstOrDefault(metric => size < metric.Preparation.LeastSide) is { } large)
                throw new FormatException(
                    $"'{experiment.File}': {key} is {size}{(given == null ? ", the model's own" : "")}, expected "
                        + $"{large.Preparation.LeastSide} or more, of which {large.Metric.Name} cuts its part.");
            if (reader.PictureSize is { } read && size != read)
                throw new FormatException(
                    $"'{experiment.File}': {key} is {size}{(given == null ? ", the model's own" : "")}, expected {read}, which the judge "
                        + $"'{experiment.Judge}' reads.");
        }
    }

    private static void CheckAttributes(Experiment experiment, IPictureReader reader)
    {
        for (int i = 0; i < experiment.Prompts.Count; i++)
        {
            foreach (
                var (key, attributes) in new[] { ("present", experiment.Prompts[i].Present), ("absent", experiment.Prompts[i].Absent) })
            {
                foreach (var (head, value) in attributes)
                {
                    string at = FormattableString.Invariant(
                        $"'{experiment.File}': prompts[{i}] (\"{experiment.Prompts[i].Prompt}\"): {key}.{head}");
                    if (reader.Heads.Count == 0)
                        throw new FormatException($"{at} names an attribute, which a judge would look for, but there is no judge.");
                    if (!reader.Heads.TryGetValue(head, out var values))
                        throw new FormatException($"{at} is no head of the judge, which has {string.Join(", ", reader.Heads.Keys)}.");
                    if (!values.Contains(value))
                        throw new FormatException($"{at} is \"{value}\", expected one of {string.Join(", ", values)}.");
                }
            }
        }
    }
}
