using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using Attune.Imaging;

namespace Attune.Cli;

/// <summary>
/// Videos that the program <c>ffmpeg</c> on the path encodes: raw frames go to its standard input, and nothing is written but the output.
/// Colours are converted and tagged as BT.709, since ffmpeg by itself converts by BT.601 and says nothing of it, which players take for
/// BT.709 at HD sizes.
/// </summary>
internal static class Ffmpeg
{
    private const string Program = "ffmpeg";

    /// <summary>The formats, each with the name of its container, the encoder, and how it is told to encode.</summary>
    private static readonly (string Extension, string Format, string Encoder, string[] Options)[] Formats =
    [
        (".mp4", "mp4", "libx264", ["-preset", "medium", "-crf", "17", "-movflags", "+faststart"]),
        (".webm", "webm", "libvpx-vp9", ["-crf", "24", "-b:v", "0", "-deadline", "good", "-cpu-used", "2", "-row-mt", "1"]),
    ];

    /// <summary>The extensions of its files.</summary>
    public static IEnumerable<string> Extensions => Formats.Select(format => format.Extension);

    /// <summary>Whether files of a name are written by it.</summary>
    public static bool Writes(string path) => Extensions.Contains(Path.GetExtension(path), StringComparer.OrdinalIgnoreCase);

    /// <summary>Finds out whether a video can be written, before hours are spent on its frames.</summary>
    /// <param name="path">The file.</param>
    /// <param name="label">What errors begin with: the option that has the path.</param>
    /// <exception cref="NotSupportedException">There is no ffmpeg, or it lacks the encoder; the message says what to do.</exception>
    public static void Check(string path, string label)
    {
        var format = FormatOf(path);
        string encoders;
        try
        {
            encoders = Run(["-hide_banner", "-loglevel", "error", "-encoders"], null, label);
        }
        catch (Win32Exception)
        {
            throw new NotSupportedException(
                $"{label}: '{path}' is encoded by the program {Program}, which is not on the path (Debian: apt-get install {Program}); "
                    + "animated .png and .gif and pictures by number (as frames/%04d.png) are written without it.");
        }
        if (!encoders.Split(' ', '\n').Contains(format.Encoder))
        {
            throw new NotSupportedException(
                $"{label}: '{path}' needs {Program} with the encoder {format.Encoder}, which the one on the path lacks.");
        }
    }

    /// <summary>Encodes a video.</summary>
    /// <param name="frames">The frames; width and height must be even, since colours are kept for cells of 2 x 2 pixels.</param>
    /// <param name="rate">Frames a second.</param>
    /// <param name="path">The file, which is replaced when the video is complete.</param>
    /// <param name="comment">What the file says of itself; null for nothing.</param>
    /// <param name="label">What errors begin with: the option that has the path.</param>
    /// <exception cref="IOException">ffmpeg fails; the message has what it says.</exception>
    public static void Write(Frames frames, double rate, string path, string? comment, string label)
    {
        if (frames.Width % 2 != 0 || frames.Height % 2 != 0)
        {
            throw new ArgumentException(
                $"{label}: '{path}' holds frames of even width and height, not {frames.Width}x{frames.Height}.");
        }
        var format = FormatOf(path);
        string[] said = comment == null ? [] : ["-metadata", $"comment={comment}"];
        OutputFile.WriteNamed(path, name => Run(
            [
                "-hide_banner", "-loglevel", "error", "-nostdin", "-y",
                "-f", "rawvideo", "-pixel_format", "rgb24",
                "-video_size", string.Create(CultureInfo.InvariantCulture, $"{frames.Width}x{frames.Height}"),
                "-framerate", rate.ToString("R", CultureInfo.InvariantCulture), "-i", "pipe:0",
                "-vf", "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+full_chroma_int,format=yuv420p",
                "-c:v", format.Encoder, .. format.Options,
                "-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv",
                "-fflags", "+bitexact", "-flags:v", "+bitexact", .. said, "-f", format.Format, name,
            ],
            input =>
            {
                foreach (var frame in frames)
                    input.Write(frame.Rgb);
            },
            label), label);
    }

    private static (string Extension, string Format, string Encoder, string[] Options) FormatOf(string path) =>
        Formats.Single(format => format.Extension.Equals(Path.GetExtension(path), StringComparison.OrdinalIgnoreCase));

    /// <summary>Runs the program, and gives what it writes to standard output.</summary>
    private static string Run(IEnumerable<string> arguments, Action<Stream>? write, string label)
    {
        var start = new ProcessStartInfo(Program, arguments)
        {
            RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false,
        };
        using var process = Process.Start(start)!;
        try
        {
            var output = process.StandardOutput.ReadToEndAsync();
            var error = process.StandardError.ReadToEndAsync();
            IOException? broken = null;
            try
            {
                write?.Invoke(process.StandardInput.BaseStream);
                process.StandardInput.Close();
            }
            catch (IOException exception)
            {
                broken = exception;         // it has ended: what it said is the reason
            }
            process.WaitForExit();
            string said = error.GetAwaiter().GetResult().Trim();
            return process.ExitCode == 0 && broken == null ? output.GetAwaiter().GetResult()
                : throw new IOException(
                    $"{label}: {Program} ended with code {process.ExitCode}{(said.Length > 0 ? $": {said}" : "")}", broken);
        }
        finally
        {
            if (!process.HasExited)
                process.Kill(entireProcessTree: true);
        }
    }
}
