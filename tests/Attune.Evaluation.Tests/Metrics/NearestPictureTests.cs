using Attune.Evaluation.Metrics;
using Attune.Imaging;
using Attune.Weights;

namespace Attune.Evaluation.Tests.Metrics;

/// <summary>Against tools/scenes, whose renderer drew the true pictures.</summary>
[NoLeaks]
public class NearestPictureTests
{
    /// <summary>dB: doubles here, float32 there.</summary>
    private const double Tolerance = 2e-3;

    [Fact]
    public void Distances_are_those_of_the_tool_that_trains_the_models()
    {
        var fixture = new Fixture("nearest.safetensors");
        var pictures = fixture.Pictures();
        float[] expected = [.. fixture.Rows("distances").Select(row => row[0])];
        float[] ofOther = [.. fixture.Rows("of_other").Select(row => row[0])];
        using var nearest = NearestPicture.Load(Fixture.Model("scenes-judge"), Host);
        for (int i = 0; i < pictures.Length; i++)
        {
            Assert.Equal(expected[i], nearest.Distance(pictures[i]), Tolerance);
            Assert.Equal(ofOther[i], nearest.Distance(pictures[i], "panda", "sunglasses", "top hat"), Tolerance);
            Assert.True(ofOther[i] < expected[i]);
        }
        // Four true pictures, then two of a model.
        Assert.All(expected[..4], distance => Assert.True(distance > 22));
        Assert.All(expected[4..], distance => Assert.True(distance < 20));
    }

    [Fact]
    public void What_cannot_be_measured_is_refused_by_name()
    {
        using var nearest = NearestPicture.Load(Fixture.Model("scenes-judge"), Host);
        var small = new Image(64, 64, new byte[3 * 64 * 64]);
        Assert.Contains("64 x 64", Assert.Throws<ArgumentException>(() => nearest.Distance(small)).Message);
        var picture = new Image(128, 128, new byte[3 * 128 * 128]);
        string Refusal(string face, string eyewear, string headwear) =>
            Assert.Throws<ArgumentException>(() => nearest.Distance(picture, face, eyewear, headwear)).Message;
        Assert.Contains("no face 'unicorn'", Refusal("unicorn", "none", "none"));
        Assert.Contains("no headwear 'veil'", Refusal("cat", "none", "veil"));
        Assert.Contains("no sprite of 'monocle'", Refusal("cat", "monocle", "none"));
        Assert.Contains("sprites", Assert.Throws<CheckpointException>(() => NearestPicture.Load(Fixture.At("judge"), Host)).Message);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(8)]
    [InlineData(32)]
    public void The_transform_is_its_definition_and_turns_back(int side)
    {
        var random = new Random(side);
        double[] real = [.. Enumerable.Range(0, side * side).Select(_ => random.NextDouble() - 0.5)];
        double[] imaginary = [.. real.Select(_ => random.NextDouble() - 0.5)];
        double[] x = [.. real], y = [.. imaginary];
        FourierTransform.Forward(x, y, side);
        foreach (var (u, v) in new[] { (0, 0), (1 % side, 0), (side / 2, side - 1), (side - 1, side / 3) })
        {
            double a = 0, b = 0;
            for (int i = 0; i < real.Length; i++)
            {
                var (sine, cosine) = Math.SinCos(-2 * Math.PI * (u * (i / side) + v * (i % side)) / side);
                a += real[i] * cosine - imaginary[i] * sine;
                b += real[i] * sine + imaginary[i] * cosine;
            }
            Assert.Equal(a, x[u * side + v], 1e-10);
            Assert.Equal(b, y[u * side + v], 1e-10);
        }
        FourierTransform.InverseUnscaled(x, y, side);
        for (int i = 0; i < real.Length; i++)
        {
            Assert.Equal(real[i], x[i] / (side * side), 1e-12);
            Assert.Equal(imaginary[i], y[i] / (side * side), 1e-12);
        }
        Assert.Throws<ArgumentException>(() => FourierTransform.Forward(new double[36], new double[36], 6));
    }
}
