"""Writes a checkpoint with random weights and what this package computes with it, in the form that `attune verify` reads: the proof that
everything this package exports loads in Attune and means the same there."""
from __future__ import annotations

import json
import pathlib

import torch

from . import captions, data, flux, safetensors, tokenizers, training, vae, world
from .pipeline import CLIP_LENGTH, Pipeline

STRINGS = ["", "a panda", "A Panda wearing SUNGLASSES", "sunglasses, top hat, red background", "a graduate's cap", "zebra with 3 hats!?", "  two   spaces ", "an owl - with (round) glasses...",
           "caf\u00e9 na\u00efve", "don't", "a cat\nand a dog"]


def _case(root: pathlib.Path, name: str, kind: str, checkpoint: str, *, cls: str, arguments=None, inputs=None, outputs=None, tolerance=1e-4, files=None):
    path = root / "cases" / f"{name}.json"
    body = {"format": 1, "name": name, "kind": kind, "class": cls, "checkpoint": checkpoint, "arguments": arguments or {}, "inputs": sorted(inputs or {}),
            "outputs": {k: tolerance for k in outputs or {}}, "source": f"tools/scenes, torch {torch.__version__}"}
    path.parent.mkdir(parents=True, exist_ok=True)
    for extra, content in (files or {}).items():
        body.setdefault("files", {})[extra] = f"{path.stem}.{extra}.json"
        training.save_json(path.with_name(f"{path.stem}.{extra}.json"), content)
    training.save_json(path, body)
    if outputs:
        safetensors.save(path.with_suffix(".safetensors"), {**{f"input.{k}": v for k, v in (inputs or {}).items()}, **{f"output.{k}": v for k, v in outputs.items()}})


def _randomise(module: torch.nn.Module):
    """Every parameter gets a value that matters: the trained initial values (zero modulations) would hide mistakes."""
    with torch.no_grad():
        for name, p in module.named_parameters():
            noise = torch.randn(p.shape)
            if p.ndim > 1:
                p.copy_(noise / (p[0].numel() ** 0.5 if "embedding" not in name and "shared" not in name else 1) * (0.3 if name.endswith("SelfAttention.q.weight") else 1))
            else:
                p.copy_(1 + 0.3 * noise if "norm" in name and name.endswith("weight") else 0.2 * noise)


@torch.no_grad()
def write(root: pathlib.Path, seed: int = 0):
    torch.manual_seed(seed)
    clip, t5 = tokenizers.ClipTokenizer.train(texts := tokenizers.corpus()), tokenizers.T5Tokenizer.train(texts, 381)
    model = vae.AutoencoderKL()
    _randomise(model)
    safetensors.save(root / "autoencoder" / "diffusion_pytorch_model.safetensors", model.state_dict(), torch.float16)
    training.save_json(root / "autoencoder" / "config.json", vae.settings(model.config, 0.9, 0.05))
    pipe = Pipeline.untrained(clip, t5, root / "autoencoder")
    for module in (pipe.text_encoder, pipe.text_encoder_2, pipe.transformer):
        _randomise(module)
    name = "checkpoints/scenes-random"
    pipe.save(root / name, root / "autoencoder")
    pipe = Pipeline.load(root / name)                                  # with the weights as rounded

    sample = STRINGS + texts[:200]
    _case(root, "tokenizers/clip", "tokenizer", f"{name}/tokenizer", cls="CLIPTokenizer", files={"strings": [{"text": t, "ids": clip.encode(t)} for t in sample]})
    _case(root, "tokenizers/t5", "tokenizer", f"{name}/tokenizer_2", cls="T5TokenizerFast", files={"strings": [{"text": t, "ids": t5.encode(t)} for t in sample]})

    prompt, negative = "a happy panda wearing sunglasses and a top hat, blue background", "sunglasses"
    ids = torch.tensor([clip.encode(t, CLIP_LENGTH) for t in texts[:3]])
    last, pooled = pipe.text_encoder(ids)
    _case(root, "text-encoders/clip", "component", f"{name}/text_encoder", cls="CLIPTextModel", inputs={"input_ids": ids}, outputs={"last_hidden_state": last, "pooler_output": pooled})
    ids = torch.tensor([t5.encode(t, 32) for t in texts[:3]])
    _case(root, "text-encoders/t5", "component", f"{name}/text_encoder_2", cls="T5EncoderModel", inputs={"input_ids": ids}, outputs={"last_hidden_state": pipe.text_encoder_2(ids)})

    x = data.to_float(data.held_out(2))
    mean, log_variance = pipe.vae.encode(x)
    _case(root, "autoencoders/encode", "component", f"{name}/vae", cls="AutoencoderKL", arguments={"method": "encode"}, inputs={"image": x}, outputs={"mean": mean, "logvar": log_variance})
    _case(root, "autoencoders/decode", "component", f"{name}/vae", cls="AutoencoderKL", arguments={"method": "decode"}, inputs={"latents": mean}, outputs={"image": pipe.vae.decode(mean)})

    h, w, t = 8, 6, 17
    inputs = {"hidden_states": torch.randn(2, h * w, 64), "encoder_hidden_states": torch.randn(2, t, pipe.transformer.config.joint_attention_dim), "pooled_projections": torch.randn(2, pipe.transformer.config.pooled_projection_dim),
              "timestep": torch.tensor([0.3, 0.9]), "img_ids": torch.zeros(h, w, 3), "txt_ids": torch.zeros(t, 3)}
    inputs["img_ids"][..., 1], inputs["img_ids"][..., 2] = torch.arange(h)[:, None], torch.arange(w)[None]
    inputs["img_ids"] = inputs["img_ids"].flatten(0, 1)
    result = pipe.transformer(inputs["hidden_states"], inputs["encoder_hidden_states"], inputs["pooled_projections"], inputs["timestep"], pipe.transformer.rotary(h, w, t))
    _case(root, "flux/transformer", "component", f"{name}/transformer", cls="FluxTransformer2DModel", inputs=inputs, outputs={"sample": result})

    for label, steps, scale in (("plain", 4, 1.0), ("true-cfg", 3, 2.5)):
        noise = torch.randn(1, 16, data.SIZE // 8, data.SIZE // 8, generator=torch.Generator().manual_seed(7))
        arguments = {"prompt": prompt, "steps": steps, "height": data.SIZE, "width": data.SIZE, "seed": 7, "count": 1, "max_sequence_length": 32, "guidance": []}
        if scale != 1:
            arguments |= {"negative_prompt": negative, "guidance": [{"rule": "cfg", "scale": scale}]}
        _case(root, f"flux/{label}", "pipeline", name, cls="FluxPipeline", arguments=arguments, inputs={"noise": noise},
              outputs=pipe.sample([prompt], noise, steps, negative=[negative], scale=scale), tolerance=5e-4)
    print(f"now: attune verify {root}")
