using Attune.Imaging;
using Attune.Media.Skia;
using Attune.Tests;

namespace Attune.Cli.Tests;

/// <summary>The command line has the formats of the optional package.</summary>
public class MediaCommandTests
{
    [Fact]
    public async Task A_webp_file_is_where_image_to_image_begins()
    {
        using var folder = new TemporaryFolder();
        var pixels = new byte[3 * 64 * 64];
        for (int i = 0; i < pixels.Length; i++)
            pixels[i] = (byte)(i / 3 % 64 * 3);
        string webp = folder.At("start.webp"), png = folder.At("start.png");
        await using (var stream = File.Create(webp))
            AnimatedWebP.Write(stream, [new Image(64, 64, pixels)], 24, quality: null);
        Png.Save(new Image(64, 64, pixels), png);
        foreach (string start in new[] { webp, png })
        {
            var (code, _, error) = await CommandTests.Run(
                "generate", "a panda", "--model", Repository.Golden("checkpoints", "sd15"), "--image", start, "--steps", "2", "--strength",
                "0.5", "-o", start + ".png");
            Assert.True(code == 0, error);
        }
        Assert.True(Image.Load(webp + ".png").Rgb.SequenceEqual(Image.Load(png + ".png").Rgb));
    }
}
