#!/usr/bin/env bash
# SkiaSharp 4.155.0, Magick.NET-Q8-x64 15.1.0, NetVips 3.2.0 (libvips 8.18.7), and Pillow 9.4.0 of Debian 12: a Gaussian blur of 10 pixels.
# One would guess: each has a standard deviation of 10 within two or three percent; Pillow, three box blurs, is the least exact.
# What happens: Pillow 9.97, Skia 9.45, ImageMagick (radius 0, which it calls automatic) 9.1, libvips 8.2 with its defaults (the kernel is
#   cut where it falls below a fifth of its peak). Measured by the blurred edge of a black and white picture.
# Why it matters: a mask for inpainting is softened by a number that people carry from tool to tool; the seam is up to a fifth narrower.
set -euo pipefail
dpkg -s python3-pil python3-numpy > /dev/null 2>&1 || apt-get install -y python3-pil python3-numpy > /dev/null
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
cat > p.csproj <<'E'
<Project Sdk="Microsoft.NET.Sdk">
  <PropertyGroup>
    <OutputType>Exe</OutputType><TargetFramework>net10.0</TargetFramework><ImplicitUsings>enable</ImplicitUsings>
    <RuntimeIdentifier>linux-x64</RuntimeIdentifier><SelfContained>false</SelfContained>
  </PropertyGroup>
  <ItemGroup>
    <PackageReference Include="SkiaSharp" Version="[4.155.0]" />
    <PackageReference Include="SkiaSharp.NativeAssets.Linux.NoDependencies" Version="[4.155.0]" />
    <PackageReference Include="Magick.NET-Q8-x64" Version="[15.1.0]" />
    <PackageReference Include="NetVips" Version="[3.2.0]" />
    <PackageReference Include="NetVips.Native.linux-x64" Version="[8.18.7]" />
  </ItemGroup>
</Project>
E
cat > Program.cs <<'E'
using ImageMagick;
using SkiaSharp;
const int Width = 256, Height = 256, Sigma = 10;
byte[] edge = [.. Enumerable.Range(0, Width * Height).Select(i => (byte)(i % Width < Width / 2 ? 0 : 255))];
bool still = true;
void Say(string name, double low, double high, byte[] row)
{
    // The differences along a blurred edge are the kernel.
    double[] kernel = [.. row.Zip(row.Skip(1), (a, b) => (double)b - a)];
    double sum = kernel.Sum(), mean = kernel.Select((k, i) => k * i).Sum() / sum;
    double sigma = Math.Sqrt(kernel.Select((k, i) => k * (i - mean) * (i - mean)).Sum() / sum);
    Console.WriteLine($"{name}: {Sigma} asked for, {sigma:F2} measured");
    still &= sigma > low && sigma < high;
}
using (var image = new MagickImage())
{
    image.ReadPixels(edge, new PixelReadSettings(Width, Height, StorageType.Char, "R"));
    image.Blur(0, Sigma);
    Say("ImageMagick Blur(0, 10)", 8.8, 9.4, [.. image.GetPixels().Skip(Width * Height / 2).Take(Width).Select(p => p.GetChannel(0))]);
}
using (var image = NetVips.Image.NewFromMemory(edge, Width, Height, 1, NetVips.Enums.BandFormat.Uchar))
{
    Say("libvips gaussblur(10)", 8, 8.5, image.Gaussblur(Sigma).WriteToMemory<byte>()[(Width * Height / 2)..][..Width]);
    using var wide = image.Gaussblur(Sigma, minAmpl: 0.001, precision: NetVips.Enums.Precision.Float)
        .Cast(NetVips.Enums.BandFormat.Uchar);
    Say("libvips gaussblur(10, min_ampl 0.001, precision float)", 9.8, 10.2, wide.WriteToMemory<byte>()[(Width * Height / 2)..][..Width]);
}
using (var surface = SKSurface.Create(new SKImageInfo(Width, Height, SKColorType.Bgra8888)))
using (var paint = new SKPaint { Color = SKColors.White, ImageFilter = SKImageFilter.CreateBlur(Sigma, Sigma) })
{
    surface.Canvas.Clear(SKColors.Black);
    surface.Canvas.DrawRect(Width / 2, -Height, 2 * Width, 3 * Height, paint);
    using var image = surface.Snapshot();
    using var bitmap = SKBitmap.FromImage(image);
    Say("Skia CreateBlur(10, 10)", 9.2, 9.7, [.. Enumerable.Range(0, Width).Select(x => bitmap.GetPixel(x, Height / 2).Red)]);
}
return still ? 0 : 1;
E
nice -n 5 dotnet build -c Release -o out -v q -clp:ErrorsOnly -nologo >&2
dotnet out/p.dll
/usr/bin/python3 - <<'E'
import sys, PIL, numpy
from PIL import Image, ImageFilter
edge = numpy.zeros((256, 256), numpy.uint8); edge[:, 128:] = 255
kernel = numpy.diff(numpy.array(Image.fromarray(edge).filter(ImageFilter.GaussianBlur(10)))[128].astype(float)); i = numpy.arange(255)
mean = (kernel * i).sum() / kernel.sum(); sigma = ((kernel * (i - mean) ** 2).sum() / kernel.sum()) ** .5
print(f'Pillow {PIL.__version__} GaussianBlur(10): 10 asked for, {sigma:.2f} measured')
sys.exit(not 9.8 < sigma < 10.2)
E
