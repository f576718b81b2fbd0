"""Data sets of drawn scenes. Item `i` of a stream is a function of (seed, stream, i): any number of workers gives the same data, and a
resumed run goes on where it stopped."""
from __future__ import annotations

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from . import world
from .render import render

TRAIN, HELD_OUT, UNIFORM = 0, 1, 8                                     # streams; the last one is of scenes whose attributes are uniform and independent
SIZE = 128


def generator(seed: int, stream: int, index: int) -> np.random.Generator:
    return np.random.default_rng([seed, stream, index])


def tensor(picture) -> torch.Tensor:
    """A Pillow picture as [3, height, width], uint8."""
    return torch.from_numpy(np.asarray(picture).transpose(2, 0, 1).copy())


def to_float(pictures: torch.Tensor) -> torch.Tensor:
    """uint8 in 0..255 to float in -1..1."""
    return pictures.float() / 127.5 - 1


class Pictures(Dataset):
    """Scenes alone, of the wide setting; with `crop`, a random square of that side (the frame is drawn whole)."""

    def __init__(self, seed: int, stream: int, crop: int | None = None):
        self.seed, self.stream, self.crop = seed, stream, crop

    def __len__(self):
        return 1 << 40

    def __getitem__(self, index: int) -> torch.Tensor:
        rng = generator(self.seed, self.stream, index)
        image = tensor(render(world.sample(rng, world.WIDE), rng, world.WIDE))
        if self.crop:
            y, x = (int(rng.random() * (SIZE - self.crop + 1)) for _ in range(2))
            image = image[:, y:y + self.crop, x:x + self.crop]
        return image


class _Consecutive:
    """Batches of consecutive indices, from batch `start` to batch `end`."""

    def __init__(self, start: int, end: int, batch: int):
        self.start, self.end, self.batch = start, end, batch

    def __iter__(self):
        for i in range(self.start, self.end):
            yield list(range(i * self.batch, (i + 1) * self.batch))

    def __len__(self):
        return self.end - self.start


def batches(dataset: Dataset, batch: int, start: int, end: int, workers: int = 1, collate=None) -> DataLoader:
    return DataLoader(dataset, collate_fn=collate, batch_sampler=_Consecutive(start, end, batch), num_workers=workers, prefetch_factor=8 if workers else 2, worker_init_fn=_single_thread)


def _single_thread(_worker: int):
    torch.set_num_threads(1)


def held_out(count: int, seed: int = 0) -> torch.Tensor:
    """[count, 3, SIZE, SIZE], uint8: pictures that training never draws, the same for every run and training seed."""
    dataset = Pictures(seed, HELD_OUT)
    return torch.stack([dataset[i] for i in range(count)])
