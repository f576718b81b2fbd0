"""FluxTransformer2DModel with the parameter names of diffusers: double-stream and single-stream blocks, rotary embedding, no guidance embedding."""
from __future__ import annotations

import dataclasses
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import fast
from .text_encoders import RMSNorm


@dataclasses.dataclass(frozen=True)
class Config:
    in_channels: int = 64                       # 16 latent channels, 2 x 2 packed
    num_layers: int = 2
    num_single_layers: int = 4
    attention_head_dim: int = 64
    num_attention_heads: int = 3
    joint_attention_dim: int = 128
    pooled_projection_dim: int = 128
    axes_dims_rope: tuple[int, int, int] = (16, 24, 24)

    @property
    def width(self) -> int:
        return self.attention_head_dim * self.num_attention_heads

    def json(self) -> dict:
        return {"_class_name": "FluxTransformer2DModel", "_diffusers_version": "0.30.0", "guidance_embeds": False, "patch_size": 1, **dataclasses.asdict(self), "axes_dims_rope": list(self.axes_dims_rope)}

    @staticmethod
    def of(json: dict) -> Config:
        return Config(**{f.name: tuple(json[f.name]) if f.name == "axes_dims_rope" else json[f.name] for f in dataclasses.fields(Config)})


class Rotary:
    """What the attention needs to know of the tokens: their rotation, and `mask`, which is added to the logits of keys (training on unequal lengths).

    Cosines, sines [tokens, channels] and the matrix that turns each pair (a, b) into (-b, a): the rotation as products that autocast keeps in bfloat16.
    """

    def __init__(self, ids: Tensor, dims: tuple[int, ...], theta: float = 10000.0, mask: Tensor | None = None):
        self.mask = mask
        angles = []
        for axis, dim in enumerate(dims):
            frequencies = theta ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
            angles.append(ids[:, axis, None].double() * frequencies)
        angle = torch.cat(angles, 1).repeat_interleave(2, 1)
        self.cos, self.sin = angle.cos().float()[None, :, None], angle.sin().float()[None, :, None]
        n = angle.shape[1]
        self.turn = torch.zeros(n, n)
        even = torch.arange(0, n, 2)
        self.turn[even + 1, even], self.turn[even, even + 1] = -1, 1

    def __call__(self, x: Tensor) -> Tensor:
        """x [batch, tokens, heads, channels]."""
        return x * self.cos.to(x.dtype) + (x @ self.turn.to(x.dtype)) * self.sin.to(x.dtype)


def attend(q: Tensor, k: Tensor, v: Tensor, rotary: Rotary) -> Tensor:
    """[batch, tokens, heads, channels] -> [batch, tokens, width]; rotates, then plain softmax attention."""
    q, k, v = rotary(q).transpose(1, 2), rotary(k).transpose(1, 2), v.transpose(1, 2)
    logits = (q * q.shape[-1] ** -0.5) @ k.transpose(2, 3)
    weights = torch.softmax(logits if rotary.mask is None else logits + rotary.mask.to(logits.dtype), -1)
    return (weights @ v.to(weights.dtype)).transpose(1, 2).flatten(2)


class Embedder(nn.Module):
    """linear_1, SiLU, linear_2."""

    def __init__(self, inputs: int, width: int):
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(inputs, width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear_2(F.silu(self.linear_1(x)))


class TimeTextEmbed(nn.Module):
    def __init__(self, pooled: int, width: int):
        super().__init__()
        self.timestep_embedder, self.text_embedder = Embedder(256, width), Embedder(pooled, width)

    def forward(self, timestep: Tensor, pooled: Tensor) -> Tensor:
        frequencies = torch.exp(-math.log(10000) * torch.arange(128, dtype=torch.float32) / 128)
        angles = 1000 * timestep.float()[:, None] * frequencies
        return self.timestep_embedder(torch.cat([angles.cos(), angles.sin()], 1)) + self.text_embedder(pooled)


class Modulation(nn.Module):
    """`linear` of an adaptive norm: n vectors of the width; starts at zero, so that a block starts as the identity."""

    def __init__(self, width: int, n: int):
        super().__init__()
        self.n, self.width = n, width
        self.linear = nn.Linear(width, n * width)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, activated: Tensor) -> tuple[Tensor, ...]:
        return self.linear(activated)[:, None].chunk(self.n, 2)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return fast.layer_norm(x, 1e-6) * (1 + scale) + shift


class JointAttention(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        w = c.width
        self.heads = c.num_attention_heads
        self.to_q, self.to_k, self.to_v, self.add_q_proj, self.add_k_proj, self.add_v_proj, self.to_add_out = (nn.Linear(w, w) for _ in range(7))
        self.to_out = nn.ModuleList([nn.Linear(w, w), nn.Identity()])
        self.norm_q, self.norm_k, self.norm_added_q, self.norm_added_k = (RMSNorm(c.attention_head_dim, 1e-6) for _ in range(4))

    def forward(self, image: Tensor, text: Tensor, rotary: Rotary) -> tuple[Tensor, Tensor]:
        split = lambda x: x.unflatten(2, (self.heads, -1))
        q = torch.cat([self.norm_added_q(split(self.add_q_proj(text))), self.norm_q(split(self.to_q(image)))], 1)
        k = torch.cat([self.norm_added_k(split(self.add_k_proj(text))), self.norm_k(split(self.to_k(image)))], 1)
        v = torch.cat([split(self.add_v_proj(text)), split(self.to_v(image))], 1)
        out = attend(q, k, v, rotary)
        t = text.shape[1]
        return self.to_out[0](out[:, t:]), self.to_add_out(out[:, :t])


class FeedForward(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.net = nn.ModuleList([nn.ModuleDict({"proj": nn.Linear(width, 4 * width)}), nn.Identity(), nn.Linear(4 * width, width)])

    def forward(self, x: Tensor) -> Tensor:
        return self.net[2](fast.gelu_tanh(self.net[0]["proj"](x)))


class DoubleBlock(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.norm1, self.norm1_context = Modulation(c.width, 6), Modulation(c.width, 6)
        self.attn = JointAttention(c)
        self.ff, self.ff_context = FeedForward(c.width), FeedForward(c.width)

    def forward(self, image: Tensor, text: Tensor, activated: Tensor, rotary: Rotary) -> tuple[Tensor, Tensor]:
        shift, scale, gate, shift_ff, scale_ff, gate_ff = self.norm1(activated)
        c_shift, c_scale, c_gate, c_shift_ff, c_scale_ff, c_gate_ff = self.norm1_context(activated)
        image_out, text_out = self.attn(modulate(image, shift, scale), modulate(text, c_shift, c_scale), rotary)
        image = image + gate * image_out
        image = image + gate_ff * self.ff(modulate(image, shift_ff, scale_ff))
        text = text + c_gate * text_out
        return image, text + c_gate_ff * self.ff_context(modulate(text, c_shift_ff, c_scale_ff))


class SingleAttention(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.heads = c.num_attention_heads
        self.to_q, self.to_k, self.to_v = (nn.Linear(c.width, c.width) for _ in range(3))
        self.norm_q, self.norm_k = RMSNorm(c.attention_head_dim, 1e-6), RMSNorm(c.attention_head_dim, 1e-6)

    def forward(self, x: Tensor, rotary: Rotary) -> Tensor:
        split = lambda y: y.unflatten(2, (self.heads, -1))
        return attend(self.norm_q(split(self.to_q(x))), self.norm_k(split(self.to_k(x))), split(self.to_v(x)), rotary)


class SingleBlock(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.norm = Modulation(c.width, 3)
        self.attn = SingleAttention(c)
        self.proj_mlp, self.proj_out = nn.Linear(c.width, 4 * c.width), nn.Linear(5 * c.width, c.width)

    def forward(self, x: Tensor, activated: Tensor, rotary: Rotary) -> Tensor:
        shift, scale, gate = self.norm(activated)
        h = modulate(x, shift, scale)
        out = torch.cat([self.attn(h, rotary), fast.gelu_tanh(self.proj_mlp(h))], 2)
        return x + gate * self.proj_out(out)


class FluxTransformer2DModel(nn.Module):
    def __init__(self, config: Config = Config()):
        super().__init__()
        self.config = c = config
        self.x_embedder, self.context_embedder = nn.Linear(c.in_channels, c.width), nn.Linear(c.joint_attention_dim, c.width)
        self.time_text_embed = TimeTextEmbed(c.pooled_projection_dim, c.width)
        self.transformer_blocks = nn.ModuleList([DoubleBlock(c) for _ in range(c.num_layers)])
        self.single_transformer_blocks = nn.ModuleList([SingleBlock(c) for _ in range(c.num_single_layers)])
        self.norm_out = Modulation(c.width, 2)
        self.proj_out = nn.Linear(c.width, c.in_channels)
        nn.init.zeros_(self.proj_out.weight)
        nn.init.zeros_(self.proj_out.bias)

    def rotary(self, height: int, width: int, text: int, text_mask: Tensor | None = None) -> Rotary:
        """For `text` tokens at the origin and a grid of packed latents; `text_mask` [batch, 1, 1, text]."""
        ids = torch.zeros(height, width, 3)
        ids[..., 1], ids[..., 2] = torch.arange(height)[:, None], torch.arange(width)[None]
        mask = None if text_mask is None else F.pad(text_mask, (0, height * width))
        return Rotary(torch.cat([torch.zeros(text, 3), ids.flatten(0, 1)]), self.config.axes_dims_rope, mask=mask)

    def forward(self, latents: Tensor, text: Tensor, pooled: Tensor, timestep: Tensor, rotary: Rotary) -> Tensor:
        """Packed latents [batch, tokens, 64], text states, pooled text, timestep in 0..1 -> velocity (noise - clean), packed."""
        activated = F.silu(self.time_text_embed(timestep, pooled))
        image, context = self.x_embedder(latents).float(), self.context_embedder(text).float()       # the residual stream stays in float32 under autocast
        for block in self.transformer_blocks:
            image, context = block(image, context, activated, rotary)
        x, t = torch.cat([context, image], 1), context.shape[1]
        for block in self.single_transformer_blocks:
            x = block(x, activated, rotary)
        scale, shift = self.norm_out(activated)
        return self.proj_out(modulate(x[:, t:], shift, scale))


def pack(latents: Tensor) -> Tensor:
    """[batch, channels, height, width] -> [batch, height / 2 * width / 2, channels * 4]."""
    b, c, h, w = latents.shape
    return latents.view(b, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 1, 3, 5).reshape(b, h * w // 4, 4 * c)


def unpack(tokens: Tensor, height: int, width: int) -> Tensor:
    """The inverse of `pack` for latents of `height` x `width`."""
    b, _, c = tokens.shape
    return tokens.view(b, height // 2, width // 2, c // 4, 2, 2).permute(0, 3, 1, 4, 2, 5).reshape(b, c // 4, height, width)
