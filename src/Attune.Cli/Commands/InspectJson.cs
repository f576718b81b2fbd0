using System.Text.Json;
using Attune.Generation;
using Attune.Weights;
using Attune.Weights.SingleFile;

namespace Attune.Cli.Commands;

/// <summary><c>attune inspect --json</c>: what the command says, as one object.</summary>
internal static class InspectJson
{
    private static readonly JsonWriterOptions Layout = new() { Indented = true };

    /// <summary>Writes the object. A model that cannot be used ends as without JSON, when the object is written.</summary>
    public static int Run(string path, string? configFolder, Func<Stream> open)
    {
        var report = File.Exists(path) ? FileReport.Of(path, configFolder) : null;
        bool isModel = report != null ? report.Role == FileRole.Model : InspectCommand.IsModelFolder(path);
        // A folder that is none itself holds models or components.
        var below = report == null && !isModel && !InspectCommand.HoldsWeights(path) ? InspectCommand.Below(path)
            : ((IReadOnlyList<string> Models, IReadOnlyList<string> Components)?)null;
        var options = new LoadOptions { ConfigFolder = configFolder };
        var problem = isModel ? InspectCommand.ProblemOf(path, options) : null;
        using (var stream = open())
        {
            using (var json = new Utf8JsonWriter(stream, Layout))
            {
                json.WriteStartObject();
                json.WriteString("path", path);
                json.WriteString(
                    "kind", report != null ? report.Role.ToString().ToLowerInvariant() : isModel ? "model"
                        : below != null ? "folder" : "component");
                json.WriteBoolean("usable", problem == null && report?.Problem == null);
                json.WriteString("problem", problem?.SourceException.Message ?? report?.Problem);
                if (report != null)
                    Write(json, report);
                else if (isModel)
                    WriteModel(json, path, options);
                if (below is { } found)
                    WriteBelow(json, found.Models, found.Components);
                else if (report != null || !isModel)
                    WriteTypes(json, path);
                json.WriteEndObject();
            }
            stream.Write("\n"u8);
        }
        problem?.Throw();
        return 0;
    }

    private static void Write(Utf8JsonWriter json, FileReport report)
    {
        json.WriteString("name", report.Name);
        WriteList(json, "told_by", report.ToldBy);
        json.WriteString("pipeline", report.Pipeline);
        json.WriteStartArray("components");
        foreach (var part in report.Components)
        {
            json.WriteStartObject();
            json.WriteString("name", part.Name);
            json.WriteString("option", part.Option);
            json.WriteString("prefix", part.Prefix);
            json.WriteNumber("tensors", part.Count);
            if (part.Width > 0)
                json.WriteNumber("channels", part.Width);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        WriteList(json, "serves", report.Serves);
        json.WriteStartArray("needs");
        foreach (var need in report.Needs)
        {
            json.WriteStartObject();
            json.WriteString("component", need.Slot);
            json.WriteString("what", need.What);
            json.WriteString("as", need.Example);
            json.WriteString("option", need.Option);
            json.WriteEndObject();
        }
        json.WriteEndArray();
        WriteList(json, "tokenizers", report.Tokenizers);
        json.WriteString("command", report.Command);
    }

    /// <summary>The components that a folder's index names; of those without weights the class alone.</summary>
    private static void WriteModel(Utf8JsonWriter json, string path, LoadOptions options)
    {
        var source = options.Open(path);
        json.WriteString("pipeline", source.Index.ClassName);
        json.WriteStartArray("components");
        foreach (string key in source.Index.Keys().Where(key => !key.StartsWith('_') && source.ClassOf(key) != null))
        {
            json.WriteStartObject();
            json.WriteString("name", key);
            json.WriteString("class", source.ClassOf(key));
            string folder = Path.Combine(path, key);
            json.WriteBoolean("present", Directory.Exists(folder));
            if (InspectCommand.HoldsWeights(folder))
                WriteTypes(json, folder);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    /// <summary>What a folder holds that is no model itself.</summary>
    private static void WriteBelow(Utf8JsonWriter json, IReadOnlyList<string> models, IReadOnlyList<string> components)
    {
        json.WriteStartArray("models");
        foreach (string model in models)
        {
            json.WriteStartObject();
            json.WriteString("path", model);
            json.WriteString("pipeline", InspectCommand.PipelineIn(model));
            json.WriteEndObject();
        }
        json.WriteEndArray();
        json.WriteStartArray("components");
        foreach (string component in components)
        {
            json.WriteStartObject();
            json.WriteString("path", component);
            json.WriteString("class", InspectCommand.ClassIn(component));
            WriteTypes(json, component);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    /// <summary>The types of tensors, those that take most room first; nothing where the weights cannot be read.</summary>
    private static void WriteTypes(Utf8JsonWriter json, string path)
    {
        TensorEntry[] entries;
        try
        {
            using var source = WeightSource.Open(path);
            entries = [.. source.Entries];
        }
        catch (CheckpointException exception)
        {
            json.WriteString("unreadable", exception.Message);
            return;
        }
        json.WriteStartArray("types");
        foreach (var group in entries.GroupBy(tensor => tensor.Type).OrderByDescending(group => group.Sum(tensor => tensor.Length)))
        {
            json.WriteStartObject();
            json.WriteString("type", group.Key);
            json.WriteNumber("tensors", group.Count());
            json.WriteNumber("parameters", group.Sum(tensor => tensor.Count));
            json.WriteNumber("bytes", group.Sum(tensor => tensor.Length));
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private static void WriteList(Utf8JsonWriter json, string name, IEnumerable<string> texts)
    {
        json.WriteStartArray(name);
        foreach (string text in texts)
            json.WriteStringValue(text);
        json.WriteEndArray();
    }
}
