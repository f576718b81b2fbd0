"""Reward tuning of `scenes-flux-schnell`: the few-step model draws whole pictures, a classifier of latents says whether what the prompt names is there, and
the error goes back through every step (DRaFT, Clark et al. 2023, arXiv 2309.17400). Distillation goes on in the same batches and holds everything else.

Few-step models of practice are tuned by such rewards too (Hyper-SD, Ren et al. 2024, arXiv 2404.13686, section 3.3). The reward is the verifier's, never the judge's.
"""
from __future__ import annotations

import dataclasses
import pathlib
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import captions, data, fast, judge, student, training, verifier, world
from .latents import CHANNELS, TOKENS
from .pipeline import Pipeline

CAPTIONS = 9                                                           # stream of the captions
ABSENT = -100                                                          # label of what a prompt does not name: cross_entropy's ignore_index


@dataclasses.dataclass(frozen=True)
class Options:
    seed: int = 0
    steps: int = 400
    batch: int = 32                     # pictures that are drawn whole; as many states of trajectories are beside them
    weight: float = 0.01                # of the reward beside the error of the velocity
    noise: float = 0.3                  # the verifier looks at pictures with noise of a time uniform in 0..noise
    optimizer: str = "muon"
    rate: float = 2e-4
    matrix_rate: float = 4e-4
    warmup: int = 50
    average: float = 0.99
    scenes: str = "calm"                # setting of the scenes that the prompts describe; "wide" for the models of 0.1


# Numbers of steps that pictures are drawn in, by turns of the batches.
ROLLOUTS = (4, 2, 4)


def prompts(seed: int, step: int, count: int, setting: world.Setting = world.CALM) -> tuple[list[str], Tensor, np.random.Generator]:
    """Captions, labels [count, heads] with ABSENT for what a caption leaves out, and the generator that goes on to choose lengths. One half of the scenes
    is drawn as in training; the other has uniform outfits, so that what is rare there is asked for as often. Held-out outfits stay unseen."""
    rng = data.generator(seed, CAPTIONS, step)
    texts, labels = [], []
    for i in range(count):
        scene = world.sample(rng, setting)
        if i % 2:
            while ((scene := world.sample_uniform(rng)).face, scene.eyewear, scene.headwear) in world.HELD_OUT:
                pass
        said = captions.mentions(scene, rng)
        texts.append(captions.write(said, rng))
        labels.append([world.ATTRIBUTES[h].index(said[h]) if h in said else ABSENT for h in judge.HEADS])
    return texts, torch.tensor(labels), rng


def draw(transformer: nn.Module, x: Tensor, text: Tensor, pooled: Tensor, mask: Tensor, steps: int) -> Tensor:
    """Packed latents after `steps` Euler steps from the noise `x`, as the pipeline takes them; gradients go through all of them."""
    rotary = transformer.rotary(8, 8, text.shape[1], mask)
    for i in range(steps):
        with fast.autocast():
            velocity = transformer(x, text, pooled, torch.full((len(x),), 1 - i / steps), rotary)
        x = x - velocity.float() / steps
    return x


def missing(logits: dict[str, Tensor], labels: Tensor) -> tuple[Tensor, Tensor]:
    """Sum over the heads of the mean cross-entropy of what was named, and the share of named things that the verifier sees."""
    named = labels != ABSENT
    loss = sum(F.cross_entropy(logits[h], labels[:, k], reduction="sum") / named[:, k].sum().clamp(min=1) for k, h in enumerate(judge.HEADS))
    seen = torch.stack([logits[h].argmax(1) == labels[:, k] for k, h in enumerate(judge.HEADS)], 1)
    return loss, seen[named].float().mean()


def train(folder: pathlib.Path, o: Options, start: pathlib.Path, trajectory_folder: pathlib.Path, verifier_run: pathlib.Path, judge_folder: pathlib.Path | None = None,
          log_every: int = 50, evaluate_every: int = 200, threads: int = 2) -> bool:
    """Returns whether all steps are done."""
    run = training.Run(folder, {**dataclasses.asdict(o), "student": str(start), "trajectories": str(trajectory_folder), "verifier": str(verifier_run)})
    pipe = Pipeline.load(start)
    model, reward = pipe.transformer, verifier.load(verifier_run)
    decider = judge.load(judge_folder) if judge_folder else None
    halves = training.Halves(list(model.parameters()), threads)
    fit = training.Fit(run, model, training.optimizers(model, o.optimizer, o.rate, o.matrix_rate, threads), o.average, lambda step: training.cosine(step, o.steps, o.warmup))
    texts = student.Texts(pipe)
    distill = student.Batches(trajectory_folder, student.Options(seed=o.seed + 1, batch=o.batch), texts)

    def losses(x: Tensor, text: Tensor, pooled: Tensor, mask: Tensor, labels: Tensor, t: Tensor, noise: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        drawn = draw(model, x, text, pooled, mask, ROLLOUTS[fit.step % len(ROLLOUTS)])
        absent, seen = missing(reward((1 - t) * drawn + t * noise), labels)
        (error,) = student.loss(model, *states)
        return error + o.weight * absent, error, absent, seen

    sums, count, begun = torch.zeros(4), 0, time.monotonic()
    while fit.step < o.steps and not run.stopping:
        names, labels, rng = prompts(o.seed, fit.step, o.batch, world.SETTINGS[o.scenes])
        generator = torch.Generator().manual_seed(o.seed * 1_000_003 + fit.step)
        x, noise = (torch.randn(o.batch, TOKENS, CHANNELS, generator=generator) for _ in range(2))
        t = o.noise * torch.rand(o.batch, 1, 1, generator=generator)
        sums += torch.stack(halves.backward(losses, x, *texts(names, rng), labels, t, noise, *distill(fit.step)))
        fit.apply()
        count += 1
        if fit.step % log_every == 0 or fit.step == o.steps:
            row = {"step": fit.step, **{name: float(s) / count for name, s in zip(("loss", "error", "missing", "seen"), sums)}, "pictures_per_second": count * o.batch / (time.monotonic() - begun)}
            if fit.step % evaluate_every == 0 or fit.step == o.steps:
                row |= student.measured(fit, pipe, decider)
            run.log(**row)
            run.curve({"error": "error of the velocity across a window", "missing": "cross-entropy of what prompts name", "seen": "share of it that the verifier sees"})
            sums, count, begun = torch.zeros(4), 0, time.monotonic()
        if run.due():
            fit.save()
    return fit.finish(o.steps)
