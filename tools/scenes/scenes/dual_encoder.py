"""The dual encoder: pictures and captions in one space, a CLIP for scenes (Radford et al. 2021). Its image tower starts from the judge's trunk."""
from __future__ import annotations

import dataclasses
import json
import pathlib
import time

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from . import captions, data, judge, safetensors, text_encoders, training, world
from .pipeline import clip_ids
from .render import render
from .tokenizers import ClipTokenizer

DIMENSION = 64


class ImageEncoder(judge.Trunk):
    """The judge's trunk and a projection without bias."""

    def __init__(self):
        super().__init__()
        self.projection = nn.Linear(judge.WIDTHS[-1], DIMENSION, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(self.projection(self.features(x)), dim=1)

    def json(self) -> dict:
        return {"_class_name": "ScenesImageEncoder", **judge.Trunk.json(), "projection_dim": DIMENSION}


class TextEncoder(nn.Module):
    """CLIPTextModelWithProjection."""

    def __init__(self, config: text_encoders.ClipConfig):
        super().__init__()
        self.config = config
        self.text_model = text_encoders.CLIPTextModel(config).text_model
        self.text_projection = nn.Linear(config.hidden_size, DIMENSION, bias=False)

    def forward(self, ids: Tensor) -> Tensor:
        _, pooled = text_encoders.CLIPTextModel.forward(self, ids)
        return F.normalize(self.text_projection(pooled), dim=1)

    def json(self) -> dict:
        return {**self.config.json(), "architectures": ["CLIPTextModelWithProjection"], "projection_dim": DIMENSION}


class DualEncoder(nn.Module):
    def __init__(self, tokenizer: ClipTokenizer):
        super().__init__()
        self.tokenizer = tokenizer
        self.image = ImageEncoder()
        self.text = TextEncoder(text_encoders.ClipConfig(len(tokenizer.vocabulary), bos_token_id=tokenizer.start, eos_token_id=tokenizer.end))
        self.logit_scale = nn.Parameter(torch.tensor(2.659))           # log(1 / .07)

    def embed_texts(self, texts: list[str]) -> Tensor:
        return self.text(clip_ids(self.tokenizer, texts))


class Pairs(Dataset):
    """(picture, caption, attributes said): degraded renders of scenes whose attributes are uniform, with captions of the usual kind."""

    def __init__(self, seed: int, stream: int, degraded: bool):
        self.seed, self.stream, self.degraded = seed, stream, degraded

    def __len__(self):
        return 1 << 40

    def __getitem__(self, index: int):
        rng = data.generator(self.seed, self.stream, index)
        scene = world.sample_uniform(rng)
        picture = render(scene, rng, world.WIDE)
        said = captions.mentions(scene, rng)
        picture = judge.degrade(picture, rng) if self.degraded else picture
        return data.tensor(picture), captions.write(said, rng), tuple(vars(scene).values()), tuple(said.get(a, "") for a in world.ATTRIBUTES)


def collate(items):
    pictures, texts, scenes, said = zip(*items)
    return torch.stack(pictures), list(texts), scenes, said


def agreement(scenes, said) -> Tensor:
    """[texts, pictures]: whether everything that a caption says is true of a picture."""
    return torch.tensor([[all(not b or a == b for a, b in zip(scene, words)) for scene in scenes] for words in said])


@dataclasses.dataclass(frozen=True)
class Options:
    seed: int = 0
    steps: int = 350
    batch: int = 64
    rate: float = 1e-3
    warmup: int = 50
    average: float = 0.99


def losses(model: DualEncoder, x: Tensor, texts: list[str], true: Tensor) -> tuple[Tensor]:
    """Contrastive in both directions; a caption that is true of several pictures is content with any of them, and the other way round."""
    logits = model.embed_texts(texts) @ model.image(x.contiguous(memory_format=torch.channels_last)).T * model.logit_scale.clamp(max=4.6052).exp()
    wrong = torch.tensor(float("-inf"))

    def one_way(values: Tensor, right: Tensor) -> Tensor:
        return (torch.logsumexp(values, 1) - torch.logsumexp(torch.where(right, values, wrong), 1)).mean()

    return ((one_way(logits, true) + one_way(logits.T, true.T)) / 2,)


@torch.no_grad()
def retrieval(model: DualEncoder, count: int = 512, candidates: int = 64) -> dict[str, float]:
    """On held-out pairs: how often the first of `candidates` pictures is one of which the caption is true, and the first caption one that is true of the picture."""
    source = Pairs(0, data.HELD_OUT, degraded=False)
    hits = torch.zeros(2)
    for start in range(0, count, candidates):
        pictures, texts, scenes, said = collate([source[start + i] for i in range(candidates)])
        scores = model.embed_texts(texts) @ model.image(data.to_float(pictures)).T
        true = agreement(scenes, said)
        rows = torch.arange(candidates)
        hits += torch.stack([true[rows, scores.argmax(1)].float().sum(), true.T[rows, scores.argmax(0)].float().sum()])
    return {"picture_of_text": round(float(hits[0] / count), 4), "text_of_picture": round(float(hits[1] / count), 4)}


def train(folder: pathlib.Path, o: Options, tokenizers: pathlib.Path, judge_folder: pathlib.Path, log_every: int = 50, evaluate_every: int = 175):
    run = training.Run(folder, {**dataclasses.asdict(o), "judge": str(judge_folder)})
    torch.manual_seed(o.seed)
    torch.set_num_threads(1)
    model = DualEncoder(ClipTokenizer.load(tokenizers / "tokenizer"))
    model.image.load_state_dict({k: v for k, v in judge.load(judge_folder).state_dict().items() if not k.startswith("heads.")}, strict=False)
    fit = training.Fit(run, model, [training.adamw(model.parameters(), o.rate, 1e-2, 0.98)], o.average, lambda step: training.cosine(step, o.steps, o.warmup))
    total, count, begun = 0.0, 0, time.monotonic()
    for pictures, texts, scenes, said in data.batches(Pairs(o.seed, data.TRAIN, degraded=True), o.batch, fit.step, o.steps, collate=collate):
        (value,) = losses(model, data.to_float(pictures), texts, agreement(scenes, said))
        model.zero_grad(set_to_none=True)
        value.backward()
        fit.apply()
        count += 1
        total += float(value)
        if fit.step % log_every == 0 or fit.step == o.steps:
            row = {"step": fit.step, "loss": total / count, "pairs_per_second": count * o.batch / (time.monotonic() - begun)}
            if fit.step % evaluate_every == 0 or fit.step == o.steps:
                fit.average.swap()
                row |= retrieval(model)
                fit.average.swap()
            run.log(**row)
            run.curve({"loss": "contrastive loss"})
            total, count, begun = 0.0, 0, time.monotonic()
        if run.due():
            fit.save()
        if run.stopping:
            break
    fit.finish(o.steps)


def export(run_folder: pathlib.Path, folder: pathlib.Path, tokenizers: pathlib.Path):
    """tokenizer/, text_encoder/ (CLIPTextModelWithProjection) and image_encoder/, in float16, and what the written weights retrieve."""
    state = torch.load(run_folder / "state.pt")
    model = DualEncoder(ClipTokenizer.load(tokenizers / "tokenizer"))
    model.load_state_dict(state["average"]["values"])
    for name, module in (("text_encoder", model.text), ("image_encoder", model.image)):
        safetensors.save(folder / name / "model.safetensors", module.state_dict(), torch.float16)
        training.save_json(folder / name / "config.json", module.json())
        module.load_state_dict({k: v.float() for k, v in safetensors.load_folder(folder / name).items()})
    model.tokenizer.save(folder / "tokenizer")
    report = {"step": state["step"], "processor_seconds": round(state["processor"]), **retrieval(model, 2048)}
    training.save_json(run_folder / "export.json", report)
    print(json.dumps(report))
