using System.Text.Json.Nodes;
using Attune.Tensors;

namespace Attune.Weights.Writing;

/// <summary>What a conversion read and wrote.</summary>
/// <param name="Tensors">How many tensors.</param>
/// <param name="BytesRead">Bytes of tensors that were read.</param>
/// <param name="BytesWritten">Bytes of tensors that were written.</param>
public readonly record struct ConversionResult(int Tensors, long BytesRead, long BytesWritten);

/// <summary>Writes weights into other files, of other types: safetensors or GGUF, by the name of the output.</summary>
public static class WeightConversion
{
    private static readonly string[] WeightEndings = [".safetensors", ".gguf", ".bin", ".pt", ".pth", ".ckpt", ".msgpack", ".h5", ".onnx"];

    /// <summary>The types that can be asked for.</summary>
    public static IReadOnlyList<string> Types { get; } = ["f32", "f16", "bf16", "q8_0", "q4_0"];

    /// <summary>Converts a file, a component's folder or a pipeline's folder.</summary>
    /// <param name="input">Safetensors or GGUF: a file, or a folder with such.</param>
    /// <param name="output">A file whose name ends with .safetensors or .gguf; or, of a folder, a folder that does not exist or is empty.
    /// What else is in the folder is copied.</param>
    /// <param name="type">
    /// One of <see cref="Types"/>, or null: each weight keeps its type where the output can hold it, and is bf16 elsewhere. With a type of
    /// blocks (GGUF alone) only weights of two axes and more with more than 1024 elements in rows of whole blocks get it; of the others
    /// vectors are f32, and the rest bf16.
    /// </param>
    /// <exception cref="ArgumentException">The output cannot be of that kind or type.</exception>
    /// <exception cref="CheckpointException">The input is malformed, or a number does not fit the type.</exception>
    /// <exception cref="IOException">The output cannot be written.</exception>
    public static ConversionResult Convert(string input, string output, string? type)
    {
        ArgumentNullException.ThrowIfNull(input);
        ArgumentNullException.ThrowIfNull(output);
        if (type != null && !Types.Contains(type))
            throw new ArgumentException($"The type is '{type}', expected {string.Join(", ", Types)}.");
        var format = type == null ? null : WeightFormat.Find(type.ToUpperInvariant());
        if (Path.GetFullPath(input) == Path.GetFullPath(output))
            throw new ArgumentException($"Input and output are the same, '{input}'.");
        var container = ContainerOf(output);
        if (container != null)
            return ConvertFile(input, output, container, format);
        if (!Directory.Exists(input))
            throw new ArgumentException($"The output is '{output}', expected a name that ends with .safetensors or .gguf.");
        if (File.Exists(output) || (Directory.Exists(output) && Directory.EnumerateFileSystemEntries(output).Any()))
            throw new ArgumentException($"The output '{output}' is there already, expected a folder that does not exist or is empty.");
        return ConvertFolder(input, output, format);
    }

    private static IWeightContainer? ContainerOf(string output) => Path.GetExtension(output).ToLowerInvariant() switch
    {
        ".safetensors" => new SafetensorsContainer(),
        ".gguf" => new GgufContainer(),
        _ => null,
    };

    private static ConversionResult ConvertFile(string input, string output, IWeightContainer container, WeightFormat? format)
    {
        if (format != null && !container.Holds(format.Name))
            throw new ArgumentException($"'{output}' cannot hold the type {format.Name}; expected a name that ends with .gguf.");
        using var source = WeightSource.Open(input);
        WrittenTensor[] tensors = [.. source.Entries.Select(entry => Plan(source, entry, container, format, output))];
        OutputFile.Write(output, stream => container.Write(stream, source, tensors));
        return new ConversionResult(tensors.Length, source.Entries.Sum(entry => entry.Length), tensors.Sum(tensor => tensor.Length));
    }

    private static ConversionResult ConvertFolder(string input, string output, WeightFormat? format)
    {
        Directory.CreateDirectory(output);
        var total = new ConversionResult();
        string[] files = Directory.GetFiles(input);
        if (WeightFiles.AnyIn(input))
        {
            bool transformers = files.All(file => !Path.GetFileName(file).StartsWith("diffusion_pytorch_model", StringComparison.Ordinal));
            string name = (transformers ? "model" : "diffusion_pytorch_model") + ".safetensors";
            total = ConvertFile(input, Path.Combine(output, name), new SafetensorsContainer(), format);
        }
        foreach (string file in files)
        {
            string name = Path.GetFileName(file);
            if (WeightEndings.Any(end => name.EndsWith(end, StringComparison.OrdinalIgnoreCase))
                || name.Contains(".safetensors.", StringComparison.Ordinal))
            {
                continue;
            }
            string target = Path.Combine(output, name);
            if (name == "config.json" && Unquantised(file) is { } config)
                File.WriteAllText(target, config);
            else
                File.Copy(file, target);
        }
        foreach (string folder in Directory.GetDirectories(input).Where(folder => !Path.GetFileName(folder).StartsWith('.')))
        {
            var part = ConvertFolder(folder, Path.Combine(output, Path.GetFileName(folder)), format);
            total = new ConversionResult(
                total.Tensors + part.Tensors, total.BytesRead + part.BytesRead, total.BytesWritten + part.BytesWritten);
        }
        return total;
    }

    /// <summary>A configuration without what it says of quantised weights, which are plain now; null where it says nothing.</summary>
    private static string? Unquantised(string file)
    {
        var config = ModelConfig.Read(file);
        if (!config.Has("quantization_config"))
            return null;
        var json = new JsonObject();
        foreach (string key in config.Keys().Where(key => key != "quantization_config"))
            json[key] = config.Find(key) is { } value ? JsonNode.Parse(value.GetRawText()) : null;
        return json.ToJsonString(new() { WriteIndented = true });
    }

    private static WrittenTensor Plan(
        WeightSource source, TensorEntry entry, IWeightContainer container, WeightFormat? asked, string output)
    {
        bool plain = !entry.IsQuantised && WeightFormat.Find(entry.Type) == null;
        if (plain)
        {
            return container.Holds(entry.Type) ? new WrittenTensor(entry, entry.Type, null, entry.Length)
                : throw new ArgumentException(
                    $"'{output}' cannot hold the tensor {entry.Name} of '{source.Path}', which is of type {entry.Type}.");
        }
        var format = Choose(entry, asked, container);
        return new WrittenTensor(entry, format.Name, format, format.BytesOf(entry.Count));
    }

    private static WeightFormat Choose(TensorEntry entry, WeightFormat? asked, IWeightContainer container)
    {
        if (asked == null)
            return !entry.IsQuantised && container.Holds(entry.Type) ? WeightFormat.Find(entry.Type)! : WeightFormat.BFloat16;
        if (asked.BlockLength == 1)
            return asked;
        if (entry.Dimensions.Count < 2)
            return WeightFormat.Float32;
        return entry.Count > 1024 && entry.Dimensions[^1] % asked.BlockLength == 0 ? asked : WeightFormat.BFloat16;
    }
}
