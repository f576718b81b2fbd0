using System.Globalization;

namespace Attune.Weights.Embeddings;

/// <summary>A name for prompts and the vectors that it stands for.</summary>
/// <param name="File">The file.</param>
/// <param name="Token">The name.</param>
/// <param name="Key">The tensor.</param>
/// <param name="Encoder">The component that the file names, <see cref="EmbeddingFile.Any"/> where it names none.</param>
/// <param name="Vectors">The vectors, one for each token that the name becomes.</param>
internal sealed record TokenVectors(string File, string Token, string Key, string Encoder, float[][] Vectors)
{
    /// <summary>The channels of a vector.</summary>
    public int Width => Vectors[0].Length;
}

/// <summary>
/// Files of textual inversion (Gal et al., arXiv 2208.01618): <c>emb_params</c> (AUTOMATIC1111, kohya), one tensor whose key is the token
/// (diffusers), <c>clip_l</c> and <c>clip_g</c> (SDXL), <c>text_encoders_0</c> and <c>_1</c> (diffusers' pivotal tuning, one token for each
/// vector), and <c>bundle_emb.NAME.</c> in files of LoRA.
/// </summary>
internal static class EmbeddingFile
{
    /// <summary>Stands for whichever encoder has the width.</summary>
    public const string Any = "";

    /// <summary>What the keys of bundled embeddings begin with.</summary>
    public const string Bundle = "bundle_emb.";

    private const string Params = "emb_params";
    private const string StringToParam = "string_to_param.";
    private const string Pivotal = "text_encoders_";

    private static readonly Dictionary<string, string> Encoders = new()
    {
        ["clip_l"] = "text_encoder", ["clip_g"] = "text_encoder_2", [Pivotal + "0"] = "text_encoder", [Pivotal + "1"] = "text_encoder_2",
    };

    /// <summary>Reads a file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="token">The name in prompts; null for the one that the file has, else the file's own name.</param>
    /// <exception cref="CheckpointException">There is no such file, or it holds no embedding.</exception>
    public static IReadOnlyList<TokenVectors> Read(string path, string? token)
    {
        using var file = Open(path);
        string[] keys = [.. file.Tensors.Keys.Order(StringComparer.Ordinal)];
        string name = token ?? Path.GetFileNameWithoutExtension(path);
        if (Array.Find(keys, key => !Encoders.ContainsKey(key)) is { } other && keys.Any(Encoders.ContainsKey))
            throw new CheckpointException(
                $"'{path}': the vectors {other} are of no encoder that takes them; expected {string.Join(", ", Encoders.Keys)}.");
        if (keys.Length > 0 && keys.All(Encoders.ContainsKey))
        {
            bool each = token == null && keys.All(key => key.StartsWith(Pivotal, StringComparison.Ordinal));
            return
            [
                .. keys.SelectMany(key =>
                {
                    float[][] vectors = Vectors(file, key);
                    return each
                        ? vectors.Select(
                            (vector, i) => new TokenVectors(
                                path, string.Create(CultureInfo.InvariantCulture, $"<s{i}>"), key, Encoders[key], [vector]))
                        : [new TokenVectors(path, name, key, Encoders[key], vectors)];
                }),
            ];
        }
        if (keys is [Params])
            return [new TokenVectors(path, name, Params, Any, Vectors(file, Params))];
        if (keys is [var only] && only.StartsWith(StringToParam, StringComparison.Ordinal))
            return [new TokenVectors(path, name, only, Any, Vectors(file, only))];
        return keys is [var key] ? [new TokenVectors(path, token ?? key, key, Any, Vectors(file, key))]
            : throw new CheckpointException(
                $"'{path}' is no embedding: it holds {keys.Length} tensors ({string.Join(", ", keys.Take(3))}"
                    + $"{(keys.Length > 3 ? ", ..." : "")}); expected emb_params, clip_l and clip_g, or one tensor with the name of its "
                    + "token.");
    }

    /// <summary>The embeddings that come in a file of LoRA: none for most.</summary>
    /// <exception cref="CheckpointException">The file is malformed.</exception>
    public static IReadOnlyList<TokenVectors> ReadBundled(string path)
    {
        using var file = SafetensorsFile.Open(path);
        var bundled = new List<TokenVectors>();
        foreach (
            string key in file.Tensors.Keys.Where(key => key.StartsWith(Bundle, StringComparison.Ordinal)).Order(StringComparer.Ordinal))
        {
            string rest = key[Bundle.Length..];
            int inside = rest.IndexOf("." + StringToParam, StringComparison.Ordinal);
            int end = inside > 0 ? inside : rest.LastIndexOf('.');
            if (end <= 0 || (inside <= 0 && rest[(end + 1)..] is not Params && !Encoders.ContainsKey(rest[(end + 1)..])))
                throw new CheckpointException(
                    $"'{path}': the key {key} is of no form that is known; expected {Bundle}NAME.{StringToParam}*, .{Params}, .clip_l or "
                        + ".clip_g.");
            string encoder = inside > 0 ? Any : Encoders.GetValueOrDefault(rest[(end + 1)..], Any);
            bundled.Add(new TokenVectors(path, rest[..end], key, encoder, Vectors(file, key)));
        }
        return bundled;
    }

    private static SafetensorsFile Open(string path)
    {
        if (WeightFiles.IsPickled(path))
            throw new CheckpointException(
                $"'{path}': pickled embeddings are not read, since a pickle is a program; expected .safetensors.");
        if (Path.GetExtension(path) is ".png" or ".webp")
            throw new CheckpointException($"'{path}': embeddings in pictures are not read, expected .safetensors.");
        return File.Exists(path) ? SafetensorsFile.Open(path) : throw new CheckpointException($"The embedding '{path}' does not exist.");
    }

    /// <summary>[n, channels], [1, n, channels] or [channels].</summary>
    private static float[][] Vectors(SafetensorsFile file, string key)
    {
        var tensor = file.Tensors[key];
        if (!tensor.IsWeight)
            throw SafetensorsFile.Unsupported(tensor);
        long width = tensor.Dimensions.Count > 0 ? tensor.Dimensions[^1] : 0;
        if (tensor.Count == 0 || tensor.Dimensions.Count > 3 || (tensor.Dimensions.Count == 3 && tensor.Dimensions[0] != 1))
            throw new CheckpointException($"'{file.Path}': {key} is {tensor.Extents}, expected [vectors, channels].");
        using var stored = file.ToWeight(tensor);
        var vectors = new float[tensor.Count / width][];
        for (int i = 0; i < vectors.Length; i++)
        {
            vectors[i] = new float[width];
            stored.Widen(i * width, vectors[i]);
        }
        return vectors;
    }
}
