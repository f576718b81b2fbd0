using System.Text.Json.Nodes;
using Attune.Generation;

namespace Attune.Verification;

/// <summary>
/// The model of a pipeline case: the case's checkpoint, or, where the case names another class or other components, a folder with those,
/// put together for the case and deleted with it.
/// </summary>
internal sealed class CaseModel : IDisposable
{
    private readonly string? _made;

    private CaseModel(string path, string? made) => (Path, _made) = (path, made);

    /// <summary>The folder.</summary>
    public string Path { get; }

    /// <exception cref="UnsupportedCaseException">A component goes beside the model in a way that is not known.</exception>
    public static CaseModel Of(GoldenCase golden)
    {
        string index = System.IO.Path.Combine(golden.Checkpoint, "model_index.json");
        var json = File.Exists(index) ? JsonNode.Parse(File.ReadAllBytes(index))!.AsObject() : [];
        bool renamed = golden.Class != null && (string?)json["_class_name"] != golden.Class
            && DiffusionPipeline.SupportedClasses.Contains(golden.Class);
        bool has = golden.Arguments.TryGetProperty("components", out var components);
        if (!renamed && !has)
            return new CaseModel(golden.Checkpoint, null);
        string made = Directory.CreateTempSubdirectory("attune-case-").FullName;
        try
        {
            Copy(golden.Checkpoint, made);
            foreach (var component in has ? components.EnumerateObject().ToArray() : [])
            {
                if (json[component.Name] is not JsonArray)
                    throw new UnsupportedCaseException($"component {component.Name}");
                string to = System.IO.Path.Combine(made, component.Name);
                Directory.Delete(to, recursive: true);
                Copy(System.IO.Path.Combine(golden.Root, component.Value.GetString()!), to);
            }
            if (renamed)
                json["_class_name"] = golden.Class;
            File.WriteAllText(System.IO.Path.Combine(made, "model_index.json"), json.ToJsonString());
            return new CaseModel(made, made);
        }
        catch
        {
            Directory.Delete(made, recursive: true);
            throw;
        }
    }

    public void Dispose()
    {
        if (_made != null)
            Directory.Delete(_made, recursive: true);
    }

    private static void Copy(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (string file in Directory.EnumerateFiles(from))
            File.Copy(file, System.IO.Path.Combine(to, System.IO.Path.GetFileName(file)));
        foreach (string folder in Directory.EnumerateDirectories(from))
            Copy(folder, System.IO.Path.Combine(to, System.IO.Path.GetFileName(folder)));
    }
}
