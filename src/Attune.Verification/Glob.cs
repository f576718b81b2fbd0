using System.Text;
using System.Text.RegularExpressions;

namespace Attune.Verification;

/// <summary>A pattern for case names: * is any text (slashes too), ? one character, [a-z] one of a set, [!a-z] one outside of it.</summary>
public sealed class Glob
{
    private readonly Regex _pattern;

    /// <summary>Parses a pattern; it matches whole names, by case.</summary>
    public Glob(string pattern)
    {
        var text = new StringBuilder("^");
        for (int i = 0; i < pattern.Length; i++)
        {
            int close = pattern[i] == '[' ? pattern.IndexOf(']', Math.Min(i + 2, pattern.Length)) : -1;
            if (pattern[i] == '*')
                text.Append(".*");
            else if (pattern[i] == '?')
                text.Append('.');
            else if (close > 0)
            {
                string set = pattern[(i + 1)..close]
                    .Replace("\\", "\\\\", StringComparison.Ordinal)
                    .Replace("[", "\\[", StringComparison.Ordinal);
                if (set.StartsWith('^'))
                    set = "\\" + set;
                text.Append('[').Append(set.StartsWith('!') ? "^" + set[1..] : set).Append(']');
                i = close;
            }
            else
                text.Append(Regex.Escape(pattern[i].ToString()));
        }
        _pattern = new Regex(
            text.Append('$').ToString(), RegexOptions.CultureInvariant | RegexOptions.NonBacktracking | RegexOptions.Singleline);
    }

    /// <summary>Whether the whole name matches.</summary>
    public bool Matches(string name) => _pattern.IsMatch(name);
}
