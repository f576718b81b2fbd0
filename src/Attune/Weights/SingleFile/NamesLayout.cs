using System.Text.RegularExpressions;

namespace Attune.Weights.SingleFile;

/// <summary>
/// A component whose original names a table has. What is not in it keeps its name: many a file has some names of the original code and some
/// of diffusers, or the latter throughout.
/// </summary>
/// <param name="names">The table.</param>
internal sealed partial class NamesLayout(IReadOnlyList<OriginalName> names)
{
    private static readonly (string Original, string Diffusers)[] Suffixes =
        [(".weight", ".weight"), (".bias", ".bias"), (".scale", ".weight")];

    private readonly Dictionary<string, OriginalName> _names = names.ToDictionary(name => name.Name, StringComparer.Ordinal);

    /// <summary>The tensors under the names of diffusers.</summary>
    /// <exception cref="CheckpointException">A tensor cannot be cut as its row says.</exception>
    public IEnumerable<RenamedTensor> Map(FilePart part)
    {
        var swaps = new List<(RenamedTensor Tensor, string Unless)>();
        var tensors = new List<RenamedTensor>();
        foreach (var (name, tensor) in part.Tensors)
        {
            if (Find(name) is not var (row, number, suffix))
            {
                tensors.Add(new RenamedTensor(name, tensor));
                continue;
            }
            if (row.Modules.Length == 0)
                continue;
            if (row.Modules.Length > 1)
            {
                tensors.AddRange(Cut(part, row, number, name, suffix, tensor));
                continue;
            }
            var renamed = new RenamedTensor(OriginalNames.Numbered(row.Modules[0], number) + suffix, tensor);
            if (row.TableRows > 0)
            {
                int extent = part.Extent(name, 0);
                if (tensor.Dimensions.Count != 1 || extent % row.TableRows != 0)
                    throw Wrong(part, tensor, $"a vector of {row.TableRows} equal parts");
                renamed = renamed with { Dimensions = [row.TableRows, extent / row.TableRows] };
            }
            if (row.HalvesSwapped && part.Extent(name, 0) % 2 != 0)
                throw Wrong(part, tensor, "two equal parts");
            if (row.SwappedUnless is { } unless)
                swaps.Add((renamed, OriginalNames.Numbered(unless, number)));
            else
                tensors.Add(renamed with { HalvesSwapped = row.HalvesSwapped });
        }
        var modules = tensors.Select(tensor => ModuleOf(tensor.Name)).ToHashSet(StringComparer.Ordinal);
        tensors.AddRange(swaps.Select(swap => swap.Tensor with { HalvesSwapped = !modules.Contains(swap.Unless) }));
        return tensors;
    }

    /// <summary>A name's row, the number in it, and what stands behind the module's name in diffusers.</summary>
    private (OriginalName Row, int Number, string Suffix)? Find(string name)
    {
        foreach (var (original, diffusers) in Suffixes.Prepend(("", "")))
        {
            if (!name.EndsWith(original, StringComparison.Ordinal))
                continue;
            string module = name[..^original.Length];
            if (_names.TryGetValue(module, out var row))
                return (row, 0, diffusers);
            var number = FirstNumber().Match(module);
            if (number.Success
                && _names.TryGetValue(
                    module[..number.Groups[1].Index] + OriginalNames.Number
                        + module[(number.Groups[1].Index + number.Groups[1].Length)..], out row)
                && int.TryParse(number.Groups[1].ValueSpan, out int value))
                return (row, value, diffusers);
        }
        return null;
    }

    private static IEnumerable<RenamedTensor> Cut(
        FilePart part, OriginalName row, int number, string name, string suffix, TensorEntry tensor)
    {
        int rows = part.Extent(name, 0);
        int count = row.Modules.Length;

        // Query, key and value are as wide as the layer, which only its matrix tells; what is left is the feed-forward part's.
        int width = count == 4 ? part.Extent(ModuleOf(name) + ".weight", 1) : rows / count;
        int last = rows - (count - 1) * width;
        if (last <= 0 || (count != 4 && last != width))
            throw Wrong(part, tensor, count == 4 ? $"more than three times {width} rows" : $"{count} equal parts");
        for (int i = 0; i < count; i++)
            yield return new RenamedTensor(
                OriginalNames.Numbered(row.Modules[i], number) + suffix, tensor, Rows: (i * width, i == count - 1 ? last : width));
    }

    private static string ModuleOf(string name) => name[..Math.Max(name.LastIndexOf('.'), 0)];

    private static CheckpointException Wrong(FilePart part, TensorEntry tensor, string expected) =>
        new($"'{part.Path}': the tensor {tensor.Name} is {tensor.Extents}, expected {expected}.");

    [GeneratedRegex(@"(?:^|\.)([0-9]+)(?:\.|$)", RegexOptions.NonBacktracking)]
    private static partial Regex FirstNumber();
}
