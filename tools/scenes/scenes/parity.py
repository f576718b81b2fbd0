"""Compares the PyTorch modules of this package with golden values of diffusers and transformers: python3 -m scenes parity GOLDEN."""
from __future__ import annotations

import dataclasses
import json
import pathlib

import torch
from torch import Tensor

from . import flux, safetensors, text_encoders, vae


def _fields(config_class, json_config: dict):
    return config_class(**{f.name: json_config[f.name] for f in dataclasses.fields(config_class) if f.name in json_config})


def _load(module: torch.nn.Module, folder: pathlib.Path, prefix: str = "") -> torch.nn.Module:
    tensors = {k if k.startswith(prefix) else prefix + k: v.float() for k, v in safetensors.load_folder(folder).items()}
    module.load_state_dict({k: v for k, v in tensors.items() if k != "encoder.embed_tokens.weight"})
    return module.eval()


def _clip(folder: pathlib.Path, x: dict[str, Tensor], _arguments: dict) -> dict[str, Tensor]:
    model = _load(text_encoders.CLIPTextModel(_fields(text_encoders.ClipConfig, json.loads((folder / "config.json").read_text()))), folder, "text_model.")
    last, pooled = model(x["input_ids"])
    return {"last_hidden_state": last, "pooler_output": pooled}


def _t5(folder: pathlib.Path, x: dict[str, Tensor], _arguments: dict) -> dict[str, Tensor]:
    model = _load(text_encoders.T5EncoderModel(_fields(text_encoders.T5Config, json.loads((folder / "config.json").read_text()))), folder)
    return {"last_hidden_state": model(x["input_ids"])}


def _flux(folder: pathlib.Path, x: dict[str, Tensor], _arguments: dict) -> dict[str, Tensor]:
    model = _load(flux.FluxTransformer2DModel(flux.Config.of(json.loads((folder / "config.json").read_text()))), folder)
    rotary = flux.Rotary(torch.cat([x["txt_ids"], x["img_ids"]]), model.config.axes_dims_rope)
    return {"sample": model(x["hidden_states"], x["encoder_hidden_states"], x["pooled_projections"], x["timestep"], rotary)}


def _vae(folder: pathlib.Path, x: dict[str, Tensor], arguments: dict) -> dict[str, Tensor]:
    model, _ = vae.load(folder)
    if arguments["method"] == "decode":
        return {"image": model.decode(x["latents"])}
    mean, log_variance = model.encode(x["image"])
    return {"mean": mean, "logvar": log_variance}


CASES = {"text-encoders/clip-quick-gelu": _clip, "text-encoders/clip-gelu-eos": _clip, "text-encoders/clip-no-prefix": _clip, "text-encoders/t5": _t5,
         "flux/transformer-schnell": _flux, "autoencoders/kl-16-encode": _vae, "autoencoders/kl-16-decode": _vae}


@torch.no_grad()
def check(golden: pathlib.Path) -> int:
    """Prints the error of every output as a part of its tolerance; returns how many cases failed. Cases that `golden` does not hold are named."""
    failed = 0
    for name, run in CASES.items():
        path = golden / "cases" / f"{name}.json"
        if not path.exists():
            print(f"absent  {name}")
            continue
        case, tensors = json.loads(path.read_text(encoding="utf-8")), safetensors.load(path.with_suffix(".safetensors"))
        inputs = {k.removeprefix("input."): v for k, v in tensors.items() if k.startswith("input.")}
        worst, compared = 0.0, []
        for output, value in run(golden / case["checkpoint"], inputs, case["arguments"]).items():
            if output not in case["outputs"]:
                continue
            truth = tensors["output." + output]
            error = float("inf") if value.shape != truth.shape else float((value - truth).abs().max() / truth.abs().max())
            worst = max(worst, error / case["outputs"][output])
            compared.append(output)
        ok = worst <= 1 and bool(compared)
        failed += not ok
        print(f"{'passed' if ok else 'FAILED'}  {name}: {', '.join(compared)}; worst error {worst:.2f} of its tolerance")
    return failed
