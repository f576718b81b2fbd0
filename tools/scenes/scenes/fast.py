"""The type that products are quickest in; activations and norms that PyTorch 1.13 computes slowly in bfloat16 on a CPU, done in float32 inside (3 to 10 times faster); the same values otherwise."""
from __future__ import annotations

import functools
import pathlib

import torch
import torch.nn.functional as F
from torch import Tensor


@functools.lru_cache(maxsize=None)
def low() -> torch.dtype:
    """bfloat16 where the processor multiplies it in hardware, float32 elsewhere: without such instructions PyTorch 1.13 is fifteen times slower in bfloat16 (Zen 3)."""
    cpu = pathlib.Path("/proc/cpuinfo")
    flags = cpu.read_text().split() if cpu.exists() else []
    return torch.bfloat16 if {"avx512_bf16", "amx_bf16"} & set(flags) else torch.float32


def autocast():
    """Mixed precision in `low()`."""
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=low() is torch.bfloat16)


class _Silu(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return F.silu(x.float()).to(x.dtype)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return torch.ops.aten.silu_backward(gradient.float(), x.float()).to(x.dtype)


def silu(x: Tensor) -> Tensor:
    return _Silu.apply(x) if x.dtype == torch.bfloat16 else F.silu(x)


class _GeluTanh(torch.autograd.Function):
    """x * sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3): the same function, for (1 + tanh u) / 2 = sigmoid(2 u)."""
    A, B = 1.5957691216057308, 0.07135481627159986

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        f = x.float()
        gate = (f * f).mul_(_GeluTanh.B).add_(_GeluTanh.A).mul_(f).sigmoid_()
        y = f.mul_(gate).to(x.dtype)
        ctx.save_for_backward(x, gate.to(x.dtype))
        return y

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        x, gate = (t.float() for t in ctx.saved_tensors)
        slope = (x * x).mul_(3 * _GeluTanh.B).add_(_GeluTanh.A).mul_(x).mul_(1 - gate).add_(1).mul_(gate)
        return slope.mul_(gradient).to(gradient.dtype)


def gelu_tanh(x: Tensor) -> Tensor:
    return _GeluTanh.apply(x) if x.dtype == torch.bfloat16 else F.gelu(x, approximate="tanh")


def layer_norm(x: Tensor, eps: float) -> Tensor:
    """Over the last axis, without parameters."""
    return F.layer_norm(x.float(), x.shape[-1:], eps=eps).to(x.dtype)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    f = x.float()
    return (f * torch.rsqrt(f.square().mean(-1, keepdim=True) + eps) * weight).to(x.dtype)
