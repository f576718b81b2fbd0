"""Writes src/Attune/Tokenizers/CanonicalComposition.bin from Python's Unicode database.

Little-endian: the number of decompositions, then (code point, first, second or 0, 1 if composition gives it back) of each; the number of
combining classes, then (code point, class) of each. Hangul is algorithmic and left out.

    python3 tools/unicode/make_canonical_composition.py
"""
import pathlib
import struct
import sys
import unicodedata

decompositions, classes = [], []
for code in range(sys.maxunicode + 1):
    c = chr(code)
    if 0xAC00 <= code <= 0xD7A3 or 0xD800 <= code <= 0xDFFF:
        continue
    if unicodedata.combining(c):
        classes.append((code, unicodedata.combining(c)))
    parts = unicodedata.decomposition(c)
    if parts and not parts.startswith("<"):
        parts = [int(p, 16) for p in parts.split()]
        composes = len(parts) == 2 and unicodedata.normalize("NFC", c) == c
        decompositions.append((code, parts[0], parts[1] if len(parts) == 2 else 0, int(composes)))

out = struct.pack("<i", len(decompositions)) + b"".join(struct.pack("<4i", *d) for d in decompositions)
out += struct.pack("<i", len(classes)) + b"".join(struct.pack("<2i", *c) for c in classes)
path = pathlib.Path(__file__).parents[2] / "src/Attune/Tokenizers/CanonicalComposition.bin"
path.write_bytes(out)
print(path, len(out), "bytes, Unicode", unicodedata.unidata_version)
