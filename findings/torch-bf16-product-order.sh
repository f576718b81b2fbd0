#!/usr/bin/env bash
# Debian 12's python3-torch 1.13.1 (with its oneDNN 2.6.3), CPU without AVX-512, or with oneDNN switched off as here.
# One would guess: products in bfloat16 are summed in float32 and rounded once, whatever the memory order of the operands.
# What happens: a @ b with both in ordinary (row) order adds in bfloat16 itself, which stands still at 256: a row of 1000 ones times a
#   column of 1000 ones is 256. The same numbers with b given as the transpose of a stored tensor, as linear layers do, give 1000.
#   Convolutions and batched products go the first way: attention's probabilities times values over 4096 keys lose more than half.
# Why it matters: bfloat16 golden values from such a machine are wrong by kind of layer (linear right, convolution and attention wrong),
#   while oneDNN takes such products over where the processor has AVX-512 (not run for this finding).
set -euo pipefail
dpkg -s python3-torch > /dev/null 2>&1 || apt-get install -y python3-torch > /dev/null
ATEN_CPU_CAPABILITY=avx2 nice -n 5 /usr/bin/python3 - <<'E'
import sys, torch, torch.nn.functional as F
print('torch', torch.__version__)
torch.manual_seed(0); torch.set_num_threads(1)
with torch.backends.mkldnn.flags(enabled=False):
    a, b = torch.ones(64, 1000).bfloat16(), torch.ones(1000, 64).bfloat16()
    plain, turned = (a @ b)[0, 0].item(), (a @ b.t().contiguous().t())[0, 0].item()
    linear = F.linear(a, b.t().contiguous())[0, 0].item()
    conv = F.conv2d(torch.ones(1, 1000, 4, 4).bfloat16(), torch.ones(8, 1000, 1, 1).bfloat16())[0, 0, 0, 0].item()
    print(f'1000 ones: a @ b {plain}, the same b in the other memory order {turned}, linear {linear}, convolution 1 x 1 {conv}')
    p = torch.softmax(torch.randn(1, 8, 64, 4096), -1).bfloat16(); v = (1 + .1 * torch.randn(1, 8, 4096, 40)).bfloat16()
    kept = ((p @ v).double() / (p.double() @ v.double())).mean().item()
    print(f'attention over 4096 keys: the result is {kept:.3f} of the true one')
sys.exit(0 if plain == 256 and turned == 1000 and linear == 1000 and conv == 256 and kept < .8 else 1)
E
