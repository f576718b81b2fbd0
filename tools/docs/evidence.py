"""Writes the tables and draws the pictures of docs/evidence.md: python3 tools/docs/evidence.py RESULTS. Needs Pillow.

RESULTS holds the output folders of `attune evaluate` on experiments/scenes, by name (few-steps, many-steps, ablation, named, named-multi-step), and those
of the second training seed as few-steps-1, many-steps-1 and so on, where it was measured; tables of experiments that are not there stay as they are. A table
stands between <!-- NAME --> and <!-- / --> in the document.
RESULTS/contact holds 01.png to 12.png: `attune generate "PROMPT" --seed N` with N from 1 to 12 and the prompts of CONTACT in turn.
"""
import json
import os
import re
import sys

from PIL import Image, ImageDraw

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
SIDE, LABEL = 128, 16
CONTACT = ["a panda", "a fox", "a cat with glasses", "a robot with a bow", "a rabbit", "an owl with a cap"]
HEADS = ["face", "eyewear", "headwear", "background"]


# ------------------------------------------------------------------------------------------------------------------ tables

def cells(folder):
    """(steps, variant) -> its figures, in the order of the report, fewest steps first."""
    report = json.load(open(os.path.join(folder, "report.json")))
    if report["partial"] or report["missing"]:
        raise SystemExit(f"{folder}: the experiment is not complete")
    return {(c["steps"], c["name"]): c for c in sorted(report["results"], key=lambda c: c["steps"])}


def both(values, form):
    """The figure of each training seed: `67 · 70`. (The cost is that of the first: both have the same arithmetic.)"""
    return "–" if values[0] is None else " · ".join(format(v, form) for v in values)


def percent(values):
    return "–" if values[0] is None else both([100 * v for v in values], ".0f") + " %"


def ratio(values):
    """Each seed's ratio and the span of their intervals: `0.28 · 0.25 (0.17–0.38)`."""
    if values[0] is None or values[0]["value"] is None:
        return "–"
    return f"{both([v['value'] for v in values], '.2f')} ({min(v['low'] for v in values):.2f}–{max(v['high'] for v in values):.2f})"


def guidance(seeds, with_steps=True, with_cost=True):
    """The table of an experiment with negative prompts; `seeds` are folders of one experiment under different training seeds."""
    reports = [cells(folder) for folder in seeds]
    columns = {
        **({"steps": lambda c: str(c[0]["steps"])} if with_steps else {}),
        "method": lambda c: c[0]["name"],
        "unwanted": lambda c: percent([x["presence"]["value"] for x in c]),
        "× none": lambda c: ratio([x["presence_ratio"] for x in c]),
        "wanted": lambda c: percent([x["retention"]["value"] for x in c]),
        "× none ": lambda c: ratio([x["retention_ratio"] for x in c]),
        "Frechet": lambda c: both([x["frechet"] for x in c], ".1f"),
        "critic": lambda c: both([x["critic"] for x in c], ".2f"),
        "prompt score": lambda c: both([x["prompt_score"] for x in c], ".2f"),
        "negative score": lambda c: both([x["negative_score"] for x in c], ".2f"),
        **({"cost": lambda c: both([c[0]["cost_ratio"]], ".2f")} if with_cost else {}),
    }
    return table(list(columns), [[of([r[key] for r in reports]) for of in columns.values()] for key in reports[0]])


def named(experiments):
    """How often named attributes are there: (model, folders by training seed, variant) -> one row per number of steps."""
    rows = []
    for model, seeds, variant, label in experiments:
        reports = [cells(folder) for folder in seeds]
        for key in [k for k in reports[0] if k[1] == variant]:
            heads = [r[key]["retention"]["heads"] for r in reports]
            rows.append([model, str(key[0]), label, *(percent([h[head]["value"] for h in heads]) for head in HEADS)])
    return table(["model", "steps", "guidance", *HEADS], rows)


def table(titles, rows):
    return "\n".join(f"| {' | '.join(line)} |" for line in [[t.strip() for t in titles], ["---"] * len(titles), *rows])


def put(text, name, new):
    pattern = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(\n<!-- / -->)", re.S)
    if not pattern.search(text):
        raise SystemExit(f"docs/evidence.md: no place for the table '{name}'")
    return pattern.sub(lambda m: m[1] + new + m[2], text)


# ---------------------------------------------------------------------------------------------------------------- pictures

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


def contact(folder, path):
    """Twelve pictures that nobody picked, by their seeds."""
    columns, rows = 6, 2
    sheet = Image.new("RGB", (SIDE * columns, (SIDE + LABEL) * rows), "white")
    draw = ImageDraw.Draw(sheet)
    for i in range(columns * rows):
        x, y = i % columns * SIDE, i // columns * (SIDE + LABEL)
        sheet.paste(Image.open(os.path.join(folder, f"{i + 1:02}.png")).convert("RGB"), (x, y))
        draw.text((x + 2, y + SIDE + 1), CONTACT[i % columns], fill="black")
    sheet.save(path, quality=92)                                          # 256 colours would not do
    print(path, os.path.getsize(path))


def main():
    results = sys.argv[1]
    seeds = lambda name: [folder for folder in (os.path.join(results, name), os.path.join(results, name + "-1")) if os.path.exists(folder)]
    document = os.path.join(ROOT, "docs", "evidence.md")
    text = open(document, encoding="utf-8").read()
    for name, make in {
        "few-steps": lambda: guidance(seeds("few-steps")),
        "ablation": lambda: guidance(seeds("ablation"), with_steps=False, with_cost=False),
        "many-steps": lambda: guidance(seeds("many-steps")),
        "named": lambda: named([("scenes-flux-schnell", seeds("named"), "none", "none"), ("scenes-flux", seeds("named-multi-step"), "none", "none"),
                                ("scenes-flux", seeds("named-multi-step"), "cfg", "CFG 2.5")]),
    }.items():
        if seeds(name):
            text = put(text, name, make())
        else:
            print(f"{name} was not measured: its table stays")
    open(document, "w", encoding="utf-8").write(text)

    folder = os.path.join(ROOT, "experiments", "scenes")
    experiment = json.load(open(os.path.join(folder, "few-steps.json")))
    prompts = json.load(open(os.path.join(folder, experiment["prompts"])))
    images = os.path.join(ROOT, "docs", "images")
    few = os.path.join(results, "few-steps")
    names = ["none", "cfg 2.5", "nasa", "vsf", "nag", "pladis", "gag", "nag+gag"]
    grid(few, experiment, prompts, [1, 2, 3, 7], [(n, 4) for n in names], None, os.path.join(images, "evidence-methods.png"))
    grid(few, experiment, prompts, [1, 7], [(n, s) for s in (1, 2, 4, 8) for n in ("none", "nag")], 0, os.path.join(images, "evidence-steps.png"))
    if os.path.exists(os.path.join(results, "contact")):
        contact(os.path.join(results, "contact"), os.path.join(images, "evidence-contact.webp"))


main()
