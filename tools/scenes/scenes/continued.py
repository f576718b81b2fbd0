"""A trained teacher goes on, on other scenes: its text encoders stay as they are, its denoiser is trained further at a constant learning rate for as long as
there is time (`train`). The falling learning rate, in which pictures become whole, is a branch of its own (`decay`) off any state that was kept."""
from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
import time

import torch

from . import judge, nearest, teacher, training
from .latents import Latents
from .pipeline import Pipeline

EVERY = 1800.0          # processor seconds between two measurements
PICTURES, STEPS, SCALE = 64, 10, 2.5        # of a measurement: Euler steps under CFG


@dataclasses.dataclass(frozen=True)
class Options(teacher.Options):
    steps: int = 1200                   # of 32 samples; may be changed at any time, for the rate is constant
    batch: int = 32
    rate: float = 1.4e-3
    matrix_rate: float = 2.8e-3
    warmup: int = 100
    average: float = 0.997
    decay: float = 0.0                  # the last part is a branch: see `decay`


def train(folder: pathlib.Path, o: Options, start: pathlib.Path, latents: pathlib.Path, held_out: pathlib.Path, judge_folder: pathlib.Path) -> bool:
    """Goes on from the exported pipeline `start` (or from the run's own state) until `o.steps` are done or a signal comes; returns whether they are done.
    Each measurement keeps the state as `state-STEP.pt`."""
    run = training.Run(folder, {**dataclasses.asdict(o), **_start(start, latents)}, changeable=("steps",))
    pipe, fit = _fit(run, o, start, lambda step: training.trapezoid(step, o.steps, o.warmup, 0.0))
    return _go(run, fit, pipe, o, o.steps, latents, held_out, judge_folder, {}, keep=True)


def decay(folder: pathlib.Path, o: Options, source: pathlib.Path, steps: int, start: pathlib.Path, latents: pathlib.Path, held_out: pathlib.Path,
          judge_folder: pathlib.Path) -> bool:
    """From the state file `source` of `train`, `steps` further steps in which the learning rate falls to nothing; 0: as many as make 30 % of the whole."""
    run = training.Run(folder, {**dataclasses.asdict(o), "steps": steps, **_start(start, latents)})
    span = {"first": 0, "last": 0}
    pipe, fit = _fit(run, o, start, lambda step: training.falling(step, span["first"], span["last"]))
    if fit.restored:
        span = {name: fit.restored[name] for name in span}
    else:
        state = torch.load(source, map_location="cpu")
        fit.restore(state)
        span = {"first": fit.step, "last": fit.step + (steps or round(fit.step * 3 / 7))}
        run.save(**{**state, **span, "measured": 0.0})
        print(f"{source}: the rate falls from step {span['first']} to {span['last']}", flush=True)
    return _go(run, fit, pipe, o, span["last"], latents, held_out, judge_folder, span, keep=False)


def export(run_folder: pathlib.Path, start: pathlib.Path, folder: pathlib.Path, family: str = "scenes-flux"):
    """The pipeline `start` with the averaged weights of a run."""
    pipe = Pipeline.load(start)
    teacher.Trained(pipe, frozen=True).load_state_dict(torch.load(run_folder / "state.pt", map_location="cpu")["average"]["values"])
    pipe.save(folder, start / "vae", family)


def _start(start: pathlib.Path, latents: pathlib.Path) -> dict[str, str]:
    """What a run depends on, wherever it lies: the checksum of the weights that it starts from, and the name of the folder of scenes."""
    return {"start": hashlib.sha256((start / "transformer" / "diffusion_pytorch_model.safetensors").read_bytes()).hexdigest(), "latents": latents.name}


def _fit(run: training.Run, o: Options, start: pathlib.Path, factor) -> tuple[Pipeline, training.Fit]:
    pipe = Pipeline.load(start)
    model = teacher.Trained(pipe, frozen=True)
    return pipe, training.Fit(run, model, training.optimizers(model, o.optimizer, o.rate, o.matrix_rate, threads=1), o.average, factor)


def _go(run: training.Run, fit: training.Fit, pipe: Pipeline, o: Options, last: int, latents: pathlib.Path, held_out: pathlib.Path, judge_folder: pathlib.Path,
        more: dict, keep: bool, log_every: int = 100) -> bool:
    """Steps to `last`, on one thread."""
    model, decider = fit.module, judge.load(judge_folder)
    halves = training.Halves(list(model.parameters()), threads=1)
    draw, held = (teacher.Batches(Latents(folder), pipe.tokenizer, pipe.tokenizer_2, options) for folder, options in ((latents, o), (held_out, dataclasses.replace(o, seed=0))))
    measured = fit.restored["measured"] if fit.restored else None

    def measure() -> dict[str, float]:
        """The averaged weights on held-out scenes, and how near their pictures are to true ones."""
        fit.average.swap()
        with torch.no_grad():
            row = {"held_out": sum(float(model.loss(*held(i))[0]) for i in range(16)) / 16}
        pictures = nearest.draw(pipe, PICTURES, STEPS, SCALE, path=run.folder / f"step-{fit.step}.png")
        fit.average.swap()
        return row | {f"nearest_{k}": v for k, v in nearest.figures(nearest.distances(pictures, decider)).items()}

    def save():
        fit.save(**more, measured=measured)

    if fit.step == 0 and measured is None:
        run.log(step=0, **measure())
        measured = run.processor()
    total, count, begun, used, paused = 0.0, 0, time.monotonic(), time.process_time(), run.paused
    while fit.step < last and not run.stopping:
        total += float(halves.backward(model.loss, *draw(fit.step))[0])
        fit.apply()
        count += 1
        due = fit.step == last or run.processor() - (measured or 0.0) > EVERY
        if due or fit.step % log_every == 0:
            samples = count * o.batch
            row = {"step": fit.step, "samples": fit.step * o.batch, "loss": total / count, "samples_per_second": samples / (time.monotonic() - begun - run.paused + paused),
                   "samples_per_processor_second": samples / (time.process_time() - used)}
            if due:
                row |= measure()
                measured = run.processor()
            run.log(**row)
            run.curve({"loss": "flow loss", "held_out": "flow loss on held-out scenes (averaged weights)", "nearest_median": "distance to the nearest true picture, dB, median of 64",
                       "nearest_lower_quartile": "its lower quartile"})
            if due:
                save()
                if keep:
                    kept = run.folder / f"state-{fit.step}.pt"
                    kept.unlink(missing_ok=True)
                    os.link(run.state_file, kept)                      # the next save replaces state.pt and leaves this one
            total, count, begun, used, paused = 0.0, 0, time.monotonic(), time.process_time(), run.paused
        if run.due():
            save()
    return fit.finish(last, **more, measured=measured)
