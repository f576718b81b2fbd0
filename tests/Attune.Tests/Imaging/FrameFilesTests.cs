using System.Buffers.Binary;
using System.IO.Hashing;
using System.Text;
using Attune.Imaging;

namespace Attune.Tests.Imaging;

/// <summary>Moving pictures: what is written is read back by readers of the tests' own.</summary>
public class FrameFilesTests
{
    /// <summary>Pictures of some colours without any order, so that codes of all lengths occur, and tables run full.</summary>
    private static Frames Noise(int count, int width, int height, int colors, double? rate = null)
    {
        var random = new Random(5);
        byte[] palette = new byte[3 * colors];
        random.NextBytes(palette);
        return new Frames(
            [.. Enumerable.Range(0, count).Select(_ => new Image(
                width, height,
                [.. Enumerable.Range(0, width * height).SelectMany(_ => palette.Skip(3 * random.Next(colors)).Take(3))]))],
            rate);
    }

    private static byte[] Bytes(Action<Stream> write)
    {
        using var stream = new MemoryStream();
        write(stream);
        return stream.ToArray();
    }

    [Fact]
    public void Frames_have_one_size_and_a_rate_above_0()
    {
        var image = new Image(2, 3, new byte[18]);
        Assert.Throws<ArgumentException>(() => new Frames([]));
        Assert.Contains(
            "Frame 1 has 3 x 2", Assert.Throws<ArgumentException>(() => new Frames([image, new Image(3, 2, new byte[18])])).Message,
            StringComparison.Ordinal);
        foreach (double rate in new[] { 0, -1, double.NaN, double.PositiveInfinity })
            Assert.Throws<ArgumentOutOfRangeException>(() => new Frames([image], rate));
        Assert.Equal((2, 3, 1, 24.0), (new Frames([image], 24).Width, new Frames([image], 24).Height, 1, new Frames([image], 24).Rate));
    }

    [Theory]
    [InlineData(3, 7, 5, 2)]
    [InlineData(2, 64, 64, 256)]
    [InlineData(1, 200, 90, 200)]
    [InlineData(2, 1, 1, 1)]
    public void A_gif_of_up_to_256_colours_has_them_all(int count, int width, int height, int colors)
    {
        var frames = Noise(count, width, height, colors);
        byte[] file = Bytes(stream => Gif.Write(frames, 12, stream, new KeyValuePair<string, string>("parameters", "a panda, 雨")));
        var read = new GifReader(file);
        Assert.Equal((width, height), (read.Width, read.Height));
        Assert.Equal(frames.Select(frame => frame.Rgb.ToArray()), read.Frames);
        Assert.Equal(["parameters: a panda, 雨"], read.Comments);
        Assert.True(read.Repeats);
    }

    /// <summary>Hundredths of a second: what rounding takes from a frame the next gets.</summary>
    [Theory]
    [InlineData(12, new[] { 8, 9, 8, 8, 9, 8, 8, 9, 8 })]
    [InlineData(16, new[] { 6, 6, 7, 6, 6, 7, 6, 6, 6 })]
    [InlineData(50, new[] { 2, 2, 2, 2, 2, 2, 2, 2, 2 })]
    public void The_delays_of_a_gif_add_up(double rate, int[] delays)
    {
        var read = new GifReader(Bytes(stream => Gif.Write(Noise(9, 4, 4, 3), rate, stream)));
        Assert.Equal(Math.Round(900 / rate, MidpointRounding.ToEven), read.Delays.Sum());
        Assert.All(read.Delays.Zip(delays), pair => Assert.InRange(pair.First - pair.Second, -1, 1));
    }

    [Fact]
    public void Many_colours_become_near_ones_that_stand_still()
    {
        byte[] pixels = [.. Enumerable.Range(0, 128 * 128).SelectMany(
            i => new[] { (byte)(2 * (i % 128)), (byte)(2 * (i / 128)), (byte)((i % 128 + i / 128) / 2) })];
        var image = new Image(128, 128, pixels);
        var read = new GifReader(Bytes(stream => Gif.Write(new Frames([image, image]), 10, stream)));
        Assert.Equal(read.Frames[0], read.Frames[1]);
        Assert.InRange(pixels.Zip(read.Frames[0], (a, b) => Math.Abs(a - b)).Average(), 0.5, 8);
        Assert.InRange(pixels.Average(a => (double)a) - read.Frames[0].Average(a => (double)a), -2, 2);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(50.1)]
    [InlineData(double.NaN)]
    public void A_rate_that_a_format_does_not_hold_is_an_error(double rate)
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => Gif.Write(Noise(2, 2, 2, 2), rate, Stream.Null));
        if (rate != 50.1)
            Assert.Throws<ArgumentOutOfRangeException>(() => Png.WriteAnimation(Noise(2, 2, 2, 2), rate, Stream.Null));
    }

    [Theory]
    [InlineData(16, 1, 16)]
    [InlineData(12.5, 10, 125)]
    [InlineData(23.976, 1000, 23976)]
    [InlineData(0.5, 10, 5)]
    [InlineData(1000, 1, 1000)]
    public void An_animated_png_is_one_png_for_each_frame(double rate, int numerator, int denominator)
    {
        var frames = Noise(3, 9, 7, 30);
        byte[] file = Bytes(stream => Png.WriteAnimation(frames, rate, stream, new KeyValuePair<string, string>("attune", "{}")));
        Assert.Equal(frames[0].Rgb.ToArray(), Png.Read(file, "first").Rgb.ToArray());
        var (head, pictures, sequence) = (new List<byte>(), new List<byte[]>(), 0);
        foreach (var (type, data) in Chunks(file))
        {
            switch (type)
            {
                case "IHDR":
                    head.AddRange([.. file[..8], .. Chunk(type, data)]);
                    break;
                case "acTL":
                    Assert.Equal((3, 0), (Integer(data, 0), Integer(data, 4)));
                    Assert.Empty(pictures);
                    break;
                case "fcTL":
                    Assert.Equal(sequence++, Integer(data, 0));
                    Assert.Equal((9, 7, 0, 0), (Integer(data, 4), Integer(data, 8), Integer(data, 12), Integer(data, 16)));
                    Assert.Equal(
                        (numerator, denominator),
                        (BinaryPrimitives.ReadUInt16BigEndian(data.AsSpan(20)), BinaryPrimitives.ReadUInt16BigEndian(data.AsSpan(22))));
                    break;
                case "IDAT":
                    pictures.Add([.. head, .. Chunk("IDAT", data), .. Chunk("IEND", [])]);
                    break;
                case "fdAT":
                    Assert.Equal(sequence++, Integer(data, 0));
                    pictures.Add([.. head, .. Chunk("IDAT", data[4..]), .. Chunk("IEND", [])]);
                    break;
                default:
                    Assert.True(type is "iTXt" or "IEND", type);
                    break;
            }
        }
        Assert.Equal(frames.Select(frame => frame.Rgb.ToArray()), pictures.Select(one => Png.Read(one, "frame").Rgb.ToArray()));
    }

    [Fact]
    public void A_video_of_one_frame_is_an_ordinary_png()
    {
        var frames = Noise(1, 9, 7, 30);
        Assert.Equal(Bytes(stream => Png.Write(frames[0], stream)), Bytes(stream => Png.WriteAnimation(frames, 16, stream)));
    }

    [Fact]
    public void Pictures_side_by_side_keep_their_pixels()
    {
        var frames = Noise(3, 5, 4, 60);
        var row = Image.SideBySide(frames);
        Assert.Equal((15, 4), (row.Width, row.Height));
        Assert.Equal(
            frames.Select(frame => frame.Rgb.ToArray()), Enumerable.Range(0, 3).Select(i => row.Crop(5 * i, 0, 5, 4).Rgb.ToArray()));
        Assert.Throws<ArgumentException>(() => Image.SideBySide([frames[0], new Image(5, 3, new byte[45])]));
    }

    private static int Integer(byte[] data, int at) => BinaryPrimitives.ReadInt32BigEndian(data.AsSpan(at));

    private static IEnumerable<(string Type, byte[] Data)> Chunks(byte[] file)
    {
        for (int at = 8; at < file.Length;)
        {
            int length = Integer(file, at);
            yield return (Encoding.ASCII.GetString(file, at + 4, 4), file[(at + 8)..(at + 8 + length)]);
            at += 12 + length;
        }
    }

    private static byte[] Chunk(string type, byte[] data)
    {
        byte[] named = [.. Encoding.ASCII.GetBytes(type), .. data];
        byte[] chunk = new byte[8 + named.Length];
        BinaryPrimitives.WriteInt32BigEndian(chunk, data.Length);
        named.CopyTo(chunk.AsSpan(4));
        BinaryPrimitives.WriteUInt32BigEndian(chunk.AsSpan(4 + named.Length), Crc32.HashToUInt32(named));
        return chunk;
    }

    /// <summary>Reads GIF files whose frames are as large as the picture and have the palette of all.</summary>
    private sealed class GifReader
    {
        private readonly byte[] _file;
        private int _at;

        public GifReader(byte[] file)
        {
            _file = file;
            Assert.Equal("GIF89a", Encoding.ASCII.GetString(file, 0, 6));
            (Width, Height) = (BitConverter.ToUInt16(file, 6), BitConverter.ToUInt16(file, 8));
            Assert.Equal(0b1_111_0_111, file[10]);
            byte[] palette = file[13..(13 + 768)];
            for (_at = 13 + 768; file[_at] != 0x3B;)
            {
                if (file[_at] == 0x2C)
                {
                    Assert.Equal((Width, Height), (BitConverter.ToUInt16(file, _at + 5), BitConverter.ToUInt16(file, _at + 7)));
                    Assert.Equal(0, file[_at + 9]);
                    Assert.Equal(8, file[_at + 10]);
                    _at += 11;
                    Frames.Add([.. Decompress(Blocks()).SelectMany(index => palette.Skip(3 * index).Take(3))]);
                    continue;
                }
                Assert.Equal(0x21, file[_at]);
                byte label = file[_at + 1];
                _at += 2;
                byte[] data = Blocks();
                if (label == 0xFE)
                    Comments.Add(Encoding.UTF8.GetString(data));
                else if (label == 0xF9)
                    Delays.Add(BitConverter.ToUInt16(data, 1));
                else
                    Repeats = Encoding.ASCII.GetString(data, 0, 11) == "NETSCAPE2.0" && data[11..] is [1, 0, 0];
            }
            Assert.Equal(file.Length - 1, _at);
        }

        public int Width { get; }

        public int Height { get; }

        public List<byte[]> Frames { get; } = [];

        public List<int> Delays { get; } = [];

        public List<string> Comments { get; } = [];

        public bool Repeats { get; }

        private byte[] Blocks()
        {
            var data = new List<byte>();
            for (; _file[_at] != 0; _at += 1 + _file[_at])
                data.AddRange(_file[(_at + 1)..(_at + 1 + _file[_at])]);
            _at++;
            return [.. data];
        }

        private static List<byte> Decompress(byte[] data)
        {
            var (result, table, bit, width) = (new List<byte>(), new List<byte[]>(), 0, 9);
            byte[]? before = null;
            while (true)
            {
                int code = 0;
                for (int i = 0; i < width; i++, bit++)
                    code |= (data[bit / 8] >> (bit % 8) & 1) << i;
                if (code == 257)
                    return result;
                if (code == 256)
                {
                    table = [.. Enumerable.Range(0, 258).Select(i => i < 256 ? [(byte)i] : Array.Empty<byte>())];
                    (width, before) = (9, null);
                    continue;
                }
                byte[] now = code < table.Count ? table[code] : [.. before!, before![0]];
                if (before != null && table.Count < 4096)
                    table.Add([.. before, now[0]]);
                if (table.Count == 1 << width && width < 12)
                    width++;
                result.AddRange(now);
                before = now;
            }
        }
    }
}
