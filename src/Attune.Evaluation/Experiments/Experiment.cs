using System.Globalization;
using System.Text.Json;
using Attune.Generation;
using Attune.Guidance;
using Attune.Weights;

namespace Attune.Evaluation.Experiments;

/// <summary>What one picture is asked to show, and what a judge is to look for.</summary>
/// <param name="Prompt">What the picture shows.</param>
/// <param name="Negative">What it must not show, or null.</param>
/// <param name="Present">The attributes that the prompt names, by the judge's heads: they should be there.</param>
/// <param name="Absent">The attributes that the negative prompt names: they should not be there.</param>
public sealed record ExperimentPrompt(
    string Prompt, string? Negative, IReadOnlyDictionary<string, string> Present, IReadOnlyDictionary<string, string> Absent);

/// <summary>A way to make pictures.</summary>
/// <param name="Name">Its name; <c>{scale}</c> stands for the scale.</param>
/// <param name="Rules">Guidance rules as <see cref="RuleCatalog.Parse"/> reads them; <c>{scale}</c> stands for the scale.</param>
/// <param name="Preset">The family whose published parameters count where the rules give none, or null for the model's own.</param>
/// <param name="Negative">Whether the rules are given the prompt's negative prompt.</param>
/// <param name="Scales">The scales to try; empty for a method without one.</param>
/// <param name="Steps">The numbers of steps to try.</param>
/// <param name="Options">Further options of its requests, as <see cref="Experiment.Options"/>, which they override.</param>
public sealed record ExperimentMethod(
    string Name, string Rules, string? Preset, bool Negative, IReadOnlyList<double> Scales, IReadOnlyList<int> Steps,
    IReadOnlyDictionary<string, string> Options)
{
    /// <summary>What beside the rules makes the method, for people: <c>, preset sdxl-dmd2, eta 0.3</c>; empty for nothing.</summary>
    internal string Beside =>
        (Preset == null ? "" : $", preset {Preset}") + string.Concat(Options.Select(option => $", {option.Key} {option.Value}"));
}

/// <summary>A method at one scale.</summary>
/// <param name="Method">The method.</param>
/// <param name="Scale">The scale, or null for a method without one.</param>
/// <param name="Name">The name for people, unique in the experiment.</param>
/// <param name="Rules">The rules' text with the scale filled in.</param>
public sealed record MethodVariant(ExperimentMethod Method, double? Scale, string Name, string Rules);

/// <summary>
/// A comparison of guidance methods on one model: which methods, at which scales and numbers of steps, over which prompts and seeds, judged
/// how. Read strictly from a JSON file: unknown keys, rules and presets, names given twice and values out of range are errors that name
/// file, key and value. Paths in the file are relative to it.
/// </summary>
public sealed record Experiment
{
    private const string ScaleMark = "{scale}";

    private static readonly IReadOnlyDictionary<string, string> NoAttributes = new Dictionary<string, string>();

    /// <summary>Options that an experiment states in its own way: prompts, numbers of steps, seeds, methods, the size.</summary>
    private static readonly string[] Stated =
        ["prompt", "negative", "steps", "seed", "count", "guidance", "preset", "size", "width", "height"];

    /// <summary>The file that it was read from, for messages.</summary>
    public required string File { get; init; }

    /// <summary>A heading for people.</summary>
    public required string Name { get; init; }

    /// <summary>The diffusers folder or single file of the model.</summary>
    public required string Model { get; init; }

    /// <summary>LoRA files of the model, with their scales.</summary>
    public IReadOnlyList<LoraWeights> Loras { get; init; } = [];

    /// <summary>The folder of the judge, or null for none: then there are <see cref="Metrics"/>.</summary>
    public string? Judge { get; init; }

    /// <summary>The papers' metrics, in the order of the file.</summary>
    public IReadOnlyList<ExperimentMetric> Metrics { get; init; } = [];

    /// <summary>What a paper has for the same, or null.</summary>
    public PublishedFigures? Published { get; init; }

    /// <summary>What one pass for one picture takes, in TFLOP, as the file states it: for estimates without the model.</summary>
    public double? PassTeraflops { get; init; }

    /// <summary>What the file says about itself, for reports: where values come from, what is not known.</summary>
    public IReadOnlyList<string> Notes { get; init; } = [];

    /// <summary>The folder of the dual encoder, or null for no scores.</summary>
    public string? DualEncoder { get; init; }

    /// <summary>In pixels; null is the model's.</summary>
    public int? Width { get; init; }

    /// <summary>In pixels; null is the model's.</summary>
    public int? Height { get; init; }

    /// <summary>
    /// Further options of all requests: text forms (<see cref="RequestOption.Get"/>) by JSON keys (<see cref="RequestOption.Key"/>).
    /// </summary>
    public required IReadOnlyDictionary<string, string> Options { get; init; }

    /// <summary>The methods, in the order of the file.</summary>
    public required IReadOnlyList<ExperimentMethod> Methods { get; init; }

    /// <summary>The name of the method that the others are compared with.</summary>
    public required string Baseline { get; init; }

    /// <summary>The first seed; each prompt is made with this and the following.</summary>
    public required ulong FirstSeed { get; init; }

    /// <summary>Whether each prompt has seeds of its own, those of the next following those of the one before.</summary>
    public bool SeedsPerPrompt { get; init; }

    /// <summary>The number of seeds.</summary>
    public required int SeedCount { get; init; }

    /// <summary>The prompts.</summary>
    public required IReadOnlyList<ExperimentPrompt> Prompts { get; init; }

    /// <summary>The file that the prompts were read from, or null for the experiment's own.</summary>
    public string? PromptFile { get; init; }

    /// <summary>
    /// A safetensors file with <c>features</c> [pictures, features]: what the judge sees in true pictures; null for no distances.
    /// </summary>
    public string? References { get; init; }

    /// <summary>
    /// The same for methods that are given no negative prompt, whose pictures may show what it names; null where
    /// <see cref="References"/> serve for all.
    /// </summary>
    public string? ReferencesWithoutNegative { get; init; }

    /// <summary>How many prompts, from the first, get their pictures kept (those of the first seed).</summary>
    public int Pictures { get; init; } = 8;

    /// <summary>All methods at all their scales: the baseline first, the others in the order of the file.</summary>
    public IReadOnlyList<MethodVariant> Variants => [.. Methods.OrderBy(method => method.Name != Baseline).SelectMany(VariantsOf)];

    /// <summary>All numbers of steps, ascending.</summary>
    public IReadOnlyList<int> Steps => [.. Methods.SelectMany(method => method.Steps).Distinct().Order()];

    /// <summary>A seed of a prompt.</summary>
    /// <param name="prompt">The prompt's index.</param>
    /// <param name="index">Which of its seeds, from 0.</param>
    public ulong SeedOf(int prompt, long index) =>
        FirstSeed + (ulong)index + (SeedsPerPrompt ? (ulong)prompt * (ulong)SeedCount : 0);

    /// <summary>Reads an experiment.</summary>
    /// <param name="file">A JSON file.</param>
    /// <param name="data">The folder that paths in the file are relative to; null for the file's own.</param>
    /// <param name="mayLackPrompts">Whether a list of prompts that is not there is taken for so many empty ones as
    /// <c>promptCount</c> says: for estimates.</param>
    /// <exception cref="FormatException">The file is not as it must be; the message names file, key and value.</exception>
    /// <exception cref="IOException">The file, or that of the prompts, cannot be read.</exception>
    public static Experiment Load(string file, string? data = null, bool mayLackPrompts = false)
    {
        ArgumentException.ThrowIfNullOrEmpty(file);
        var json = JsonPart.ParseStrict(file, System.IO.File.ReadAllText(file)).Object();
        string folder = data == null ? Path.GetDirectoryName(Path.GetFullPath(file))! : Path.GetFullPath(data);
        string? Resolve(string key) => json.Find(key)?.String() is { } path ? Path.GetFullPath(Path.Combine(folder, path)) : null;
        string name = Named(json, "name");
        string model = Resolve("model") ?? throw json.Wrong("model", "the path of a model");
        string? judge = Resolve("judge");
        string? dualEncoder = Resolve("dualEncoder");
        LoraWeights[] loras = [.. (json.Find("loras")?.Items() ?? []).Select(entry => ReadLora(entry.Object(), folder))];
        ExperimentMetric[] metrics =
            [.. (json.Find("metrics")?.Members() ?? []).Select(entry => ExperimentMetric.Read(entry.Key, entry.Value, folder))];
        if (judge == null && metrics.Length == 0)
            throw json.Wrong("judge", "the path of a judge, unless there are metrics");
        if (judge == null && dualEncoder != null)
            throw json.Wrong("dualEncoder", "none without a judge");
        int? width = Read(json, "width")?.Width;
        int? height = Read(json, "height")?.Height;
        var options = ReadOptions(json);
        var steps = ReadSteps(json);
        var methods = (json.Find("methods")?.Items() ?? []).Select(entry => ReadMethod(entry.Object(), steps)).ToArray();
        string baseline = Named(json, "baseline");
        var seeds = json.Needed("seeds", "an object with first and count").Object();
        long first = seeds.Find("first")?.Integer(0, long.MaxValue / 2) ?? 0;
        int count = (int)seeds.Needed("count", "an integer of 1 or more").Integer(1, 1_000_000);
        bool perPrompt = seeds.Find("perPrompt")?.Bool() ?? false;
        seeds.RequireAllAsked();
        var prompts = ReadPrompts(json, folder, mayLackPrompts);
        string? references = Resolve("references"), others = Resolve("referencesWithoutNegative");
        if (references == null && others != null)
            throw json.Wrong("referencesWithoutNegative", "none without references");
        int pictures = (int)(json.Find("pictures")?.Integer(0, int.MaxValue) ?? 8);
        double? pass = json.Find("passTeraflops")?.Number();
        if (pass is <= 0)
            throw json.Wrong("passTeraflops", "a number above 0");
        string[] notes = [.. (json.Find("notes")?.Items() ?? []).Select(note => note.String())];
        var published = json.Find("published");
        _ = published?.Object();
        json.RequireAllAsked();

        if (methods.Length == 0)
            throw json.Wrong("methods", "a list of one or more");
        var experiment = new Experiment
        {
            File = file, Name = name, Model = model, Judge = judge, DualEncoder = dualEncoder, Width = width, Height = height,
            Options = options, Methods = methods, Baseline = baseline, FirstSeed = (ulong)first, SeedCount = count,
            SeedsPerPrompt = perPrompt, Prompts = prompts, References = references, ReferencesWithoutNegative = others,
            Pictures = pictures, Loras = loras, Metrics = metrics, PassTeraflops = pass,
            Notes = notes, PromptFile = json.Find("prompts")?.IsString == true ? Resolve("prompts") : null,
        };
        experiment.CheckMethods(json);
        return published == null ? experiment : experiment with { Published = PublishedFigures.Read(published, experiment) };
    }

    /// <summary>Where a method stands in the file, for messages.</summary>
    internal string PathOf(ExperimentMethod method) => FormattableString.Invariant($"methods[{Methods.ToList().IndexOf(method)}]");

    /// <summary>A number as names and rules have it.</summary>
    internal static string Text(double scale) => scale.ToString("R", CultureInfo.InvariantCulture);

    private static ExperimentMethod ReadMethod(JsonPart json, IReadOnlyList<int> allSteps)
    {
        string name = Named(json, "name");
        string rules = json.Needed("rules", "a text").String();
        string? preset = json.Find("preset")?.String();
        bool negative = json.Find("negative")?.Bool() ?? true;
        var scales = ReadNumbers(json, "scales");
        var steps = ReadSteps(json);
        var options = ReadOptions(json);
        json.RequireAllAsked();
        if (preset != null && !GuidancePresets.Families.Contains(preset))
            throw json.Wrong("preset", $"one of {string.Join(", ", GuidancePresets.Families)}");
        bool marked = rules.Contains(ScaleMark, StringComparison.Ordinal);
        if (marked && scales.Count == 0)
            throw json.Wrong("rules", $"no {ScaleMark}, since the method has no scales");
        if (!marked && scales.Count > 0)
            throw json.Wrong("rules", $"{ScaleMark} where the scale goes, since the method has scales");
        if (name.Contains(ScaleMark, StringComparison.Ordinal) && scales.Count == 0)
            throw json.Wrong("name", $"no {ScaleMark}, since the method has no scales");
        var method = new ExperimentMethod(name, rules, preset, negative, scales, steps.Count > 0 ? steps : allSteps, options);
        if (method.Steps.Count == 0)
            throw new FormatException(
                $"'{json.File}': {json.At("steps")} is missing, and so is steps of the experiment; expected a list of one or more numbers "
                    + $"of steps in one of them.");
        foreach (var variant in VariantsOf(method))
        {
            try
            {
                _ = new GuidanceSchedule(RuleCatalog.Parse(variant.Rules, preset == null ? null : GuidancePresets.For(preset)));
            }
            catch (Exception exception) when (exception is FormatException or ArgumentException)
            {
                throw new FormatException($"'{json.File}': {json.At("rules")} is '{variant.Rules}': {Line(exception)}", exception);
            }
        }
        return method;
    }

    /// <summary>A request with the one option that a key of the catalogue gives, or null where the key is absent.</summary>
    private static GenerationRequest? Read(JsonPart json, string key) =>
        json.Find(key) is { } value ? Set(value, key) : null;

    /// <summary>A request with one option.</summary>
    private static GenerationRequest Set(JsonPart value, string key)
    {
        try
        {
            return OptionCatalog.Find(key)!.Set(new GenerationRequest { Prompt = "" }, value.Element, value.Place);
        }
        catch (Exception exception) when (exception is FormatException or IOException)
        {
            throw new FormatException($"'{value.File}': {exception.Message}", exception);
        }
    }

    /// <summary>Numbers of steps, each once; none where the key is absent.</summary>
    private static List<int> ReadSteps(JsonPart json)
    {
        var steps = new List<int>();
        foreach (var value in json.Find("steps")?.Items() ?? [])
        {
            int number = Set(value, "steps").Steps!.Value;
            if (steps.Contains(number))
                throw value.Wrong("each number once");
            steps.Add(number);
        }
        return steps;
    }

    /// <summary>Finite numbers, each once; none where the key is absent.</summary>
    private static List<double> ReadNumbers(JsonPart json, string key)
    {
        var numbers = new List<double>();
        foreach (var value in json.Find(key)?.Items() ?? [])
        {
            double number = value.Number();
            if (numbers.Contains(number))
                throw value.Wrong("each number once");
            numbers.Add(number);
        }
        return numbers;
    }

    /// <summary>An object of texts; empty where the key is absent.</summary>
    private static SortedDictionary<string, string> ReadTexts(JsonPart json, string key)
    {
        var texts = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var (name, value) in json.Find(key)?.Members() ?? [])
            texts.Add(name, value.String());
        return texts;
    }

    /// <summary>The options of the catalogue that an experiment does not state in its own way. Pictures begin with noise.</summary>
    private static SortedDictionary<string, string> ReadOptions(JsonPart json)
    {
        var read = new SortedDictionary<string, string>(StringComparer.Ordinal);
        if (json.Find("options")?.Object() is not { } options)
            return read;
        foreach (var option in OptionCatalog.All.Where(option => option.Kind != OptionKind.File && !Stated.Contains(option.Name)))
        {
            if (Read(options, option.Key) is { } request && option.Get(request) is { } text)
                read.Add(option.Key, text);
        }
        options.RequireAllAsked();
        return read;
    }

    /// <summary>The message of an exception without the name of the parameter.</summary>
    internal static string Line(Exception exception) =>
        exception is ArgumentException { ParamName: { } name }
            ? exception.Message.Replace($" (Parameter '{name}')", "", StringComparison.Ordinal)
            : exception.Message;

    private static IEnumerable<MethodVariant> VariantsOf(ExperimentMethod method)
    {
        if (method.Scales.Count == 0)
            return [new MethodVariant(method, null, method.Name, method.Rules)];
        bool named = method.Name.Contains(ScaleMark, StringComparison.Ordinal);
        string NameAt(string scale) =>
            named
                ? method.Name.Replace(ScaleMark, scale, StringComparison.Ordinal)
                : method.Scales.Count == 1 ? method.Name
                : $"{method.Name} {scale}";
        return method.Scales.Select(
            scale => new MethodVariant(
                method, scale, NameAt(Text(scale)), method.Rules.Replace(ScaleMark, Text(scale), StringComparison.Ordinal)));
    }

    private void CheckMethods(JsonPart json)
    {
        for (int i = 0; i < Methods.Count; i++)
        {
            if (Methods.Take(i).Any(other => other.Name == Methods[i].Name))
                throw new FormatException($"'{File}': {PathOf(Methods[i])}.name is \"{Methods[i].Name}\", a name that another method has.");
        }
        if (Variants.GroupBy(variant => variant.Name).FirstOrDefault(group => group.Count() > 1) is { } twice)
            throw new FormatException($"'{File}': methods: two methods have the name \"{twice.Key}\" once scales are filled in.");
        var baseline = Methods.FirstOrDefault(method => method.Name == Baseline)
            ?? throw json.Wrong("baseline", $"the name of a method: {string.Join(", ", Methods.Select(method => method.Name))}");
        if (baseline.Scales.Count > 1)
            throw new FormatException(
                $"'{File}': {PathOf(baseline)}.scales has {baseline.Scales.Count} entries, expected one at most, since {Baseline} is the "
                    + $"baseline.");
        foreach (var method in Methods)
        {
            if (method.Steps.FirstOrDefault(steps => !baseline.Steps.Contains(steps)) is > 0 and var missing)
                throw new FormatException(
                    $"'{File}': {PathOf(method)}.steps has {missing}, which the baseline {Baseline} has not: there is nothing to compare "
                        + $"it with.");
        }
    }

    private static LoraWeights ReadLora(JsonPart json, string folder)
    {
        string path = json.Needed("path", "the path of a LoRA file").String();
        double scale = json.Find("scale")?.Number() ?? 1;
        json.RequireAllAsked();
        return new LoraWeights(Path.GetFullPath(Path.Combine(folder, path)), (float)scale);
    }

    /// <summary>
    /// A list in place, in a JSON file, or a text file with a prompt a line, in which prompts may be there twice: captions of two pictures
    /// may be the same.
    /// </summary>
    private static ExperimentPrompt[] ReadPrompts(JsonPart json, string folder, bool mayLack)
    {
        var value = json.Needed("prompts", "a list of prompts, or the path of a JSON file with one, or of a text file");
        string? negative = json.Find("negative")?.String();
        int? count = (int?)json.Find("promptCount")?.Integer(1, 10_000_000);
        int Counted(int there, string file) => count is not { } asked || asked == there ? there
            : throw new FormatException($"'{file}' has {there} prompts, expected {asked}, as promptCount of '{json.File}' says.");
        if (value.IsString)
        {
            string file = Path.GetFullPath(Path.Combine(folder, value.String()));
            if (mayLack && count is { } expected && !System.IO.File.Exists(file))
                return [.. Enumerable.Repeat(Plain(""), expected)];
            string text = System.IO.File.ReadAllText(file);
            if (!file.EndsWith(".json", StringComparison.OrdinalIgnoreCase))
            {
                string[] lines = text.ReplaceLineEndings("\n").TrimEnd('\n').Split('\n');
                _ = Counted(lines.Length, file);
                return Array.FindIndex(lines, string.IsNullOrWhiteSpace) is >= 0 and var empty
                    ? throw new FormatException($"'{file}': line {empty + 1} is empty, expected a prompt.")
                    : [.. lines.Select(Plain)];
            }
            value = JsonPart.ParseStrict(file, text);
        }
        if (value.Element.ValueKind != JsonValueKind.Array)
            throw value.Wrong("a list of prompts");
        var prompts = new List<ExperimentPrompt>();
        var known = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var one in value.Items())
        {
            string at = one.Object().Place;
            var prompt = new ExperimentPrompt(
                one.Needed("prompt", "a text").String(), one.Find("negative")?.String() ?? negative, ReadTexts(one, "present"),
                ReadTexts(one, "absent"));
            one.RequireAllAsked();
            foreach (var (head, attribute) in prompt.Absent)
            {
                if (prompt.Present.TryGetValue(head, out string? same) && same == attribute)
                    throw new FormatException($"'{value.File}': {at}.absent.{head} is \"{attribute}\", which {at}.present asks for.");
            }
            if (!known.TryAdd($"{prompt.Prompt}\n{prompt.Negative}", at))
                throw new FormatException(
                    $"'{value.File}': {at} has the same prompt and negative as {known[$"{prompt.Prompt}\n{prompt.Negative}"]}: "
                        + $"\"{prompt.Prompt}\".");
            prompts.Add(prompt);
        }
        _ = Counted(prompts.Count, value.File);
        return prompts.Count > 0 ? [.. prompts] : throw value.Wrong("one prompt or more");

        ExperimentPrompt Plain(string prompt) => new(prompt, negative, NoAttributes, NoAttributes);
    }

    private static string Named(JsonPart json, string key) =>
        json.Needed(key, "a text").String() is var name && !string.IsNullOrWhiteSpace(name) ? name
            : throw json.Wrong(key, "a text that is not empty");
}
