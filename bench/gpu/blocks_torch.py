"""The peer of `attune bench nag --shape flux`: one double- and two single-stream FLUX.1 blocks of real size with random weights, unguided.

Prints the rate of a large bfloat16 product (the card's practical peak), and seconds and rate of a pass in eager mode and compiled.

    python3 bench/gpu/blocks_torch.py --device cuda:0 --latents 4096 --text 512
"""
import argparse
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn

WIDTH, HEADS, CHANNELS = 3072, 24, 128


def rotate(x, cos, sin):
    """x is [batch, heads, tokens, channels]; neighbours are pairs."""
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((even * cos - odd * sin, odd * cos + even * sin), -1).flatten(-2).type_as(x)


class Modulation(nn.Module):
    def __init__(self, count):
        super().__init__()
        self.count, self.linear = count, nn.Linear(WIDTH, count * WIDTH)

    def forward(self, time):
        return self.linear(F.silu(time))[:, None].chunk(self.count, -1)


def norm(x, scale, shift):
    return F.layer_norm(x, (WIDTH,), eps=1e-6) * (1 + scale) + shift


class Qkv(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.norm_q, self.norm_k = nn.RMSNorm(CHANNELS, eps=1e-6), nn.RMSNorm(CHANNELS, eps=1e-6)

    def forward(self, x):
        q, k, v = (layer(x).unflatten(-1, (HEADS, CHANNELS)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        return self.norm_q(q), self.norm_k(k), v


class Double(nn.Module):
    def __init__(self):
        super().__init__()
        self.modulations = nn.ModuleList(Modulation(6) for _ in range(2))
        self.qkv = nn.ModuleList(Qkv() for _ in range(2))
        self.out = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(2))
        self.up = nn.ModuleList(nn.Linear(WIDTH, 4 * WIDTH) for _ in range(2))
        self.down = nn.ModuleList(nn.Linear(4 * WIDTH, WIDTH) for _ in range(2))

    def forward(self, text, latents, time, cos, sin):
        streams = [text, latents]
        vectors = [m(time) for m in self.modulations]
        parts = [self.qkv[i](norm(streams[i], vectors[i][1], vectors[i][0])) for i in range(2)]
        q, k, v = (torch.cat([parts[0][j], parts[1][j]], 2) for j in range(3))
        attended = F.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v).transpose(1, 2).flatten(2)
        attended = attended.split([text.shape[1], latents.shape[1]], 1)
        result = []
        for i in range(2):
            x = streams[i] + vectors[i][2] * self.out[i](attended[i])
            hidden = F.gelu(self.up[i](norm(x, vectors[i][4], vectors[i][3])), approximate="tanh")
            result.append(x + vectors[i][5] * self.down[i](hidden))
        return result


class Single(nn.Module):
    def __init__(self):
        super().__init__()
        self.modulation, self.qkv = Modulation(3), Qkv()
        self.up, self.out = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(5 * WIDTH, WIDTH)

    def forward(self, x, time, cos, sin):
        shift, scale, gate = self.modulation(time)
        rows = norm(x, scale, shift)
        q, k, v = self.qkv(rows)
        attended = F.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v).transpose(1, 2).flatten(2)
        return x + gate * self.out(torch.cat([attended, F.gelu(self.up(rows), approximate="tanh")], -1))


class Blocks(nn.Module):
    def __init__(self):
        super().__init__()
        self.double, self.singles = Double(), nn.ModuleList(Single() for _ in range(2))

    def forward(self, text, latents, time, cos, sin):
        x = torch.cat(self.double(text, latents, time, cos, sin), 1)
        for block in self.singles:
            x = block(x, time, cos, sin)
        return x


def seconds(run, rounds, device):
    def wait():
        if device.type == "cuda":
            torch.cuda.synchronize(device)
    for _ in range(3):
        run()
    taken = []
    for _ in range(rounds):
        wait()
        start = time.perf_counter()
        run()
        wait()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def operations(latents, text):
    """Two for each multiplication with its addition, as `attune bench nag` counts them, without modulations."""
    tokens = latents + text
    double = 2.0 * tokens * WIDTH * WIDTH * (4 + 8)
    single = 2.0 * tokens * WIDTH * WIDTH * (3 + 4 + 5)
    attention = 4.0 * tokens * tokens * WIDTH
    return double + 2 * single + 3 * attention


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--latents", type=int, default=4096)
    parser.add_argument("--text", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    device = torch.device(args.device)
    with torch.inference_mode():
        size = 8192 if device.type == "cuda" else 1024
        a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
        peak = 2.0 * size ** 3 / seconds(lambda: a @ b, args.rounds, device)
        print(f"torch {torch.__version__}: product of {size} x {size} x {size} in bf16 {peak / 1e12:.2f} TFLOP/s")
        torch.manual_seed(1)
        blocks = Blocks().to(device, torch.bfloat16).eval()
        tokens = args.text + args.latents
        angles = torch.rand(tokens, CHANNELS // 2, device=device)
        text, latents = (torch.randn(1, n, WIDTH, device=device, dtype=torch.bfloat16) for n in (args.text, args.latents))
        step = torch.randn(1, WIDTH, device=device, dtype=torch.bfloat16)
        inputs = (text, latents, step, angles.cos(), angles.sin())
        work = operations(args.latents, args.text)
        for name, model in (("eager", blocks), ("compiled", torch.compile(blocks))):
            try:
                taken = seconds(lambda: model(*inputs), args.rounds, device)
            except Exception as problem:  # compiling needs a C++ compiler or Triton
                print(f"{name:<10} failed: {str(problem).splitlines()[0]}")
                continue
            print(f"{name:<10}{taken:8.4f} s  {work / taken / 1e12:7.2f} TFLOP/s  share of the product {work / taken / peak:.3f}")


if __name__ == "__main__":
    main()
