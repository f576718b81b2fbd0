#!/usr/bin/env bash
# Checks and measures Attune on a graphics card, in a few minutes; prints a table. See docs/gpu.md.
#   ATTUNE   the command (default: attune on the path, else the build in artifacts/)
#   DEVICE   torch:cuda:0 unless set; torch:cpu tries the script without a card
#   QUICK=1  small shapes, one round: to try the script
set -uo pipefail
cd "$(dirname "$0")/../.."
device=${DEVICE:-torch:cuda:0}
attune=${ATTUNE:-$(command -v attune || echo artifacts/bin/Attune.Cli/release/attune)}
python=$(command -v python3 || true)
if [ -n "$python" ] && ! "$python" -c 'import torch' 2>/dev/null; then
  python=
fi
if [ -z "${ATTUNE_LIBTORCH:-}" ] && [ -n "$python" ]; then
  ATTUNE_LIBTORCH=$("$python" -c 'import torch; print(torch.__path__[0])')
  export ATTUNE_LIBTORCH
fi
precision=bf16
flux=(--latents 4096 --text 512) others=(--latents 4096) rounds=7
if [ "${QUICK:-}" = 1 ]; then
  flux=(--latents 64 --text 32) others=(--latents 256) rounds=1
fi

echo "== device"
"$attune" inspect models/flux-tiny-random --device "$device" --precision $precision | grep libtorch || exit 1

echo "== golden cases in float32"
"$attune" verify tests/golden --device "$device" --precision f32 --only 'attention/*' --only 'entmax/*' --only 'flux/*' --only 'unet/*' \
  --only 'autoencoders/*' --only 'z-image/*' --only 'text-encoders/*' 2>/dev/null | grep -E "^FAIL|passed,"

peak=
echo "== PyTorch, $precision"
if [ -n "$python" ]; then
  pytorch=$("$python" bench/gpu/blocks_torch.py --device "${device#torch:}" "${flux[@]}" --rounds $rounds)
  echo "$pytorch"
  peak=$(echo "$pytorch" | sed -nE 's/.* in bf16 ([0-9.]+) TFLOP.*/\1/p')
else
  echo "Python with PyTorch is not at hand: no peak, no peer."
fi

echo "== Attune, $precision; the share is that of PyTorch's product"
for shape in flux sdxl z-image; do
  size=("${others[@]}")
  [ $shape = flux ] && size=("${flux[@]}")
  "$attune" bench nag --device "$device" --precision $precision --shape $shape "${size[@]}" --rounds $rounds --only nag --only cfg 2>/dev/null \
    | grep "GFLOP/s" | awk -v shape=$shape -v peak="${peak:-0}" \
      '{ share = peak > 0 ? sprintf("  share %.3f", $4 / 1000 / peak) : ""; print shape "  " $0 share }'
done
