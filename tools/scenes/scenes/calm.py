"""The whole way to the models of one training seed on calm scenes as one queue, one process and one thread: scenes encoded, the teacher goes on at a constant
rate, then its branch with a falling one, its trajectories, the few-step student, the student's tuning. What is finished is passed over, so that the same command goes on after
any stop. Queues of different seeds run beside each other."""
from __future__ import annotations

import dataclasses
import fcntl
import pathlib

from . import continued, data, latents, sprites, student, tune, verifier

ROOT = pathlib.Path(__file__).resolve().parents[3]
STARTS = {0: ROOT / "models" / "scenes-flux", 1: ROOT / "experiments" / "scenes" / "seed-1" / "scenes-flux"}
SCENES, HELD_OUT, UNIFORM = 24576, 1024, 12288
TRAJECTORIES = {"count": 8000, "steps": 8, "scale": 1.5}             # more makes habits certain, without CFG faces blur
STUDENT_STEPS, TUNING_STEPS = 2000, 300


def run(seed: int, constant: int, falling: int, work: pathlib.Path = sprites.WORK) -> bool:
    """Returns whether everything is done. `constant` and `falling` steps of the teacher; the models are in export/calm-SEED."""
    work.mkdir(parents=True, exist_ok=True)
    alone = _lock(work / f"calm-{seed}.lock")                          # held until this function returns
    if alone is None:
        raise SystemExit(f"{work}/calm-{seed}.lock: the queue of this seed runs already")
    start, judge = STARTS[seed], ROOT / "models" / "scenes-judge"
    scenes, held, uniform, reward = (work / name for name in ("calm-latents", "calm-latents-held", "calm-uniform", "verifier-calm"))
    shared = _lock(work / "calm-shared.lock", wait=True)               # what the seeds share is made once
    for folder, count, stream in ((scenes, SCENES, data.TRAIN), (held, HELD_OUT, data.HELD_OUT), (uniform, UNIFORM, data.UNIFORM)):
        if not (folder / "latents.json").exists() and not latents.build(folder, STARTS[0] / "vae", count, stream=stream, threads=1):
            return False
    shared.close()
    o = dataclasses.replace(continued.Options(), seed=seed, steps=constant)
    teacher, branch = work / f"teacher-{seed}", work / f"teacher-{seed}-decay-{constant}-{falling}"
    if not branch.exists():
        print(f"seed {seed}: constant rate, {teacher}", flush=True)
        if not continued.train(teacher, o, start, scenes, held, judge):
            return False
    print(f"seed {seed}: falling rate, {branch}", flush=True)
    if not continued.decay(branch, o, teacher / f"state-{constant}.pt", falling, start, scenes, held, judge):
        return False
    export = work / "export" / f"calm-{seed}"
    if not (export / "scenes-flux" / "model_index.json").exists():
        continued.export(branch, start, export / "scenes-flux")
    paths, few, tuned = (work / f"{name}-{seed}" for name in ("trajectories", "student", "tuned"))
    print(f"seed {seed}: trajectories, {paths}", flush=True)
    if not student.trajectories(paths, export / "scenes-flux", student.TrajectoryOptions(seed=seed, **TRAJECTORIES), threads=1):
        return False
    print(f"seed {seed}: student, {few}", flush=True)
    if not student.train(few, student.Options(seed=seed, steps=STUDENT_STEPS), export / "scenes-flux", paths, judge, evaluate_every=STUDENT_STEPS, threads=1):
        return False
    untuned = export / "scenes-flux-untuned"
    student.export(few, untuned, export / "scenes-flux")
    with _lock(work / "calm-shared.lock", wait=True):
        print(f"seed {seed}: verifier, {reward}", flush=True)
        if not verifier.train(reward, verifier.Options(), uniform, threads=1):
            return False
    print(f"seed {seed}: tuning, {tuned}", flush=True)
    if not tune.train(tuned, tune.Options(seed=seed, steps=TUNING_STEPS), untuned, paths, reward, judge, threads=1):
        return False
    student.export(tuned, export / "scenes-flux-schnell", export / "scenes-flux")
    return True


def _lock(path: pathlib.Path, wait: bool = False):
    """The file, locked until it is closed; None where another process holds it."""
    file = open(path, "w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        file.close()
        return None
    return file
