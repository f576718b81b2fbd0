using Attune.Weights;

namespace Attune.Cli;

/// <summary>Finds the checkpoint that comes with Attune.</summary>
internal static class DefaultModel
{
    /// <summary>The folder below models/ that is used when --model is not given.</summary>
    public const string Name = "scenes-flux-schnell";

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
                if (File.Exists(Path.Combine(candidate, "model_index.json")))
                    return candidate;
            }
        }
        throw new CheckpointException(
            $"No models/{Name} was found beside the executable, in the working directory or above; name a diffusers folder with --model.");
    }
}
