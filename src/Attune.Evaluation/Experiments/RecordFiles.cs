using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Attune.Weights;

namespace Attune.Evaluation.Experiments;

/// <summary>The first line of a file of records.</summary>
/// <param name="Fingerprint">What tells the experiment with its model and its judge apart from others.</param>
/// <param name="Experiment">What tells the experiment alone apart.</param>
/// <param name="Name">The experiment's heading.</param>
/// <param name="Model">The name of the model's folder.</param>
/// <param name="Device">What computed.</param>
public sealed record RecordHeader(string Fingerprint, string Experiment, string Name, string Model, string Device)
{
    /// <summary>The header as one line of JSON, without its end.</summary>
    internal string ToLine()
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            json.WriteString("fingerprint", Fingerprint);
            json.WriteString("experiment", Experiment);
            json.WriteString("name", Name);
            json.WriteString("model", Model);
            json.WriteString("device", Device);
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(stream.GetBuffer(), 0, (int)stream.Length);
    }

    /// <summary>Reads a line.</summary>
    /// <exception cref="FormatException">It is no header.</exception>
    internal static RecordHeader Parse(string file, string line)
    {
        var json = JsonPart.ParseStrict(file, line).Object();
        string Text(string key) => json.Needed(key, "a text").String();
        var header = new RecordHeader(
            Text("fingerprint"), Text("experiment"), Text("name"), Text("model"), Text("device"));
        json.RequireAllAsked();
        return header;
    }
}

/// <summary>A file of records as it was read.</summary>
/// <param name="Path">The file.</param>
/// <param name="Header">Its header, or null when not even that is complete.</param>
/// <param name="Records">The complete records.</param>
/// <param name="Length">The bytes up to the end of the last complete line.</param>
internal sealed record RecordFile(string Path, RecordHeader? Header, IReadOnlyList<ExperimentRecord> Records, long Length);

/// <summary>
/// Reads files of records, and goes on with one. A last line without an end, as a stopped process leaves it, does not count.
/// </summary>
internal static class RecordFiles
{
    /// <summary>
    /// Claims a file for one process until the result is disposed: a shared folder may be read by others at any time, but two writers would
    /// tear each other's lines.
    /// </summary>
    /// <exception cref="IOException">Another process has it.</exception>
    public static IDisposable Claim(string path)
    {
        try
        {
            return new FileStream(
                path + ".lock", FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, 1, FileOptions.DeleteOnClose);
        }
        catch (IOException exception)
        {
            throw new IOException(
                $"'{path}' cannot be written to; does another process do the same part of the experiment? {exception.Message}", exception);
        }
    }

    /// <summary>All files of a folder, sorted by name; a folder that does not exist has none.</summary>
    /// <exception cref="FormatException">A line is damaged; the message names file and line.</exception>
    public static IReadOnlyList<RecordFile> Read(string folder) =>
        !Directory.Exists(folder) ? [] : [.. Directory.GetFiles(folder, "records*.jsonl").Order(StringComparer.Ordinal).Select(ReadFile)];

    /// <summary>The records of all files; of those that are in two files, the first.</summary>
    public static IReadOnlyList<ExperimentRecord> Merge(IEnumerable<RecordFile> files) =>
        [.. files.SelectMany(file => file.Records).DistinctBy(record => record.Key)];

    /// <summary>Fails when a file holds records of another experiment.</summary>
    /// <param name="files">The files.</param>
    /// <param name="experiment">The experiment; its model need not be there.</param>
    /// <param name="fingerprint">Of the experiment with its model, or null to take that of the first file.</param>
    /// <exception cref="FormatException">One does; the message names it.</exception>
    public static void Check(IEnumerable<RecordFile> files, Experiment experiment, string? fingerprint)
    {
        string digest = Fingerprint.Of(experiment);
        RecordFile? first = null;
        foreach (var file in files.Where(file => file.Header != null))
        {
            var header = file.Header!;
            if (header.Experiment != digest)
                throw new FormatException(
                    $"'{file.Path}' holds records of another experiment (\"{header.Name}\") than '{experiment.File}' is now: choose "
                        + $"another folder.");
            if (fingerprint != null && header.Fingerprint != fingerprint)
                throw new FormatException(
                    $"'{file.Path}' holds records of the same experiment with another model, judge or dual encoder (its model: "
                        + $"{header.Model}): choose another folder.");
            first ??= file;
            if (header.Fingerprint != first.Header!.Fingerprint)
                throw new FormatException(
                    $"'{file.Path}' and '{first.Path}' hold records of one experiment with different models, judges or dual encoders "
                        + $"({header.Model}, {first.Header.Model}).");
        }
    }

    private static RecordFile ReadFile(string path)
    {
        byte[] bytes;
        using (var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete))
        {
            bytes = new byte[stream.Length];
            stream.ReadExactly(bytes);
        }
        RecordHeader? header = null;
        var records = new List<ExperimentRecord>();
        int start = 0;
        for (int number = 1; bytes.AsSpan(start).IndexOf((byte)'\n') is >= 0 and var length; number++)
        {
            string at = FormattableString.Invariant($"{path}:{number}");
            string line = Encoding.UTF8.GetString(bytes, start, length);
            if (header == null)
                header = RecordHeader.Parse(at, line);
            else
                records.Add(ExperimentRecord.Parse(at, line) with { Source = path });
            start += length + 1;
        }
        return new RecordFile(path, header, records, start);
    }
}

/// <summary>Adds records to a file, each written out before the next is made.</summary>
internal sealed class RecordWriter : IDisposable
{
    private readonly FileStream _stream;

    /// <summary>Opens a file, or makes it. What stands behind its last complete line is cut off.</summary>
    /// <param name="path">The file, which this process has claimed.</param>
    /// <param name="known">The file as it was read, or null when it is new.</param>
    /// <param name="header">Its first line, if it has none.</param>
    public RecordWriter(string path, RecordFile? known, RecordHeader header)
    {
        Session = 1 + (known?.Records.Select(record => record.Session).DefaultIfEmpty(0).Max() ?? 0);
        _stream = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read);
        _stream.SetLength(known?.Length ?? 0);
        _stream.Seek(0, SeekOrigin.End);
        if (known?.Header == null)
            Write(header.ToLine());
    }

    /// <summary>The number of this process among those that wrote records to the file.</summary>
    public int Session { get; }

    /// <summary>Adds a record.</summary>
    public void Add(ExperimentRecord record) => Write(record.ToLine());

    /// <inheritdoc/>
    public void Dispose() => _stream.Dispose();

    private void Write(string line)
    {
        _stream.Write(Encoding.UTF8.GetBytes(line + "\n"));
        _stream.Flush(flushToDisk: false);
    }
}
