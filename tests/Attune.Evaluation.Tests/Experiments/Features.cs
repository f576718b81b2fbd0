using System.Text;

namespace Attune.Evaluation.Tests.Experiments;

/// <summary>Writes files of references.</summary>
internal static class Features
{
    /// <summary>Writes a safetensors file with one or two tensors of float16: features, reconstructed.</summary>
    public static void Write(string file, float[][] rows, float[][]? reconstructed = null)
    {
        int at = 0;
        string Entry(string name, float[][] of)
        {
            int start = at;
            at += 2 * of.Length * of[0].Length;
            return FormattableString.Invariant(
                $"\"{name}\":{{\"dtype\":\"F16\",\"shape\":[{of.Length},{of[0].Length}],\"data_offsets\":[{start},{at}]}}");
        }
        string entries = Entry("features", rows) + (reconstructed == null ? "" : "," + Entry("reconstructed", reconstructed));
        byte[] header = Encoding.UTF8.GetBytes($"{{{entries}}}");
        using var writer = new BinaryWriter(File.Create(file));
        writer.Write((long)header.Length);
        writer.Write(header);
        foreach (float value in rows.Concat(reconstructed ?? []).SelectMany(row => row))
            writer.Write((Half)value);
    }
}
