using System.Runtime.InteropServices;
using System.Text;

namespace Attune;

/// <summary>
/// Writes files so that nothing is destroyed. A file is written under a name of its own in the target's folder and renamed when it is
/// complete, so that a full disk or a cancelled run leaves what was there, and of two processes with the same output the last one wins.
/// Symbolic links are followed, and the mode of a file that is there is kept (Unix); hard links and owners are not. A read-only file is
/// refused. What is no regular file (a device, a named pipe) is opened and written through.
/// </summary>
public static partial class OutputFile
{
    private const UnixFileMode AnyWrite = UnixFileMode.UserWrite | UnixFileMode.GroupWrite | UnixFileMode.OtherWrite;

    /// <summary>The most bytes that the name of a file may have on common file systems.</summary>
    private const int LongestName = 255;

    private enum Kind
    {
        Missing,
        Regular,
        Folder,
        Socket,
        Other,
        Unknown,
    }

    /// <summary>Writes a file, which is replaced only when it is complete.</summary>
    /// <param name="path">The file.</param>
    /// <param name="write">Writes its content. The stream may be one that cannot be sought.</param>
    /// <param name="label">What errors begin with, as the option that has the path; null for nothing.</param>
    /// <exception cref="IOException">The file cannot be written; the message has the path as it is given.</exception>
    public static void Write(string path, Action<Stream> write, string? label = null)
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(write);
        var (target, kind) = Find(path, label);
        Guarded(path, label, null, () =>
        {
            if (kind is Kind.Other or Kind.Unknown)
            {
                using var stream = new FileStream(path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete, 1);
                if (kind == Kind.Other || !stream.CanSeek)
                {
                    write(stream);
                    return;
                }
            }
            Replace(path, label, target, write, overwrite: true);
        });
    }

    /// <summary>Lets something else write a file, which is replaced only when it is complete: a program that wants a name.</summary>
    /// <param name="path">The file; no pipe or device.</param>
    /// <param name="write">Writes the file of the name that it gets, which is one of its own, in the target's folder.</param>
    /// <param name="label">What errors begin with, as the option that has the path; null for nothing.</param>
    /// <exception cref="IOException">The file cannot be written; the message has the path as it is given.</exception>
    public static void WriteNamed(string path, Action<string> write, string? label = null)
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(write);
        var (target, kind) = Find(path, label);
        if (kind is not (Kind.Missing or Kind.Regular))
            throw Failure(path, label, "it is no regular file, which this format needs");
        string temporary = TemporaryFor(target);
        Guarded(path, label, temporary, () =>
        {
            try
            {
                write(temporary);
                using (var stream = new FileStream(temporary, FileMode.Open, FileAccess.Write))
                {
                    stream.Flush(flushToDisk: true);
                    if (!OperatingSystem.IsWindows() && File.Exists(target))
                        File.SetUnixFileMode(stream.SafeFileHandle, File.GetUnixFileMode(target));
                }
                File.Move(temporary, target, overwrite: true);
            }
            catch
            {
                File.Delete(temporary);
                throw;
            }
        });
    }

    /// <summary>
    /// Writes a file under the first of several names that is free. Two processes that do so at once get different names.
    /// </summary>
    /// <param name="names">The name for a number, 1 and up.</param>
    /// <param name="write">Writes its content.</param>
    /// <param name="label">What errors begin with; null for nothing.</param>
    /// <returns>The file.</returns>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public static string WriteNew(Func<int, string> names, Action<Stream> write, string? label = null)
    {
        ArgumentNullException.ThrowIfNull(names);
        ArgumentNullException.ThrowIfNull(write);
        for (int number = 1; ; number++)
        {
            string path = names(number);
            if (File.Exists(path) || Directory.Exists(path) || new FileInfo(path).LinkTarget != null)
                continue;
            var (target, _) = Find(path, label);
            bool taken = false;
            Guarded(path, label, null, () =>
            {
                try
                {
                    Replace(path, label, target, write, overwrite: false);
                }
                catch (IOException) when (File.Exists(path))
                {
                    taken = true;       // another process was first
                }
            });
            if (!taken)
                return path;
        }
    }

    /// <summary>
    /// Finds out whether a file can be written, without changing it: before hours are spent on what should go into it.
    /// </summary>
    /// <param name="path">The file.</param>
    /// <param name="label">What errors begin with; null for nothing.</param>
    /// <exception cref="IOException">It cannot.</exception>
    public static void Check(string path, string? label = null)
    {
        ArgumentNullException.ThrowIfNull(path);
        var (target, kind) = Find(path, label);
        if (kind is not (Kind.Missing or Kind.Regular))
            return;
        string temporary = TemporaryFor(target);
        Guarded(path, label, temporary, () =>
        {
            if (kind == Kind.Regular)
                File.OpenHandle(target, FileMode.Open, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete).Dispose();
            using var probe = new FileStream(temporary, new FileStreamOptions {
                Mode = FileMode.CreateNew, Access = FileAccess.Write, Options = FileOptions.DeleteOnClose });
        });
    }

    /// <summary>The file behind the links, and what it is; refuses what can never be written.</summary>
    private static (string Target, Kind Kind) Find(string path, string? label)
    {
        if (path.Length == 0)
            throw Failure(path, label, "a path is never empty");
        if (path.Contains('\0', StringComparison.Ordinal))
            throw Failure(path, label, "a path holds no character 0");
        if (Path.EndsInDirectorySeparator(path))
            throw Failure(path, label, "it is a folder, not a file");
        var kind = Kind.Missing;
        Guarded(path, label, null, () => kind = KindOf(path));
        if (kind == Kind.Folder)
            throw Failure(path, label, "it is a folder, not a file");
        if (kind == Kind.Socket)
            throw Failure(path, label, "it is a socket");
        if (kind == Kind.Other)
            return (path, kind);
        string target = "";
        Guarded(path, label, null, () => target = Resolve(path));
        string? folder = Path.GetDirectoryName(target);
        if (folder == null || !Directory.Exists(folder))
        {
            string given = target == Path.GetFullPath(path) ? Path.GetDirectoryName(path) is { Length: > 0 } name ? name : "." : folder!;
            throw new OutputException($"{Prefix(label)}the folder '{given}' does not exist.", null);
        }
        if (Encoding.UTF8.GetByteCount(Path.GetFileName(target)) > LongestName)
            throw Failure(path, label, $"its name has more than {LongestName} bytes");
        if (kind == Kind.Regular && IsReadOnly(target))
            throw Failure(path, label, "it is read-only");
        return (target, kind);
    }

    private static bool IsReadOnly(string target) => OperatingSystem.IsWindows()
        ? new FileInfo(target).IsReadOnly : (File.GetUnixFileMode(target) & AnyWrite) == 0;

    private static void Replace(string path, string? label, string target, Action<Stream> write, bool overwrite)
    {
        string temporary = TemporaryFor(target);
        Guarded(path, label, temporary, () =>
        {
            try
            {
                using (var stream = new FileStream(temporary, FileMode.CreateNew, FileAccess.Write))
                {
                    write(stream);
                    stream.Flush(flushToDisk: true);        // some file systems learn only now that the disk is full
                    if (overwrite && !OperatingSystem.IsWindows() && File.Exists(target))
                        File.SetUnixFileMode(stream.SafeFileHandle, File.GetUnixFileMode(target));
                }
                // Moving without overwriting looks first and renames then, so that two can take one name; creating anew does not.
                if (!overwrite)
                    new FileStream(target, FileMode.CreateNew, FileAccess.Write).Dispose();
                File.Move(temporary, target, overwrite: true);
            }
            catch
            {
                File.Delete(temporary);
                throw;
            }
        });
    }

    /// <summary>A name of its own: not made of the target's, which may be as long as names can be.</summary>
    private static string TemporaryFor(string target) => Path.Combine(Path.GetDirectoryName(target)!, $".attune-{Guid.NewGuid():N}.part");

    /// <summary>Says errors of the file system with the path that was given.</summary>
    private static void Guarded(string path, string? label, string? temporary, Action action)
    {
        try
        {
            action();
        }
        catch (IOException exception) when (exception.GetType().Assembly == typeof(OutputFile).Assembly)
        {
            throw;        // one of this library's own says already what it is about
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            string reason = exception is UnauthorizedAccessException ? "access is denied" : exception.Message.TrimEnd('.');
            if (temporary != null)
            {
                reason = reason.Replace($" : '{temporary}'", "", StringComparison.Ordinal)
                    .Replace(temporary, path, StringComparison.Ordinal);
            }
            throw Failure(path, label, reason, exception);
        }
    }

    private static OutputException Failure(string path, string? label, string reason, Exception? cause = null) =>
        new($"{Prefix(label)}'{path}' cannot be written: {reason}.", cause);

    private static string Prefix(string? label) => label == null ? "" : label + ": ";

    /// <summary>
    /// The path without symbolic links, in folders too: a relative link counts from where it truly lies. The file need not exist.
    /// </summary>
    private static string Resolve(string path)
    {
        string full = Path.GetFullPath(path);
        string at = Path.GetPathRoot(full)!;
        var rest = new Stack<string>(Parts(full[at.Length..]));
        for (int links = 0; rest.TryPop(out string? part);)
        {
            if (part == ".")
                continue;
            if (part == "..")
            {
                at = Path.GetDirectoryName(at) ?? at;
                continue;
            }
            string next = Path.Combine(at, part);
            if (new FileInfo(next).LinkTarget is not { } target)
            {
                at = next;
                continue;
            }
            if (++links > 40)
                throw new IOException("its symbolic links lead to one another");
            if (Path.IsPathRooted(target))
            {
                at = Path.GetPathRoot(target)!;
                target = target[at.Length..];
            }
            foreach (string further in Parts(target))
                rest.Push(further);
        }
        return at;

        static IEnumerable<string> Parts(string text) => text
            .Split([Path.DirectorySeparatorChar, Path.AltDirectorySeparatorChar], StringSplitOptions.RemoveEmptyEntries)
            .Reverse();
    }

    /// <summary>What a path leads to. Nothing is opened: opening a named pipe waits, and opening a device may do something.</summary>
    private static Kind KindOf(string path)
    {
        if (Directory.Exists(path))
            return Kind.Folder;
        if (!File.Exists(path))
            return Kind.Missing;
        if (OperatingSystem.IsWindows())
            return (File.GetAttributes(path) & FileAttributes.Device) != 0 ? Kind.Other : Kind.Regular;
        if (!OperatingSystem.IsLinux())
            return File.ResolveLinkTarget(path, returnFinalTarget: true) is { Exists: false } ? Kind.Missing : Kind.Unknown;
        Span<byte> status = stackalloc byte[256];
        try
        {
            const uint TypeAlone = 1;
            if (Statx(0, Path.GetFullPath(path), 0, TypeAlone, ref MemoryMarshal.GetReference(status)) != 0)
                return Kind.Missing;        // a link that leads nowhere: File.Exists takes it for a file
        }
        catch (EntryPointNotFoundException)
        {
            return Kind.Unknown;
        }
        const int ModeAt = 28;      // of the structure, which is the same on all machines
        return (MemoryMarshal.Read<ushort>(status[ModeAt..]) & 0xF000) switch
        {
            0x8000 => Kind.Regular,
            0xC000 => Kind.Socket,
            _ => Kind.Other,
        };
    }

    [LibraryImport("libc", EntryPoint = "statx", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Statx(int folder, string path, int flags, uint mask, ref byte status);

    /// <summary>An error that already says what it is about.</summary>
    private sealed class OutputException(string message, Exception? cause) : IOException(message, cause);
}
