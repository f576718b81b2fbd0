using System.Text.Json;
using System.Text.Json.Nodes;
using Attune.Tokenizers;

namespace Attune.Tests.Tokenizers;

/// <summary>The small tokenizers of tests/golden, and folders made from them.</summary>
internal static class Folders
{
    public static string Golden(string name) => Path.Combine(ComponentCase.Root, "tokenizers", name);

    public static Tokenizer Load(string name) => Tokenizer.Load(Golden(name));

    /// <summary>The texts of a golden case with their ids.</summary>
    public static IEnumerable<(string Text, int[] Ids)> Strings(string name)
    {
        using var json = JsonDocument.Parse(
            File.ReadAllBytes(Path.Combine(ComponentCase.Root, "cases", "tokenizers", name + ".strings.json")));
        foreach (var row in json.RootElement.Clone().EnumerateArray())
            yield return (row.GetProperty("text").GetString()!, [.. row.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32())]);
    }

    /// <summary>Loads a copy of some files of a golden tokenizer, changed by a function.</summary>
    public static Tokenizer LoadCopy(string name, IEnumerable<string> files, Action<string> change)
    {
        string folder = Directory.CreateTempSubdirectory("attune").FullName;
        try
        {
            foreach (string file in files)
                File.WriteAllBytes(Path.Combine(folder, file), File.ReadAllBytes(Path.Combine(Golden(name), file)));
            change(folder);
            return Tokenizer.Load(folder);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>Loads a folder with nothing but a tokenizer.json.</summary>
    public static Tokenizer LoadJson(JsonObject json, string? config = null) => LoadCopy("clip", [], folder =>
    {
        File.WriteAllText(Path.Combine(folder, "tokenizer.json"), json.ToJsonString());
        if (config != null)
            File.WriteAllText(Path.Combine(folder, "tokenizer_config.json"), config);
    });

    public static JsonObject ReadJson(string path) => JsonNode.Parse(File.ReadAllBytes(path))!.AsObject();
}
