#!/usr/bin/env bash
# Debian 12's ffmpeg 5.1: raw RGB frames piped to libx264 in yuv420p, at an HD size, and read as a player does (BT.709 at HD sizes).
# One would guess: ffmpeg converts by the matrix that belongs to the size, or writes down the one that it used.
# What happens: it converts by BT.601 and leaves the stream without a tag. A player that takes 709 for HD shows (220, 40, 40) as
#   (235, 56, 36) or thereabouts. Read back by ffmpeg itself all is well, so that a round trip does not find it.
# Why it matters: every frame pipe of a video model meets this. Convert by scale=out_color_matrix=bt709 and write the tags.
set -euo pipefail
command -v ffmpeg > /dev/null || apt-get install -y ffmpeg > /dev/null
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
ffmpeg -version | head -n 1
run() { nice -n 5 ffmpeg -hide_banner -loglevel error -y "$@"; }
head -c $((1280 * 720)) /dev/zero | LC_ALL=C sed 's/\x0/\xdc\x28\x28/g' > red.rgb
frame=(-f rawvideo -pix_fmt rgb24 -s 1280x720 -framerate 16 -i red.rgb)
run "${frame[@]}" -c:v libx264 -preset ultrafast -crf 5 -pix_fmt yuv420p plain.mp4
run "${frame[@]}" -vf scale=out_color_matrix=bt709:out_range=tv,format=yuv420p -c:v libx264 -preset ultrafast -crf 5 \
  -colorspace bt709 -color_primaries bt709 -color_trc iec61966-2-1 -color_range tv tagged.mp4
show() {
  local tag self player
  tag=$(ffprobe -v error -show_entries stream=color_space -of csv=p=0 "$1.mp4")
  run -i "$1.mp4" -frames:v 1 -f rawvideo -pix_fmt rgb24 self.rgb
  run -i "$1.mp4" -frames:v 1 -vf scale=in_color_matrix=bt709 -f rawvideo -pix_fmt rgb24 player.rgb
  self=$(od -An -tu1 -N3 self.rgb | xargs); player=$(od -An -tu1 -N3 player.rgb | xargs)
  echo "$1: matrix in the file $tag; 220 40 40 comes back as $self by ffmpeg, as $player read as BT.709"
  result="$tag,$player"
}
show plain; plain=$result
show tagged; tagged=$result
read -r red green blue <<< "${plain#*,}"
[[ $plain == unknown,* && $red -ge 230 && $green -ge 50 && $blue -le 40 ]] || exit 1
read -r red green blue <<< "${tagged#*,}"
[[ $tagged == bt709,* && $red -ge 216 && $red -le 224 && $green -ge 36 && $green -le 44 ]]
