using System.Text;
using Attune.Tokenizers;
using Attune.Weights;

namespace Attune.Tests.Tokenizers;

/// <summary>
/// Damaged files: they load, or are refused with a <see cref="CheckpointException"/>; nothing else, and no large allocations.
/// </summary>
public class TokenizerFuzzTests
{
    private static readonly string[] Words = [
        "null", "-1", "0", "4294967295", "1e400", "\"\"", "[]", "{}", "\"\\ud800\"", "true", "\"type\"", "#version", " ", "\u0000",
        "\"Sequence\""];

    [Theory]
    [InlineData("clip", "vocab.json", 500)]
    [InlineData("clip", "merges.txt", 500)]
    [InlineData("clip", "tokenizer_config.json", 300)]
    [InlineData("clip", "special_tokens_map.json", 200)]
    [InlineData("qwen2", "tokenizer.json", 600)]
    [InlineData("gemma", "tokenizer.json", 600)]
    [InlineData("t5", "tokenizer.json", 200)]
    [InlineData("t5", "spiece.model", 500)]
    [InlineData("t5", "added_tokens.json", 100)]
    public void Damaged_files_are_refused_or_load(string name, string file, int count)
    {
        var random = new Random(HashCode(name + file));
        string folder = Directory.CreateTempSubdirectory("attune").FullName;
        try
        {
            foreach (string path in Directory.EnumerateFiles(Folders.Golden(name)))
            {
                if (file != "spiece.model" || Path.GetFileName(path) != "tokenizer.json")
                    File.WriteAllBytes(Path.Combine(folder, Path.GetFileName(path)), File.ReadAllBytes(path));
            }
            byte[] original = File.ReadAllBytes(Path.Combine(folder, file));
            int refused = 0;
            for (int i = 0; i < count; i++)
            {
                File.WriteAllBytes(Path.Combine(folder, file), Damage(original, random));
                long before = GC.GetAllocatedBytesForCurrentThread();
                try
                {
                    Tokenizer.Load(folder).Encode("A panda's <|endoftext|> naïve 日本 \U0001F600 12  </s>\n<extra_id_0>!");
                }
                catch (CheckpointException exception)
                {
                    refused++;
                    Assert.Contains(folder, exception.Message, StringComparison.Ordinal);
                }
                Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 64L << 20);
            }
            Assert.InRange(refused, 1, count);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>Changes some places of a file, more often near its beginning and end, where the structure is.</summary>
    private static byte[] Damage(byte[] original, Random random)
    {
        var bytes = new List<byte>(original);
        for (int change = random.Next(1, 4); change > 0 && bytes.Count > 0; change--)
        {
            int at = random.Next(3) switch
            {
                0 => random.Next(bytes.Count),
                1 => random.Next(Math.Min(bytes.Count, 1500)),
                _ => bytes.Count - 1 - random.Next(Math.Min(bytes.Count, 1500)),
            };
            int length = Math.Min(random.Next(1, 20), bytes.Count - at);
            switch (random.Next(7))
            {
                case 0:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 2:
                    bytes.RemoveRange(at, length);
                    break;
                case 3:
                    bytes.InsertRange(at, bytes.GetRange(random.Next(bytes.Count - length + 1), length));
                    break;
                case 4:
                    bytes.RemoveRange(at, random.Next(10) == 0 ? bytes.Count - at : length);
                    break;
                case 5:
                    bytes.InsertRange(at, Encoding.UTF8.GetBytes(Words[random.Next(Words.Length)]));
                    break;
                default:
                    ReplaceValue(bytes, at, Encoding.UTF8.GetBytes(Words[random.Next(Words.Length)]));
                    break;
            }
        }
        return [.. bytes];
    }

    /// <summary>Puts another value behind the next colon, up to the next comma or bracket, so that the file often stays JSON.</summary>
    private static void ReplaceValue(List<byte> bytes, int at, byte[] value)
    {
        int colon = bytes.IndexOf((byte)':', at);
        int end = colon < 0 ? -1 : bytes.FindIndex(colon, b => b is (byte)',' or (byte)'}' or (byte)']');
        if (end < 0)
            return;
        bytes.RemoveRange(colon + 1, end - colon - 1);
        bytes.InsertRange(colon + 1, value);
    }

    private static int HashCode(string text) => text.Aggregate(17, (hash, character) => unchecked(31 * hash + character));
}
