using Attune.Tensors;
using Attune.Weights;

namespace Attune.Verification;

/// <summary>One module of a model, alone or, in a case of LoRA, as a component with merged weights.</summary>
internal abstract class ComponentCase : CaseKind
{
    public sealed override string Kind => "component";

    public override IReadOnlyCollection<string> Arguments => [];

    public sealed override void Run(GoldenCase golden, Comparison results) =>
        Run(new ComponentRun(golden, results, component: null), ComponentSource.Folder(golden.Checkpoint, golden.Device));

    /// <summary>Runs the module with the weights of <paramref name="source"/>.</summary>
    public abstract void Run(ComponentRun run, ComponentSource source);
}

/// <summary>A case as one component sees it; in a case with several of them, names of inputs and outputs have that of theirs in
/// front.</summary>
internal sealed class ComponentRun(GoldenCase golden, Comparison results, string? component)
{
    public GoldenCase Golden => golden;

    /// <summary>The output of a denoiser.</summary>
    public string Sample => component == null ? "sample" : "output";

    public bool Has(string input) => golden.HasInput(InputName(input));

    public Tensor Input(string name) => golden.Input(InputName(name));

    public Tensor? Optional(string input) => golden.OptionalInput(InputName(input));

    /// <summary>An integer input [batch, tokens] as rows.</summary>
    public IReadOnlyList<int[]> Rows(string input)
    {
        string name = InputName(input);
        int length = golden.InputShape(name)[1];
        return [.. golden.InputIntegers(name).Chunk(length).Select(row => row.Select(id => (int)id).ToArray())];
    }

    /// <summary>An integer input, in row-major order.</summary>
    public IEnumerable<int> Integers(string input) => golden.InputIntegers(InputName(input)).Select(value => (int)value);

    public bool Wants(string output) => results.Wants(OutputName(output));

    public void Check(string output, Tensor value) => results.Check(OutputName(output), value);

    /// <summary>Compares integers, which must be equal.</summary>
    public void CheckIntegers(string output, ReadOnlySpan<long> values) => results.CheckIntegers(OutputName(output), values);

    /// <summary>Compares the first rows of an output [batch, rows, channels], as many as there are.</summary>
    public void CheckRows(string output, Tensor value) => results.CheckRows(OutputName(output), value);

    /// <summary>Compares the rows of an output [batch, rows, channels] that count; null for all.</summary>
    public void CheckMasked(string output, Tensor value, IReadOnlyList<int[]>? mask) =>
        results.CheckMasked(OutputName(output), value, mask);

    /// <summary>Token ids have no component's name: all text encoders read the same.</summary>
    private string InputName(string name) => component != null && golden.HasInput($"{component}.{name}") ? $"{component}.{name}" : name;

    private string OutputName(string name) => component == null ? name : $"{component}.{name}";
}

/// <summary>What submodules give for the items of a batch that run one after the other, put together again.</summary>
internal sealed class WatchedItems : IDisposable
{
    private readonly TensorBag _kept = new();       // what is watched ends with the pass
    private readonly Dictionary<string, List<Tensor>> _items = [];

    /// <summary>Keeps what a submodule gives for the next item, [1, ...].</summary>
    public void Add(string name, Tensor value)
    {
        if (!_items.TryGetValue(name, out var items))
            _items.Add(name, items = []);
        items.Add(_kept.Own(value.Clone()));
    }

    /// <summary>What a submodule gave for all items, [batch, ...]; a tensor of the current scope.</summary>
    public Tensor Of(string name) => TensorOperations.Concatenate(0, [.. _items[name]]);

    /// <summary>The same for rows of text, [batch, rows, channels], with zeros for pads.</summary>
    public Tensor Padded(string name, int rows) =>
        TensorOperations.Concatenate(0, [.. _items[name].Select(item => item.WithPads(rows))]);

    public void Dispose() => _kept.Dispose();
}

internal static class Pads
{
    /// <summary>Rows [batch, rows, channels], and zeros behind them; a tensor of the current scope.</summary>
    public static Tensor WithPads(this Tensor rows, int count)
    {
        var padded = Tensor.Zeros(rows.Device, rows.Shape.With(1, count));
        rows.CopyTo(padded.Slice(1, 0, rows.Shape[1]));
        return padded;
    }
}
