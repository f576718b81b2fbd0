using System.Security.Cryptography;
using System.Text;

namespace Attune.Server;

/// <summary>A key that lets requests in. It is held as its SHA-256 alone.</summary>
public sealed class ApiKey
{
    private readonly byte[] _hash;

    private ApiKey(byte[] hash) => (_hash, Id) = (hash, Convert.ToHexStringLower(hash)[..16]);

    /// <summary>What tells keys apart in the queue and in the database: the first 16 digits of the hash.</summary>
    public string Id { get; }

    /// <summary>The key of a text.</summary>
    /// <param name="text">At least 8 characters, so that it is not guessed.</param>
    /// <exception cref="ArgumentException">It is shorter.</exception>
    public static ApiKey Of(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return text.Length < 8 ? throw new ArgumentException($"An API key has {text.Length} characters, expected 8 at least.")
            : new ApiKey(Hash(text));
    }

    /// <summary>The one of some keys that a text is; null for none. The time depends on their number alone.</summary>
    internal static ApiKey? Find(IReadOnlyList<ApiKey> keys, string text)
    {
        byte[] hash = Hash(text);
        ApiKey? found = null;
        foreach (var key in keys)
        {
            if (CryptographicOperations.FixedTimeEquals(key._hash, hash))
                found = key;
        }
        return found;
    }

    private static byte[] Hash(string text) => SHA256.HashData(Encoding.UTF8.GetBytes(text));
}
