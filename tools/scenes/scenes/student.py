"""`scenes-flux-schnell`: the few-step model. The teacher's trajectories under CFG are cut into windows of sigma; the student learns to cross each in one straight step.

Piecewise rectified flow (Yan et al. 2024, arXiv 2405.07510) on stored trajectories: the states are those the sampler itself visits, not noised
renders, and each serves in many batches. The text encoders stay frozen.
"""
from __future__ import annotations

import concurrent.futures
import dataclasses
import json
import os
import pathlib
import time

import numpy as np
import torch
from torch import Tensor, nn

from . import captions, data, fast, judge, training, world
from .latents import CHANNELS, TOKENS
from .pipeline import T5_LENGTH, Pipeline, clip_ids, t5_ids
from .teacher import obedience

CAPTIONS = 5                                                           # stream of the captions
STORED = 4                                                             # states per trajectory, at sigma .75, .5, .25, 0


@dataclasses.dataclass(frozen=True)
class TrajectoryOptions:
    seed: int = 0
    count: int = 12000
    steps: int = 12
    scale: float = 3.0
    empty: float = 0.05                 # part of the prompts that is empty, and sampled without CFG
    batch: int = 32
    scenes: str = "calm"                # setting of the scenes that the prompts describe; "wide" for the models of 0.1


class Texts:
    """Prompts of a batch as both encoders take them, T5's padded at random as in the teacher's training."""

    def __init__(self, pipe: Pipeline):
        self.pipe = pipe

    @torch.no_grad()
    def __call__(self, texts: list[str], rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """T5 states, pooled CLIP state, mask of the T5 tokens."""
        ids, mask = t5_ids([self.pipe.tokenizer_2.encode(t) for t in texts], T5_LENGTH, rng)
        _, pooled = self.pipe.text_encoder(clip_ids(self.pipe.tokenizer, texts))
        return self.pipe.text_encoder_2(ids, mask), pooled, mask


def noise(seed: int, batch: int, count: int) -> Tensor:
    """Packed noise of batch number `batch`: the start of its trajectories."""
    return torch.randn(count, TOKENS, CHANNELS, generator=torch.Generator().manual_seed(seed * 1_000_003 + batch))


def prompts(o: TrajectoryOptions, batch: int) -> tuple[list[str], np.random.Generator]:
    """The captions of batch number `batch`, and the generator that goes on to choose their lengths."""
    rng = data.generator(o.seed, CAPTIONS, batch)
    return ["" if rng.random() < o.empty else captions.caption(world.sample(rng, world.SETTINGS[o.scenes]), rng) for _ in range(o.batch)], rng


@torch.no_grad()
def trajectories(folder: pathlib.Path, teacher: pathlib.Path, o: TrajectoryOptions, threads: int = 2) -> bool:
    """Writes `states.f16` [count, 4, 64, 64], the teacher's states at sigma .75, .5, .25 and 0; goes on where a stopped run was. Returns whether all are
    there."""
    if o.steps % STORED or o.count % o.batch:
        raise SystemExit(f"--steps must be a multiple of {STORED} and --count one of the batch, {o.batch}")
    run = training.Run(folder, {**dataclasses.asdict(o), "teacher": str(teacher)}, changeable=("count",))
    torch.set_num_threads(1)
    pipe = Pipeline.load(teacher)
    texts = Texts(pipe)
    pool = concurrent.futures.ThreadPoolExecutor(threads)
    size = STORED * TOKENS * CHANNELS * 2
    path = folder / "states.f16"
    done = path.stat().st_size // size // o.batch if path.exists() else 0
    sigmas = torch.linspace(1, 0, o.steps + 1)
    # The null prompt keeps its own length in one half of each batch and is padded in the other.
    nothing = [pipe.encode([""], length) for length in (len(pipe.tokenizer_2.encode("")), T5_LENGTH)]

    def sample(x: Tensor, text: Tensor, pooled: Tensor, mask: Tensor, empty: Tensor, empty_pooled: Tensor, scale: Tensor) -> Tensor:
        rotary, other = pipe.transformer.rotary(8, 8, text.shape[1], mask), pipe.transformer.rotary(8, 8, empty.shape[1])
        kept = []
        with fast.autocast():
            for i in range(o.steps):
                t = sigmas[i].expand(len(x))
                velocity = pipe.transformer(x, text, pooled, t, rotary).float()
                if o.scale != 1:
                    without = pipe.transformer(x, empty, empty_pooled, t, other).float()
                    velocity = without + scale * (velocity - without)
                x = x + (sigmas[i + 1] - sigmas[i]) * velocity
                if (i + 1) % (o.steps // STORED) == 0:
                    kept.append(x.half())
        return torch.stack(kept, 1)

    with open(path, "ab") as file:
        file.truncate(done * o.batch * size)
        while done < o.count // o.batch and not run.stopping:
            names, rng = prompts(o, done)
            inputs = (noise(o.seed, done, o.batch), *texts(names, rng))
            scale = torch.tensor([1.0 if name == "" else o.scale for name in names])[:, None, None]
            n = o.batch // 2
            parts = pool.map(lambda a: sample(*a), [(*(t[s] for t in inputs), nothing[k][0].expand(n, -1, -1), nothing[k][1].expand(n, -1), scale[s])
                                                    for k, s in enumerate((slice(0, n), slice(n, None)))])
            file.write(torch.cat(list(parts)).numpy().tobytes())
            done += 1
            if done % 50 == 0:
                print(f"{done * o.batch} of {o.count}, {run.seconds():.0f} s", flush=True)
            run.pause()
        file.flush()
        os.fsync(file.fileno())
    whole = done == o.count // o.batch
    if whole:
        training.save_json(folder / "trajectories.json", {**dataclasses.asdict(o), "processor_seconds": round(run.processor())})
        print("finished", flush=True)
    else:
        print(f"stopped at {done * o.batch}; the same command goes on", flush=True)
    return whole


# ---------------------------------------------------------------------------------------------------------------- training

@dataclasses.dataclass(frozen=True)
class Options:
    seed: int = 0
    steps: int = 2500
    batch: int = 32
    windows: int = 4                    # a divisor of 4
    starts: float = 0.5                 # part of the batch at the beginning of its window; the rest lies anywhere within it
    optimizer: str = "muon"
    rate: float = 5e-4
    matrix_rate: float = 1e-3
    warmup: int = 100
    average: float = 0.998


class Batches:
    """Batch `step` is a function of (seed, step): a batch of trajectories, a window and a place within it for each."""

    def __init__(self, folder: pathlib.Path, o: Options, texts: Texts):
        facts = json.loads((folder / "trajectories.json").read_text())
        self.t = TrajectoryOptions(**{f.name: facts[f.name] for f in dataclasses.fields(TrajectoryOptions)})
        self.states = np.memmap(folder / "states.f16", np.float16, "r", shape=(self.t.count, STORED, TOKENS, CHANNELS))
        self.o, self.texts = o, texts
        if STORED % o.windows or o.batch != self.t.batch:
            raise SystemExit(f"--windows must divide {STORED}, and --batch be that of the trajectories, {self.t.batch}")

    def __call__(self, step: int) -> tuple[Tensor, ...]:
        """Latents, their sigma, the velocity across the window, T5 states, pooled state, mask."""
        batches = self.t.count // self.t.batch
        epoch, at = divmod(step, batches)
        number = int(np.random.default_rng([self.o.seed, 2, epoch]).permutation(batches)[at])
        names, _ = prompts(self.t, number)
        rng = np.random.default_rng([self.o.seed, 3, step])
        first = number * self.t.batch
        states = torch.cat([noise(self.t.seed, number, self.t.batch)[:, None], torch.from_numpy(self.states[first:first + self.t.batch].astype(np.float32))], 1)
        stride = STORED // self.o.windows
        window = torch.from_numpy(rng.integers(0, self.o.windows, self.t.batch))
        rows = torch.arange(self.t.batch)
        high, low = states[rows, window * stride], states[rows, (window + 1) * stride]
        u = torch.from_numpy(np.where(rng.random(self.t.batch) < self.o.starts, 0.0, rng.random(self.t.batch)).astype(np.float32))
        sigma = 1 - (window + u) / self.o.windows
        x = high + u[:, None, None] * (low - high)
        return (x, sigma, (high - low) * self.o.windows, *self.texts(names, rng))


def loss(transformer: nn.Module, x: Tensor, sigma: Tensor, velocity: Tensor, text: Tensor, pooled: Tensor, mask: Tensor) -> tuple[Tensor]:
    with fast.autocast():
        prediction = transformer(x, text, pooled, sigma, transformer.rotary(8, 8, text.shape[1], mask))
    return ((prediction.float() - velocity).square().mean(),)


def measured(fit: training.Fit, pipe: Pipeline, decider: judge.Judge | None) -> dict[str, float]:
    """How often named attributes are there in 4, 1, 2 and 8 steps of the averaged weights, as columns of the log; keeps the weights that are best in four. Draws sheets."""
    fit.average.swap()
    figures = {few: obedience(pipe, decider, few, 1.0, fit.run.folder / f"step-{fit.step}-in-{few}.png") for few in (4, 1, 2, 8)}
    fit.keep_if_best(figures[4])
    fit.average.swap()
    return {f"{k}_in_{few}": v for few, of in figures.items() for k, v in of.items()}


def train(folder: pathlib.Path, o: Options, teacher: pathlib.Path, trajectory_folder: pathlib.Path, judge_folder: pathlib.Path | None = None, log_every: int = 200, evaluate_every: int = 1000,
          threads: int = 2) -> bool:
    """Returns whether all steps are done."""
    run = training.Run(folder, {**dataclasses.asdict(o), "teacher": str(teacher), "trajectories": str(trajectory_folder)})
    pipe = Pipeline.load(teacher)
    model = pipe.transformer
    decider = judge.load(judge_folder) if judge_folder else None
    halves = training.Halves(list(model.parameters()), threads)
    fit = training.Fit(run, model, training.optimizers(model, o.optimizer, o.rate, o.matrix_rate, threads), o.average, lambda step: training.cosine(step, o.steps, o.warmup))
    draw = Batches(trajectory_folder, o, Texts(pipe))

    total, count, begun = 0.0, 0, time.monotonic()
    while fit.step < o.steps and not run.stopping:
        total += float(halves.backward(lambda *half: loss(model, *half), *draw(fit.step))[0])
        fit.apply()
        count += 1
        if fit.step % log_every == 0 or fit.step == o.steps:
            row = {"step": fit.step, "loss": total / count, "samples_per_second": count * o.batch / (time.monotonic() - begun)}
            if fit.step % evaluate_every == 0 or fit.step == o.steps:
                row |= measured(fit, pipe, decider)
            run.log(**row)
            run.curve({"loss": "error of the velocity across a window", "face_in_4": "named faces present, 4 steps", "face_in_1": "named faces present, 1 step"})
            total, count, begun = 0.0, 0, time.monotonic()
        if run.due():
            fit.save()
    return fit.finish(o.steps)


def export(run_folder: pathlib.Path, folder: pathlib.Path, teacher: pathlib.Path):
    """Writes the best weights by the judge at four steps, or the latest averaged ones where no judge was given; everything else is the teacher's."""
    pipe = Pipeline.load(teacher)
    pipe.transformer.load_state_dict(training.best(run_folder))
    pipe.save(folder, teacher / "vae", "scenes-flux-schnell")
