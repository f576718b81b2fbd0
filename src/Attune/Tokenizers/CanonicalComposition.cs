using System.Buffers.Binary;
using System.Text;

namespace Attune.Tokenizers;

/// <summary>
/// Unicode normalisation form C from tables of our own: the runtime's own normalisation needs ICU, and does nothing without it.
/// </summary>
internal static class CanonicalComposition
{
    private const int HangulBase = 0xAC00, LeadBase = 0x1100, VowelBase = 0x1161, TrailBase = 0x11A7;
    private const int Leads = 19, Vowels = 21, Trails = 28;
    private static readonly Dictionary<int, (int First, int Second)> Decompositions = [];
    private static readonly Dictionary<(int First, int Second), int> Compositions = [];
    private static readonly Dictionary<int, int> Classes = [];

    static CanonicalComposition()
    {
        using var stream = typeof(CanonicalComposition).Assembly.GetManifestResourceStream("Attune.Tokenizers.CanonicalComposition.bin")!;
        var data = new byte[stream.Length];
        stream.ReadExactly(data);
        int at = 0;
        int Next() => BinaryPrimitives.ReadInt32LittleEndian(data.AsSpan((at += 4) - 4));
        for (int i = Next(); i > 0; i--)
        {
            var (code, first, second, composes) = (Next(), Next(), Next(), Next());
            Decompositions[code] = (first, second);
            if (composes != 0)
                Compositions[(first, second)] = code;
        }
        for (int i = Next(); i > 0; i--)
        {
            int code = Next();
            Classes[code] = Next();
        }
    }

    /// <summary>The text in normalisation form C.</summary>
    public static string Normalize(string text)
    {
        // Below U+0300 nothing combines and nothing decomposes into something that does not compose again.
        if (text.AsSpan().IndexOfAnyExceptInRange('\0', '\u02FF') < 0)
            return text;
        var codes = Decomposed(text);
        Compose(codes);
        return ToText(codes);
    }

    /// <summary>The text in normalisation form D.</summary>
    public static string Decompose(string text) => Ascii.IsValid(text) ? text : ToText(Decomposed(text));

    private static List<int> Decomposed(string text)
    {
        var codes = new List<int>(text.Length);
        foreach (var rune in text.EnumerateRunes())
            Decompose(rune.Value, codes);
        Reorder(codes);
        return codes;
    }

    private static string ToText(List<int> codes)
    {
        var result = new StringBuilder(codes.Count);
        foreach (int code in codes)
            result.Append(new Rune(code).ToString());
        return result.ToString();
    }

    private static void Decompose(int code, List<int> codes)
    {
        int syllable = code - HangulBase;
        if (syllable is >= 0 and < Leads * Vowels * Trails)
        {
            codes.Add(LeadBase + syllable / (Vowels * Trails));
            codes.Add(VowelBase + syllable % (Vowels * Trails) / Trails);
            if (syllable % Trails != 0)
                codes.Add(TrailBase + syllable % Trails);
        }
        else if (Decompositions.TryGetValue(code, out var parts))
        {
            Decompose(parts.First, codes);
            if (parts.Second != 0)
                codes.Add(parts.Second);
        }
        else
        {
            codes.Add(code);
        }
    }

    /// <summary>Sorts each run of combining marks by class, keeping the order of equals.</summary>
    private static void Reorder(List<int> codes)
    {
        for (int start = 0; start < codes.Count; start++)
        {
            if (ClassOf(codes[start]) == 0)
                continue;
            int end = start;
            while (end < codes.Count && ClassOf(codes[end]) != 0)
                end++;
            int[] sorted = [.. codes.GetRange(start, end - start).OrderBy(ClassOf)];
            for (int i = 0; i < sorted.Length; i++)
                codes[start + i] = sorted[i];
            start = end;
        }
    }

    private static void Compose(List<int> codes)
    {
        int written = 0;
        int starter = -1;
        int lastClass = -1;
        for (int i = 0; i < codes.Count; i++)
        {
            int code = codes[i];
            int combining = ClassOf(code);
            if (starter >= 0 && (lastClass < combining || lastClass == -1) && Pair(codes[starter], code) is { } composed)
            {
                codes[starter] = composed;
                continue;
            }
            if (combining == 0)
            {
                starter = written;
                lastClass = -1;
            }
            else
            {
                lastClass = combining;
            }
            codes[written++] = code;
        }
        codes.RemoveRange(written, codes.Count - written);
    }

    private static int? Pair(int first, int second)
    {
        int lead = first - LeadBase;
        int vowel = second - VowelBase;
        if (lead is >= 0 and < Leads && vowel is >= 0 and < Vowels)
            return HangulBase + (lead * Vowels + vowel) * Trails;
        int syllable = first - HangulBase;
        int trail = second - TrailBase;
        if (syllable is >= 0 and < Leads * Vowels * Trails && syllable % Trails == 0 && trail is > 0 and < Trails)
            return first + trail;
        return Compositions.TryGetValue((first, second), out int composed) ? composed : null;
    }

    private static int ClassOf(int code) => Classes.GetValueOrDefault(code);
}
