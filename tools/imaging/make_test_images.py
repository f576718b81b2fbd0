"""Writes the images of tests/Attune.Tests/Imaging/data and what Pillow makes of them.

The picture is generated: gradients, noise, sharp edges. PNG files of every kind are written here (Pillow writes few of them), JPEG files by Pillow
and by libjpeg-turbo's cjpeg; some are changed by a byte to become what neither writes. expected.zip holds, for each image, its size (two
little-endian 32-bit numbers) and RGB pixels after Pillow's ImageOps.exif_transpose(image).convert("RGB"); for 16-bit grays, which Pillow
saturates, the high bytes. resize-WxH.rgb there is resized from resize.png with Image.Resampling.LANCZOS.

Made with Debian 12: Pillow 9.4.0 (python3-pil), NumPy 1.24.2, libjpeg-turbo 2.1.5 (libjpeg-turbo-progs):

    /usr/bin/python3 tools/imaging/make_test_images.py
"""
import io
import pathlib
import struct
import subprocess
import zipfile
import zlib

import numpy
from PIL import Image, ImageOps

FOLDER = pathlib.Path(__file__).parents[2] / "tests/Attune.Tests/Imaging/data"
expected = {}


def picture(width, height, channels=3, seed=1):
    """Values from 0 to 65535."""
    y, x = numpy.mgrid[0:height, 0:width]
    random = numpy.random.RandomState(seed)
    planes = []
    for channel in range(channels):
        plane = (x * (3 + channel) * 4000 // max(width, 8) + y * (5 - channel) * 4000 // max(height, 8)) % 65536
        plane = numpy.where((x // 5 + y // 7) % (channel + 2) == 0, 65535 - plane, plane)
        planes.append(numpy.clip(plane + random.randint(-3000, 3000, plane.shape), 0, 65535))
    return numpy.stack(planes, -1)


def expect(name, image):
    image = ImageOps.exif_transpose(image).convert("RGB")
    expected[name] = struct.pack("<2i", *image.size) + image.tobytes()


def save(name, data):
    (FOLDER / name).write_bytes(data)
    expect(name, Image.open(io.BytesIO(data)))


# PNG -----------------------------------------------------------------------------------------------------------------------------------------

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
PASSES = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def filtered(rows, distance):
    """Each row with the next of the five filters."""
    result, above = b"", [0] * len(rows[0])
    for number, row in enumerate(rows):
        kind, line = number % 5, []
        for i, value in enumerate(row):
            a = row[i - distance] if i >= distance else 0
            c = above[i - distance] if i >= distance else 0
            b = above[i]
            p = a + b - c
            paeth = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            line.append((value - [0, a, b, (a + b) // 2, paeth][kind]) & 255)
        result += bytes([kind]) + bytes(line)
        above = row
    return result


def packed(samples, depth):
    """Rows of bytes of an array [height, width, channels] of samples."""
    rows = []
    for row in samples.reshape(samples.shape[0], -1):
        if depth == 16:
            rows.append([byte for value in row for byte in (int(value) >> 8, int(value) & 255)])
        else:
            bits = "".join(format(int(value), f"0{depth}b") for value in row)
            bits += "0" * (-len(bits) % 8)
            rows.append([int(bits[i:i + 8], 2) for i in range(0, len(bits), 8)])
    return rows


def png(samples, color, depth, interlaced=False, before=b"", part=97):
    height, width = samples.shape[:2]
    distance = max(CHANNELS[color] * depth // 8, 1)
    raw = b""
    for x, y, dx, dy in PASSES if interlaced else [(0, 0, 1, 1)]:
        some = samples[y::dy, x::dx]
        if some.size:
            raw += filtered(packed(some, depth), distance)
    data = zlib.compress(raw, 9)
    header = struct.pack(">2I5B", width, height, depth, color, 0, 0, int(interlaced))
    parts = b"".join(chunk(b"IDAT", data[i:i + part]) for i in range(0, len(data), part))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + parts + chunk(b"IEND", b"")


def make_pngs():
    names = {0: "gray", 2: "rgb", 3: "palette", 4: "gray-alpha", 6: "rgb-alpha"}
    for color, depths in {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}.items():
        for depth in depths:
            for interlaced in (False, True):
                samples = picture(19, 23, CHANNELS[color]) >> (16 - depth)
                before = b""
                if color == 3:
                    before = chunk(b"PLTE", bytes((numpy.arange(3 << depth) * 37 % 256).astype("uint8")))
                name = f"{names[color]}{depth}{'-adam7' if interlaced else ''}.png"
                data = png(samples, color, depth, interlaced, before)
                save(name, data)
                if color == 0 and depth == 16:
                    high = numpy.repeat(samples >> 8, 3, -1).astype("uint8")
                    expect(name, Image.fromarray(high))
    # Adam7 leaves out passes of small images.
    for width, height in [(1, 1), (2, 1), (3, 5), (5, 2), (1, 9), (9, 9)]:
        save(f"rgb8-adam7-{width}x{height}.png", png(picture(width, height) >> 8, 2, 8, True))
    rgb = picture(19, 23) >> 8
    save("rgb8-trns.png", png(rgb, 2, 8, before=chunk(b"tRNS", struct.pack(">3H", *map(int, rgb[0, 0])))))
    save("gray8-trns.png", png(rgb[..., :1], 0, 8, before=chunk(b"tRNS", struct.pack(">H", int(rgb[0, 0, 0])))))
    short = chunk(b"PLTE", bytes(range(60, 60 + 9))) + chunk(b"tRNS", b"\x00\x80")
    save("palette4-short.png", png((picture(7, 5, 1) >> 12) % 3, 3, 4, before=short))
    for orientation in (1, 6):
        exif = Image.Exif()
        exif[0x0112] = orientation
        save(f"rgb8-exif{orientation}.png", png(rgb, 2, 8, before=chunk(b"eXIf", exif.tobytes()[6:])))


# JPEG ----------------------------------------------------------------------------------------------------------------------------------------

def cjpeg(samples, *arguments):
    image = Image.fromarray((samples >> 8).astype("uint8"))
    data = io.BytesIO()
    image.save(data, "PPM")
    return subprocess.run(["cjpeg", *arguments], input=data.getvalue(), stdout=subprocess.PIPE, check=True).stdout


def pillow(samples, mode, **options):
    data = io.BytesIO()
    Image.fromarray((samples >> 8).astype("uint8").squeeze(), mode).save(data, "JPEG", **options)
    return data.getvalue()


def without(data, marker):
    """A JPEG file without the segments of a marker, which come before the first scan."""
    at = 2
    while data[at + 1] != 0xDA:
        end = at + 2 + struct.unpack(">H", data[at + 2:at + 4])[0]
        if data[at + 1] == marker:
            data = data[:at] + data[end:]
        else:
            at = end
    return data


def make_jpegs():
    color = picture(37, 27)
    for sampling in ["1x1", "2x1", "1x2", "2x2", "4x1", "1x4", "4x2", "2x4", "3x1", "3x2", "1x1,2x1,1x2", "1x1,1x1,2x2", "2x2,2x1,1x2"]:
        save(f"baseline-{sampling}.jpg", cjpeg(color, "-quality", "85", "-sample", sampling))
    for sampling in ["1x1", "2x1", "1x2", "2x2"]:
        save(f"progressive-{sampling}.jpg", cjpeg(color, "-quality", "90", "-progressive", "-sample", sampling))
    for width, height in [(1, 1), (2, 1), (3, 2), (4, 3), (5, 9), (6, 5), (16, 16), (17, 33)]:
        for sampling in ["2x1", "1x2", "2x2"]:
            save(f"small-{width}x{height}-{sampling}.jpg", cjpeg(picture(width, height), "-quality", "92", "-sample", sampling))
    save("progressive-large.jpg", cjpeg(picture(83, 61), "-quality", "97", "-progressive"))
    save("coarse-16-bit-quantization.jpg", cjpeg(color, "-quality", "1"))
    save("restart-rows.jpg", cjpeg(color, "-restart", "1"))
    save("restart-blocks.jpg", cjpeg(color, "-restart", "1B"))
    save("restart-3-blocks-progressive.jpg", cjpeg(color, "-progressive", "-restart", "3B"))
    save("rgb-adobe.jpg", cjpeg(color, "-rgb", "-quality", "85"))
    save("rgb-named.jpg", without(cjpeg(color, "-rgb", "-quality", "85"), 0xEE))
    save("no-jfif.jpg", without(cjpeg(color), 0xE0))
    save("gray.jpg", pillow(picture(37, 27, 1), "L", quality=85))
    save("gray-progressive.jpg", pillow(picture(37, 27, 1), "L", quality=85, progressive=True))
    save("gray-2x2.jpg", cjpeg(color, "-grayscale", "-sample", "2x2"))
    save("optimized.jpg", pillow(color, "RGB", quality=50, optimize=True, comment="A comment"))
    cmyk = picture(37, 27, 4)
    data = pillow(cmyk, "CMYK", quality=85)
    save("cmyk.jpg", data)
    save("cmyk-without-adobe.jpg", without(data, 0xEE))
    save("cmyk-progressive.jpg", pillow(cmyk, "CMYK", quality=85, progressive=True))
    adobe = data.index(b"Adobe") + 11
    save("ycck.jpg", data[:adobe] + b"\x02" + data[adobe + 1:])
    script = FOLDER / "scans.txt"
    script.write_text("0; 1; 2;")
    save("one-scan-each.jpg", cjpeg(color, "-scans", str(script)))
    script.write_text("0: 0-0, 0, 2; 1 2: 0-0, 0, 1; 2: 1-63, 0, 3; 0: 1-5, 0, 4; 0: 0-0, 2, 1; 0: 6-63, 0, 4; 1: 1-63, 0, 0; 0: 1-63, 4, 3;"
                      "0: 1-63, 3, 2; 2: 1-63, 3, 2; 2: 1-63, 2, 1; 2: 1-63, 1, 0; 0: 0-0, 1, 0; 1 2: 0-0, 1, 0; 0: 1-63, 2, 1; 0: 1-63, 1, 0;")
    save("progressive-own-scans.jpg", cjpeg(color, "-scans", str(script)))
    script.unlink()
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x010F], exif[0x0112] = "camera", orientation
        exif.endian = ">" if orientation % 2 else "<"
        save(f"exif{orientation}.jpg", pillow(picture(21, 13), "RGB", exif=exif.tobytes()))
    (FOLDER / "arithmetic.jpg").write_bytes(cjpeg(color, "-arithmetic"))    # refused


def make_resized():
    image = Image.fromarray((picture(61, 47) >> 8).astype("uint8"))
    data = io.BytesIO()
    image.save(data, "PNG", optimize=True)
    save("resize.png", data.getvalue())
    for size in [(61, 47), (80, 47), (61, 20), (37, 29), (64, 48), (7, 5), (13, 80), (93, 1), (1, 1), (60, 48)]:
        expect(f"resize-{size[0]}x{size[1]}", image.resize(size, Image.Resampling.LANCZOS))


FOLDER.mkdir(parents=True, exist_ok=True)
for old in FOLDER.iterdir():
    old.unlink()
make_pngs()
make_jpegs()
make_resized()
with zipfile.ZipFile(FOLDER / "expected.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
    for name, values in sorted(expected.items()):
        file.writestr(zipfile.ZipInfo(name + ".rgb"), values, zipfile.ZIP_DEFLATED, 9)
sizes = [path.stat().st_size for path in FOLDER.iterdir()]
print(FOLDER, len(sizes), "files", sum(sizes), "bytes")
