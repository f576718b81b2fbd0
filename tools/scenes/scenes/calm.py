"""The whole way to the models of one training seed on calm scenes as one queue, one process and one thread: scenes encoded, the teacher goes on at a constant
rate, then its branch with a falling one, its trajectories, the few-step student. What is finished is passed over, so that the same command goes on after
any stop. Queues of different seeds run beside each other."""
from __future__ import annotations

import dataclasses
import fcntl
import pathlib

from . import continued, data, latents, sprites, student

ROOT = pathlib.Path(__file__).resolve().parents[3]
STARTS = {0: ROOT / "models" / "scenes-flux", 1: ROOT / "experiments" / "scenes" / "seed-1" / "scenes-flux"}
SCENES, HELD_OUT = 24576, 1024
TRAJECTORIES = {"count": 8000, "steps": 8, "scale": 2.0}             # more makes habits certain, without CFG faces blur
STUDENT_STEPS = 2000


def run(seed: int, constant: int, falling: int, work: pathlib.Path = sprites.WORK) -> bool:
    """Returns whether everything is done. `constant` and `falling` steps of the teacher; the models are in export/calm-SEED."""
    work.mkdir(parents=True, exist_ok=True)
    alone = _lock(work / f"calm-{seed}.lock")                          # held until this function returns
    if alone is None:
        raise SystemExit(f"{work}/calm-{seed}.lock: the queue of this seed runs already")
    start, judge = STARTS[seed], ROOT / "models" / "scenes-judge"
    scenes, held = work / "calm-latents", work / "calm-latents-held"
    encoding = _lock(work / "calm-latents.lock", wait=True)            # both seeds share them
    for folder, count, stream in ((scenes, SCENES, data.TRAIN), (held, HELD_OUT, data.HELD_OUT)):
        if not (folder / "latents.json").exists() and not latents.build(folder, STARTS[0] / "vae", count, stream=stream, threads=1):
            return False
    encoding.close()
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
    paths, few = work / f"trajectories-{seed}", work / f"student-{seed}"
    print(f"seed {seed}: trajectories, {paths}", flush=True)
    if not student.trajectories(paths, export / "scenes-flux", student.TrajectoryOptions(seed=seed, **TRAJECTORIES), threads=1):
        return False
    print(f"seed {seed}: student, {few}", flush=True)
    if not student.train(few, student.Options(seed=seed, steps=STUDENT_STEPS), export / "scenes-flux", paths, judge, evaluate_every=STUDENT_STEPS, threads=1):
        return False
    student.export(few, export / "scenes-flux-schnell", export / "scenes-flux")
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
