"""How far a picture is from the nearest one that the renderer could have drawn, in dB.

For the outfit that the judge sees, every size, mirroring and place (by correlation) is tried on the picture's own background, and the mean square error is
counted over the sprite's area. No network decides besides naming the outfit, so it cannot be trained against. A second object counts as error: pictures of
prompts without one are measured. It says nothing of variety; a Frechet distance belongs beside it.
"""
from __future__ import annotations

import functools
import pathlib

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from . import captions, data, fast, judge, sheet, sprites, training, vae, world
from .pipeline import Pipeline
from .render import ANCHORS, HATS, _layout, _paste, render

PROMPTS = 10                            # stream of the prompts and their scenes
SCALES = np.arange(0.46, 0.765, 0.02)   # longer side of the face, as a part of the frame: a little more than the wide setting has
FIT = 0.97                              # of the frame: larger outfits were never drawn


@functools.lru_cache(maxsize=4)
def templates(face: str, eyewear: str, headwear: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """(premultiplied colour [3, side, side], alpha [side, side]) of the outfit at every size, plain and mirrored, in the frame's corner."""
    parts, (left, top, right, bottom) = _layout(face, eyewear, headwear)
    size, made = data.SIZE, []
    for scale in SCALES:
        if max(right - left, bottom - top) * scale > FIT:
            continue
        for mirrored in (False, True):
            drawn = []
            for ground in (0, 255):                                    # alpha is what black and white behind it tell apart
                canvas = Image.new("RGB", (size, size), (ground,) * 3)
                for name, px, py, width, height in parts:
                    at = 0.01 + scale * (px - left)
                    at = 1 - at - scale * width if mirrored else at
                    _paste(canvas, name, mirrored, at * size, (0.01 + scale * (py - top)) * size, scale * width * size, scale * height * size)
                drawn.append(np.asarray(canvas, dtype=np.float32) / 255)
            made.append((drawn[0].transpose(2, 0, 1), 1 - (drawn[1] - drawn[0]).mean(2)))
    return made


def distance(picture: np.ndarray, face: str, eyewear: str, headwear: str) -> float:
    """dB of a picture [3, side, side] in 0..1; 60 at most."""
    size = picture.shape[1]
    rows, y = np.median(np.concatenate([picture[:, :, :3], picture[:, :, -3:]], 2), 2), np.arange(size)
    ground = np.stack([np.polyval(np.polyfit(y, row, 1), y) for row in rows])[:, :, None]        # a line over the rows, as the renderer draws it
    seen, mean, best = picture - ground, ground.mean(1, keepdims=True), np.inf
    spectrum, energy = np.fft.rfft2(seen), (seen ** 2).sum()
    for colour, alpha in templates(face, eyewear, headwear):
        template = colour - alpha * mean
        cross = np.fft.irfft2((spectrum * np.conj(np.fft.rfft2(template))).sum(0), (size, size))
        best = min(best, (energy + (template ** 2).sum() - 2 * cross.max()) / (3 * alpha.sum()))
    return float(-10 * np.log10(max(best, 1e-6)))


@torch.no_grad()
def distances(pictures: Tensor, decider: judge.Judge) -> np.ndarray:
    """dB of uint8 pictures [pictures, 3, side, side], each with the outfit that the judge names."""
    outfits = judge.predict(decider, pictures)[:, :3]                  # the first three heads: face, eyewear, headwear
    return np.array([distance(picture.numpy().astype(np.float32) / 255, *(world.ATTRIBUTES[h][i] for h, i in zip(judge.HEADS, outfit)))
                     for picture, outfit in zip(pictures, outfits.tolist())])


def figures(db: np.ndarray) -> dict[str, float]:
    return {"median": float(np.median(db)), "lower_quartile": float(np.quantile(db, 0.25)), "mean": float(db.mean()), "above_20": float((db > 20).mean())}


def prompts(count: int, setting: world.Setting = world.CALM) -> list[tuple[world.Scene, str]]:
    """Scenes without an object that training does not draw, as frequent as there, and their captions."""
    made = []
    for i in range(count):
        rng = data.generator(0, PROMPTS, i)
        scene = world.sample(rng, setting)
        scene = world.Scene(scene.face, scene.eyewear, scene.headwear, scene.background, world.NONE)
        made.append((scene, captions.caption(scene, rng)))
    return made


@torch.no_grad()
def draw(pipe: Pipeline, count: int, steps: int, scale: float, batch: int = 16, path: pathlib.Path | None = None) -> Tensor:
    """Pictures (uint8) of the first `count` prompts with fixed noises; draws a sheet of them."""
    texts, parts = [text for _, text in prompts(count)], []
    for i in range(0, count, batch):
        noise = torch.randn(batch, 16, 16, 16, generator=torch.Generator().manual_seed(2000 + i))[: count - i]
        with fast.autocast():
            parts.append(pipe.sample(texts[i:i + batch], noise, steps, scale=scale)["image"])
    pictures = (torch.cat(parts) * 255).round().to(torch.uint8)
    if path:
        sheet.grid([Image.fromarray(p.permute(1, 2, 0).numpy()) for p in pictures], texts, 8).save(path)
    return pictures


def export(folder: pathlib.Path):
    """Writes what `attune metrics nearest` draws outfits of: the sprites, and `scenes.json` with where each face wears its things."""
    folder.mkdir(parents=True, exist_ok=True)
    worn = (*sprites.FACES, *sprites.EYEWEAR, *sprites.HEADWEAR)
    for name in worn:
        sprites.load(name).save(folder / _file(name), optimize=True)
    training.save_json(folder / "scenes.json", {
        "size": data.SIZE, "scales": [round(float(s), 2) for s in SCALES], "fit": FIT,
        "sprites": {name: _file(name) for name in worn},
        "faces": {face: dict(zip(("eyes", "eyewear_width", "hat_base", "hat_width"), ANCHORS[face])) for face in sprites.FACES},
        "hats": {hat: dict(zip(("width", "pivot"), HATS[hat])) for hat in sprites.HEADWEAR},
    })


def _file(name: str) -> str:
    return name.replace(" ", "-") + ".png"


def truth(autoencoder: pathlib.Path, count: int, setting: world.Setting) -> tuple[Tensor, Tensor]:
    """True pictures (uint8) of the prompts' scenes, as drawn and after the autoencoder: what a perfect denoiser would have."""
    drawn = torch.stack([data.tensor(render(scene, data.generator(1, PROMPTS, i), setting)) for i, (scene, _) in enumerate(prompts(count))])
    return drawn, ((vae.reconstruct(vae.load(autoencoder)[0], drawn) + 1) * 127.5).round().to(torch.uint8)
