"""Makes the files beside it: a small judge and a small dual encoder with random weights and what PyTorch says of random pictures and some texts, and distances by numpy.

OMP_NUM_THREADS=1 PYTHONPATH=tools/scenes /usr/bin/python3 tests/Attune.Evaluation.Tests/Fixtures/generate.py    (PyTorch 1.13.1, numpy 1.24.2)
"""
import json
import pathlib

import numpy as np
import torch
from torch import nn

from scenes import data, dual_encoder, judge, safetensors, text_encoders, tokenizers, training, world

HERE = pathlib.Path(__file__).parent
SIZE, WIDTHS, GROUPS, EPS, PROJECTION = 22, (8, 12), 4, 1e-6, 10       # 22 -> 11 -> 6: a stride meets an odd size
TRUNK = {"sample_size": SIZE, "in_channels": 3, "block_out_channels": list(WIDTHS), "norm_num_groups": GROUPS, "norm_eps": EPS}
judge.WIDTHS, judge.GROUPS, data.SIZE, dual_encoder.DIMENSION = WIDTHS, GROUPS, SIZE, PROJECTION


def randomised(module: nn.Module) -> nn.Module:
    """Norms and heads that matter, in the precision that is stored."""
    with torch.no_grad():
        for name, p in module.named_parameters():
            if "norm" in name:
                p.copy_(torch.randn_like(p) * 0.4 + (1 if name.endswith("weight") else 0))
            if name.startswith("heads."):
                p.mul_(6)
            p.copy_(p.half().float())
    return module.eval()


def pictures(count: int) -> torch.Tensor:
    """Noise over a slope, so that features differ between pictures."""
    slope = torch.linspace(0, 1, SIZE)[None, None, :, None] * torch.rand(count, 3, 1, 1) * 160
    return (slope + torch.rand(count, 3, SIZE, SIZE) * 90).round().to(torch.uint8)


@torch.no_grad()
def write_judge():
    model = randomised(judge.Judge())
    folder = HERE / "judge"
    safetensors.save(folder / "model.safetensors", model.state_dict(), torch.float16)
    training.save_json(folder / "config.json", {"_class_name": "ScenesJudge", **TRUNK, "heads": {h: world.ATTRIBUTES[h] for h in judge.HEADS}})
    drawn = pictures(2)
    values, x = {"pictures": drawn}, data.to_float(drawn)
    for i, stage in enumerate(model.stages):
        x = stage(x)
        values[f"stages.{i}"] = x
    values["features"] = model.features(data.to_float(drawn))
    for name, logits in model(data.to_float(drawn)).items():
        values[f"probabilities.{name}"] = logits.softmax(1)
    safetensors.save(HERE / "judge.safetensors", values)


@torch.no_grad()
def write_dual_encoder():
    folder = HERE / "dual-encoder"
    texts = ["a panda wearing sunglasses on a blue background", "Fox!", "", "a blue panda " * 20]
    tokenizer = tokenizers.ClipTokenizer.train(texts[:1])
    tokenizer.save(folder / "tokenizer")

    config = text_encoders.ClipConfig(vocab_size=len(tokenizer.vocabulary), hidden_size=16, intermediate_size=16, max_position_embeddings=24,
                                      bos_token_id=tokenizer.start, eos_token_id=tokenizer.end)
    text, image = dual_encoder.TextEncoder(config), dual_encoder.ImageEncoder()
    for table in text.text_model.embeddings.values():
        table.weight.mul_(40)
    for name, module in (("text_encoder", text), ("image_encoder", image)):
        randomised(module)
        safetensors.save(folder / name / "model.safetensors", module.state_dict(), torch.float16)
        training.save_json(folder / name / "config.json", module.json())

    drawn = pictures(2)
    image_embeds = image(data.to_float(drawn))
    text_embeds = text(torch.tensor([tokenizer.encode(t, config.max_position_embeddings) for t in texts]))    # padded, which must not matter
    safetensors.save(HERE / "dual-encoder.safetensors", {"pictures": drawn, "image_embeds": image_embeds, "text_embeds": text_embeds, "scores": image_embeds @ text_embeds.T})
    training.save_json(HERE / "dual-encoder.texts.json", texts)


# ------------------------------------------------------------------------------------------------------------------ distances

def root(c: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(c)
    return vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T


def frechet(x: np.ndarray, y: np.ndarray) -> float:
    """The trace of the root of the product as the sum of the singular values of the product of the roots."""
    c1, c2 = np.cov(x.T), np.cov(y.T)
    singular = np.linalg.svd(root(c1) @ root(c2), compute_uv=False)
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(c1) + np.trace(c2) - 2 * singular.sum())


def kernel(x: np.ndarray, y: np.ndarray) -> float:
    k = lambda a, b: (a @ b.T / a.shape[1] + 1) ** 3
    mean_of_others = lambda m: (m.sum() - np.trace(m)) / (len(m) * (len(m) - 1))
    return float(mean_of_others(k(x, x)) + mean_of_others(k(y, y)) - 2 * k(x, y).mean())


def critic(made: np.ndarray, true: np.ndarray) -> float:
    """Ridge regression of +-1 on all folds but one, by the normal equations; the share of signs that are right."""
    n = min(len(made), len(true))
    spaced = lambda rows: rows[np.arange(n) * len(rows) // n]
    x, y, fold = np.concatenate([spaced(true), spaced(made)]), np.repeat([1.0, -1.0], n), np.tile(np.arange(n) % 5, 2)
    x = np.concatenate([(x - x.mean(0)) / x.std(0, ddof=1), np.ones((2 * n, 1))], 1)
    score = np.zeros(2 * n)
    for k in range(5):
        a, b = x[fold != k], y[fold != k]
        score[fold == k] = x[fold == k] @ np.linalg.solve(a.T @ a + 30 * np.eye(a.shape[1]), a.T @ b)
    return float((score * y > 0).mean())


def write_distances():
    rng = np.random.default_rng(0)
    mix = rng.standard_normal((7, 7))
    x = (rng.standard_normal((40, 7)) @ mix).astype(np.float32)
    y = (rng.standard_normal((30, 7)) * rng.uniform(0.5, 2, 7) + 0.5).astype(np.float32)
    few_x, few_y = x[:4], y[:6]                                        # fewer than features: covariances without full rank
    safetensors.save(HERE / "distances.safetensors", {"x": torch.from_numpy(x), "y": torch.from_numpy(y)})
    x, y, few_x, few_y = (v.astype(np.float64) for v in (x, y, few_x, few_y))
    product = np.linalg.eigvals(np.cov(x.T) @ np.cov(y.T))             # a third way, for well-conditioned covariances
    direct = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(np.cov(x.T)) + np.trace(np.cov(y.T)) - 2 * np.sqrt(product.real).sum()
    assert abs(direct - frechet(x, y)) < 1e-9 * direct, (direct, frechet(x, y))
    training.save_json(HERE / "distances.json", {"mean": x.mean(0).tolist(), "covariance": np.cov(x.T).ravel().tolist(), "frechet": frechet(x, y), "frechet_few": frechet(few_x, few_y),
                                                 "kernel": kernel(x, y), "kernel_few": kernel(few_x, few_y),
                                                 "critic": critic(y, x), "critic_other": critic(x[:33], y[:21])})


torch.manual_seed(0)
write_judge()
write_dual_encoder()
write_distances()
