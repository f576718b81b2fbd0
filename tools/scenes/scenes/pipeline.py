"""The parts of a FLUX checkpoint together: from prompts to pictures in PyTorch, and a folder in diffusers' layout."""
from __future__ import annotations

import dataclasses
import json
import pathlib

import numpy as np
import torch
from torch import Tensor

from . import flux, safetensors, text_encoders, training, vae
from .tokenizers import MAX_LENGTH, ClipTokenizer, T5Tokenizer

CLIP_LENGTH = 77                    # FLUX pads the prompt of CLIP to its full length
T5_LENGTH = MAX_LENGTH              # default of training and figures; any length works


def clip_ids(tokenizer: ClipTokenizer, texts: list[str]) -> Tensor:
    """[texts, tokens], filled up to the longest: CLIP is causal and pooled at its first end token, so what follows does not matter."""
    ids = [tokenizer.encode(t) for t in texts]
    width = max(map(len, ids))
    return torch.tensor([i + [tokenizer.end] * (width - len(i)) for i in ids])


def t5_ids(ids: list[list[int]], width: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Encoded texts as [texts, width], and the mask [texts, 1, 1, width] that gives each a length: `width` for half of them, any from its own up for the others.

    A pad is a token like any other, so models must know text of every length. Keys beyond a length are masked, which is the same as not having them.
    """
    lengths = np.array([width if rng.random() < 0.5 else len(i) + int(rng.random() * (width + 1 - len(i))) for i in ids])
    beyond = torch.from_numpy(np.arange(width)[None] >= lengths[:, None])[:, None, None]
    return torch.tensor([i + [0] * (width - len(i)) for i in ids]), torch.zeros(beyond.shape).masked_fill_(beyond, float("-inf"))


@dataclasses.dataclass
class Pipeline:
    tokenizer: ClipTokenizer
    tokenizer_2: T5Tokenizer
    text_encoder: text_encoders.CLIPTextModel
    text_encoder_2: text_encoders.T5EncoderModel
    transformer: flux.FluxTransformer2DModel
    vae: vae.AutoencoderKL
    scaling_factor: float
    shift_factor: float

    @staticmethod
    def untrained(tokenizer: ClipTokenizer, tokenizer_2: T5Tokenizer, autoencoder: pathlib.Path, config: flux.Config = flux.Config()) -> Pipeline:
        """New text encoders and a new transformer around an exported autoencoder; the caller seeds PyTorch."""
        clip = text_encoders.CLIPTextModel(text_encoders.ClipConfig(len(tokenizer.vocabulary), config.pooled_projection_dim, bos_token_id=tokenizer.start, eos_token_id=tokenizer.end))
        t5 = text_encoders.T5EncoderModel(text_encoders.T5Config(tokenizer_2.vocabulary_size, config.joint_attention_dim))
        model, settings = vae.load(autoencoder)
        return Pipeline(tokenizer, tokenizer_2, clip, t5, flux.FluxTransformer2DModel(config), model, settings["scaling_factor"], settings["shift_factor"])

    def encode(self, prompts: list[str], length: int = T5_LENGTH) -> tuple[Tensor, Tensor]:
        """Text states [prompts, length, width] and pooled text."""
        _, pooled = self.text_encoder(torch.tensor([self.tokenizer.encode(p, CLIP_LENGTH) for p in prompts]))
        return self.text_encoder_2(torch.tensor([self.tokenizer_2.encode(p, length) for p in prompts])), pooled

    @torch.no_grad()
    def sample(self, prompts: list[str], noise: Tensor, steps: int, *, negative: list[str] | None = None, scale: float = 1.0, length: int = T5_LENGTH) -> dict[str, Tensor]:
        """Euler steps from `noise` [prompts, 16, height, width] with classifier-free guidance where a scale is given; every prediction and state, and the pictures in 0..1."""
        height, width = noise.shape[2:]
        x = flux.pack(noise)
        text, pooled = self.encode(prompts, length)
        other = self.encode(negative or [""] * len(prompts), length) if scale != 1 else None
        rotary = self.transformer.rotary(height // 2, width // 2, length)
        sigmas = torch.cat([torch.linspace(1, 1 / steps, steps, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)]).float()
        out = {"prompt_embeds": text, "pooled_prompt_embeds": pooled}
        for i in range(steps):
            t = sigmas[i].expand(len(x))
            prediction = self.transformer(x, text, pooled, t, rotary)
            if other is not None:
                unguided = self.transformer(x, *other, t, rotary)
                prediction = unguided + scale * (prediction - unguided)
            x = x + (sigmas[i + 1] - sigmas[i]) * prediction
            out |= {f"prediction.{i}": prediction, f"latents.{i}": x}
        out["image"] = (self.vae.decode(flux.unpack(x, height, width) / self.scaling_factor + self.shift_factor) / 2 + 0.5).clamp(0, 1)
        return out

    def save(self, folder: pathlib.Path, autoencoder: pathlib.Path, family: str | None = None):
        """Writes the folder in float16; the autoencoder's files are copied from its own export. `family` is what Attune takes presets from; diffusers skips keys with an underscore."""
        self.tokenizer.save(folder / "tokenizer")
        self.tokenizer_2.save(folder / "tokenizer_2")
        for name, module, file in (("text_encoder", self.text_encoder, "model"), ("text_encoder_2", self.text_encoder_2, "model"), ("transformer", self.transformer, "diffusion_pytorch_model")):
            safetensors.save(folder / name / f"{file}.safetensors", module.state_dict(), torch.float16)
            training.save_json(folder / name / "config.json", module.config.json())
        (folder / "vae").mkdir(parents=True, exist_ok=True)
        for file in ("config.json", "diffusion_pytorch_model.safetensors"):
            (folder / "vae" / file).write_bytes((autoencoder / file).read_bytes())
        training.save_json(folder / "scheduler" / "scheduler_config.json", {
            "_class_name": "FlowMatchEulerDiscreteScheduler", "_diffusers_version": "0.30.0", "base_image_seq_len": 256, "base_shift": 0.5, "max_image_seq_len": 4096, "max_shift": 1.15,
            "num_train_timesteps": 1000, "shift": 1.0, "use_dynamic_shifting": False})
        training.save_json(folder / "model_index.json", {
            "_class_name": "FluxPipeline", **({"_attune_family": family} if family else {}), "_diffusers_version": "0.30.0", "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"], "text_encoder": ["transformers", "CLIPTextModel"],
            "text_encoder_2": ["transformers", "T5EncoderModel"], "tokenizer": ["transformers", "CLIPTokenizer"], "tokenizer_2": ["transformers", "T5TokenizerFast"],
            "transformer": ["diffusers", "FluxTransformer2DModel"], "vae": ["diffusers", "AutoencoderKL"]})

    @staticmethod
    def load(folder: pathlib.Path) -> Pipeline:
        """A folder that `save` wrote, with its rounded weights."""
        def read(module: torch.nn.Module, name: str):
            module.load_state_dict({k: v.float() for k, v in safetensors.load_folder(folder / name).items()})
            return module.eval()

        def fields(kind, name: str):
            values = json.loads((folder / name / "config.json").read_text())
            return kind(**{f.name: tuple(v) if isinstance(v := values[f.name], list) else v for f in dataclasses.fields(kind)})

        model, settings = vae.load(folder / "vae")
        return Pipeline(ClipTokenizer.load(folder / "tokenizer"), T5Tokenizer.load(folder / "tokenizer_2"),
                        read(text_encoders.CLIPTextModel(fields(text_encoders.ClipConfig, "text_encoder")), "text_encoder"),
                        read(text_encoders.T5EncoderModel(fields(text_encoders.T5Config, "text_encoder_2")), "text_encoder_2"),
                        read(flux.FluxTransformer2DModel(fields(flux.Config, "transformer")), "transformer"), model, settings["scaling_factor"], settings["shift_factor"])
