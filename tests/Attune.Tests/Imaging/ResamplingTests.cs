using Attune.Imaging;

namespace Attune.Tests.Imaging;

/// <summary>What resizing may be asked for; its numbers are golden cases of the group metrics.</summary>
public class ResamplingTests
{
    private static readonly Image Picture = new(2, 1, [0, 10, 20, 100, 110, 120]);

    [Theory]
    [InlineData(ResizeLibrary.Pillow, ResizeFilter.Bilinear, false)]
    [InlineData(ResizeLibrary.Torch, ResizeFilter.Lanczos, true)]
    [InlineData(ResizeLibrary.TensorFlow1, ResizeFilter.Bicubic, false)]
    [InlineData(ResizeLibrary.TensorFlow1, ResizeFilter.Bilinear, true)]
    public void What_a_library_has_not_is_refused(ResizeLibrary library, ResizeFilter filter, bool antialias) =>
        Assert.Throws<NotSupportedException>(() => new Resampling(library, filter, antialias).Resize([1, 2, 3], 1, 1, 2, 2));

    [Fact]
    public void Sizes_and_pixels_are_checked()
    {
        var resampling = new Resampling(ResizeLibrary.Torch, ResizeFilter.Bilinear);
        Assert.Throws<ArgumentOutOfRangeException>(() => resampling.Resize(Picture, 0, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => resampling.Resize(Picture, 1 << 20, 1 << 20));
        Assert.Throws<ArgumentException>(() => resampling.Resize([1, 2], 1, 1, 2, 2));
        Assert.Throws<NotSupportedException>(
            () => new Resampling(ResizeLibrary.TensorFlow1, ResizeFilter.Bilinear, false).Resize(Picture, 1, 1));
    }

    /// <summary>TensorFlow 1 looks at places i * in / out, others half a pixel further.</summary>
    [Fact]
    public void Places_are_those_of_the_library()
    {
        float[] red = [0, 0, 0, 100, 100, 100];
        float[] Row(ResizeLibrary library) =>
            [.. new Resampling(library, ResizeFilter.Bilinear, false).Resize(red, 2, 1, 4, 1).Where((_, i) => i % 3 == 0)];
        Assert.Equal([0, 50, 100, 100], Row(ResizeLibrary.TensorFlow1));
        Assert.Equal([0, 25, 75, 100], Row(ResizeLibrary.Torch));
    }

    [Fact]
    public void A_picture_of_the_same_size_is_itself() =>
        Assert.Same(Picture, new Resampling(ResizeLibrary.Pillow, ResizeFilter.Bicubic).Resize(Picture, 2, 1));
}
