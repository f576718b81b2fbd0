"""Draws a scene: a background, a face with what it wears, and perhaps a second object beside it."""
from __future__ import annotations

import functools

import numpy as np
from PIL import Image

from . import sprites
from .world import NONE, Scene, Setting

# Per face, in fractions of the trimmed sprite: height of the eyes, width of the eyewear, height of the hat's base, width of a hat.
# Every face is symmetric enough for x = 1/2. Read off a grid and checked on the sheets of `python3 -m scenes sheet`.
ANCHORS = {
    "panda": (.46, .74, .09, .60), "fox": (.59, .60, .25, .50), "lion": (.46, .58, .11, .58), "cat": (.55, .64, .22, .52), "dog": (.37, .62, .07, .52),
    "tiger": (.46, .62, .07, .52), "bear": (.46, .60, .08, .52), "koala": (.54, .68, .13, .48), "rabbit": (.58, .60, .39, .38), "mouse": (.68, .56, .29, .44),
    "frog": (.22, .84, .09, .42), "monkey": (.40, .50, .10, .48), "pig": (.45, .58, .10, .48), "cow": (.45, .58, .16, .44), "wolf": (.48, .58, .25, .44),
    "hamster": (.60, .58, .27, .44), "raccoon": (.55, .68, .10, .48), "polar bear": (.47, .60, .08, .52), "penguin": (.19, .46, .05, .40),
    "owl": (.27, .90, .05, .58), "robot": (.44, .78, .15, .56), "alien": (.50, .90, .08, .52), "ghost": (.24, .56, .05, .46), "pumpkin": (.40, .68, .14, .50),
    "skull": (.50, .88, .07, .56), "clown": (.36, .76, .06, .50), "devil": (.57, .80, .10, .48), "octopus": (.39, .82, .06, .46), "chick": (.21, .44, .05, .38),
    "sun": (.39, .64, .11, .50),
}
# Per hat: width relative to the face's hat width, and the height within the sprite that sits on the hat's base.
HATS = {"top hat": (1.20, .84), "crown": (1.00, .92), "cap": (1.15, .78), "bow": (.90, .62), "graduation cap": (1.35, .60)}

COLOURS = {
    "red": (212, 58, 56), "orange": (242, 146, 52), "yellow": (246, 216, 84), "green": (92, 176, 92), "blue": (70, 128, 222),
    "purple": (142, 88, 200), "pink": (248, 166, 200), "white": (243, 243, 241), "gray": (130, 132, 138),
}
MARGIN = 0.03       # of the frame's side
OBJECT_HEIGHT = 0.62    # where the middle of an object is that has a place of its own


@functools.lru_cache(maxsize=None)
def _layout(face: str, eyewear: str, headwear: str):
    """Parts in drawing order as (name, left, top, width, height), and the box around them, in units of the face's longer side; the face's left top corner is 0, 0."""
    sprite = sprites.load(face)
    unit = max(sprite.size)
    w, h = sprite.width / unit, sprite.height / unit
    eyes, glasses, base, hat = ANCHORS[face]
    parts = [(face, 0.0, 0.0, w, h)]

    def add(name: str, width: float, at_x: float, at_y: float, pivot: float):
        picture = sprites.load(name)
        height = width * picture.height / picture.width
        parts.append((name, at_x - width / 2, at_y - pivot * height, width, height))

    if eyewear != NONE:
        add(eyewear, glasses * w, w / 2, eyes * h, 0.5)
    if headwear != NONE:
        scale, pivot = HATS[headwear]
        add(headwear, scale * hat * w, w / 2, base * h, pivot)
    box = (min(p[1] for p in parts), min(p[2] for p in parts), max(p[1] + p[3] for p in parts), max(p[2] + p[4] for p in parts))
    return tuple(parts), box


PAD = 32        # transparent border, in pixels of the sprite: more than one pixel of the smallest picture drawn


@functools.lru_cache(maxsize=None)
def _padded(name: str, mirrored: bool) -> Image.Image:
    sprite = sprites.load(name, mirrored)
    picture = Image.new("RGBA", (sprite.width + 2 * PAD, sprite.height + 2 * PAD))
    picture.paste(sprite, (PAD, PAD))
    return picture


def _paste(canvas: Image.Image, name: str, mirrored: bool, left: float, top: float, width: float, height: float):
    """Draws a sprite into a box whose corners need not lie on pixels: whole pixels are resampled from the sprite and its transparent border."""
    x0, y0, x1, y1 = int(np.floor(left)), int(np.floor(top)), int(np.ceil(left + width)), int(np.ceil(top + height))
    sprite = sprites.load(name, mirrored)
    kx, ky = sprite.width / width, sprite.height / height
    box = ((x0 - left) * kx + PAD, (y0 - top) * ky + PAD, (x1 - left) * kx + PAD, (y1 - top) * ky + PAD)
    # Pillow premultiplies alpha when it resizes RGBA.
    small = _padded(name, mirrored).resize((x1 - x0, y1 - y0), Image.Resampling.BICUBIC, box=box)
    canvas.paste(small, (x0, y0), small)


def render(scene: Scene, rng: np.random.Generator, setting: Setting, size: int = 128) -> Image.Image:
    """A picture of `scene`, RGB, `size` pixels square. Size, place, mirroring and shade come from `rng`, within what `setting` leaves open."""
    u = lambda low, high: low + (high - low) * rng.random()
    mirrored = setting.mirrored and rng.random() < 0.5
    parts, (left, top, right, bottom) = _layout(scene.face, scene.eyewear, scene.headwear)
    width, height = right - left, bottom - top
    room = 1 - 2 * MARGIN

    # Background: a shade of the colour, a little lighter or darker towards the bottom.
    tint = np.array([u(-9, 9) for _ in range(3)]) if setting.tinted else 0.0
    shade = np.array(COLOURS[scene.background], dtype=np.float64) + tint + u(-7, 7)
    slope = u(-10, 10)
    rows = np.linspace(-1, 1, size)[:, None] * slope
    canvas = Image.fromarray(np.broadcast_to(np.clip(shade + rows, 0, 255).round().astype(np.uint8)[:, None, :], (size, size, 3)).copy())

    def place(extent: float, middle: float = 0.5) -> float:
        """The low edge of something inside the margins: anywhere, or with its middle near its own place."""
        low, high = MARGIN, 1 - MARGIN - extent
        return u(low, high) if setting.jitter is None else float(np.clip(middle - extent / 2 + u(-setting.jitter, setting.jitter), low, max(low, high)))

    # The face's longer side as a part of the frame, such that all of it fits.
    if scene.object == NONE:
        scale = min(u(*setting.alone), room / width, room / height)
        x = place(scale * width)
        y = place(scale * height)
    else:
        side = u(*setting.object_side)
        sprite = sprites.load(scene.object)
        ow, oh = side * sprite.width / max(sprite.size), side * sprite.height / max(sprite.size)
        scale = min(u(*setting.beside), (room - ow - 0.01) / width, room / height)
        slack = room - ow - scale * width
        free = setting.jitter is None
        x = MARGIN + ow + (u(0.2, 1) if free else 0.8) * slack  # the object stands on the left, or after mirroring on the right
        y = place(scale * height)
        ox = MARGIN + (u(0, 1) if free else 0.3) * max(x - MARGIN - ow, 0)
        oy = place(oh, OBJECT_HEIGHT)
        _paste(canvas, scene.object, False, (1 - ox - ow if mirrored else ox) * size, oy * size, ow * size, oh * size)
    for name, px, py, pw, ph in parts:
        at = x + scale * (px - left)
        at = 1 - at - scale * pw if mirrored else at
        _paste(canvas, name, mirrored, at * size, (y + scale * (py - top)) * size, scale * pw * size, scale * ph * size)
    return canvas
