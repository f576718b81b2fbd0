using System.Text;

namespace Attune.Tokenizers;

/// <summary>GPT-2's visible characters for the 256 bytes: printable Latin-1 stands for itself, the rest for U+0100 and on.</summary>
internal static class ByteSymbols
{
    private static readonly char[] Symbols = new char[256];
    private static readonly Dictionary<char, byte> Bytes = [];

    static ByteSymbols()
    {
        int extra = 0;
        for (int value = 0; value < 256; value++)
        {
            bool visible = value is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or (>= 0xAE and <= 0xFF);
            Symbols[value] = (char)(visible ? value : 256 + extra++);
            Bytes[Symbols[value]] = (byte)value;
        }
    }

    /// <summary>The symbols of a text's UTF-8 bytes.</summary>
    public static string Encode(string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        return string.Create(bytes.Length, bytes, static (symbols, bytes) =>
        {
            for (int i = 0; i < bytes.Length; i++)
                symbols[i] = Symbols[bytes[i]];
        });
    }

    /// <summary>The text of symbols. What is no symbol stands for itself; bytes that are no UTF-8 become U+FFFD.</summary>
    public static string Decode(string symbols)
    {
        var bytes = new List<byte>(symbols.Length);
        foreach (var rune in symbols.EnumerateRunes())
        {
            if (rune.IsBmp && Bytes.TryGetValue((char)rune.Value, out byte value))
                bytes.Add(value);
            else
                bytes.AddRange(Encoding.UTF8.GetBytes(rune.ToString()));
        }
        return Encoding.UTF8.GetString([.. bytes]);
    }
}
