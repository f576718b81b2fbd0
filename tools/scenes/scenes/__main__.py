"""The command line: python3 -m scenes STAGE ACTION [options]."""
from __future__ import annotations

import argparse
import dataclasses
import pathlib

from . import sprites, world


def _with_options(parser: argparse.ArgumentParser, options):
    for field in dataclasses.fields(options):
        parser.add_argument("--" + field.name.replace("_", "-"), type=type(field.default), default=field.default, help=f"default {field.default}")


def _with_setting(parser: argparse.ArgumentParser):
    parser.add_argument("--scenes", choices=sorted(world.SETTINGS), default="calm", help="setting of the world; default calm")


def _options(arguments: argparse.Namespace, options):
    return options(**{field.name: getattr(arguments, field.name) for field in dataclasses.fields(options)})


def main():
    parser = argparse.ArgumentParser(prog="python3 -m scenes", description=__doc__)
    stages = parser.add_subparsers(dest="stage", required=True)

    drawn = stages.add_parser("sprites", help="install the sprites and say where they are")
    drawn.add_argument("--write", type=pathlib.Path, help="also write into this folder what `attune metrics nearest` draws outfits of")
    sheet = stages.add_parser("sheet", help="draw contact sheets into a folder")
    sheet.add_argument("folder", type=pathlib.Path, nargs="?", default=sprites.WORK / "sheets")
    _with_setting(sheet)

    parity = stages.add_parser("parity", help="compare the modules with golden values of diffusers and transformers")
    parity.add_argument("golden", type=pathlib.Path)

    cases = stages.add_parser("cases", help="write a random checkpoint and its values for attune verify")
    cases.add_argument("folder", type=pathlib.Path)
    tokens = stages.add_parser("tokenizers", help="train both tokenizers on the captions")
    tokens.add_argument("folder", type=pathlib.Path)

    encode = stages.add_parser("latents", help="encode scenes with an exported autoencoder")
    encode.add_argument("folder", type=pathlib.Path)
    encode.add_argument("--autoencoder", type=pathlib.Path, required=True)
    encode.add_argument("--count", type=int, default=48000, help="default 48000")
    _with_setting(encode)
    kind = encode.add_mutually_exclusive_group()
    kind.add_argument("--held-out", action="store_true", help="scenes that training never draws")
    kind.add_argument("--uniform", action="store_true", help="scenes whose attributes are uniform and independent: for the verifier")

    lists = stages.add_parser("prompts", help="write the prompt lists of the experiments")
    lists.add_argument("folder", type=pathlib.Path)
    truth = stages.add_parser("references", help="write what the judge sees in true pictures of a prompt list")
    truth.add_argument("prompts", type=pathlib.Path)
    truth.add_argument("output", type=pathlib.Path)
    truth.add_argument("--judge", type=pathlib.Path, required=True)
    truth.add_argument("--autoencoder", type=pathlib.Path, required=True)
    truth.add_argument("--bare", action="store_true", help="of the prompts alone, with what their negatives name: for methods without a negative prompt")
    _with_setting(truth)

    from . import calm, continued, dual_encoder, judge, nearest, pipeline, student, teacher, tune, vae, verifier
    near = stages.add_parser("nearest", help=nearest.__doc__)
    near.add_argument("model", type=pathlib.Path, help="exported scenes-flux or scenes-flux-schnell")
    near.add_argument("--judge", type=pathlib.Path, required=True)
    near.add_argument("--count", type=int, default=64, help="pictures; default 64")
    near.add_argument("--steps", type=int, default=4, help="default 4")
    near.add_argument("--scale", type=float, default=1.0, help="of CFG; default 1: none")
    near.add_argument("--sheet", type=pathlib.Path, help="also draw the pictures into this file")
    near.add_argument("--truth", action="store_true", help="measure true pictures instead, as drawn and after the model's autoencoder")
    _with_setting(near)

    queue = stages.add_parser("calm", help=calm.__doc__)
    queue.add_argument("--seed", type=int, default=0, choices=sorted(calm.STARTS), help="default 0")
    queue.add_argument("--constant", type=int, default=continued.Options.steps, help=f"steps of the teacher's constant rate; default {continued.Options.steps}")
    queue.add_argument("--falling", type=int, default=continued.Options.steps // 2, help=f"steps of its falling rate; default {continued.Options.steps // 2}")

    further = stages.add_parser("continue", help=continued.__doc__)
    actions = further.add_subparsers(dest="action", required=True)
    for action in ("train", "decay", "export"):
        part = actions.add_parser(action, help=getattr(continued, action).__doc__)
        part.add_argument("--run", type=pathlib.Path, required=True, help="folder of state and log")
        part.add_argument("--start", type=pathlib.Path, required=True, help="exported scenes-flux that the run starts from")
        if action == "export":
            part.add_argument("folder", type=pathlib.Path)
            continue
        for name in ("latents", "held-out", "judge"):
            part.add_argument("--" + name, type=pathlib.Path, required=True)
        if action == "decay":
            part.add_argument("--source", type=pathlib.Path, required=True, help="state file of the run to branch off")
        _with_options(part, continued.Options)
        if action == "decay":
            part.set_defaults(steps=0)                                 # 30 % of the whole

    paths = stages.add_parser("trajectories", help="sample the teacher with CFG and keep its states")
    paths.add_argument("folder", type=pathlib.Path)
    paths.add_argument("--teacher", type=pathlib.Path, required=True, help="exported scenes-flux")
    _with_options(paths, student.TrajectoryOptions)

    dual = stages.add_parser("dual-encoder", help=dual_encoder.__doc__)
    actions = dual.add_subparsers(dest="action", required=True)
    for action in ("train", "export"):
        part = actions.add_parser(action)
        part.add_argument("--run", type=pathlib.Path, default=sprites.WORK / "dual-encoder")
        part.add_argument("--tokenizers", type=pathlib.Path, required=True)
        if action == "train":
            part.add_argument("--judge", type=pathlib.Path, required=True, help="exported judge: its trunk is where the image tower starts")
            _with_options(part, dual_encoder.Options)
        else:
            part.add_argument("folder", type=pathlib.Path)

    few = stages.add_parser("student", help=student.__doc__)
    actions = few.add_subparsers(dest="action", required=True)
    for action, options in (("train", student.Options), ("tune", tune.Options), ("export", None)):
        part = actions.add_parser(action, help=tune.__doc__ if action == "tune" else None)
        part.add_argument("--run", type=pathlib.Path, default=sprites.WORK / ("student-tuned" if action == "tune" else "student"))
        if action == "tune":
            part.add_argument("--student", type=pathlib.Path, required=True, help="exported scenes-flux-schnell")
            part.add_argument("--verifier", type=pathlib.Path, default=sprites.WORK / "verifier", help="folder of the verifier's run")
        else:
            part.add_argument("--teacher", type=pathlib.Path, required=True, help="exported scenes-flux")
        if options:
            part.add_argument("--trajectories", type=pathlib.Path, required=True)
            part.add_argument("--judge", type=pathlib.Path, help="exported judge: measures obedience and picks the best weights")
            _with_options(part, options)
        else:
            part.add_argument("folder", type=pathlib.Path)

    verify = stages.add_parser("verifier", help=verifier.__doc__).add_subparsers(dest="action", required=True).add_parser("train")
    verify.add_argument("--run", type=pathlib.Path, default=sprites.WORK / "verifier")
    verify.add_argument("--latents", type=pathlib.Path, required=True, help="encoded scenes of --uniform")
    _with_options(verify, verifier.Options)

    for module in (vae, judge, teacher):
        name, options = module.__name__.split(".")[-1], module.Options
        stage = stages.add_parser(name, help=module.__doc__)
        actions = stage.add_subparsers(dest="action", required=True)
        train = actions.add_parser("train", help="train, or go on where a stopped run was")
        train.add_argument("--run", type=pathlib.Path, default=sprites.WORK / name, help="folder of state and log")
        _with_options(train, options)
        export = actions.add_parser("export", help="write the weights in their final layout")
        export.add_argument("--run", type=pathlib.Path, default=sprites.WORK / name)
        export.add_argument("folder", type=pathlib.Path)
        if module is teacher:
            for part in (train, export):
                part.add_argument("--autoencoder", type=pathlib.Path, required=True)
                part.add_argument("--tokenizers", type=pathlib.Path, required=True)
            train.add_argument("--latents", type=pathlib.Path, required=True)
            train.add_argument("--held-out", type=pathlib.Path, required=True)
            train.add_argument("--judge", type=pathlib.Path, help="exported judge: measures obedience and picks the best weights")
        if module is judge:
            export.add_argument("--autoencoder", type=pathlib.Path, help="also judge held-out renders after this exported autoencoder")

    a = parser.parse_args()
    if a.stage == "sprites":
        print(sprites.install())
        if a.write:
            from . import nearest
            nearest.export(a.write)
    elif a.stage == "sheet":
        from . import sheet
        a.folder.mkdir(parents=True, exist_ok=True)
        faces = world.ATTRIBUTES["face"]
        for i in range(0, len(faces), 10):
            sheet.outfits(a.folder / f"outfits-{i // 10}.png", faces[i:i + 10], world.SETTINGS[a.scenes])
        sheet.samples(a.folder / "samples.png", world.SETTINGS[a.scenes])
        print(a.folder)
    elif a.stage == "parity":
        from . import parity
        raise SystemExit(1 if parity.check(a.golden) else 0)
    elif a.stage == "cases":
        from . import cases
        cases.write(a.folder)
    elif a.stage == "tokenizers":
        from . import tokenizers
        tokenizers.build(a.folder)
    elif a.stage == "latents":
        from . import data, latents
        latents.build(a.folder, a.autoencoder, a.count, stream=data.HELD_OUT if a.held_out else data.UNIFORM if a.uniform else data.TRAIN, setting=world.SETTINGS[a.scenes])
    elif a.stage == "prompts":
        from . import experiments
        experiments.write(a.folder)
    elif a.stage == "references":
        from . import experiments
        experiments.references(a.prompts, a.output, a.judge, a.autoencoder, setting=world.SETTINGS[a.scenes], bare=a.bare)
    elif a.stage == "nearest":
        decider = judge.load(a.judge)
        if a.truth:
            found = dict(zip(("as drawn", "after the autoencoder"), nearest.truth(a.model / "vae", a.count, world.SETTINGS[a.scenes])))
        else:
            found = {str(a.model): nearest.draw(pipeline.Pipeline.load(a.model), a.count, a.steps, a.scale, path=a.sheet)}
        for name, pictures in found.items():
            print(f"{name}, {a.count} pictures, dB: " + ", ".join(f"{k} {v:.2f}" for k, v in nearest.figures(nearest.distances(pictures, decider)).items()))
    elif a.stage == "calm":
        calm.run(a.seed, a.constant, a.falling)
    elif a.stage == "continue":
        if a.action == "export":
            continued.export(a.run, a.start, a.folder)
        elif a.action == "train":
            continued.train(a.run, _options(a, continued.Options), a.start, a.latents, a.held_out, a.judge)
        else:
            o = _options(a, continued.Options)
            continued.decay(a.run, o, a.source, o.steps, a.start, a.latents, a.held_out, a.judge)
    elif a.stage == "trajectories":
        student.trajectories(a.folder, a.teacher, _options(a, student.TrajectoryOptions))
    elif a.stage == "student":
        if a.action == "train":
            student.train(a.run, _options(a, student.Options), a.teacher, a.trajectories, a.judge)
        elif a.action == "tune":
            tune.train(a.run, _options(a, tune.Options), a.student, a.trajectories, a.verifier, a.judge)
        else:
            student.export(a.run, a.folder, a.teacher)
    elif a.stage == "verifier":
        verifier.train(a.run, _options(a, verifier.Options), a.latents)
    elif a.stage == "dual-encoder":
        if a.action == "train":
            dual_encoder.train(a.run, _options(a, dual_encoder.Options), a.tokenizers, a.judge)
        else:
            dual_encoder.export(a.run, a.folder, a.tokenizers)
    elif a.stage == "teacher":
        if a.action == "train":
            teacher.train(a.run, _options(a, teacher.Options), a.latents, a.held_out, a.autoencoder, a.tokenizers, a.judge)
        else:
            teacher.export(a.run, a.folder, a.autoencoder, a.tokenizers)
    elif a.stage == "vae":
        vae.train(a.run, _options(a, vae.Options)) if a.action == "train" else vae.export(a.run, a.folder)
    elif a.stage == "judge":
        judge.train(a.run, _options(a, judge.Options)) if a.action == "train" else judge.export(a.run, a.folder, autoencoder=a.autoencoder)


if __name__ == "__main__":
    main()
