using System.Buffers.Binary;
using System.CommandLine;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using System.Security.Cryptography;
using Attune.Cli.Commands;
using Attune.Guidance;
using Attune.Imaging;
using Attune.Schedulers;
using Attune.Tensors;
using Attune.Tests;

namespace Attune.Cli.Tests;

/// <summary>
/// Pictures that never change: the SHA-256 of the pixels of many small pictures, made through the command line, so that code may be
/// rewritten and proved equal to the bit. The table is <c>Frozen/pictures.tsv</c>. Golden cases say what is right; this test says what is
/// the same.
/// <para>
/// A hash changes only with a commit that says why (e.g. a changed order of sums, which may move a level of 255). New rules and schedulers
/// get new lines. To print the hashes of the current build, run the tests of this class with the file to write in <c>ATTUNE_FROZEN</c>:
/// <c>ATTUNE_FROZEN=/tmp/pictures.tsv</c> gives the table with the hashes that were found, on any processor. Lines that cannot be run keep
/// what they have.
/// </para>
/// <para>
/// The hashes are those of Linux on x64 with vectors of 256 bits and fused multiply-add (AVX2 and FMA). Without them sums are rounded
/// otherwise and the hashes are others; vectors of 512 bits take other kernels. There the tests are skipped; a processor with
/// AVX-512 runs them under <c>DOTNET_EnableAVX512=0</c>.
/// </para>
/// </summary>
public sealed class FrozenPicturesTests
{
    private const string Variable = "ATTUNE_FROZEN";
    private static readonly string Folder = Path.Combine(Repository.Root, "tests", "Attune.Cli.Tests", "Frozen");
    private static readonly string Shared = Path.Combine(
        Environment.GetEnvironmentVariable("ATTUNE_GOLDEN") ?? Path.Combine(Repository.Root, "..", "shared", "golden"), "checkpoints");

    private static readonly Dictionary<string, FrozenPicture> Table = FrozenPicture.Read(Path.Combine(Folder, "pictures.tsv"))
        .ToDictionary(picture => picture.Name, StringComparer.Ordinal);

    public static TheoryData<string> Names() => [.. Table.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public async Task Pixels_are_as_they_were(string name)
    {
        var picture = Table[name];
        if (Environment.GetEnvironmentVariable(Variable) is { Length: > 0 } file)
        {
            picture.Hash = await HashAsync(picture);
            FrozenPicture.Write(Path.Combine(Folder, "pictures.tsv"), file, Table);
            return;
        }
        RequireKnownProcessor();
        Assert.Equal(picture.Hash, await HashAsync(picture));
    }

    /// <summary>Work is cut into pieces whose results do not depend on who computes them.</summary>
    [Theory]
    [InlineData("scenes-flux/nag cfg slg")]
    [InlineData("scenes-flux/native size")]
    [InlineData("scenes-flux-schnell/preset nag gag")]
    [InlineData("flux-dev/nag forked gag")]
    [InlineData("sd15/image strength")]
    [InlineData("sd15/count 2 guided")]
    [InlineData("sdxl/seg")]
    public async Task One_thread_gives_the_same_pixels_as_all(string name)
    {
        string all = await HashAsync(Table[name]);
        int threads = Workers.MaxThreads;
        try
        {
            Workers.MaxThreads = 1;
            Assert.Equal(all, await HashAsync(Table[name]));
        }
        finally
        {
            Workers.MaxThreads = threads;
        }
    }

    /// <summary>A rule or an option that does not act would prove nothing: its picture would be that of another line.</summary>
    [Fact]
    public void Every_line_has_a_picture_of_its_own() =>
        Assert.Empty(Table.Values.GroupBy(picture => picture.Hash, picture => picture.Name)
            .Where(same => same.Count() > 1).Select(same => string.Join(" = ", same)));

    [Fact]
    public void Every_rule_and_every_scheduler_has_a_picture()
    {
        string[] words = [.. Table.Values.SelectMany(picture => picture.Arguments).SelectMany(argument => argument.Split(':', '+', '"'))];
        Assert.Empty(RuleCatalog.Names.Except(words));

        // No model that can be run was trained for it, and it fits no other.
        Assert.Equal(["SCMScheduler"], Scheduler.SupportedClasses.Except(words));
    }

    /// <summary>Runs a command line and hashes the pixels that it wrote.</summary>
    private static async Task<string> HashAsync(FrozenPicture picture)
    {
        string folder = Directory.CreateTempSubdirectory("attune").FullName;
        var standardError = Console.Error;
        using var errors = new StringWriter();
        try
        {
            string[] arguments =
            [
                "generate", .. picture.Arguments.Select(Place),
                "--device", "managed", "--precision", "f32", "-o", Path.Combine(folder, "picture.png"),
            ];
            var root = new RootCommand { GenerateCommand.Create() };
            DeviceOptions.AddTo(root);
            Console.SetError(errors);
            int code = await Application.RunAsync(root, arguments);
            Assert.True(code == 0, $"{picture.Name}: {errors}");
            return Hash(Directory.GetFiles(folder).Order(StringComparer.Ordinal));
        }
        finally
        {
            Console.SetError(standardError);
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>The SHA-256, in hexadecimal, of each file's width, height (32 bits, little-endian) and RGB bytes, row by row.</summary>
    private static string Hash(IEnumerable<string> files)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] size = new byte[8];
        foreach (string file in files)
        {
            var image = Image.Load(file);
            BinaryPrimitives.WriteInt32LittleEndian(size, image.Width);
            BinaryPrimitives.WriteInt32LittleEndian(size.AsSpan(4), image.Height);
            hash.AppendData(size);
            hash.AppendData([.. image.Rgb]);
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>An argument with its folder in place of the name in braces.</summary>
    private static string Place(string argument)
    {
        if (argument.StartsWith("{shared}", StringComparison.Ordinal) && !Directory.Exists(Shared))
            Assert.Skip("Neither ATTUNE_GOLDEN nor a folder ../shared/golden is there.");
        return argument
            .Replace("{models}", Path.Combine(Repository.Root, "models"), StringComparison.Ordinal)
            .Replace("{golden}", Path.Combine(Repository.Root, "tests", "golden", "checkpoints"), StringComparison.Ordinal)
            .Replace("{shared}", Shared, StringComparison.Ordinal)
            .Replace("{image}", Path.Combine(Folder, "start.png"), StringComparison.Ordinal);
    }

    private static void RequireKnownProcessor()
    {
        if (!OperatingSystem.IsLinux() || !Vector256.IsHardwareAccelerated || !Fma.IsSupported)
            Assert.Skip("The hashes are those of Linux on x64 with AVX2 and FMA.");
        if (Vector512.IsHardwareAccelerated)
            Assert.Skip("The hashes are those of vectors of 256 bits: set DOTNET_EnableAVX512=0.");
    }
}
