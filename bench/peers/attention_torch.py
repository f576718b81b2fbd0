"""Unfused attention in PyTorch 1.13 (softmax(Q K^T) V by two batched products), the peer of `attune bench kernels --only attention`.

    apt-get install -y python3-torch libopenblas0
    OPENBLAS_CORETYPE=SkylakeX python3 bench/peers/attention_torch.py

Prints the best and the median of a few runs in GFLOP/s (4 multiply-adds counted as 2 operations each for every pair of query and key and channel).
"""
import os
import statistics
import time

import torch

SHAPES = [(1, 24, 4608, 128), (2, 8, 4096, 40), (1, 10, 4096, 64)]

torch.set_num_threads(os.cpu_count())
with torch.inference_mode():
    for batch, heads, tokens, channels in SHAPES:
        q, k, v = (torch.randn(batch * heads, tokens, channels) for _ in range(3))
        seconds = []
        for _ in range(4):
            start = time.perf_counter()
            torch.bmm(torch.softmax(torch.bmm(q * channels ** -0.5, k.transpose(1, 2)), -1), v)
            seconds.append(time.perf_counter() - start)
        work = 4e-9 * batch * heads * tokens * tokens * channels
        seconds = seconds[1:]
        print(f"({batch}, {heads}, {tokens}, {channels})  best {work / min(seconds):.0f}  median {work / statistics.median(seconds):.0f} GFLOP/s  (torch {torch.__version__}, {torch.get_num_threads()} threads)")
