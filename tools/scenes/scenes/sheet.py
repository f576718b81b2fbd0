"""Contact sheets: many pictures in one, to be looked at."""
from __future__ import annotations

import pathlib

import numpy as np
from PIL import Image, ImageDraw

from . import captions, world
from .render import render
from .world import ATTRIBUTES, Scene


def grid(pictures: list[Image.Image], labels: list[str], columns: int) -> Image.Image:
    w, h = pictures[0].width, pictures[0].height + 12
    sheet = Image.new("RGB", (columns * w, -(-len(pictures) // columns) * h), (255, 255, 255))
    pen = ImageDraw.Draw(sheet)
    for i, (picture, label) in enumerate(zip(pictures, labels)):
        x, y = i % columns * w, i // columns * h
        sheet.paste(picture, (x, y + 12))
        pen.text((x + 1, y), label[: w // 6], fill=(0, 0, 0))
    return sheet


def outfits(path: pathlib.Path, faces: list[str], setting: world.Setting, size: int = 128):
    """Every face with every eyewear and every hat once: the check of the anchors."""
    pictures, labels = [], []
    for face in faces:
        worn = [("none", h) for h in ATTRIBUTES["headwear"]] + [("sunglasses", "none"), ("glasses", "none"), ("sunglasses", "cap"), ("glasses", "top hat")]
        for i, (eyewear, headwear) in enumerate(worn):
            scene = Scene(face, eyewear, headwear, ATTRIBUTES["background"][i % 9], "none")
            pictures.append(render(scene, np.random.default_rng([0, i]), setting, size))
            labels.append(f"{face} {eyewear} {headwear}")
    grid(pictures, labels, 10).save(path)


def samples(path: pathlib.Path, setting: world.Setting, count: int = 80, seed: int = 0, size: int = 128):
    """Scenes as training sees them; the captions go beside the sheet."""
    pictures, lines = [], []
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        scene = world.sample(rng, setting)
        pictures.append(render(scene, rng, setting, size))
        lines.append(captions.caption(scene, rng))
    grid(pictures, lines, 10).save(path)
    path.with_suffix(".txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
