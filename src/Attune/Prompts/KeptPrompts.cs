using Attune.Imaging;

namespace Attune.Prompts;

/// <summary>
/// Keeps what prompts have become, so that a prompt that comes again is not encoded again: the last ones that were used, up to a number of
/// bytes. What layers derive from a conditioning (<see cref="Conditioning.Once"/>) is kept with it. Prompts with pictures are not kept.
/// Thread-safe: runs share a conditioning.
/// </summary>
/// <param name="encoder">Encodes; it belongs to this one.</param>
/// <param name="bytes">How many bytes may be kept, at least 1.</param>
/// <param name="bytesPerRow">What layers derive of each row of a text, in bytes.</param>
internal sealed class KeptPrompts(PromptEncoder encoder, long bytes, long bytesPerRow) : PromptEncoder
{
    private readonly Lock _gate = new();
    private readonly Dictionary<Key, LinkedListNode<Entry>> _known = [];
    private readonly LinkedList<Entry> _byUse = new();
    private long _kept;

    /// <summary>All that a conditioning depends on.</summary>
    private sealed record Key(string? Text, PromptRole Role, PixelSize Size, PromptSettings Settings);

    private sealed record Entry(Key Key, Conditioning Conditioning, long Bytes, IReadOnlyList<string> Warnings);

    /// <summary>How many prompts are kept.</summary>
    public int Count
    {
        get
        {
            lock (_gate)
                return _byUse.Count;
        }
    }

    public override Conditioning Encode(PromptInput input, CancellationToken cancellation = default)
    {
        if (input.Images.Count > 0)
            return encoder.Encode(input, cancellation);
        var key = new Key(input.Text, input.Role, input.Size, input.Settings);
        if (Find(key) is var (known, said))
        {
            foreach (string warning in said)
                input.Warn?.Invoke(warning);
            return known;
        }
        var warnings = new List<string>();
        var made = encoder.Encode(
            input with
            {
                Warn = message =>
                {
                    warnings.Add(message);
                    input.Warn?.Invoke(message);
                },
            },
            cancellation);
        Keep(key, made, warnings);
        return made;
    }

    public override int RowsOf(PromptInput input) => encoder.RowsOf(input);

    public override void Dispose()
    {
        lock (_gate)
        {
            foreach (var entry in _byUse)
                entry.Conditioning.Dispose();
            _byUse.Clear();
            _known.Clear();
        }
        encoder.Dispose();
    }

    private (Conditioning Conditioning, IReadOnlyList<string> Warnings)? Find(Key key)
    {
        lock (_gate)
        {
            if (!_known.TryGetValue(key, out var node))
                return null;
            _byUse.Remove(node);
            _byUse.AddFirst(node);
            return (node.Value.Conditioning.Share(), node.Value.Warnings);
        }
    }

    private void Keep(Key key, Conditioning made, IReadOnlyList<string> warnings)
    {
        long size = made.Parts.Values.Sum(part => part.Count * sizeof(float)) + (made.Text.Shape[1] * bytesPerRow);
        if (size > bytes)
            return;
        lock (_gate)
        {
            if (_known.ContainsKey(key))        // another run was quicker
                return;
            while (_kept + size > bytes)
            {
                var last = _byUse.Last!.Value;
                _byUse.RemoveLast();
                _known.Remove(last.Key);
                _kept -= last.Bytes;
                last.Conditioning.Dispose();
            }
            _known.Add(key, _byUse.AddFirst(new Entry(key, made.Share(), size, warnings)));
            _kept += size;
        }
    }
}
