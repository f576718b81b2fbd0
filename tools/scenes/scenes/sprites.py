"""The sprites: where the npm package is, how it gets there, and one trimmed picture per name.

The package is installed beside the training state, never into the repository; its licence notice is kept in ../NOTICE.md.
"""
from __future__ import annotations

import functools
import json
import os
import pathlib
import subprocess

from PIL import Image

PACKAGE = "@lobehub/fluent-emoji-3d"
VERSION = "1.1.0"
WORK = pathlib.Path(os.environ.get("ATTUNE_SCENES", "/var/tmp/attune-scenes"))   # sprites, training state, exports

OBJECTS = {"balloon": "1f388", "star": "2b50", "heart": "2764-fe0f", "apple": "1f34e", "tree": "1f333", "moon": "1f319", "sunflower": "1f33b", "mushroom": "1f344"}
EYEWEAR = {"sunglasses": "1f576-fe0f", "glasses": "1f453"}
HEADWEAR = {"top hat": "1f3a9", "crown": "1f451", "cap": "1f9e2", "bow": "1f380", "graduation cap": "1f393"}
FACES = {
    "panda": "1f43c", "fox": "1f98a", "lion": "1f981", "cat": "1f431", "dog": "1f436", "tiger": "1f42f", "bear": "1f43b", "koala": "1f428", "rabbit": "1f430",
    "mouse": "1f42d", "frog": "1f438", "monkey": "1f435", "pig": "1f437", "cow": "1f42e", "wolf": "1f43a", "hamster": "1f439", "raccoon": "1f99d",
    "polar bear": "1f43b-200d-2744-fe0f", "penguin": "1f427", "owl": "1f989", "robot": "1f916", "alien": "1f47d", "ghost": "1f47b", "pumpkin": "1f383",
    "skull": "1f480", "clown": "1f921", "devil": "1f608", "octopus": "1f419", "chick": "1f425", "sun": "1f31e",
}
CODES = {**FACES, **EYEWEAR, **HEADWEAR, **OBJECTS}


def install() -> pathlib.Path:
    """Installs the package with npm where it is missing; returns the folder of its pictures."""
    package = WORK / "npm" / "node_modules" / PACKAGE
    manifest = package / "package.json"
    if not manifest.exists():
        (WORK / "npm").mkdir(parents=True, exist_ok=True)
        subprocess.run(["npm", "install", "--prefix", str(WORK / "npm"), "--ignore-scripts", "--no-audit", "--no-fund", "--save-exact", f"{PACKAGE}@{VERSION}"], check=True)
    facts = json.loads(manifest.read_text(encoding="utf-8"))
    if facts["version"] != VERSION or facts["license"] != "MIT":
        raise RuntimeError(f"{manifest}: expected version {VERSION} under MIT, found {facts['version']} under {facts['license']}")
    return package / "assets"


@functools.lru_cache(maxsize=None)
def load(name: str, mirrored: bool = False) -> Image.Image:
    """The sprite called `name`, RGBA, cut to the pixels that are not transparent; some 170 to 240 pixels wide."""
    path = install() / f"{CODES[name]}.webp"
    picture = Image.open(path).convert("RGBA")
    picture = picture.crop(picture.getchannel("A").point(lambda a: 255 if a > 8 else 0).getbbox())
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else picture
