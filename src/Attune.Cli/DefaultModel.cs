using Attune.Weights;

namespace Attune.Cli;

/// <summary>Finds the checkpoint that comes with Attune.</summary>
internal static class DefaultModel
{
    /// <summary>The folder below models/ that is used when --model is not given.</summary>
    public const string Name = "scenes-flux-schnell";

    private const string IndexFile = "model_index.json";

    /// <summary>What can be generated with: the given folder or file, or the checkpoint that comes with Attune.</summary>
    /// <exception cref="CheckpointException">It is not there, or holds no pipeline; the message says what is expected, and which pipelines
    /// lie below it.</exception>
    public static string FindPipeline(string? given)
    {
        string path = Find(given);
        if (File.Exists(path) || File.Exists(Path.Combine(path, IndexFile)))
            return path;
        const string Expected =
            "a local folder with model_index.json, or a .safetensors or .gguf file; nothing is downloaded, see docs/models.md";
        if (!Directory.Exists(path))
            throw new CheckpointException($"--model: '{path}' does not exist; expected {Expected}.");
        var options = new EnumerationOptions { RecurseSubdirectories = true, MaxRecursionDepth = 4, IgnoreInaccessible = true };
        string[] below = [.. Directory.EnumerateFiles(path, IndexFile, options).Select(file => Path.GetDirectoryName(file)!)
            .Order(StringComparer.Ordinal)];
        throw new CheckpointException(
            $"--model: '{path}' holds no {IndexFile}; "
                + (below.Length > 0 ? $"below it are {string.Join(", ", below.Take(8))}." : $"expected {Expected}."));
    }

    /// <summary>
    /// The given folder; else models/NAME beside the executable, or in the working directory or one above either of them.
    /// </summary>
    /// <exception cref="CheckpointException">There is none.</exception>
    public static string Find(string? given)
    {
        if (given != null)
            return given;
        foreach (string start in new[] { AppContext.BaseDirectory, Environment.CurrentDirectory })
        {
            for (string? folder = Path.TrimEndingDirectorySeparator(start); folder != null; folder = Path.GetDirectoryName(folder))
            {
                string candidate = Path.Combine(folder, "models", Name);
                if (File.Exists(Path.Combine(candidate, IndexFile)))
                    return candidate;
            }
        }
        throw new CheckpointException(
            $"No models/{Name} was found beside the executable, in the working directory or above; name a diffusers folder with --model.");
    }
}
