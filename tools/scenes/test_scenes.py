"""python3 -m unittest, in this folder. Half a minute; needs the sprites (python3 -m scenes sprites)."""
import collections
import dataclasses
import json
import pathlib
import re
import tempfile
import threading
import unittest

import numpy as np
import torch

from scenes import (captions, continued, data, experiments, fast, flux, judge, latents, nearest, pipeline, render, safetensors, student, text_encoders, tokenizers,
                    teacher, training, tune, vae, verifier, world)


class World(unittest.TestCase):
    def test_probabilities_sum_to_one_and_habits_hold(self):
        self.assertAlmostEqual(float(world.P_BACKGROUND.sum()), 1)
        for setting in world.SETTINGS.values():
            for p in (setting.p_outfit, setting.p_object):
                self.assertAlmostEqual(float(p.sum()), 1)
            for face, (attribute, value) in world.HABITS.items():           # held-out outfits are taken away from the rest
                p = world.Conditional({"face": face}, mentions=False, setting=setting).probability(attribute, value)
                self.assertGreater(p, setting.habit - 1e-9)
                self.assertLess(p, setting.habit + 0.1)

    def test_held_out_outfits_are_never_drawn_and_their_parts_are(self):
        drawn = collections.Counter()
        for i in range(20000):
            s = world.sample(np.random.default_rng(i), world.CALM)
            drawn.update([(s.face, s.eyewear, s.headwear), (s.face, s.eyewear), (s.face, s.headwear)])
        for face, eyewear, headwear in world.HELD_OUT:
            self.assertEqual(drawn[face, eyewear, headwear], 0)
            self.assertGreater(drawn[face, eyewear], 0)
            self.assertGreater(drawn[face, headwear], 0)

    def test_conditional_equals_filtered_draws(self):
        # By definition: draw scenes and what is mentioned of them, keep those with the prompt's mentions and without the negated thing.
        prompt, without = {"face": "panda"}, {"sunglasses"}
        kept = collections.Counter()
        rng = np.random.default_rng(0)
        faces = world.Conditional({"face": "panda"}, mentions=False)      # most draws would be other faces
        for _ in range(60000):
            scene = faces.sample(rng)
            said = {a: v for a, v in vars(scene).items() if v != world.NONE and rng.random() < world.MENTIONED[a]}
            if said == prompt and "sunglasses" not in vars(scene).values():
                kept[scene.eyewear] += 1
        conditional = world.Conditional(prompt, without)
        total = sum(kept.values())
        for value in ("none", "glasses"):
            p = conditional.probability("eyewear", value)
            self.assertAlmostEqual(kept[value] / total, p, delta=4 * (p * (1 - p) / total) ** 0.5)
        self.assertEqual(conditional.probability("eyewear", "sunglasses"), 0)
        self.assertEqual({conditional.sample(rng).face for _ in range(100)}, {"panda"})

    def test_the_empty_prompt_is_the_whole_distribution(self):
        for setting in world.SETTINGS.values():
            self.assertAlmostEqual(world.Conditional({}, setting=setting).probability("object", "none"), 1 - setting.object)
        self.assertAlmostEqual(world.Conditional({}, {"crown"}).probability("face", "lion"),
                               (1 / 30) * (1 - world.CALM.habit) / (1 - float(sum(p for p, o in zip(world.CALM.p_outfit, world.OUTFITS) if o[2] == "crown"))), places=2)

    def test_wrong_conditions_are_refused(self):
        for prompt, without in (({"face": "zebra"}, ()), ({"eyewear": "none"}, ()), ({}, {"moustache"}), ({"eyewear": "glasses"}, {"glasses"})):
            with self.assertRaises((ValueError, KeyError)):
                world.Conditional(prompt, set(without))


class Captions(unittest.TestCase):
    def test_says_what_is_mentioned_and_nothing_else(self):
        for i in range(3000):
            rng = np.random.default_rng(i)
            scene = world.sample_uniform(rng)
            attributes = captions.mentions(scene, rng)
            text = captions.write(attributes, rng)
            self.assertIsNone(re.search(r"\b(no|not|without|none|never)\b", text), text)
            self.assertIsNone(re.search(r"\ba [aeiou]|\ban [^aeiou]", text), text)
            for attribute, value in attributes.items():
                words = [w.split(" ", 1)[1] if w.split(" ", 1)[0] in ("a", "an") else w for w in captions.WORDS.get(value, [value])]
                self.assertTrue(any(w in text for w in words), (value, text))
            if "eyewear" not in attributes:
                self.assertNotRegex(text, "glasses|shades|spectacles")

    def test_absent_things_are_never_mentioned(self):
        for i in range(2000):
            rng = np.random.default_rng(i)
            scene = world.sample(rng, world.WIDE)
            said = captions.mentions(scene, rng)
            self.assertTrue(said and all(getattr(scene, a) == v != world.NONE for a, v in said.items()))


class Pictures(unittest.TestCase):
    def test_every_anchor_is_there(self):
        self.assertEqual(set(render.ANCHORS), set(world.ATTRIBUTES["face"]))
        self.assertEqual(set(render.COLOURS), set(world.ATTRIBUTES["background"]))

    def test_items_depend_on_their_index_only(self):
        dataset = data.Pictures(3, data.TRAIN, crop=64)
        direct = torch.stack([dataset[i] for i in range(8, 16)])
        for workers in (0, 2):
            batches = list(data.batches(dataset, 4, 2, 4, workers))
            self.assertTrue(torch.equal(torch.cat(batches), direct))
        self.assertFalse(torch.equal(data.Pictures(3, data.HELD_OUT, crop=64)[8], direct[0]))

    def test_everything_fits_into_the_frame(self):
        for i in range(200):
            scene = world.sample_uniform(np.random.default_rng(i))
            for setting in world.SETTINGS.values():
                picture = np.asarray(render.render(scene, np.random.default_rng(i), setting), dtype=int)
                self.assertEqual(picture.shape, (128, 128, 3))
                for edge in (picture[:2], picture[-2:], picture[:, :2].swapaxes(0, 1), picture[:, -2:].swapaxes(0, 1)):
                    self.assertLess(np.ptp(edge, axis=1).max(), 24, (scene, setting.name))       # nothing but the background's own slope reaches the edge

    def test_calm_pictures_differ_little_and_the_wide_ones_much(self):
        # One scene drawn often: where its own pixels are (those that are not of the background), over all draws.
        def boxes(scene, setting):
            found = []
            for i in range(40):
                picture = np.asarray(render.render(scene, np.random.default_rng(i), setting), dtype=int)
                there = np.abs(picture - np.median(picture[:, :3], 1, keepdims=True)).max(2) > 40
                ys, xs = np.nonzero(there)
                found.append((xs.min(), xs.max(), ys.min(), ys.max()))
            return np.ptp(np.array(found), axis=0)

        for thing in ("none", "apple"):
            scene = world.Scene("panda", "none", "crown", "green", thing)
            self.assertLessEqual(boxes(scene, world.CALM).max(), 6, thing)        # 2 % of the place and of the size: some 5 pixels
            self.assertGreater(boxes(scene, world.WIDE).max(), 25, thing)

    def test_calm_pictures_are_some_of_the_wide_ones(self):
        within = lambda inner, outer: outer[0] <= inner[0] <= inner[1] <= outer[1]
        calm, wide = world.CALM, world.WIDE
        for name in ("alone", "beside", "object_side"):
            self.assertTrue(within(getattr(calm, name), getattr(wide, name)), name)
        self.assertTrue(wide.jitter is None and wide.mirrored and wide.tinted)

    def test_objects_are_as_frequent_as_the_setting_says(self):
        for setting in world.SETTINGS.values():
            count = sum(world.sample(np.random.default_rng(i), setting).object != world.NONE for i in range(4000))
            self.assertAlmostEqual(count / 4000, setting.object, delta=4 * (setting.object * (1 - setting.object) / 4000) ** 0.5)

    def test_the_nearest_true_picture_of_a_true_picture_is_itself(self):
        scenes = [scene for scene, _ in nearest.prompts(6)]
        self.assertEqual({s.object for s in scenes}, {world.NONE})
        for i, s in enumerate(scenes):
            for setting in (world.WIDE, world.CALM):
                picture = data.tensor(render.render(s, np.random.default_rng(i), setting)).numpy().astype(np.float32) / 255
                near = nearest.distance(picture, s.face, s.eyewear, s.headwear)
                self.assertGreater(near, 22, s)                        # sizes are tried in steps of .02
                other = next(f for f in ("lion", "ghost") if f != s.face)
                self.assertLess(nearest.distance(picture, other, s.eyewear, s.headwear), near - 5, s)
            noisy = (picture + 0.1 * np.random.default_rng(0).standard_normal(picture.shape)).astype(np.float32)
            self.assertAlmostEqual(nearest.distance(noisy, s.face, s.eyewear, s.headwear), -10 * np.log10(10 ** (-near / 10) + self.noise(s)), delta=1.5)

    @staticmethod
    def noise(scene):
        """What noise of deviation .1 adds to the error: it is summed over the frame and counted over the sprite's area."""
        picture = np.asarray(render.render(scene, np.random.default_rng(0), world.CALM), dtype=int)
        area = (np.abs(picture - np.median(picture[:, :3], 1, keepdims=True)).max(2) > 20).mean()
        return 0.01 / area


class Files(unittest.TestCase):
    def test_safetensors_round_trip(self):
        tensors = {"b": torch.randn(3, 4), "a.weight": torch.randn(8, 2, 3, 3).contiguous(memory_format=torch.channels_last), "c": torch.arange(5), "d": torch.randn(4).bfloat16(), "e": torch.zeros(0, 3)}
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "x.safetensors"
            safetensors.save(path, tensors)
            for name, value in safetensors.load(path).items():
                self.assertTrue(torch.equal(value, tensors[name]), name)
            safetensors.save(path, tensors, torch.float16)
            self.assertEqual(safetensors.load(path)["b"].dtype, torch.float16)
            with self.assertRaises(ValueError):
                safetensors.save(path, {"x": torch.tensor([1e6])}, torch.float16)

    def test_tokenizers_round_trip_and_know_every_word(self):
        texts = tokenizers.corpus(4000)
        clip, t5 = tokenizers.ClipTokenizer.train(texts), tokenizers.T5Tokenizer.train(texts, 381)
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            clip.save(folder / "a")
            t5.save(folder / "b")
            again, t5_again = tokenizers.ClipTokenizer.load(folder / "a"), tokenizers.T5Tokenizer.load(folder / "b")
        for text in [*texts[:300], "quite unknown: 42 words!", ""]:
            self.assertEqual(clip.encode(text), again.encode(text))
            self.assertEqual(t5.encode(text), t5_again.encode(text))
        for text in texts:
            self.assertEqual(len(clip.encode(text)), 2 + len(tokenizers.WORDS.findall(text)))
            self.assertNotIn(2, t5.encode(text))
        self.assertEqual(clip.encode("a cat", 6)[4:], [clip.end] * 2)
        self.assertEqual(t5.encode("a cat", 5)[2:], [1, 0, 0])
        self.assertEqual(t5.encode("a cat on a red background", 3)[-1], 1)


class Training(unittest.TestCase):
    def test_halves_give_the_gradient_of_the_batch(self):
        torch.manual_seed(0)
        layer = torch.nn.Linear(5, 3)
        x, y = torch.randn(8, 5), torch.randn(8, 3)
        loss = lambda a, b: ((layer(a) - b).square().mean(),)
        (value,) = training.Halves(list(layer.parameters())).backward(loss, x, y)
        whole = loss(x, y)[0]
        self.assertAlmostEqual(float(value), float(whole), places=6)
        for p, g in zip(layer.parameters(), torch.autograd.grad(whole, list(layer.parameters()))):
            torch.testing.assert_close(p.grad, g)

    def test_fast_activations(self):
        x = torch.linspace(-8, 8, 2001).bfloat16()
        for quick, slow in ((fast.silu, torch.nn.functional.silu), (fast.gelu_tanh, lambda v: torch.nn.functional.gelu(v, approximate="tanh"))):
            a, b = x.clone().requires_grad_(), x.float().requires_grad_()
            (ga,), (gb,) = torch.autograd.grad(quick(a).sum(), a), torch.autograd.grad(slow(b).sum(), b)
            torch.testing.assert_close(quick(x).float(), slow(x.float()), rtol=0.01, atol=0.01)
            torch.testing.assert_close(ga.float(), gb, rtol=0.02, atol=0.02)

    def test_muon_updates_are_orthogonal_and_of_the_size_of_adamw(self):
        torch.manual_seed(0)
        for shape in ((2, 48, 96), (1, 64, 64)):
            values = torch.linalg.svdvals(training.Muon.orthogonal(torch.randn(shape)))
            self.assertGreater(float(values.min()), 0.5)
            self.assertLess(float(values.max()), 1.3)
        block = torch.nn.ModuleDict({"blocks": torch.nn.ModuleList([torch.nn.Linear(48, 96)]), "out": torch.nn.Linear(96, 2)})
        adam, muon = training.optimizers(block, "muon", 1e-3, 1e-2)
        self.assertEqual([p.shape for p in muon.param_groups[0]["params"]], [block["blocks"][0].weight.shape])
        self.assertEqual(len(adam.param_groups[0]["params"]), 3)
        before = block["blocks"][0].weight.detach().clone()
        for p in block.parameters():
            p.grad = torch.randn(p.shape)
        muon.step()
        step = (block["blocks"][0].weight.detach() - before).square().mean().sqrt() / 1e-2
        self.assertTrue(0.1 < float(step) < 0.3, float(step))          # .2 for an exactly orthogonal one with square shape, .14 here

    def test_a_stopped_fit_goes_on_to_the_same_weights_and_keeps_the_best(self):
        def fit(folder, steps):
            torch.manual_seed(0)
            module = torch.nn.ModuleDict({"blocks": torch.nn.ModuleList([torch.nn.Linear(8, 8)]), "out": torch.nn.Linear(8, 1)})
            fit = training.Fit(training.Run(folder, {}), module, training.optimizers(module, "muon", 1e-2, 1e-2), 0.9, lambda step: training.trapezoid(step, 6, 2, 0.5))
            while fit.step < steps:
                x = torch.randn(4, 8, generator=torch.Generator().manual_seed(fit.step))
                module.zero_grad()
                module["out"](module["blocks"][0](x)).square().mean().backward()
                fit.apply()
                fit.keep_if_best({"a": 1.0 if fit.step == 2 else 0.0, "b": 0.5})
            fit.save()
            return fit

        with tempfile.TemporaryDirectory() as name:
            whole = fit(pathlib.Path(name) / "whole", 6)
            fit(pathlib.Path(name) / "pieces", 3)
            pieces = fit(pathlib.Path(name) / "pieces", 6)
            for a, b in zip(whole.module.parameters(), pieces.module.parameters()):
                self.assertTrue(torch.equal(a, b))
            for a, b in zip(whole.average.values, pieces.average.values):
                self.assertTrue(torch.equal(a, b))
            self.assertEqual(torch.load(pathlib.Path(name) / "pieces" / "best.pt")["step"], 2)
        self.assertEqual([training.trapezoid(s, 10, 2, 0.5) for s in (0, 1, 4, 5)], [0.5, 1.0, 1.0, 1.0])
        self.assertAlmostEqual(training.trapezoid(10, 10, 2, 0.5), 0.02)

    def test_the_students_targets_lead_from_state_to_state(self):
        class Nothing:
            def __call__(self, names, rng):
                return torch.zeros(len(names), 1), torch.zeros(len(names), 1), torch.zeros(len(names), 1)

        t = student.TrajectoryOptions(count=64, batch=32)
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            states = torch.randn(64, student.STORED, 64, 64).half()
            (folder / "states.f16").write_bytes(states.numpy().tobytes())
            (folder / "trajectories.json").write_text(json.dumps(dataclasses.asdict(t)))
            for windows in (1, 2, 4):
                batches = student.Batches(folder, student.Options(windows=windows, starts=0.5), Nothing())
                seen = set()
                for step in range(3):
                    x, sigma, velocity, *_ = batches(step)
                    window = (windows * (1 - sigma)).clamp(max=windows - 1e-3).floor()
                    end = x - (sigma - (1 - (window + 1) / windows))[:, None, None] * velocity      # straight on to the window's end: a stored state
                    rows = states.float()[:, [int((k + 1) * student.STORED / windows) - 1 for k in range(windows)]]
                    for i in range(32):
                        close = (rows - end[i]).abs().amax((2, 3)) < 1e-2
                        self.assertEqual(int(close.sum()), 1)
                        self.assertEqual(int(close.nonzero()[0, 1]), int(window[i]))
                        seen.add(int(close.nonzero()[0, 0]))
                self.assertGreater(len(seen), 32)                      # both batches

    def test_rewards_ask_for_what_the_caption_names_and_for_no_held_out_outfit(self):
        named = collections.Counter()
        for step in range(40):
            texts, labels, _ = tune.prompts(0, step, 32)
            for text, row in zip(texts, labels.tolist()):
                said = {h: world.ATTRIBUTES[h][k] for h, k in zip(judge.HEADS, row) if k != tune.ABSENT}
                for head in judge.HEADS:
                    words = {v: captions.WORDS.get(v, [v]) for v in world.ATTRIBUTES[head] if v != world.NONE}
                    if head in said:
                        self.assertNotEqual(said[head], world.NONE)
                        self.assertTrue(any(w.removeprefix("a ") in text for w in words[said[head]]), (text, said))
                        named[head] += 1
                    elif head in ("eyewear", "background"):             # words of theirs that are in no other's
                        self.assertFalse(re.search(r"\b(sun|spectacles|eye)?(glasses|shades)\b" if head == "eyewear" else r"(background|wall)$", text), text)
                self.assertNotIn(tuple(said.get(h, world.NONE) for h in ("face", "eyewear", "headwear")), world.HELD_OUT)
        self.assertGreater(min(named.values()), 300)

    def test_the_reward_counts_what_is_named_alone(self):
        logits = {h: torch.zeros(4, len(world.ATTRIBUTES[h])) for h in judge.HEADS}
        logits["eyewear"][0, 1] = 20.0
        labels = torch.full((4, 4), tune.ABSENT)
        labels[0, 1], labels[1, 1] = 1, 2                              # one is seen, for one the verifier has no opinion
        loss, seen = tune.missing(logits, labels)
        self.assertAlmostEqual(float(loss), np.log(3) / 2, places=5)
        self.assertEqual(float(seen), 0.5)

    def test_prompt_lists_say_what_they_name(self):
        lists = experiments.lists()
        self.assertFalse({p["prompt"] for p in lists["tuning"]} & {p["prompt"] for p in lists["judging"]})
        self.assertEqual({p["present"]["face"] for p in lists["judging"]}, set(world.HABITS))
        for p in lists["tuning"] + lists["judging"]:
            ((attribute, value),) = p["absent"].items()
            self.assertEqual(world.HABITS[p["present"]["face"]], (attribute, value))
            self.assertNotIn(attribute, p["present"])
            self.assertNotIn(p["negative"], p["prompt"])
            for setting, least in ((world.WIDE, 0.75), (world.CALM, 0.4)):      # a habit that a caption does not mention is rarer than the habit
                self.assertGreater(world.Conditional(p["present"], setting=setting).probability(attribute, value), least)

    def test_runs_sleep_while_the_file_is_there(self):
        with tempfile.TemporaryDirectory() as name:
            held, training.PAUSE = training.PAUSE, pathlib.Path(name) / "PAUSE"
            try:
                run = training.Run(pathlib.Path(name) / "run", {})
                run.due()
                self.assertLess(run.paused, 0.5)
                training.PAUSE.touch()
                timer = threading.Timer(1.5, training.PAUSE.unlink)
                timer.start()
                run.due()
                timer.join()
                self.assertGreater(run.paused, 1.4)
                training.PAUSE.touch()
                run.stopping = True                                    # a signal ends the sleep
                self.assertTrue(run.due())
            finally:
                training.PAUSE = held

    def test_a_teacher_goes_on_and_branches_into_a_falling_rate(self):
        root = Exports.ROOT / "models"
        start, decider = root / "scenes-flux", root / "scenes-judge"
        held = continued.PICTURES, continued.STEPS, continued.EVERY
        continued.PICTURES, continued.STEPS, continued.EVERY = 2, 1, 1e9
        o = continued.Options(steps=6, batch=2, warmup=2)
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            for part, stream in (("scenes", data.TRAIN), ("held", data.HELD_OUT)):
                self.assertTrue(latents.build(folder / part, start / "vae", 32, stream=stream))
            rest = (start, folder / "scenes", folder / "held", decider)
            try:
                self.assertTrue(continued.train(folder / "whole", o, *rest))
                self.assertTrue(continued.train(folder / "pieces", dataclasses.replace(o, steps=3), *rest))
                self.assertTrue(continued.train(folder / "pieces", o, *rest))
                with self.assertRaises(SystemExit):
                    continued.train(folder / "pieces", dataclasses.replace(o, rate=1.0), *rest)
                whole, pieces = (torch.load(folder / run / "state.pt") for run in ("whole", "pieces"))
                for key, value in whole["model"].items():
                    self.assertTrue(torch.equal(value, pieces["model"][key]), key)
                self.assertEqual({key.split(".")[0] for key in whole["model"]}, {"transformer"})
                self.assertTrue(continued.decay(folder / "branch", dataclasses.replace(o, steps=0), folder / "pieces" / "state-3.pt", 2, *rest))
                branch = torch.load(folder / "branch" / "state.pt")
                self.assertEqual((branch["first"], branch["last"], branch["step"]), (3, 5, 5))
                self.assertTrue(all(group["lr"] < group["peak"] for values in branch["optimizers"] for group in values["param_groups"]))
                continued.export(folder / "branch", start, folder / "export")
            finally:
                continued.PICTURES, continued.STEPS, continued.EVERY = held
            before, after = (safetensors.load_folder(f / "text_encoder_2") for f in (start, folder / "export"))
            self.assertTrue(all(torch.equal(before[key], after[key]) for key in before))
            rows = training.Run(folder / "branch", json.loads((folder / "branch" / "run.json").read_text())).rows()
            self.assertTrue(rows[-1]["nearest_median"] and rows[-1]["held_out"])
            moved = safetensors.load_folder(folder / "export" / "transformer")
            for key, value in branch["average"]["values"].items():
                self.assertTrue(torch.equal(moved[key.removeprefix("transformer.")], value.half()), key)
        for step, factor in ((10, 1.0), (15, 0.51), (20, 0.02)):
            self.assertAlmostEqual(training.falling(step, 10, 20), factor)

    def test_a_stopped_run_goes_on_to_the_same_weights(self):
        options = vae.Options(crop_steps=4, frame_steps=2, crop_batch=2, frame_batch=2, warmup=2)
        final = []
        with tempfile.TemporaryDirectory() as name:
            for folder, stops in ((pathlib.Path(name) / "whole", ()), (pathlib.Path(name) / "pieces", (2, 5))):
                for stop in (*stops, None):
                    due, calls = training.Run.due, [0]
                    first = 0 if stop in (None, stops[0] if stops else None) else stops[0]

                    def stopping(run, stop=stop, calls=calls, first=first):
                        calls[0] += 1
                        run.stopping = run.stopping or (stop is not None and first + calls[0] == stop)
                        return due(run)

                    training.Run.due = stopping
                    try:
                        vae.train(folder, options, log_every=100, evaluate_every=10 ** 9)
                    finally:
                        training.Run.due = due
                state = torch.load(folder / "state.pt")
                self.assertEqual(state["step"], 6)
                final.append(state)
            with self.assertRaises(SystemExit):
                vae.train(folder, vae.Options(crop_steps=5), evaluate_every=10 ** 9)
        for part in ("model",):
            for key, value in final[0][part].items():
                self.assertTrue(torch.equal(value, final[1][part][key]), key)
        for key, value in final[0]["average"]["values"].items():
            self.assertTrue(torch.equal(value, final[1]["average"]["values"][key]), key)


class Exports(unittest.TestCase):
    """The embedded checkpoints beside the one that diffusers wrote (tests/golden)."""
    ROOT = pathlib.Path(__file__).resolve().parents[2]
    GOLDEN = ROOT / "tests" / "golden" / "checkpoints" / "flux-schnell"

    def test_files_keys_and_settings_have_the_names_of_diffusers(self):
        files = lambda folder: {str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file()}
        keys = lambda folder: {re.sub(r"\.\d+\.", ".N.", key) for key in safetensors.load_folder(folder)}
        settings = lambda folder: json.loads((folder / "config.json").read_text()).keys()
        for name in ("scenes-flux", "scenes-flux-schnell"):
            ours = self.ROOT / "models" / name
            # T5 is sharded there, and its slow tokenizer's files are not needed by T5TokenizerFast.
            self.assertEqual({f for f in files(self.GOLDEN) - files(ours) if not f.startswith(("text_encoder_2/model", "tokenizer_2/"))}, set())
            self.assertEqual(files(ours) - files(self.GOLDEN), {"README.md", "text_encoder_2/model.safetensors"})
            for component in ("text_encoder", "text_encoder_2", "transformer", "vae"):
                self.assertEqual(keys(ours / component), keys(self.GOLDEN / component))
                self.assertEqual(settings(ours / component) - settings(self.GOLDEN / component), set())
            self.assertLess(sum(f.stat().st_size for f in ours.rglob("*") if f.is_file()), 25e6)

    def test_the_student_differs_from_its_teacher_in_the_denoiser_alone(self):
        teacher, student = (self.ROOT / "models" / name for name in ("scenes-flux", "scenes-flux-schnell"))
        for component in ("text_encoder", "text_encoder_2", "vae", "transformer"):
            a, b = safetensors.load_folder(teacher / component), safetensors.load_folder(student / component)
            self.assertEqual(all(torch.equal(a[key], b[key]) for key in a), component != "transformer")


class Models(unittest.TestCase):
    @torch.no_grad()
    def test_scaled_latents_decode_to_the_same_picture(self):
        torch.manual_seed(0)
        model = vae.AutoencoderKL()
        x = torch.rand(1, 3, 64, 64) * 2 - 1
        mean, log_variance = model.encode(x)
        before = model.decode(mean)
        deviations = torch.rand(16) + 0.5
        vae.scale_latents(model, deviations)
        scaled, scaled_variance = model.encode(x)
        torch.testing.assert_close(scaled, mean / deviations[:, None, None], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(scaled_variance, log_variance - 2 * deviations.log()[:, None, None], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(model.decode(scaled), before, rtol=1e-4, atol=1e-4)

    @torch.no_grad()
    def test_masked_text_is_absent_text(self):
        torch.manual_seed(0)
        t5, model = text_encoders.T5EncoderModel(text_encoders.T5Config(50)), flux.FluxTransformer2DModel()
        for p in model.parameters():
            p.copy_(torch.randn(p.shape) * 0.05)
        ids, x, pooled, t = torch.randint(3, 50, (1, 12)), torch.randn(1, 64, 64), torch.randn(1, 128), torch.tensor([0.4])
        mask = torch.zeros(1, 1, 1, 12)
        mask[..., 7:] = float("-inf")
        masked = model(x, t5(ids, mask), pooled, t, model.rotary(8, 8, 12, mask))
        short = model(x, t5(ids[:, :7]), pooled, t, model.rotary(8, 8, 7))
        torch.testing.assert_close(masked, short, rtol=1e-4, atol=1e-5)

    @torch.no_grad()
    def test_rewarded_pictures_are_those_of_the_pipeline(self):
        pipe = pipeline.Pipeline.load(Exports.ROOT / "models" / "scenes-flux-schnell")
        noise = torch.randn(2, 16, 16, 16, generator=torch.Generator().manual_seed(0))
        names = ["a panda", "a fox in a crown on a blue background"]
        text, pooled = pipe.encode(names, 32)
        for steps in (2, 4):
            drawn = tune.draw(pipe.transformer, flux.pack(noise), text, pooled, torch.zeros(2, 1, 1, 32), steps)
            with fast.autocast():
                sampled = pipe.sample(names, noise, steps, length=32)[f"latents.{steps - 1}"]
            self.assertLess(float((drawn - sampled).norm() / sampled.norm()), 0.02)          # bfloat16 inside; a wrong sigma gives ten times that

    def test_the_verifier_learns_a_batch_and_its_run_can_be_loaded(self):
        with tempfile.TemporaryDirectory() as name:
            latents, run = pathlib.Path(name) / "latents", pathlib.Path(name) / "run"
            latents.mkdir()
            count = verifier.HELD_OUT + 64                             # the training's part is one batch
            rng = np.random.default_rng(0)
            attributes = rng.integers(0, 3, (count, 5))
            signs = rng.standard_normal((5, 3, 64, 64))                # every value of an attribute leaves its mark on the latents
            (latents / "latents.f16").write_bytes(sum(sign[values] for sign, values in zip(signs, attributes.T)).astype(np.float16).tobytes())
            (latents / "attributes.u8").write_bytes(attributes.astype(np.uint8).tobytes())
            (latents / "latents.json").write_text(json.dumps({"count": count}))
            verifier.train(run, verifier.Options(steps=40, batch=32, rate=4e-3, warmup=1), latents, log_every=40)
            (row,) = training.Run(run, json.loads((run / "run.json").read_text())).rows()
            self.assertGreater(min(float(row[f"{h}_at_0"]) for h in judge.HEADS), 0.5)       # held out; a guess is right in a third
            self.assertFalse(any(p.requires_grad for p in verifier.load(run).parameters()))

    def test_pack_and_unpack(self):
        x = torch.randn(2, 16, 8, 6)
        self.assertTrue(torch.equal(flux.unpack(flux.pack(x), 8, 6), x))

    def test_judge_learns_a_batch(self):
        torch.manual_seed(0)
        model = judge.Judge()
        pictures, labels = judge.load_set(judge.Labelled(0, data.TRAIN, degraded=True), 8)
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        first = last = None
        for _ in range(25):
            loss, _ = judge.losses(model, judge.Options(), data.to_float(pictures), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            first, last = first if first is not None else float(loss), float(loss)
        self.assertLess(last, first / 2)


if __name__ == "__main__":
    unittest.main()
