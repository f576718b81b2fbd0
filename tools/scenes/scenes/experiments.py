"""Prompt lists of the experiments, fixed by their seeds, and what true pictures of them look like to the judge."""
from __future__ import annotations

import json
import pathlib

import numpy as np
import torch

from . import captions, data, judge, safetensors, vae, world
from .render import render

LISTS, REFERENCES = 6, 7                                               # streams


def _bare(value: str) -> str:
    """A value the way a negative prompt names it: its first word list entry, without an article."""
    return captions.WORDS.get(value, [value])[0].removeprefix("a ").removeprefix("an ")


def negated(seed: int, each: int) -> list[dict]:
    """`each` prompts for every face with a habit, whose negative prompt names the habit. In turn: the face alone, with a background, with a background and
    something worn in the other place."""
    made, seen = [], set()
    for number, (face, (attribute, value)) in enumerate(world.HABITS.items()):
        index = 0
        for variant in range(each):
            while True:                                                # another draw where the sentence is there already
                rng = data.generator(seed, LISTS, number * 1000 + index)
                index += 1
                said = {"face": face}
                if variant % 3:
                    said["background"] = world.ATTRIBUTES["background"][int(rng.random() * 9)]
                if variant % 3 == 2:
                    other = "headwear" if attribute == "eyewear" else "eyewear"
                    values = world.ATTRIBUTES[other][1:]
                    said[other] = values[int(rng.random() * len(values))]
                text = captions.write(said, rng)
                if text not in seen:
                    break
            seen.add(text)
            made.append({"prompt": text, "negative": _bare(value), "present": said, "absent": {attribute: value}})
    return made


def named(seed: int, count: int) -> list[dict]:
    """Prompts that name a face, a background and mostly what is worn; uniform, so that outfits which training never shows are among them."""
    made = []
    for i in range(count):
        rng = data.generator(seed, LISTS, 1_000_000 + i)
        scene = world.sample_uniform(rng)
        said = {a: v for a, v in vars(scene).items() if v != world.NONE and a != "object" and (a in ("face", "background") or rng.random() < 0.8)}
        made.append({"prompt": captions.write(said, rng), "present": said})
    return made


def lists() -> dict[str, list[dict]]:
    """Tuning chooses scales and presets; judging is used for the figures that are published; no sentence is in both."""
    tuning, judging = negated(1, 3), negated(2, 6)
    taken = {p["prompt"] for p in tuning}
    return {"tuning": tuning, "judging": [p for p in judging if p["prompt"] not in taken], "named": named(3, 200)}


def write(folder: pathlib.Path):
    folder.mkdir(parents=True, exist_ok=True)
    for name, prompts in lists().items():
        lines = ",\n".join("  " + json.dumps(p) for p in prompts)
        (folder / f"prompts-{name}.json").write_text(f"[\n{lines}\n]\n")
        print(f"{name}: {len(prompts)} prompts")


@torch.no_grad()
def references(prompts_file: pathlib.Path, output: pathlib.Path, judge_folder: pathlib.Path, autoencoder: pathlib.Path, each: int = 32, seed: int = 0,
               setting: world.Setting = world.CALM, bare: bool = False):
    """`features` [pictures, features] float16 of renders drawn from p(scene | prompt, without the negated value), or if `bare` from p(scene | prompt), `each`
    per prompt: what pictures with and without a negative prompt are held against. Also `reconstructed`,
    those of as many other renders after the autoencoder: the distance between the two is what a perfect denoiser would have."""
    prompts = json.loads(prompts_file.read_text())
    decider, (model, _) = judge.load(judge_folder), vae.load(autoencoder)
    model.to(memory_format=torch.channels_last)
    found: dict[str, list[torch.Tensor]] = {"features": [], "reconstructed": []}
    for number, p in enumerate(prompts):
        scenes = world.Conditional(p["present"], frozenset() if bare else frozenset(p.get("absent", {}).values()), setting=setting)
        for stream, name in enumerate(found):
            pictures = []
            for i in range(each):
                rng = np.random.default_rng([seed, REFERENCES, stream, number, i])
                pictures.append(data.tensor(render(scenes.sample(rng), rng, setting)))
            x = torch.stack(pictures)
            x = vae.reconstruct(model, x) if name == "reconstructed" else data.to_float(x)
            found[name].append(decider.features(x.contiguous(memory_format=torch.channels_last)))
    tensors = {name: torch.cat(parts) for name, parts in found.items()}
    safetensors.save(output, tensors, torch.float16, {"prompts": prompts_file.name, "each": str(each), "seed": str(seed), "scenes": setting.name, "bare": str(bare)})
    print(f"{output}: {len(tensors['features'])} features of true pictures and as many after the autoencoder")
