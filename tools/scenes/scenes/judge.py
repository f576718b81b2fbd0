"""The judge: a small classifier of face, eyewear, headwear and background, trained on renders that are degraded the way generated pictures are."""
from __future__ import annotations

import dataclasses
import io
import json
import pathlib
import time

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageFilter
from torch import Tensor, nn
from torch.utils.data import Dataset

from . import data, fast, safetensors, training, world
from .render import render
from .vae import GroupNorm, ResnetBlock2D

HEADS = ("face", "eyewear", "headwear", "background")
WIDTHS = (24, 48, 96, 160)
GROUPS = 8


class Stage(nn.Module):
    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.downsample = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
        self.resnet = ResnetBlock2D(outputs, outputs, GROUPS)

    def forward(self, x: Tensor) -> Tensor:
        return self.resnet(self.downsample(x))


class Trunk(nn.Module):
    """Convolutions with stride 2, each followed by a residual block; group norm, SiLU, mean over the positions."""

    def __init__(self):
        super().__init__()
        self.stages = nn.ModuleList([Stage(i, o) for i, o in zip((3, *WIDTHS), WIDTHS)])
        self.norm_out = GroupNorm(GROUPS, WIDTHS[-1], eps=1e-6)

    def features(self, x: Tensor) -> Tensor:
        """[pictures, 160] of pictures in -1..1: what the heads see, and what Frechet and kernel distances compare."""
        for stage in self.stages:
            x = stage(x)
        return fast.silu(self.norm_out(x)).mean((2, 3))

    @staticmethod
    def json() -> dict:
        return {"sample_size": data.SIZE, "in_channels": 3, "block_out_channels": list(WIDTHS), "norm_num_groups": GROUPS, "norm_eps": 1e-6}


class Judge(Trunk):
    """One linear head per attribute on the trunk."""

    def __init__(self):
        super().__init__()
        self.heads = nn.ModuleDict({h: nn.Linear(WIDTHS[-1], len(world.ATTRIBUTES[h])) for h in HEADS})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = self.features(x)
        return {name: head(features) for name, head in self.heads.items()}


# ------------------------------------------------------------------------------------------------------------ degradations

def degrade(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Some of: a small warp, loss of resolution, blur, coding artefacts, changed contrast, noise. A fifth of the pictures stays as drawn."""
    if rng.random() < 0.2:
        return picture
    u = lambda low, high: low + (high - low) * rng.random()
    size = picture.width
    if rng.random() < 0.5:                                             # shear, stretch and shift by a few per cent; the border is continued
        a, b, c, d = 1 + u(-.06, .06), u(-.06, .06), u(-.06, .06), 1 + u(-.06, .06)
        pad = size // 8
        wide = Image.fromarray(np.pad(np.asarray(picture), ((pad, pad), (pad, pad), (0, 0)), mode="edge"))
        middle = size / 2
        tx, ty = middle - a * middle - b * middle + pad + u(-3, 3), middle - c * middle - d * middle + pad + u(-3, 3)
        picture = wide.transform((size, size), Image.Transform.AFFINE, (a, b, tx, c, d, ty), Image.Resampling.BILINEAR)
    if rng.random() < 0.4:
        small = int(size * u(0.3, 0.9))
        picture = picture.resize((small, small), Image.Resampling.BILINEAR).resize((size, size), Image.Resampling.BICUBIC)
    if rng.random() < 0.4:
        picture = picture.filter(ImageFilter.GaussianBlur(u(0.3, 1.8)))
    if rng.random() < 0.3:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=int(u(15, 80)))
        picture = Image.open(buffer).convert("RGB")
    pixels = np.asarray(picture, dtype=np.float32)
    if rng.random() < 0.5:
        pixels = (pixels - 128) * u(0.8, 1.25) + 128 + u(-12, 12)
    if rng.random() < 0.4:
        pixels = pixels + rng.standard_normal(pixels.shape, dtype=np.float32) * u(1, 12)
    return Image.fromarray(np.clip(pixels, 0, 255).round().astype(np.uint8))


class Labelled(Dataset):
    """(picture, indices of the values of `HEADS`), in the wide setting; all values equally frequent and independent unless `natural`."""

    def __init__(self, seed: int, stream: int, degraded: bool, natural: bool = False):
        self.seed, self.stream, self.degraded, self.draw = seed, stream, degraded, (lambda rng: world.sample(rng, world.WIDE)) if natural else world.sample_uniform

    def __len__(self):
        return 1 << 40

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        rng = data.generator(self.seed, self.stream, index)
        scene = self.draw(rng)
        picture = render(scene, rng, world.WIDE)
        picture = degrade(picture, rng) if self.degraded else picture
        return data.tensor(picture), torch.tensor([world.ATTRIBUTES[h].index(getattr(scene, h)) for h in HEADS])


# --------------------------------------------------------------------------------------------------------------- measuring

@torch.no_grad()
def predict(judge: Judge, pictures: Tensor, batch: int = 64) -> Tensor:
    """[pictures, heads]: the most probable values of uint8 pictures."""
    parts = []
    for part in pictures.split(batch):
        logits = judge(data.to_float(part).contiguous(memory_format=torch.channels_last))
        parts.append(torch.stack([logits[h].argmax(1) for h in HEADS], 1))
    return torch.cat(parts)


def load_set(dataset: Dataset, count: int) -> tuple[Tensor, Tensor]:
    pairs = [dataset[i] for i in range(count)]
    return torch.stack([p for p, _ in pairs]), torch.stack([l for _, l in pairs])


def accuracy(judge: Judge, pictures: Tensor, labels: Tensor) -> dict[str, float]:
    right = (predict(judge, pictures) == labels).float().mean(0)
    return {h: round(float(a), 4) for h, a in zip(HEADS, right)}


def load(folder: pathlib.Path) -> Judge:
    judge = Judge()
    judge.load_state_dict({k: v.float() for k, v in safetensors.load_folder(folder).items()})
    return judge.eval()


# ---------------------------------------------------------------------------------------------------------------- training

@dataclasses.dataclass(frozen=True)
class Options:
    seed: int = 0
    steps: int = 2400
    batch: int = 32
    rate: float = 2e-3
    warmup: int = 200
    smoothing: float = 0.05
    average: float = 0.998


def cross_entropies(logits: dict[str, Tensor], labels: Tensor, smoothing: float) -> Tensor:
    """Their sum over the heads, with smoothed labels."""
    return sum(F.cross_entropy(logits[h], labels[:, i], label_smoothing=smoothing) for i, h in enumerate(HEADS))


def losses(judge: Judge, o: Options, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of the heads' cross-entropies, and the share of right answers."""
    logits = judge(x.contiguous(memory_format=torch.channels_last))
    loss = cross_entropies(logits, labels, o.smoothing)
    right = torch.stack([(logits[h].argmax(1) == labels[:, i]).float().mean() for i, h in enumerate(HEADS)]).mean()
    return loss, right


def train(folder: pathlib.Path, o: Options, log_every: int = 200, evaluate_every: int = 1000):
    run = training.Run(folder, dataclasses.asdict(o))
    torch.manual_seed(o.seed)
    judge = Judge().to(memory_format=torch.channels_last)
    halves = training.Halves(list(judge.parameters()))
    fit = training.Fit(run, judge, [training.adamw(judge.parameters(), o.rate, 1e-2)], o.average, lambda step: training.cosine(step, o.steps, o.warmup))
    if fit.step == 0:
        print(f"{sum(p.numel() for p in judge.parameters()):,} parameters, {o.steps} steps", flush=True)
    held = load_set(Labelled(0, data.HELD_OUT, degraded=False), 400)
    sums, count, begun = torch.zeros(2), 0, time.monotonic()
    for pictures, labels in data.batches(Labelled(o.seed, data.TRAIN, degraded=True), o.batch, fit.step, o.steps):
        sums += torch.stack(halves.backward(lambda *half: losses(judge, o, *half), data.to_float(pictures), labels))
        fit.apply()
        count += 1
        if fit.step % log_every == 0 or fit.step == o.steps:
            row = {"step": fit.step, "loss": float(sums[0]) / count, "right": float(sums[1]) / count, "pictures_per_second": count * o.batch / (time.monotonic() - begun)}
            if fit.step % evaluate_every == 0 or fit.step == o.steps:
                fit.average.swap()
                row |= accuracy(judge, *held)
                fit.average.swap()
            run.log(**row)
            run.curve({"loss": "sum of the heads' cross-entropies", "right": "right answers on degraded training pictures"})
            sums, count, begun = torch.zeros(2), 0, time.monotonic()
        if run.due():
            fit.save()
        if run.stopping:
            break
    fit.finish(o.steps)


# ------------------------------------------------------------------------------------------------------------------ export

def export(run_folder: pathlib.Path, folder: pathlib.Path, count: int = 3000, autoencoder: pathlib.Path | None = None):
    """Writes weights and configuration, and measures the written weights on held-out renders: as drawn, degraded, and through the autoencoder."""
    state = torch.load(run_folder / "state.pt", map_location="cpu")
    safetensors.save(folder / "model.safetensors", state["average"]["values"], torch.float16)
    training.save_json(folder / "config.json", {
        "_class_name": "ScenesJudge", **Trunk.json(),
        "heads": {h: world.ATTRIBUTES[h] for h in HEADS},
    })
    judge = load(folder)
    report = {"step": state["step"], "seconds": round(state["seconds"]), "processor_seconds": round(state.get("processor", 0)), "held_out_renders": count}
    drawn = load_set(Labelled(0, data.HELD_OUT, degraded=False), count)
    report["as_drawn"] = accuracy(judge, *drawn)
    report["as_drawn_training_distribution"] = accuracy(judge, *load_set(Labelled(1, data.HELD_OUT, degraded=False, natural=True), count))
    report["degraded"] = accuracy(judge, *load_set(Labelled(0, data.HELD_OUT, degraded=True), count))
    if autoencoder:
        from . import vae
        model, _ = vae.load(autoencoder)
        decoded = ((vae.reconstruct(model, drawn[0][:1000]) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        report["reconstructed"] = accuracy(judge, decoded, drawn[1][:1000])
    training.save_json(run_folder / "export.json", report)
    print(json.dumps(report, indent=1))
    mistakes(judge, drawn, run_folder / "mistakes.png")
    # For whoever runs the judge elsewhere: eight pictures (uint8), their features and logits.
    pictures = drawn[0][:8]
    with torch.no_grad():
        x = data.to_float(pictures)
        check = {"pictures": pictures, "features": judge.features(x), **{f"logits.{h}": v for h, v in judge(x).items()}}
    safetensors.save(run_folder / "check.safetensors", check)


def mistakes(judge: Judge, labelled: tuple[Tensor, Tensor], path: pathlib.Path):
    """A sheet of the pictures judged wrongly, with what was seen instead of what is there."""
    from . import sheet
    pictures, labels = labelled
    predicted = predict(judge, pictures)
    shown, lines = [], []
    for i in (predicted != labels).any(1).nonzero().flatten().tolist()[:60]:
        wrong = [f"{world.ATTRIBUTES[h][predicted[i, k]]}?{world.ATTRIBUTES[h][labels[i, k]]}" for k, h in enumerate(HEADS) if predicted[i, k] != labels[i, k]]
        shown.append(Image.fromarray(pictures[i].permute(1, 2, 0).numpy()))
        lines.append(" ".join(wrong))
    if shown:
        sheet.grid(shown, lines, 10).save(path)
