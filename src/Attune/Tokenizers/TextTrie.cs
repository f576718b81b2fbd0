namespace Attune.Tokenizers;

/// <summary>
/// A set of strings with values that answers which of them a text begins with, without making substrings. Nodes lie level by level, the
/// children of a node side by side in the order of their characters.
/// </summary>
internal sealed class TextTrie
{
    private readonly char[] _labels;
    private readonly int[] _firstChild;     // of node i; its children end where those of node i + 1 begin
    private readonly int[] _values;         // -1 where no string ends

    public TextTrie(IReadOnlyDictionary<string, int> values)
    {
        string[] keys = [.. values.Keys];
        int[] numbers = [.. values.Values];
        Array.Sort(keys, numbers, StringComparer.Ordinal);

        // A node is a range of the sorted strings that agree up to its depth.
        var labels = new List<char> { '\0' };
        var firstChild = new List<int>();
        var ends = new List<int>();
        var level = new List<(int Start, int End)> { (0, keys.Length) };
        for (int depth = 0; level.Count > 0; depth++)
        {
            var below = new List<(int Start, int End)>();
            int next = firstChild.Count + level.Count;
            foreach (var (start, end) in level)
            {
                int at = start;
                bool ended = at < end && keys[at].Length == depth;
                ends.Add(ended ? numbers[at++] : -1);
                firstChild.Add(next + below.Count);
                while (at < end)
                {
                    int first = at;
                    char label = keys[first][depth];
                    while (at < end && keys[at][depth] == label)
                        at++;
                    labels.Add(label);
                    below.Add((first, at));
                }
            }
            level = below;
        }
        firstChild.Add(labels.Count);
        (_labels, _firstChild, _values) = ([.. labels], [.. firstChild], [.. ends]);
    }

    /// <summary>The value of a string, or null.</summary>
    public int? Find(ReadOnlySpan<char> text)
    {
        int node = 0;
        foreach (char character in text)
        {
            node = Child(node, character);
            if (node < 0)
                return null;
        }
        return _values[node] < 0 ? null : _values[node];
    }

    /// <summary>The longest string that the text begins with; length 0 when there is none.</summary>
    public (int Length, int Value) LongestPrefix(ReadOnlySpan<char> text)
    {
        var longest = (Length: 0, Value: -1);
        int node = 0;
        for (int i = 0; i < text.Length && (node = Child(node, text[i])) >= 0; i++)
        {
            if (_values[node] >= 0)
                longest = (i + 1, _values[node]);
        }
        return longest;
    }

    /// <summary>The child of a node (0 is the root), or -1.</summary>
    public int Child(int node, char character)
    {
        int start = _firstChild[node];
        int index = _labels.AsSpan(start, _firstChild[node + 1] - start).BinarySearch(character);
        return index < 0 ? -1 : start + index;
    }

    /// <summary>The value of the string that ends at a node, or -1.</summary>
    public int ValueAt(int node) => _values[node];
}
