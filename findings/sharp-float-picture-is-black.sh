#!/usr/bin/env bash
# sharp 0.35.5 (libvips 8.18.7), npm: a picture handed over as raw Float32Array.
# One would guess: floats are read as 0 to 255 and rounded (or cut) to bytes; whoever is unlucky and has 0 to 1 gets black.
# What happens: three channels of float are taken for 16-bit levels: everything is divided by 256, so a picture of 0 to 255 is black (at
#   most 0), and only 65535 is white. Neither 0 to 1 nor 0 to 255 works, there is no warning. Uint8Array and Uint16Array do as expected.
# Why it matters: decoders in JavaScript (ONNX Runtime for Node) return Float32Array; convert to bytes before sharp sees them.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
npm init -y > /dev/null; npm install --silent --no-audit --no-fund --ignore-scripts sharp@0.35.5 >&2
cat > p.js <<'E'
const sharp = require('sharp');
console.log('sharp', sharp.versions.sharp, 'libvips', sharp.versions.vips);
const through = async (values, channels) => {
  const png = await sharp(values, { raw: { width: values.length / channels, height: 1, channels } }).png().toBuffer();
  const { data, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true });
  return [...data].filter((_, i) => i % info.channels === 0).filter((_, i) => channels === 1 || i < values.length / 3);
};
const grey = (...levels) => levels.flatMap(v => [v, v, v]);
(async () => {
  const unit = await through(new Float32Array(grey(0, .5, 1)), 3);
  const bytes = await through(new Float32Array(grey(0, 127.5, 255)), 3);
  const words = await through(new Float32Array(grey(0, 32768, 65535)), 3);
  const plain = await through(new Uint8Array(grey(0, 127, 255)), 3);
  console.log('float 0, 0.5, 1 ->', unit, '; float 0, 127.5, 255 ->', bytes,
    '; float 0, 32768, 65535 ->', words, '; bytes 0, 127, 255 ->', plain);
  process.exit(`${unit}|${bytes}|${words}|${plain}` === '0,0,0|0,0,0|0,128,255|0,127,255' ? 0 : 1);
})();
E
nice -n 5 node p.js
