using System.Text;

namespace Attune.Evaluation.Tests.Experiments;

/// <summary>Writes files of references.</summary>
internal static class Features
{
    /// <summary>Writes a safetensors file with one tensor of float16: features.</summary>
    public static void Write(string file, float[][] rows)
    {
        int size = 2 * rows.Length * rows[0].Length;
        byte[] header = Encoding.UTF8.GetBytes(
            FormattableString.Invariant(
                $"{{\"features\":{{\"dtype\":\"F16\",\"shape\":[{rows.Length},{rows[0].Length}],\"data_offsets\":[0,{size}]}}}}"));
        using var writer = new BinaryWriter(File.Create(file));
        writer.Write((long)header.Length);
        writer.Write(header);
        foreach (float value in rows.SelectMany(row => row))
            writer.Write((Half)value);
    }
}
