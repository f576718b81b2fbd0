#!/usr/bin/env bash
# sharp 0.35.5 (libvips 8.18.7), npm: frames joined into an animated WebP or GIF.
# One would guess: `delay: 62` is the delay of every frame (its documentation: "delay(s) between animation frames"), a list that is too
#   short repeats its last value, and without `loop` an animation runs forever (documented default: 0).
# What happens: the one number is the first frame's; the others get 100 ms in WebP and 0 in GIF. Without any option raw frames play once
#   (the loop count in the file is 1, a GIF has no loop block); naming the delay alone makes the same file loop forever.
# Why it matters: front ends in Node write previews and clips this way; 16 frames a second needs a list with one delay a frame, and the
#   loop said explicitly.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
npm init -y > /dev/null; npm install --silent --no-audit --no-fund --ignore-scripts sharp@0.35.5 >&2
cat > p.js <<'E'
const sharp = require('sharp');
console.log('sharp', sharp.versions.sharp, 'libvips', sharp.versions.vips);
const side = 64, frames = 3, pixels = Buffer.alloc(side * side * 3 * frames);
pixels.forEach((_, i) => { pixels[i] = Math.floor(i / (side * side * 3)) * 60 + i % 7; });
(async () => {
  const seen = {};
  for (const format of ['webp', 'gif'])
    for (const options of [{}, { delay: 62 }, { delay: [62, 62] }, { delay: [62, 62, 62], loop: 0 }]) {
      const raw = { width: side, height: side * frames, channels: 3, pageHeight: side };
      const file = await sharp(pixels, { raw })[format](options).toBuffer();
      const read = await sharp(file, { animated: true }).metadata();
      const key = format + ' ' + JSON.stringify(options);
      seen[key] = `delay ${read.delay} loop ${read.loop}`;
      // The loop count as the file itself holds it.
      const held = format === 'gif' ? (file.includes('NETSCAPE2.0') ? 'a loop block' : 'no loop block')
        : 'loop count ' + file.readUInt16LE(file.indexOf('ANIM') + 12);
      console.log(`${key}: ${read.pages} pages, ${seen[key]}; in the file: ${held}`);
    }
  const still = seen['webp {"delay":62}'] === 'delay 62,100,100 loop 0' && seen['gif {"delay":62}'] === 'delay 60,0,0 loop 0'
    && seen['webp {}'] === 'delay 100,100,100 loop 1' && seen['webp {"delay":[62,62,62],"loop":0}'] === 'delay 62,62,62 loop 0';
  process.exit(still ? 0 : 1);
})();
E
nice -n 5 node p.js
