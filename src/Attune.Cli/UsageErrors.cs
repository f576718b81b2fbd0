using System.CommandLine;
using System.CommandLine.Parsing;

namespace Attune.Cli;

/// <summary>Says in one line why a command line is not understood, and what was probably meant.</summary>
internal static class UsageErrors
{
    /// <summary>
    /// Options of other tools (diffusers, ComfyUI, AUTOMATIC1111's web UI, stable-diffusion.cpp, InvokeAI), and what does it here: an
    /// option, and how it is written where that is not plain.
    /// </summary>
    public static IReadOnlyDictionary<string, (string Option, string? Written)> Foreign { get; } =
        new (string Option, string? Written, string[] Names)[]
        {
            ("--negative", null, ["--negative-prompt", "--negative_prompt", "--neg", "--neg-prompt", "--uncond"]),
            ("--guidance", "--guidance cfg:scale=7", ["--cfg", "--cfg-scale", "--cfg_scale", "--scale", "--true-cfg-scale"]),
            ("--width", null, ["-W", "--w"]),
            ("--height", null, ["-H", "--h"]),
            ("--size", null, ["--resolution", "--image-size", "--res"]),
            ("--steps", null, ["--num-inference-steps", "--sample-steps", "--sampling-steps", "--ddim-steps", "--num-steps"]),
            (
                "--scheduler", null,
                ["--sampler", "--sampling-method", "--sampling_method", "--sampler-name", "--sample-method", "--sampler-index"]),
            ("--scheduler", "--scheduler NAME:use_karras_sigmas=true", ["--karras", "--schedule"]),
            ("--scheduler", "--scheduler :shift=3", ["--shift", "--flow-shift"]),
            (
                "--count", null,
                [
                    "-b", "--batch", "--batch-size", "--batch-count", "--num-images", "--num-images-per-prompt", "--n-samples", "--n-iter",
                    "--number"]),
            ("--lora", "--lora FILE:SCALE", ["--lora-scale", "--lora-weight", "--lora-strength", "--lora-alpha"]),
            ("--embedding", null, ["--embd", "--embd-dir", "--embeddings", "--textual-inversion", "--ti"]),
            ("--lora", null, ["--loras", "--lora-path", "--lora-model-dir", "--lora-dir", "--adapter"]),
            ("--image", null, ["--init-image", "--init-img", "--input-image", "--input", "--init", "--img"]),
            ("--strength", null, ["--denoise", "--denoising-strength", "--image-strength"]),
            ("--guidance-scale", null, ["--distilled-guidance", "--embedded-guidance", "--distilled-cfg-scale"]),
            ("--max-sequence-length", null, ["--max-seq-len", "--max-length", "--t5-length"]),
            ("--output", null, ["--out", "--output-path", "--outfile", "--outdir", "--out-dir", "--outpath", "--save", "--save-path"]),
            ("--model", null, ["--ckpt", "--ckpt-path", "--checkpoint", "--model-path", "--model-id", "--diffusion-model", "--pretrained"]),
            ("--text-encoder", null, ["--t5xxl", "--clip_l", "--clip-l", "--clip_g", "--clip-g", "--llm", "--qwen2vl", "--encoder"]),
            ("--image-encoder", null, ["--clip_vision", "--clip-vision", "--vision", "--clip-vision-h"]),
            ("--transformer", null, ["--high-noise-diffusion-model", "--transformer-2", "--low-noise-model", "--unet"]),
            ("--vae", null, ["--ae", "--vae-path", "--autoencoder"]),
            ("--preview-vae", null, ["--taesd", "--tae", "--taesd-path"]),
            ("--precision", "--precision bf16", ["--bf16", "--fp16", "--half"]),
            ("--precision", null, ["--dtype", "--torch-dtype", "--type", "--weight-type"]),
            ("--device", null, ["--backend", "--cpu", "--cuda", "--gpu"]),
            ("--frames", null, ["--num-frames", "--video-frames", "--length"]),
            ("--fps", null, ["--frame-rate", "--framerate", "--frames-per-second"]),
            ("--quiet", null, ["-q", "--silent", "--no-progress"]),
            ("prompt", "the prompt without an option, in quotes", ["--prompt", "-p", "--text", "--positive"]),
        }.SelectMany(row => row.Names.Select(name => (name, row.Option, row.Written)))
            .ToDictionary(row => row.name, row => (row.Option, row.Written), StringComparer.Ordinal);

    /// <summary>The line, without a line break.</summary>
    /// <param name="result">The command line, which has errors.</param>
    /// <param name="args">Its words as they were given.</param>
    public static string Describe(ParseResult result, IReadOnlyList<string> args)
    {
        var command = result.CommandResult.Command;
        string path = Path(result.CommandResult);
        return $"{Reason(result, command, args).ReplaceLineEndings(" ").TrimEnd('.')}; see {path} --help";
    }

    private static string Reason(ParseResult result, Command command, IReadOnlyList<string> args)
    {
        // An unknown option is taken for an argument where one is awaited, so that the first complaint may be about something else.
        var known = Known(result.CommandResult).ToList();
        foreach (string word in args)
        {
            string name = word.Split('=', ':')[0];
            if (known.Contains(name))
                continue;
            if (Foreign.TryGetValue(name, out var meant)
                && (known.Contains(meant.Option) || command.Arguments.Any(argument => argument.Name == meant.Option)))
                return $"{name} is not known: here it is {meant.Written ?? meant.Option}";
            string hyphens = name.Replace('_', '-');
            if (hyphens != name && known.Contains(hyphens))
                return $"{name} is not known: here it is {hyphens}";
        }
        string? unknown = result.UnmatchedTokens.Count > 0 ? result.UnmatchedTokens[0] : null;
        if (unknown != null && unknown.StartsWith('-'))
            return $"{unknown} is not known{Nearest(unknown, known)}";
        if (unknown != null && command.Subcommands.Count > 0)
            return $"there is no command '{unknown}'{Nearest(unknown, [.. command.Subcommands.Select(sub => sub.Name)])}";
        if (args.FirstOrDefault(word => word.StartsWith("--", StringComparison.Ordinal) && !known.Contains(word.Split('=', ':')[0])) is
            { } stray && unknown != null)
            return $"{stray} is not known{Nearest(stray, known)}";
        if (unknown != null && command.Arguments.Any(argument => argument.Name == "prompt"))
            return $"'{unknown}' is one word too many: put the prompt in quotes, as {Path(result.CommandResult)} \"a red panda\"";
        if (unknown != null)
            return $"'{unknown}' is one word too many";
        var error = result.Errors[0];
        if (error.SymbolResult is OptionResult { Option: var option } given)
        {
            if (given.Tokens.Count == 0)
                return $"{option.Name} needs a value";
            return given.Tokens.Count > 1 && option.Arity.MaximumNumberOfValues <= 1 ? $"{option.Name} is given more than once"
                : $"{option.Name} is '{given.Tokens[^1].Value}', expected {InWords(option.ValueType)}";
        }
        if (result.CommandResult.Command.Subcommands.Count > 0)
            return $"a command is missing: {string.Join(", ", command.Subcommands.Select(sub => sub.Name))}";
        return command.Arguments.FirstOrDefault(argument => argument.Arity.MinimumNumberOfValues > 0) is { } missing
            ? missing.Name == "prompt" ? $"the prompt is missing, as in {Path(result.CommandResult)} \"a red panda\""
                : $"<{missing.Name}> is missing"
            : error.Message;
    }

    private static string InWords(Type type) => (Nullable.GetUnderlyingType(type) ?? type) switch
    {
        var kind when kind == typeof(int) || kind == typeof(long) => "an integer",
        var kind when kind == typeof(bool) => "true or false",
        var kind when kind == typeof(float) || kind == typeof(double) => "a number",
        _ => "another value",
    };

    /// <summary>The names of a command's options and of those that it inherits.</summary>
    private static IEnumerable<string> Known(CommandResult command)
    {
        for (SymbolResult? at = command; at != null; at = at.Parent)
        {
            if (at is CommandResult { Command: var own })
            {
                foreach (var option in own.Options.Where(option => at == command || option.Recursive))
                {
                    yield return option.Name;
                    foreach (string alias in option.Aliases)
                        yield return alias;
                }
            }
        }
    }

    private static string Path(CommandResult command)
    {
        var names = new List<string>();
        for (SymbolResult? at = command; at != null; at = at.Parent)
        {
            if (at is CommandResult { Command: not RootCommand and var own })
                names.Insert(0, own.Name);
        }
        return string.Join(' ', ["attune", .. names]);
    }

    /// <summary>A name that is hardly different, as a question.</summary>
    private static string Nearest(string word, IReadOnlyList<string> names)
    {
        string? best = names.Where(name => Distance(word, name) <= Math.Min(2, name.Trim('-').Length / 2))
            .MinBy(name => Distance(word, name));
        return best == null ? "" : $"; did you mean {best}?";
    }

    /// <summary>The fewest changes of single characters that make one word of another (Levenshtein).</summary>
    private static int Distance(string a, string b)
    {
        int[] row = [.. Enumerable.Range(0, b.Length + 1)];
        for (int i = 1; i <= a.Length; i++)
        {
            int corner = row[0]++;
            for (int j = 1; j <= b.Length; j++)
            {
                int above = row[j];
                row[j] = Math.Min(Math.Min(row[j - 1], above) + 1, corner + (a[i - 1] == b[j - 1] ? 0 : 1));
                corner = above;
            }
        }
        return row[^1];
    }
}
