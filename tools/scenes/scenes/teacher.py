"""`scenes-flux`: the multi-step model. Text encoders and denoiser are trained together by rectified flow on encoded scenes."""
from __future__ import annotations

import dataclasses
import pathlib
import time

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from . import captions, data, fast, flux, judge, sheet, training, world
from .latents import Latents
from .pipeline import T5_LENGTH, Pipeline, clip_ids, t5_ids
from .tokenizers import ClipTokenizer, T5Tokenizer


@dataclasses.dataclass(frozen=True)
class Options:
    seed: int = 0
    steps: int = 10000                  # may be changed before the learning rate falls, without changing what was done
    batch: int = 64
    optimizer: str = "muon"
    rate: float = 2e-3
    matrix_rate: float = 4e-3           # of Muon
    warmup: int = 200
    decay: float = 0.3                  # last part of the steps, in which the learning rate falls
    average: float = 0.999
    drop: float = 0.1                   # captions replaced by the empty one: the null prompt of CFG
    drop_pooled: float = 0.46           # as in SD3 (Esser et al. 2024) each encoder's text is also dropped alone: attention must be able to tell everything
    uniform: float = 0.2                # part of the timesteps drawn uniformly; the others are logit-normal
    full: float = 0.3                   # part of the batches in which text may be padded to T5_LENGTH


class Batches:
    """Batch `i` is a function of (seed, i): scenes without replacement within an epoch, captions, lengths, timesteps and noise."""

    def __init__(self, latents: Latents, clip: ClipTokenizer, t5: T5Tokenizer, o: Options):
        self.latents, self.clip, self.t5, self.o = latents, clip, t5, o
        self.per_epoch = latents.count // o.batch
        self.epoch, self.order = -1, None

    def __call__(self, step: int) -> tuple[Tensor, ...]:
        """Clean latents, noise, timesteps, CLIP ids, T5 ids, mask of the T5 tokens [batch, 1, 1, tokens]."""
        o = self.o
        epoch, at = divmod(step, self.per_epoch)
        if epoch != self.epoch:
            self.epoch, self.order = epoch, np.random.default_rng([o.seed, 2, epoch]).permutation(self.latents.count)
        indices = self.order[at * o.batch:(at + 1) * o.batch]
        rng = np.random.default_rng([o.seed, 3, step])
        texts = ["" if rng.random() < o.drop else captions.caption(self.latents.scene(i), rng) for i in indices]
        pooled_texts = ["" if rng.random() < o.drop_pooled else t for t in texts]
        ids = [self.t5.encode(t) for t in texts]
        text, mask = t5_ids(ids, T5_LENGTH if rng.random() < o.full else max(map(len, ids)), rng)
        x = self.latents.batch(indices)
        generator = torch.Generator().manual_seed(o.seed * 1_000_003 + step)
        t = torch.where(torch.rand(o.batch, generator=generator) < o.uniform, torch.rand(o.batch, generator=generator), torch.sigmoid(torch.randn(o.batch, generator=generator)))
        return x, torch.randn(x.shape, generator=generator), t, clip_ids(self.clip, pooled_texts), text, mask


class Trained(nn.Module):
    """The three modules that are trained together, as one; with `frozen` text encoders the denoiser alone."""

    def __init__(self, pipe: Pipeline, frozen: bool = False):
        super().__init__()
        self.transformer, self.frozen = pipe.transformer, frozen
        if frozen:
            self.encoders = (pipe.text_encoder, pipe.text_encoder_2)   # a tuple: no modules of this one, so neither saved nor averaged
        else:
            self.text_encoder, self.text_encoder_2 = pipe.text_encoder, pipe.text_encoder_2

    def loss(self, x: Tensor, noise: Tensor, t: Tensor, clip_ids: Tensor, t5_ids: Tensor, mask: Tensor) -> tuple[Tensor]:
        """Mean square of the velocity's error."""
        at = t[:, None, None]
        with fast.autocast():
            clip, t5 = self.encoders if self.frozen else (self.text_encoder, self.text_encoder_2)
            with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
                _, pooled = clip(clip_ids)
                text = t5(t5_ids, mask)
            velocity = self.transformer((1 - at) * x + at * noise, text, pooled, t, self.transformer.rotary(8, 8, t5_ids.shape[1], mask))
        return ((velocity.float() - (noise - x)).square().mean(),)


# Fixed beforehand; every attribute value and some held-out outfits occur. Attribute -> value, as captions.write takes them.
def prompts(count: int = 48) -> list[tuple[dict[str, str], str]]:
    """(attributes, caption) of the figures that accompany training; another list than the ones experiments use."""
    made = []
    for i in range(count):
        rng = data.generator(0, 4, i)
        scene = world.sample_uniform(rng)
        attributes = {a: v for a, v in vars(scene).items() if v != world.NONE and (a in ("face", "background") or rng.random() < 0.7) and a != "object"}
        made.append((attributes, captions.write(attributes, rng)))
    return made


@torch.no_grad()
def obedience(pipe: Pipeline, decider: judge.Judge | None, steps: int, scale: float, picture: pathlib.Path | None = None) -> dict[str, float]:
    """How often an attribute that a prompt names is in the picture, per head of the judge; draws a sheet of the pictures."""
    wanted = prompts()
    parts = []
    for i in range(0, len(wanted), 16):
        noise = torch.randn(16, 16, 16, 16, generator=torch.Generator().manual_seed(1000 + i))[: len(wanted) - i]
        with fast.autocast():
            parts.append(pipe.sample([text for _, text in wanted[i:i + 16]], noise, steps, scale=scale)["image"])
    pictures = (torch.cat(parts) * 255).round().to(torch.uint8)
    if picture:
        sheet.grid([Image.fromarray(p.permute(1, 2, 0).numpy()) for p in pictures], [text for _, text in wanted], 8).save(picture)
    if decider is None:
        return {}
    seen = judge.predict(decider, pictures)
    figures = {}
    for k, head in enumerate(judge.HEADS):
        named = [i for i, (attributes, _) in enumerate(wanted) if head in attributes]
        figures[head] = sum(world.ATTRIBUTES[head][seen[i, k]] == wanted[i][0][head] for i in named) / len(named)
    return figures


def train(folder: pathlib.Path, o: Options, latents: pathlib.Path, held_out: pathlib.Path, autoencoder: pathlib.Path, tokenizers: pathlib.Path, judge_folder: pathlib.Path | None = None,
          log_every: int = 200, evaluate_every: int = 1000):
    run = training.Run(folder, {**dataclasses.asdict(o), "latents": str(latents), "autoencoder": str(autoencoder)}, changeable=("steps",))
    torch.manual_seed(o.seed)
    pipe = Pipeline.untrained(ClipTokenizer.load(tokenizers / "tokenizer"), T5Tokenizer.load(tokenizers / "tokenizer_2"), autoencoder)
    model = Trained(pipe)
    decider = judge.load(judge_folder) if judge_folder else None
    halves = training.Halves(list(model.parameters()))
    fit = training.Fit(run, model, training.optimizers(model, o.optimizer, o.rate, o.matrix_rate), o.average, lambda step: training.trapezoid(step, o.steps, o.warmup, o.decay))
    draw, held = (Batches(Latents(folder), pipe.tokenizer, pipe.tokenizer_2, options) for folder, options in ((latents, o), (held_out, dataclasses.replace(o, seed=0))))
    if fit.step == 0:
        print(f"{sum(p.numel() for p in pipe.transformer.parameters()):,} + {sum(p.numel() for p in pipe.text_encoder.parameters()):,} + "
              f"{sum(p.numel() for p in pipe.text_encoder_2.parameters()):,} parameters, {o.steps} steps", flush=True)

    total, count, begun = 0.0, 0, time.monotonic()
    while fit.step < o.steps and not run.stopping:
        total += float(halves.backward(model.loss, *draw(fit.step))[0])
        fit.apply()
        count += 1
        if fit.step % log_every == 0 or fit.step == o.steps:
            row = {"step": fit.step, "loss": total / count, "samples_per_second": count * o.batch / (time.monotonic() - begun)}
            if fit.step % evaluate_every == 0 or fit.step == o.steps:
                fit.average.swap()
                with torch.no_grad():
                    row["held_out"] = sum(float(model.loss(*held(i))[0]) for i in range(16)) / 16
                figures = obedience(pipe, decider, 20, 2.5, folder / f"step-{fit.step}.png")
                row |= {f"has_{k}": v for k, v in figures.items()}
                fit.keep_if_best(figures)
                fit.average.swap()
            run.log(**row)
            run.curve({"loss": "flow loss", "held_out": "flow loss on held-out scenes (averaged weights)", "has_face": "named faces present", "has_eyewear": "named eyewear present"})
            total, count, begun = 0.0, 0, time.monotonic()
        if run.due():
            fit.save()
    fit.finish(o.steps)


def export(run_folder: pathlib.Path, folder: pathlib.Path, autoencoder: pathlib.Path, tokenizers: pathlib.Path):
    """Writes the best weights by the judge, or the latest averaged ones where no judge was given, as a FLUX checkpoint."""
    pipe = Pipeline.untrained(ClipTokenizer.load(tokenizers / "tokenizer"), T5Tokenizer.load(tokenizers / "tokenizer_2"), autoencoder)
    Trained(pipe).load_state_dict(training.best(run_folder))
    pipe.save(folder, autoencoder, "scenes-flux")
