using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using Attune.Imaging;

namespace Attune.Tests;

/// <summary>What is written never destroys what is there.</summary>
public class OutputFileTests
{
    private static void Write(string path, string text, string? label = null) =>
        OutputFile.Write(path, stream => stream.Write(Encoding.UTF8.GetBytes(text)), label);

    private static string[] Names(TemporaryFolder folder) =>
        [.. Directory.GetFileSystemEntries(folder.Path).Select(Path.GetFileName).Order(StringComparer.Ordinal)!];

    [Fact]
    public void A_file_is_made_and_replaced_and_nothing_else_is_left()
    {
        using var folder = new TemporaryFolder();
        Write(folder.At("a"), "one, which is longer");
        Write(folder.At("a"), "two");
        Assert.Equal("two", File.ReadAllText(folder.At("a")));
        Assert.Equal(["a"], Names(folder));
    }

    [Fact]
    public void A_write_that_fails_leaves_what_was_there()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.At("a"), "old");
        foreach (string name in new[] { "a", "new" })
        {
            var error = Assert.ThrowsAny<IOException>(
                () => OutputFile.Write(
                    folder.At(name), stream =>
                    {
                        stream.Write(new byte[100_000]);
                        throw new IOException($"No space left on device : '{((FileStream)stream).Name}'");
                    },
                    "--output"));
            Assert.Equal($"--output: '{folder.At(name)}' cannot be written: No space left on device.", error.Message);
            Assert.Throws<OperationCanceledException>(
                () => OutputFile.Write(folder.At(name), _ => throw new OperationCanceledException()));
        }
        Assert.Equal("old", File.ReadAllText(folder.At("a")));
        Assert.Equal(["a"], Names(folder));
    }

    [Fact]
    public void Symbolic_links_are_followed()
    {
        if (OperatingSystem.IsWindows())
            return;
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder.At("far/deep"));
        File.WriteAllText(folder.At("far/target"), "old");
        Directory.CreateSymbolicLink(folder.At("near"), "far/deep");
        File.CreateSymbolicLink(folder.At("far/deep/link"), "../target");       // counts from far/deep, not from near
        File.CreateSymbolicLink(folder.At("chain"), "near/link");
        File.CreateSymbolicLink(folder.At("dangling"), folder.At("far/made"));
        foreach (string name in new[] { "near/link", "chain" })
        {
            OutputFile.Check(folder.At(name));
            Write(folder.At(name), name);
            Assert.Equal(name, File.ReadAllText(folder.At("far/target")));
        }
        OutputFile.Check(folder.At("dangling"));
        Write(folder.At("dangling"), "made");
        Assert.Equal("made", File.ReadAllText(folder.At("far/made")));
        Assert.Equal("../target", new FileInfo(folder.At("far/deep/link")).LinkTarget);
        Assert.Equal("near/link", new FileInfo(folder.At("chain")).LinkTarget);

        File.CreateSymbolicLink(folder.At("round"), "about");
        File.CreateSymbolicLink(folder.At("about"), "round");
        File.CreateSymbolicLink(folder.At("nowhere"), "no/folder/x");
        Assert.Contains("lead to one another", Refused(folder.At("round")), StringComparison.Ordinal);
        Assert.Contains("no/folder' does not exist", Refused(folder.At("nowhere")), StringComparison.Ordinal);
    }

    [Fact]
    public void The_mode_of_a_file_is_kept_and_a_read_only_one_refused()
    {
        if (OperatingSystem.IsWindows())
            return;
        using var folder = new TemporaryFolder();
        foreach (int octal in new[] { 0x180, 0x1B4, 0x1E8 })        // 0600, 0664, 0750
        {
            File.WriteAllText(folder.At("a"), "old");
            File.SetUnixFileMode(folder.At("a"), (UnixFileMode)octal);
            Write(folder.At("a"), "new");
            Assert.Equal((UnixFileMode)octal, File.GetUnixFileMode(folder.At("a")));
        }
        File.SetUnixFileMode(folder.At("a"), (UnixFileMode)0x124);      // 0444
        Assert.EndsWith("cannot be written: it is read-only.", Refused(folder.At("a")), StringComparison.Ordinal);
        Assert.Equal("new", File.ReadAllText(folder.At("a")));
    }

    [Fact]
    public async Task A_named_pipe_is_written_through_and_stays_one()
    {
        if (OperatingSystem.IsWindows())
            return;
        using var folder = new TemporaryFolder();
        string pipe = folder.At("pipe.png");
        using (var made = Process.Start("mkfifo", [pipe]))
            await made.WaitForExitAsync(TestContext.Current.CancellationToken);
        File.CreateSymbolicLink(folder.At("link.png"), "pipe.png");
        var image = new Image(2, 1, [1, 2, 3, 4, 5, 6]);
        foreach (string name in new[] { pipe, folder.At("link.png") })
        {
            OutputFile.Check(name);         // does not wait for a reader
            var read = Task.Run(() => File.ReadAllBytes(pipe), TestContext.Current.CancellationToken);
            image.Save(name);
            byte[] bytes = await read.WaitAsync(TimeSpan.FromSeconds(20));
            Assert.True(image.Rgb.SequenceEqual(Image.Read(bytes, "pipe").Rgb));
        }
        Assert.Equal(["link.png", "pipe.png"], Names(folder));
        Assert.Equal("pipe.png", new FileInfo(folder.At("link.png")).LinkTarget);
    }

    [Fact]
    public void What_can_never_be_written_is_refused_with_the_path_as_it_was_given()
    {
        using var folder = new TemporaryFolder();
        Directory.CreateDirectory(folder.At("sub"));
        Assert.EndsWith("it is a folder, not a file.", Refused(folder.At("sub")), StringComparison.Ordinal);
        Assert.EndsWith("it is a folder, not a file.", Refused(folder.At("new/")), StringComparison.Ordinal);
        Assert.Equal("--output: '.' cannot be written: it is a folder, not a file.", Refused("."));
        Assert.Equal("--output: '' cannot be written: a path is never empty.", Refused(""));
        Assert.Equal($"--output: the folder '{folder.At("none")}' does not exist.", Refused(folder.At("none/x.png")));
        Assert.Equal("--output: the folder 'no-such-folder' does not exist.", Refused("no-such-folder/x.png"));
        Assert.EndsWith("its name has more than 255 bytes.", Refused(folder.At(new string('é', 128))), StringComparison.Ordinal);
        Write(folder.At(new string('x', 255)), "the longest name that there is");
        if (!OperatingSystem.IsWindows())
        {
            using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            socket.Bind(new UnixDomainSocketEndPoint(folder.At("socket")));
            Assert.EndsWith("it is a socket.", Refused(folder.At("socket")), StringComparison.Ordinal);
        }
        if (OperatingSystem.IsLinux())
        {
            string refused = Refused("/proc/x.png");
            Assert.StartsWith("--output: '/proc/x.png' cannot be written: ", refused, StringComparison.Ordinal);
            Assert.DoesNotContain(".part", refused, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Checking_changes_nothing()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.At("a"), "old");
        OutputFile.Check(folder.At("a"));
        OutputFile.Check(folder.At("b"));
        Assert.Equal(["a"], Names(folder));
        Assert.Equal("old", File.ReadAllText(folder.At("a")));
    }

    [Fact]
    public async Task Many_at_once_with_one_name_none_fails_and_the_file_is_whole()
    {
        using var folder = new TemporaryFolder();
        string[] texts = [.. Enumerable.Range(0, 16).Select(i => new string((char)('a' + i), 10_000 + i))];
        await Parallel.ForEachAsync(texts, TestContext.Current.CancellationToken, (text, _) =>
        {
            for (int i = 0; i < 8; i++)
                Write(folder.At("same"), text);
            return ValueTask.CompletedTask;
        });
        Assert.Contains(File.ReadAllText(folder.At("same")), texts);
        Assert.Equal(["same"], Names(folder));
    }

    [Fact]
    public async Task Free_names_are_taken_once_each()
    {
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.At("p-2"), "mine");
        var files = new System.Collections.Concurrent.ConcurrentBag<string>();
        var many = new ParallelOptions { MaxDegreeOfParallelism = 24, CancellationToken = TestContext.Current.CancellationToken };
        await Parallel.ForEachAsync(Enumerable.Range(0, 24), many, async (i, _) =>
        {
            await Task.Yield();
            files.Add(OutputFile.WriteNew(n => folder.At($"p-{n}"), stream => stream.Write(Encoding.UTF8.GetBytes($"{i}"))));
        });
        Assert.Equal(24, files.Distinct().Count());
        Assert.Equal("mine", File.ReadAllText(folder.At("p-2")));
        Assert.Equal(Enumerable.Range(1, 25).Select(n => $"p-{n}").Order(StringComparer.Ordinal), Names(folder));
        Assert.Equal(24, files.Select(File.ReadAllText).Distinct().Count());
    }

    [Fact]
    public void Pictures_are_written_as_their_extension_says()
    {
        using var folder = new TemporaryFolder();
        var image = new Image(2, 1, [1, 2, 3, 4, 5, 6]);
        image.Save(folder.At("a.PNG"));
        Assert.True(image.Rgb.SequenceEqual(Image.Load(folder.At("a.PNG")).Rgb));
        foreach (var (name, ending) in new[] { ("a.tga", ".tga"), ("a", "no extension"), ("a.png.", "no extension") })
        {
            var error = Assert.Throws<ArgumentException>(() => image.Save(name));
            Assert.StartsWith($"'{name}' ends in {ending}; pictures are written as .png", error.Message, StringComparison.Ordinal);
        }
    }

    private static string Refused(string path)
    {
        string message = Assert.ThrowsAny<IOException>(() => OutputFile.Check(path, "--output")).Message;
        string again = Assert.ThrowsAny<IOException>(() => Write(path, "new", "--output")).Message;
        Assert.StartsWith("--output: ", again, StringComparison.Ordinal);
        return message;
    }
}
