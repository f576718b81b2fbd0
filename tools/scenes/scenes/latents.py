"""Encodes scenes once: a file of packed latents and one of attributes. Captions are drawn anew each time a scene is used."""
from __future__ import annotations

import concurrent.futures
import json
import os
import pathlib

import numpy as np
import torch
from torch import Tensor

from . import data, flux, training, vae, world
from .render import render

ORDER = ("face", "eyewear", "headwear", "background", "object")
TOKENS, CHANNELS = 64, 64


class _Scenes(torch.utils.data.Dataset):
    def __init__(self, seed: int, stream: int, setting: world.Setting):
        self.seed, self.stream, self.setting = seed, stream, setting

    def __len__(self):
        return 1 << 40

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        rng = data.generator(self.seed, self.stream, index)
        scene = world.sample_uniform(rng) if self.stream == data.UNIFORM else world.sample(rng, self.setting)
        return data.tensor(render(scene, rng, self.setting)), torch.tensor([world.ATTRIBUTES[a].index(getattr(scene, a)) for a in ORDER], dtype=torch.uint8)


class Latents:
    """`latents.f16` [scenes, 64, 64] scaled to deviation 1, `attributes.u8` [scenes, 5] in the order of `ORDER`."""

    def __init__(self, folder: pathlib.Path):
        facts = json.loads((folder / "latents.json").read_text())
        self.count = facts["count"]
        self.latents = np.memmap(folder / "latents.f16", np.float16, "r", shape=(self.count, TOKENS, CHANNELS))
        self.attributes = np.fromfile(folder / "attributes.u8", np.uint8).reshape(self.count, len(ORDER))

    def scene(self, index: int) -> world.Scene:
        return world.Scene(*(world.ATTRIBUTES[a][i] for a, i in zip(ORDER, self.attributes[index])))

    def batch(self, indices: np.ndarray) -> Tensor:
        return torch.from_numpy(self.latents[np.sort(indices)][np.argsort(np.argsort(indices))].astype(np.float32))


@torch.no_grad()
def build(folder: pathlib.Path, autoencoder: pathlib.Path, count: int, seed: int = 0, stream: int = data.TRAIN, setting: world.Setting = world.CALM,
          batch: int = 32, threads: int = 2) -> bool:
    """Encodes scenes 0 .. count - 1; goes on where a stopped build was. Returns whether all are there."""
    run = training.Run(folder, {"autoencoder": str(autoencoder), "count": count, "seed": seed, "stream": stream, "scenes": setting.name})
    torch.set_num_threads(1)
    model, settings = vae.load(autoencoder)
    model.to(memory_format=torch.channels_last)
    latents_file, attributes_file = folder / "latents.f16", folder / "attributes.u8"
    size = TOKENS * CHANNELS * 2
    done = min(latents_file.stat().st_size // size, attributes_file.stat().st_size // len(ORDER)) // batch * batch if latents_file.exists() and attributes_file.exists() else 0
    pool = concurrent.futures.ThreadPoolExecutor(threads)

    def encode(pictures: Tensor) -> Tensor:
        mean, _ = model.encode(data.to_float(pictures).contiguous(memory_format=torch.channels_last))
        return flux.pack((mean - settings["shift_factor"]) * settings["scaling_factor"]).half()

    with open(latents_file, "ab") as latents, open(attributes_file, "ab") as attributes:
        latents.truncate(done * size)
        attributes.truncate(done * len(ORDER))
        for pictures, labels in data.batches(_Scenes(seed, stream, setting), batch, done // batch, -(-count // batch)):
            encoded = torch.cat(list(pool.map(encode, pictures.chunk(2))))[: count - done]
            latents.write(encoded.numpy().tobytes())
            attributes.write(labels[: count - done].numpy().tobytes())
            done += len(encoded)
            if done % (batch * 64) == 0:
                print(f"{done} of {count}, {run.seconds():.0f} s", flush=True)
            run.pause()
            if run.stopping:
                break
        for file in (latents, attributes):
            file.flush()
            os.fsync(file.fileno())
    if done == count:
        training.save_json(folder / "latents.json", {"count": count, "seed": seed, "stream": stream, "scenes": setting.name})
        print("finished", flush=True)
    else:
        print(f"stopped at {done}; the same command goes on", flush=True)
    return done == count
