using Attune.Tensors;

namespace Attune.TextEncoders;

/// <summary>What text encoders do with token ids and masks before any layer runs.</summary>
internal static class TokenBatch
{
    /// <summary>The ids of all rows, one row after the other.</summary>
    /// <exception cref="ArgumentException">There are no rows, or they are empty or of unequal length.</exception>
    public static int[] Flatten(IReadOnlyList<int[]> ids)
    {
        ArgumentNullException.ThrowIfNull(ids);
        if (ids.Count == 0 || ids[0].Length == 0)
            throw new ArgumentException("There are no token ids.", nameof(ids));
        foreach (int[] row in ids)
        {
            if (row.Length != ids[0].Length)
                throw new ArgumentException(
                    $"The rows of a batch have {ids[0].Length} and {row.Length} token ids; pad them to one length.", nameof(ids));
        }
        return [.. ids.SelectMany(row => row)];
    }

    /// <summary>A mask of keys [batch, tokens], or null when there is none or every key counts.</summary>
    /// <exception cref="ArgumentException">The mask's shape is not that of the ids.</exception>
    public static Tensor? Keys(Device device, IReadOnlyList<int[]>? mask, IReadOnlyList<int[]> ids)
    {
        if (mask == null)
            return null;
        if (mask.Count != ids.Count || mask.Any(row => row.Length != ids[0].Length))
            throw new ArgumentException(
                $"The attention mask does not have the shape of the token ids, [{ids.Count}, {ids[0].Length}].", nameof(mask));
        if (mask.All(row => row.All(value => value != 0)))
            return null;
        return Tensor.From(device, [.. mask.SelectMany(row => row.Select(value => value != 0 ? 1f : 0f))], [ids.Count, ids[0].Length]);
    }

    /// <summary>Indices of hidden states, from 0 (the embedding) to <paramref name="layers"/>; negative ones count from the end.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such hidden state.</exception>
    public static int[] HiddenStates(IReadOnlyList<int>? indices, int layers)
    {
        var result = new int[indices?.Count ?? 0];
        for (int i = 0; i < result.Length; i++)
        {
            int index = indices![i];
            result[i] = index < 0 ? index + layers + 1 : index;
            if (result[i] < 0 || result[i] > layers)
                throw new ArgumentOutOfRangeException(
                    nameof(indices), index,
                    $"A text encoder with {layers} layers has the hidden states 0 to {layers}, or {-layers - 1} to -1.");
        }
        return result;
    }
}
