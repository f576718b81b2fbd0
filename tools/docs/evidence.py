"""Draws the pictures of docs/evidence.md from the folder of a run: python3 tools/docs/evidence.py RESULTS (of experiments/scenes/few-steps.json). Needs Pillow."""
import json
import os
import sys

from PIL import Image, ImageDraw

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
SIDE, LABEL = 128, 16


def order(experiment):
    """Names of the variants in the order of the runner: methods, each with its scales."""
    names = []
    for method in experiment["methods"]:
        for scale in method.get("scales", [None]):
            names.append(method["name"] if scale is None else method["name"].replace("{scale}", f"{scale:g}"))
    return names


def grid(results, experiment, prompts, rows, columns, steps, path):
    """Rows are prompts by number, columns (variant, steps)."""
    names = order(experiment)
    sheet = Image.new("RGB", (SIDE * len(columns), LABEL + (SIDE + LABEL) * len(rows)), "white")
    draw = ImageDraw.Draw(sheet)
    for x, (name, n) in enumerate(columns):
        draw.text((x * SIDE + 4, 2), name if steps is None else f"{name}, {n} step{'s' if n > 1 else ''}", fill="black")
    for y, prompt in enumerate(rows):
        top = LABEL + y * (SIDE + LABEL)
        for x, (name, n) in enumerate(columns):
            file = os.path.join(results, "pictures", f"prompt-{prompt:03}-steps-{n:02}-method-{names.index(name):02}.png")
            sheet.paste(Image.open(file), (x * SIDE, top))
        draw.text((4, top + SIDE + 1), f"{prompts[prompt]['prompt']}   minus   {prompts[prompt]['negative']}", fill="black")
    sheet.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    print(path, os.path.getsize(path))


def main():
    results = sys.argv[1]
    folder = os.path.join(ROOT, "experiments", "scenes")
    experiment = json.load(open(os.path.join(folder, "few-steps.json")))
    prompts = json.load(open(os.path.join(folder, experiment["prompts"])))
    images = os.path.join(ROOT, "docs", "images")
    names = ["none", "cfg 2.5", "nasa", "vsf", "nag", "pladis", "gag", "nag+gag"]
    grid(results, experiment, prompts, [1, 2, 3, 7], [(n, 4) for n in names], None, os.path.join(images, "evidence-methods.png"))
    grid(results, experiment, prompts, [1, 7], [(n, s) for s in (1, 2, 4, 8) for n in ("none", "nag")], 0, os.path.join(images, "evidence-steps.png"))


main()
