using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Attune.Evaluation.Experiments;

/// <summary>Tells experiments apart, so that records of one are never taken for those of another.</summary>
internal static class Fingerprint
{
    /// <summary>Files up to this size count by all of their bytes, larger ones by their size, beginning and end.</summary>
    private const long Whole = 64L << 20;
    private const int Edge = 1 << 20;

    /// <summary>
    /// SHA-256 of all that the file of an experiment says about its records, whatever its layout. Its heading, notes, references, published
    /// figures and kept pictures do not count: they change the report alone.
    /// </summary>
    public static string Of(Experiment experiment)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream))
        {
            json.WriteStartObject();
            json.WriteNumber("format", 1);
            // What was not there when the first records were made is written where it is given alone: those keep their fingerprint.
            if (experiment.Judge == null)
                json.WriteBoolean("judge", false);
            if (experiment.SeedsPerPrompt)
                json.WriteBoolean("perPrompt", true);
            if (experiment.Loras.Count > 0)
            {
                json.WriteStartArray("loras");
                foreach (var lora in experiment.Loras)
                    json.WriteNumberValue(lora.Scale);
                json.WriteEndArray();
            }
            if (experiment.Metrics.Count > 0)
                WriteTexts(json, "metrics", experiment.Metrics.ToDictionary(one => one.Metric.Name, one => one.Preparation.Name));
            WriteInteger(json, "width", experiment.Width);
            WriteInteger(json, "height", experiment.Height);
            WriteOptions(json, experiment.Options);
            json.WriteBoolean("scores", experiment.DualEncoder != null);
            json.WriteString("baseline", experiment.Baseline);
            json.WriteNumber("first", experiment.FirstSeed);
            json.WriteNumber("count", experiment.SeedCount);
            json.WriteStartArray("methods");
            foreach (var method in experiment.Methods)
            {
                json.WriteStartObject();
                json.WriteString("name", method.Name);
                json.WriteString("rules", method.Rules);
                json.WriteString("preset", method.Preset);
                json.WriteBoolean("negative", method.Negative);
                json.WriteStartArray("scales");
                foreach (double scale in method.Scales)
                    json.WriteNumberValue(scale);
                json.WriteEndArray();
                json.WriteStartArray("steps");
                foreach (int steps in method.Steps)
                    json.WriteNumberValue(steps);
                json.WriteEndArray();
                WriteOptions(json, method.Options);
                json.WriteEndObject();
            }
            json.WriteEndArray();
            json.WriteStartArray("prompts");
            foreach (var prompt in experiment.Prompts)
            {
                json.WriteStartObject();
                json.WriteString("prompt", prompt.Prompt);
                json.WriteString("negative", prompt.Negative);
                WriteTexts(json, "present", prompt.Present);
                WriteTexts(json, "absent", prompt.Absent);
                json.WriteEndObject();
            }
            json.WriteEndArray();
            json.WriteEndObject();
        }
        return Convert.ToHexStringLower(SHA256.HashData(stream.GetBuffer().AsSpan(0, (int)stream.Length)));
    }

    /// <summary>
    /// SHA-256 of an experiment, of its rules with the model's presets filled in, and of the files of the model, the judge, the dual
    /// encoder, LoRA and the metrics.
    /// </summary>
    public static string Of(Experiment experiment, IEnumerable<string> rules)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        void Add(string text) => hash.AppendData(Encoding.UTF8.GetBytes(text + "\0"));
        Add(Of(experiment));
        foreach (string text in rules)
            Add(text);
        foreach (string? path in (IEnumerable<string?>)[
            experiment.Model, experiment.Judge, experiment.DualEncoder, .. experiment.Loras.Select(lora => lora.Path),
            .. experiment.Metrics.Select(metric => metric.Weights)])
        {
            Add("path");
            if (path != null)
                AddPath(hash, path);
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>SHA-256 of texts and of the files of paths: what something was made of.</summary>
    public static string Of(IEnumerable<string> texts, IEnumerable<string> paths)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (string text in texts)
            hash.AppendData(Encoding.UTF8.GetBytes(text + "\0"));
        foreach (string path in paths)
            AddPath(hash, path);
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private static void AddPath(IncrementalHash hash, string path)
    {
        foreach (
            string file in File.Exists(path) ? [path]
                : Directory.GetFiles(path, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal).ToArray())
        {
            hash.AppendData(Encoding.UTF8.GetBytes(Path.GetRelativePath(path, file).Replace('\\', '/') + "\0"));
            AddFile(hash, file);
        }
    }

    private static void AddFile(IncrementalHash hash, string file)
    {
        using var stream = File.OpenRead(file);
        hash.AppendData(BitConverter.GetBytes(stream.Length));
        byte[] buffer = new byte[Edge];
        if (stream.Length <= Whole)
        {
            for (int read; (read = stream.Read(buffer)) > 0;)
                hash.AppendData(buffer, 0, read);
            return;
        }
        stream.ReadExactly(buffer);
        hash.AppendData(buffer);
        stream.Seek(-Edge, SeekOrigin.End);
        stream.ReadExactly(buffer);
        hash.AppendData(buffer);
    }

    private static void WriteInteger(Utf8JsonWriter json, string key, int? value)
    {
        if (value is { } number)
            json.WriteNumber(key, number);
        else
            json.WriteNull(key);
    }

    /// <summary>Writes nothing for no options: records from before there were any keep their fingerprint.</summary>
    private static void WriteOptions(Utf8JsonWriter json, IReadOnlyDictionary<string, string> options)
    {
        if (options.Count > 0)
            WriteTexts(json, "options", options);
    }

    private static void WriteTexts(Utf8JsonWriter json, string key, IReadOnlyDictionary<string, string> texts)
    {
        json.WriteStartObject(key);
        foreach (var (head, value) in texts.OrderBy(pair => pair.Key, StringComparer.Ordinal))
            json.WriteString(head, value);
        json.WriteEndObject();
    }
}
