namespace Attune.Guidance;

/// <summary>Names that were meant: what messages suggest instead of a name that does not exist.</summary>
public static class Spelling
{
    /// <summary>
    /// <c> (did you mean 'nag'?)</c> for the known name that is nearest, where one is near: up to a third of its letters may be wrong,
    /// missing, too many, or swapped with their neighbour. Else empty.
    /// </summary>
    public static string DidYouMean(string name, IEnumerable<string> known)
    {
        var nearest = known.Select(other => (Name: other, Distance: Distance(name.ToLowerInvariant(), other.ToLowerInvariant())))
            .Where(other => other.Distance <= Math.Max(1, Math.Min(name.Length, other.Name.Length) / 3))
            .OrderBy(other => other.Distance).ThenBy(other => other.Name, StringComparer.Ordinal)
            .FirstOrDefault();
        return nearest.Name == null ? "" : $" (did you mean '{nearest.Name}'?)";
    }

    /// <summary>Letters to change, insert, remove or swap with their neighbour.</summary>
    private static int Distance(string a, string b)
    {
        var table = new int[a.Length + 1, b.Length + 1];
        for (int i = 0; i <= a.Length; i++)
        {
            for (int j = 0; j <= b.Length; j++)
            {
                if (i == 0 || j == 0)
                {
                    table[i, j] = i + j;
                    continue;
                }
                int least = Math.Min(table[i - 1, j] + 1, table[i, j - 1] + 1);
                least = Math.Min(least, table[i - 1, j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1));
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                    least = Math.Min(least, table[i - 2, j - 2] + 1);
                table[i, j] = least;
            }
        }
        return table[a.Length, b.Length];
    }
}
