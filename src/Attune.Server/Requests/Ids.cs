using System.Security.Cryptography;

namespace Attune.Server.Requests;

/// <summary>Names of jobs and pictures: 26 letters and digits, 130 random bits, which nobody guesses.</summary>
internal static class Ids
{
    public const int Length = 26;

    private const string Digits = "0123456789abcdefghjkmnpqrstvwxyz";

    public static string New() => RandomNumberGenerator.GetString(Digits, Length);

    /// <summary>Whether a text has the form of a name; paths are made of those alone.</summary>
    public static bool IsOne(string text) => text.Length == Length && text.All(Digits.Contains);
}
