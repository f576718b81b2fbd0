"""Makes nearest.safetensors: pictures of emoji scenes, true ones and ones by the shipped few-step model, and how far they are from the nearest true one.

OMP_NUM_THREADS=1 PYTHONPATH=tools/scenes /usr/bin/python3 tests/Attune.Evaluation.Tests/Fixtures/nearest.py    (PyTorch 1.13.1, numpy 1.24.2, Pillow 9.4.0)
"""
import pathlib

import numpy as np
import torch

from scenes import data, judge, nearest, pipeline, render, safetensors, world

HERE = pathlib.Path(__file__).parent
MODELS = HERE.parents[2] / "models"
OTHER = ("panda", "sunglasses", "top hat")                             # an outfit that none of the pictures shows

true = [data.tensor(render.render(scene, data.generator(1, nearest.PROMPTS, i), setting))
        for i, (scene, _) in enumerate(nearest.prompts(2)) for setting in (world.CALM, world.WIDE)]
made = nearest.draw(pipeline.Pipeline.load(MODELS / "scenes-flux-schnell"), 2, 4, 1.0)
pictures = torch.stack([*true, *made])
of_other = [nearest.distance(p.numpy().astype(np.float32) / 255, *OTHER) for p in pictures]
safetensors.save(HERE / "nearest.safetensors", {
    "pictures": pictures,
    "distances": torch.from_numpy(nearest.distances(pictures, judge.load(MODELS / "scenes-judge"))).float(),
    "of_other": torch.tensor(of_other),
})
