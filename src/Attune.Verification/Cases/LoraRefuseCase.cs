using Attune.Generation;
using Attune.Tensors;
using Attune.Weights;

namespace Attune.Verification;

/// <summary>
/// LoRA files that must fail when they are put on a transformer, with an error that names the file, and such that must load. Errors come
/// before a weight is read, so that nothing is applied in part.
/// </summary>
internal sealed class LoraRefuseCase : CaseKind
{
    public override string Kind => "refuse";

    public override IReadOnlyCollection<string> Arguments { get; } = ["files", "accepted"];

    public override bool Takes(string? className) => className == "lora";

    public override void Run(GoldenCase golden, Comparison results)
    {
        var model = new Transformer(golden.Checkpoint, golden.Device);
        foreach (var entry in golden.Arguments.GetProperty("files").EnumerateArray())
        {
            string file = entry.GetProperty("file").GetString()!;
            string? error = ErrorOf(model, Path.Combine(golden.Root, file));
            results.Require(error != null, $"{file} was accepted: {entry.GetProperty("why").GetString()}");
            results.Require(
                error == null || error.Contains(Path.GetFileName(file), StringComparison.Ordinal),
                $"the error does not name {file}: {error}");
        }
        foreach (string file in golden.Arguments.GetProperty("accepted").EnumerateArray().Select(file => file.GetString()!))
        {
            string? error = ErrorOf(model, Path.Combine(golden.Root, file));
            results.Require(error == null, $"{file} was refused: {error}");
        }
    }

    private static string? ErrorOf(ModelSource model, string file)
    {
        try
        {
            new LoadOptions { Loras = [new LoraWeights(file)] }.Apply(model).Component("transformer").OpenWeights().Dispose();
            return null;
        }
        catch (CheckpointException exception)
        {
            return exception.Message;
        }
    }

    /// <summary>A folder's transformer and nothing else.</summary>
    private sealed class Transformer(string folder, Device device) : ModelSource(device)
    {
        public override string Path => folder;

        public override ModelConfig Index => throw new NotSupportedException();

        public override ModelConfig Scheduler => throw new NotSupportedException();

        public override bool Has(string component) => component == "transformer";

        public override ComponentSource Component(string name) => ComponentSource.Folder(System.IO.Path.Combine(folder, name), Device);

        public override string Tokenizer(string name) => throw new NotSupportedException();
    }
}
