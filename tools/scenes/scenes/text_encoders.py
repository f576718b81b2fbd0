"""CLIPTextModel and T5EncoderModel with the parameter names of transformers."""
from __future__ import annotations

import dataclasses
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import fast


# -------------------------------------------------------------------------------------------------------------------- CLIP

@dataclasses.dataclass(frozen=True)
class ClipConfig:
    vocab_size: int
    hidden_size: int = 128
    intermediate_size: int = 384
    num_hidden_layers: int = 2
    num_attention_heads: int = 2
    max_position_embeddings: int = 77
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5
    bos_token_id: int = 0
    eos_token_id: int = 2

    def json(self) -> dict:
        return {"architectures": ["CLIPTextModel"], "attention_dropout": 0.0, "initializer_factor": 1.0, "initializer_range": 0.02, "model_type": "clip_text_model",
                "pad_token_id": self.eos_token_id, "projection_dim": self.hidden_size, "torch_dtype": "float16", **dataclasses.asdict(self)}


class ClipAttention(nn.Module):
    def __init__(self, c: ClipConfig):
        super().__init__()
        self.heads = c.num_attention_heads
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(c.hidden_size, c.hidden_size) for _ in range(4))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        b, t, width = x.shape
        q, k, v = (f(x).view(b, t, self.heads, -1).transpose(1, 2) for f in (self.q_proj, self.k_proj, self.v_proj))
        weights = torch.softmax((q @ k.transpose(2, 3)).float() * q.shape[-1] ** -0.5 + mask, -1)
        return self.out_proj((weights.to(v.dtype) @ v).transpose(1, 2).reshape(b, t, width))


class ClipMlp(nn.Module):
    def __init__(self, c: ClipConfig):
        super().__init__()
        self.quick = c.hidden_act == "quick_gelu"
        self.fc1, self.fc2 = nn.Linear(c.hidden_size, c.intermediate_size), nn.Linear(c.intermediate_size, c.hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        h = self.fc1(x)
        return self.fc2(h * torch.sigmoid(1.702 * h) if self.quick else F.gelu(h))


class ClipLayer(nn.Module):
    def __init__(self, c: ClipConfig):
        super().__init__()
        self.layer_norm1, self.layer_norm2 = nn.LayerNorm(c.hidden_size, c.layer_norm_eps), nn.LayerNorm(c.hidden_size, c.layer_norm_eps)
        self.self_attn, self.mlp = ClipAttention(c), ClipMlp(c)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = x + self.self_attn(self.layer_norm1(x), mask)
        return x + self.mlp(self.layer_norm2(x))


class _ClipText(nn.Module):
    def __init__(self, c: ClipConfig):
        super().__init__()
        self.embeddings = nn.ModuleDict({"token_embedding": nn.Embedding(c.vocab_size, c.hidden_size), "position_embedding": nn.Embedding(c.max_position_embeddings, c.hidden_size)})
        self.encoder = nn.ModuleDict({"layers": nn.ModuleList([ClipLayer(c) for _ in range(c.num_hidden_layers)])})
        self.final_layer_norm = nn.LayerNorm(c.hidden_size, c.layer_norm_eps)


class CLIPTextModel(nn.Module):
    def __init__(self, config: ClipConfig):
        super().__init__()
        self.config = config
        self.text_model = _ClipText(config)
        nn.init.normal_(self.text_model.embeddings["token_embedding"].weight, std=0.02)
        nn.init.normal_(self.text_model.embeddings["position_embedding"].weight, std=0.01)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Last hidden state [batch, tokens, width] and the pooled output: the state at the first end token (with the legacy end id 2: at the largest id)."""
        model, c = self.text_model, self.config
        t = ids.shape[1]
        x = model.embeddings["token_embedding"](ids) + model.embeddings["position_embedding"].weight[:t]
        mask = torch.full((t, t), float("-inf")).triu(1)
        for layer in model.encoder["layers"]:
            x = layer(x, mask)
        x = model.final_layer_norm(x)
        at = ids.argmax(1) if c.eos_token_id == 2 else (ids == c.eos_token_id).int().argmax(1)
        return x, x[torch.arange(len(x)), at]


# ---------------------------------------------------------------------------------------------------------------------- T5

@dataclasses.dataclass(frozen=True)
class T5Config:
    vocab_size: int
    d_model: int = 128
    d_kv: int = 64
    d_ff: int = 256
    num_layers: int = 2
    num_heads: int = 2
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128
    layer_norm_epsilon: float = 1e-6

    def json(self) -> dict:
        return {"architectures": ["T5EncoderModel"], "classifier_dropout": 0.0, "decoder_start_token_id": 0, "dense_act_fn": "gelu_new", "dropout_rate": 0.0, "eos_token_id": 1,
                "feed_forward_proj": "gated-gelu", "initializer_factor": 1.0, "is_encoder_decoder": False, "is_gated_act": True, "model_type": "t5", "num_decoder_layers": self.num_layers,
                "pad_token_id": 0, "tie_word_embeddings": False, "torch_dtype": "float16", "use_cache": False, **dataclasses.asdict(self)}


class RMSNorm(nn.Module):
    def __init__(self, width: int, eps: float):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x: Tensor) -> Tensor:
        return fast.rms_norm(x, self.weight, self.eps)


class T5Attention(nn.Module):
    def __init__(self, c: T5Config, first: bool):
        super().__init__()
        self.heads, inner = c.num_heads, c.num_heads * c.d_kv
        self.q, self.k, self.v = (nn.Linear(c.d_model, inner, bias=False) for _ in range(3))
        self.o = nn.Linear(inner, c.d_model, bias=False)
        if first:
            self.relative_attention_bias = nn.Embedding(c.relative_attention_num_buckets, c.num_heads)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        b, t, _ = x.shape
        q, k, v = (f(x).view(b, t, self.heads, -1).transpose(1, 2) for f in (self.q, self.k, self.v))
        weights = torch.softmax((q @ k.transpose(2, 3)).float() + bias, -1)                # T5 does not scale its logits
        return self.o((weights.to(v.dtype) @ v).transpose(1, 2).reshape(b, t, -1))


class _T5SelfAttention(nn.Module):
    def __init__(self, c: T5Config, first: bool):
        super().__init__()
        self.SelfAttention, self.layer_norm = T5Attention(c, first), RMSNorm(c.d_model, c.layer_norm_epsilon)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        return x + self.SelfAttention(self.layer_norm(x), bias)


class _T5FeedForward(nn.Module):
    def __init__(self, c: T5Config):
        super().__init__()
        self.DenseReluDense = nn.ModuleDict({"wi_0": nn.Linear(c.d_model, c.d_ff, bias=False), "wi_1": nn.Linear(c.d_model, c.d_ff, bias=False), "wo": nn.Linear(c.d_ff, c.d_model, bias=False)})
        self.layer_norm = RMSNorm(c.d_model, c.layer_norm_epsilon)

    def forward(self, x: Tensor) -> Tensor:
        f, h = self.DenseReluDense, self.layer_norm(x)
        return x + f["wo"](fast.gelu_tanh(f["wi_0"](h)) * f["wi_1"](h))


class _T5Block(nn.Module):
    def __init__(self, c: T5Config, first: bool):
        super().__init__()
        self.layer = nn.ModuleList([_T5SelfAttention(c, first), _T5FeedForward(c)])


class T5EncoderModel(nn.Module):
    def __init__(self, config: T5Config):
        super().__init__()
        self.config = config
        self.shared = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = nn.ModuleDict({"block": nn.ModuleList([_T5Block(config, i == 0) for i in range(config.num_layers)]), "final_layer_norm": RMSNorm(config.d_model, config.layer_norm_epsilon)})
        attention = self.encoder["block"][0].layer[0].SelfAttention
        nn.init.zeros_(attention.relative_attention_bias.weight)
        for block in self.encoder["block"]:                            # logits are not scaled: a start with small queries
            nn.init.normal_(block.layer[0].SelfAttention.q.weight, std=(config.d_model * config.d_kv) ** -0.5)

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """[batch, tokens, width]. Pads take part, as in FLUX, unless `mask` [batch, 1, 1, tokens] adds minus infinity to their logits."""
        t, c = ids.shape[1], self.config
        at = torch.arange(t)
        first = self.encoder["block"][0].layer[0].SelfAttention.relative_attention_bias
        bias = first(_bucket(at[None, :] - at[:, None], c.relative_attention_num_buckets, c.relative_attention_max_distance)).permute(2, 0, 1)
        bias = bias if mask is None else bias + mask
        x = self.shared(ids)
        for block in self.encoder["block"]:
            x = block.layer[1](block.layer[0](x, bias))
        return self.encoder["final_layer_norm"](x)


def _bucket(relative: Tensor, buckets: int, most: int) -> Tensor:
    """Key position minus query position to a bucket: exact near, logarithmic far, half of the buckets for each direction."""
    half = buckets // 2
    side = (relative > 0).long() * half
    distance, exact = relative.abs(), half // 2
    far = exact + (torch.log(distance.clamp_min(1).float() / exact) / math.log(most / exact) * (half - exact)).long()
    return side + torch.where(distance < exact, distance, far.clamp_max(half - 1))
