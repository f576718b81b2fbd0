using System.Buffers.Binary;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Attune.Weights;

namespace Attune.Evaluation.Experiments;

/// <summary>What is known of one picture; one line of a file of records.</summary>
/// <param name="Method">The name of the method, as the experiment has it.</param>
/// <param name="Scale">The scale, or null for a method without one.</param>
/// <param name="Steps">The number of steps.</param>
/// <param name="Prompt">The index of the prompt.</param>
/// <param name="Seed">The seed.</param>
/// <param name="Seconds">How long the steps took; encoding of prompts, decoding and judging not counted.</param>
/// <param name="Total">How long it took from the prompt to the last latents, in seconds; decoding and judging not counted.</param>
/// <param name="Session">Which start of a process made it, from 1 in each file: only times of one session are compared.</param>
/// <param name="Reading">What was read off the picture.</param>
public sealed record ExperimentRecord(
    string Method, double? Scale, int Steps, int Prompt, ulong Seed, double Seconds, double Total, int Session, PictureReading Reading)
{
    private static readonly JsonWriterOptions Options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The file it was read from; empty for one that was not read.</summary>
    internal string Source { get; init; } = "";

    /// <summary>What no other record of the experiment has.</summary>
    internal (string Method, double? Scale, int Steps, int Prompt, ulong Seed) Key => (Method, Scale, Steps, Prompt, Seed);

    /// <summary>The record as one line of JSON, without its end.</summary>
    internal string ToLine()
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, Options))
        {
            json.WriteStartObject();
            json.WriteString("method", Method);
            if (Scale is { } scale)
                json.WriteNumber("scale", scale);
            json.WriteNumber("steps", Steps);
            json.WriteNumber("prompt", Prompt);
            json.WriteNumber("seed", Seed);
            json.WriteNumber("seconds", Math.Round(Seconds, 6));
            json.WriteNumber("total", Math.Round(Total, 6));
            json.WriteNumber("session", Session);
            json.WriteStartObject("heads");
            foreach (var (head, reading) in Reading.Heads)
            {
                json.WriteStartObject(head);
                json.WriteString("value", reading.Value);
                json.WriteStartArray("probabilities");
                foreach (float probability in reading.Probabilities)
                    json.WriteNumberValue(probability);
                json.WriteEndArray();
                json.WriteEndObject();
            }
            json.WriteEndObject();
            json.WriteBase64String("features", ToBytes(Reading.Features));
            if (Reading.PromptScore is { } prompt)
                json.WriteNumber("promptScore", prompt);
            if (Reading.NegativeScore is { } negative)
                json.WriteNumber("negativeScore", negative);
            if (Reading.Metrics.Count > 0)
            {
                json.WriteStartObject("metrics");
                foreach (var (metric, values) in Reading.Metrics)
                {
                    if (values is [var value])
                        json.WriteNumber(metric, value);
                    else
                        json.WriteBase64String(metric, ToBytes(values));
                }
                json.WriteEndObject();
            }
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(stream.GetBuffer(), 0, (int)stream.Length);
    }

    /// <summary>Reads a line.</summary>
    /// <param name="file">What errors call the file and the line.</param>
    /// <param name="line">The line.</param>
    /// <exception cref="FormatException">It is no record.</exception>
    internal static ExperimentRecord Parse(string file, string line)
    {
        var json = JsonPart.ParseStrict(file, line).Object();
        long Integer(string key, long low, long high) => json.Needed(key, "an integer").Integer(low, high);
        double Number(string key) => json.Needed(key, "a number").Number();
        var heads = new Dictionary<string, HeadReading>(StringComparer.Ordinal);
        foreach (var (name, head) in json.Needed("heads", "an object").Members())
        {
            heads.Add(
                name,
                new HeadReading(
                    head.Needed("value", "a text").String(),
                    [
                        .. (head.Find("probabilities")?.Items() ?? [])
                            .Select(entry => entry.Element.TryGetSingle(out float p) ? p : throw entry.Wrong("a number"))]));
            head.RequireAllAsked();
        }
        float[] Floats(JsonPart? part, string key) =>
            part is { IsString: true } && part.Element.TryGetBytesFromBase64(out byte[]? decoded) && decoded.Length % 4 == 0
                ? ToFloats(decoded) : throw json.Wrong(key, "float32 numbers in base64");
        var metrics = new Dictionary<string, float[]>(StringComparer.Ordinal);
        foreach (var (name, value) in json.Find("metrics")?.Members() ?? [])
            metrics.Add(name, value.IsString ? Floats(value, "metrics") : [(float)value.Number()]);
        var reading = new PictureReading(
            heads, Floats(json.Find("features"), "features"), (float?)json.Find("promptScore")?.Number(),
            (float?)json.Find("negativeScore")?.Number()) { Metrics = metrics };
        var record = new ExperimentRecord(
            json.Needed("method", "a text").String(), json.Find("scale")?.Number(), (int)Integer("steps", 1, 1000),
            (int)Integer("prompt", 0, int.MaxValue), (ulong)Integer("seed", 0, long.MaxValue),
            Number("seconds"), Number("total"), (int)Integer("session", 1, int.MaxValue), reading);
        json.RequireAllAsked();
        return record;
    }

    private static byte[] ToBytes(IReadOnlyList<float> values)
    {
        byte[] bytes = new byte[4 * values.Count];
        for (int i = 0; i < values.Count; i++)
            BinaryPrimitives.WriteSingleLittleEndian(bytes.AsSpan(4 * i), values[i]);
        return bytes;
    }

    private static float[] ToFloats(byte[] bytes)
    {
        float[] values = new float[bytes.Length / 4];
        for (int i = 0; i < values.Length; i++)
            values[i] = BinaryPrimitives.ReadSingleLittleEndian(bytes.AsSpan(4 * i));
        return values;
    }
}
