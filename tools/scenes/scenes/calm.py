"""The whole training on calm scenes as one queue, one process and one thread: scenes encoded, then for each seed the teacher goes on at a constant rate, then
its branch with a falling one. What is finished is passed over, so that the same command goes on after any stop."""
from __future__ import annotations

import dataclasses
import fcntl
import pathlib

from . import continued, data, latents, sprites

ROOT = pathlib.Path(__file__).resolve().parents[3]
STARTS = {0: ROOT / "models" / "scenes-flux", 1: ROOT / "experiments" / "scenes" / "seed-1" / "scenes-flux"}
SCENES, HELD_OUT = 48000, 2048


def run(seeds: list[int], steps: int, work: pathlib.Path = sprites.WORK) -> bool:
    """Returns whether everything is done. `steps` of the constant rate; the falling one takes 3/7 of them more."""
    work.mkdir(parents=True, exist_ok=True)
    alone = open(work / "calm.lock", "w")                              # held until this function returns
    try:
        fcntl.flock(alone, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise SystemExit(f"{alone.name}: the queue runs already") from None
    autoencoder, judge = STARTS[0] / "vae", ROOT / "models" / "scenes-judge"
    scenes, held = work / "calm-latents", work / "calm-latents-held"
    for folder, count, stream in ((scenes, SCENES, data.TRAIN), (held, HELD_OUT, data.HELD_OUT)):
        if not (folder / "latents.json").exists() and not latents.build(folder, autoencoder, count, stream=stream, threads=1):
            return False
    for seed in seeds:
        o = dataclasses.replace(continued.Options(), seed=seed, steps=steps)
        folder = work / f"calm-teacher-{seed}"
        print(f"seed {seed}: constant rate, {folder}", flush=True)
        if not continued.train(folder, o, STARTS[seed], scenes, held, judge):
            return False
        branch = work / f"calm-teacher-{seed}-decay-{steps}"
        print(f"seed {seed}: falling rate, {branch}", flush=True)
        if not continued.decay(branch, o, folder / "state.pt", 0, STARTS[seed], scenes, held, judge):
            return False
    return True
