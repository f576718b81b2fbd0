using Attune.Server.Requests;

namespace Attune.Server.Engine;

/// <summary>Pictures behind links, for a while and as far as the memory for them goes. Thread-safe.</summary>
/// <param name="limits">How long, and how many bytes.</param>
/// <param name="time">The clock.</param>
internal sealed class PictureShelf(ServerLimits limits, TimeProvider time)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, LinkedListNode<(string Name, Picture Picture, DateTimeOffset Until)>> _known =
        new(StringComparer.Ordinal);
    private readonly LinkedList<(string Name, Picture Picture, DateTimeOffset Until)> _byAge = [];
    private long _bytes;

    /// <summary>Keeps a picture.</summary>
    /// <returns>Its address.</returns>
    public string Add(Picture picture, string server)
    {
        string name = $"{Ids.New()}.{picture.Format.Name}";
        lock (_gate)
        {
            _known.Add(name, _byAge.AddLast((name, picture, time.GetUtcNow() + limits.LinkTime)));
            _bytes += picture.Bytes.Length;
            Clear();
        }
        return $"{server}/pictures/{name}";
    }

    /// <summary>A picture that is still kept, or null.</summary>
    public Picture? Find(string name)
    {
        lock (_gate)
        {
            Clear();
            return _known.TryGetValue(name, out var node) ? node.Value.Picture : null;
        }
    }

    private void Clear()
    {
        while (_byAge.First is { } first && (first.Value.Until <= time.GetUtcNow() || _bytes > limits.LinkBytes))
        {
            _byAge.RemoveFirst();
            _known.Remove(first.Value.Name);
            _bytes -= first.Value.Picture.Bytes.Length;
        }
    }
}
