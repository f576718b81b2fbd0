"""The verifier: a classifier of noised latents. It is what `tune` rewards the few-step model by, so that the judge, which measures the result, stays apart:
another network, which sees latents instead of pictures, trained on other scenes with another seed.

Noise makes its gradients point to what is visible from afar; a classifier of clean latents would be satisfied by imperceptible changes.
"""
from __future__ import annotations

import dataclasses
import pathlib
import time

import numpy as np
import torch
from torch import Tensor, nn

from . import fast, flux, training, world
from .judge import HEADS, Stage, cross_entropies
from .latents import ORDER, Latents
from .vae import GroupNorm, ResnetBlock2D

NOISE = 0.5                                                            # times are uniform in 0..NOISE: (1 - t) latents + t noise
HELD_OUT = 1024                                                        # latents at the end of the file that training does not see


@dataclasses.dataclass(frozen=True)
class Options:
    seed: int = 100
    steps: int = 2000
    batch: int = 64
    rate: float = 2e-3
    warmup: int = 100
    smoothing: float = 0.05
    average: float = 0.998


class Verifier(nn.Module):
    """[latents, 64, 64] packed -> logits per head of the judge."""

    def __init__(self, widths: tuple[int, int] = (64, 128), groups: int = 8):
        super().__init__()
        self.conv_in = nn.Conv2d(16, widths[0], 3, padding=1)
        self.blocks = nn.Sequential(ResnetBlock2D(widths[0], widths[0], groups), Stage(widths[0], widths[1]), ResnetBlock2D(widths[1], widths[1], groups))
        self.norm_out = GroupNorm(groups, widths[1], eps=1e-6)
        self.heads = nn.ModuleDict({h: nn.Linear(widths[1], len(world.ATTRIBUTES[h])) for h in HEADS})

    def forward(self, latents: Tensor) -> dict[str, Tensor]:
        x = self.blocks(self.conv_in(flux.unpack(latents, 16, 16).contiguous(memory_format=torch.channels_last)))
        features = fast.silu(self.norm_out(x)).mean((2, 3))
        return {name: head(features) for name, head in self.heads.items()}


def load(run_folder: pathlib.Path) -> Verifier:
    """The averaged weights of a run, without gradients of their own."""
    verifier = Verifier().to(memory_format=torch.channels_last)
    verifier.load_state_dict(torch.load(run_folder / "state.pt")["average"]["values"])
    return verifier.eval().requires_grad_(False)


@torch.no_grad()
def accuracy(verifier: Verifier, latents: Tensor, labels: Tensor, t: float) -> list[float]:
    """Right answers per head at time `t`."""
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
    logits = verifier((1 - t) * latents + t * noise)
    return [float((logits[h].argmax(1) == labels[:, k]).float().mean()) for k, h in enumerate(HEADS)]


def train(folder: pathlib.Path, o: Options, latents: pathlib.Path, log_every: int = 200, threads: int = 2) -> bool:
    """Returns whether all steps are done."""
    run = training.Run(folder, {**dataclasses.asdict(o), "latents": str(latents)})
    torch.manual_seed(o.seed)
    verifier = Verifier().to(memory_format=torch.channels_last)
    halves = training.Halves(list(verifier.parameters()), threads)
    fit = training.Fit(run, verifier, [training.adamw(verifier.parameters(), o.rate, 1e-2)], o.average, lambda step: training.cosine(step, o.steps, o.warmup))
    scenes = Latents(latents)
    labels = torch.from_numpy(scenes.attributes[:, [ORDER.index(h) for h in HEADS]].astype(np.int64))
    count = scenes.count - HELD_OUT
    held = scenes.batch(np.arange(count, scenes.count)), labels[count:]

    def loss(x: Tensor, wanted: Tensor) -> tuple[Tensor]:
        return (cross_entropies(verifier(x), wanted, o.smoothing),)

    total, since, begun = 0.0, 0, time.monotonic()
    while fit.step < o.steps and not run.stopping:
        rng = np.random.default_rng([o.seed, 2, fit.step])
        chosen = rng.permutation(count)[: o.batch]
        generator = torch.Generator().manual_seed(o.seed * 1_000_003 + fit.step)
        x, t = scenes.batch(chosen), NOISE * torch.rand(o.batch, 1, 1, generator=generator)
        total += float(halves.backward(loss, (1 - t) * x + t * torch.randn(x.shape, generator=generator), labels[chosen])[0])
        fit.apply()
        since += 1
        if fit.step % log_every == 0 or fit.step == o.steps:
            fit.average.swap()
            row = {"step": fit.step, "loss": total / since, "latents_per_second": since * o.batch / (time.monotonic() - begun)}
            row |= {f"{h}_at_{t:g}": a for t in (0.0, 0.25, NOISE) for h, a in zip(HEADS, accuracy(verifier, *held, t))}
            fit.average.swap()
            run.log(**row)
            run.curve({"loss": "sum of the heads' cross-entropies", "eyewear_at_0.25": "eyewear told at time .25, held out"})
            total, since, begun = 0.0, 0, time.monotonic()
        if run.due():
            fit.save()
    return fit.finish(o.steps)
