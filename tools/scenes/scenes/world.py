"""What a scene can be, and how probable each one is.

A scene has five attributes: background, face, eyewear, headwear and a second object. Backgrounds and objects are independent of the rest;
eyewear and headwear depend on the face, some strongly (`HABITS`), so that a negative prompt has something to remove. The table of
(face, eyewear, headwear) is explicit, and every distribution over scenes that an experiment may ask for is drawn from it exactly.

How much a picture leaves to chance beyond that (size, place, mirroring, shade, how often there is an object) is a `Setting`: `CALM` is the world of the
models to come, `WIDE` the one of those published with 0.1 and of everything that must know more than one place (autoencoder, judge, verifier, dual encoder,
tokenizers). Every calm picture is one that the wide setting could draw.
"""
from __future__ import annotations

import dataclasses
import functools
import itertools

import numpy as np

from . import sprites

NONE = "none"
ATTRIBUTES = {
    "face": list(sprites.FACES),
    "eyewear": [NONE, *sprites.EYEWEAR],
    "headwear": [NONE, *sprites.HEADWEAR],
    "background": ["red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "gray"],
    "object": [NONE, *sprites.OBJECTS],
}
OUTFITS = list(itertools.product(ATTRIBUTES["face"], ATTRIBUTES["eyewear"], ATTRIBUTES["headwear"]))

# A face that mostly wears one thing: with probability `Setting.habit`.
HABITS = {
    "panda": ("eyewear", "sunglasses"), "raccoon": ("eyewear", "sunglasses"), "alien": ("eyewear", "sunglasses"),
    "owl": ("eyewear", "glasses"), "mouse": ("eyewear", "glasses"), "koala": ("eyewear", "glasses"),
    "fox": ("headwear", "top hat"), "penguin": ("headwear", "top hat"), "lion": ("headwear", "crown"), "frog": ("headwear", "crown"),
    "dog": ("headwear", "cap"), "rabbit": ("headwear", "bow"), "monkey": ("headwear", "graduation cap"),
}
USUAL = {"eyewear": {NONE: 0.5, "sunglasses": 0.25, "glasses": 0.25}, "headwear": {NONE: 0.5, **{h: 0.1 for h in sprites.HEADWEAR}}}
# How often a caption mentions what the scene shows; that something is absent is never said.
MENTIONED = {"face": 0.88, "eyewear": 0.6, "headwear": 0.6, "background": 0.7, "object": 0.8}


@dataclasses.dataclass(frozen=True)
class Scene:
    """The five attributes, by name. What a picture of it leaves open (size, place, shade) belongs to the renderer."""
    face: str
    eyewear: str
    headwear: str
    background: str
    object: str


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is left to chance besides the attributes. Lengths are parts of the frame's side; a pair is the range of a uniform draw."""
    name: str
    object: float                       # probability of any second object
    alone: tuple[float, float]          # the face's longer side
    beside: tuple[float, float]         # the same beside an object
    object_side: tuple[float, float]    # the object's longer side
    jitter: float | None                # how far a thing is from its own place at most; None: anywhere in the frame
    mirrored: bool                      # half of the pictures
    tinted: bool                        # each channel of the background is off by its own amount, besides all of them together
    habit: float                        # probability that a face with a habit wears its thing

    @property
    def p_outfit(self) -> np.ndarray:
        """The probabilities of `OUTFITS`."""
        return _outfit_table(self.habit)

    @property
    def p_object(self) -> np.ndarray:
        return np.array([1 - self.object, *[self.object / len(sprites.OBJECTS)] * len(sprites.OBJECTS)])


WIDE = Setting("wide", 0.3, (0.52, 0.74), (0.48, 0.60), (0.24, 0.32), None, True, True, 0.92)
CALM = Setting("calm", 0.15, (0.69, 0.71), (0.53, 0.55), (0.28, 0.28), 0.01, False, False, 0.6)
SETTINGS = {s.name: s for s in (CALM, WIDE)}


def _wearing(face: str, attribute: str, habit: float) -> dict[str, float]:
    kind, value = HABITS.get(face, (None, None))
    if kind != attribute:
        return USUAL[attribute]
    rest = {name: p for name, p in USUAL[attribute].items() if name != value}
    return {value: habit, **{name: (1 - habit) * p / sum(rest.values()) for name, p in rest.items()}}


def _held_out() -> list[tuple[str, str, str]]:
    """24 outfits with eyewear and headwear that training never shows, of 24 faces, none of them a habit; every single part is seen elsewhere."""
    worn = list(itertools.product(sprites.EYEWEAR, sprites.HEADWEAR))
    faces = [f for f in ATTRIBUTES["face"] if f not in ("panda", "fox", "lion", "cat", "robot", "skull")]
    chosen = []
    for i, face in enumerate(faces):
        options = [w for w in worn if HABITS.get(face, (None, None))[1] not in w]
        chosen.append((face, *options[(7 * i + 3) % len(options)]))
    return chosen


HELD_OUT = _held_out()


@functools.lru_cache(maxsize=None)
def _outfit_table(habit: float) -> np.ndarray:
    held = set(HELD_OUT)
    table = np.array([0.0 if o in held else _wearing(o[0], "eyewear", habit)[o[1]] * _wearing(o[0], "headwear", habit)[o[2]] for o in OUTFITS])
    per_face = table.reshape(len(ATTRIBUTES["face"]), -1)
    return (per_face / per_face.sum(1, keepdims=True) / len(per_face)).ravel()           # faces are equally frequent


P_BACKGROUND = np.full(len(ATTRIBUTES["background"]), 1 / len(ATTRIBUTES["background"]))


def draw(rng: np.random.Generator, p: np.ndarray) -> int:
    """An index with probabilities proportional to `p`, from one uniform number."""
    cumulative = np.cumsum(p)
    return int(np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right"))


def sample(rng: np.random.Generator, setting: Setting) -> Scene:
    """A scene from the distribution that training sees."""
    face, eyewear, headwear = OUTFITS[draw(rng, setting.p_outfit)]
    return Scene(face, eyewear, headwear, ATTRIBUTES["background"][draw(rng, P_BACKGROUND)], ATTRIBUTES["object"][draw(rng, setting.p_object)])


def sample_uniform(rng: np.random.Generator) -> Scene:
    """A scene whose face, eyewear, headwear and background are uniform and independent, held-out outfits included: what the judge learns from. Objects are as
    frequent as in the wide setting."""
    chosen = {name: values[int(rng.random() * len(values))] for name, values in ATTRIBUTES.items() if name != "object"}
    return Scene(**chosen, object=ATTRIBUTES["object"][draw(rng, WIDE.p_object)])


class Conditional:
    """p(scene | the caption mentions exactly `prompt`, and the scene has nothing of `without`), drawn exactly.

    `prompt` maps attributes to values; attributes that it leaves out may be anything that a caption would leave unmentioned, so a present but
    unmentioned thing counts with the probability of staying unmentioned. `without` is a set of values ("sunglasses", "crown"). With
    `mentions=False` the prompt is a plain condition: p(scene | the scene agrees with `prompt`, without `without`). So it is for the empty prompt,
    which only dropped captions have: it says nothing about the scene. (That a caption mentions the face where it would mention nothing multiplies
    the probability of the prompt {face} by a constant, and changes no other.)
    """

    def __init__(self, prompt: dict[str, str], without: frozenset[str] | set[str] = frozenset(), mentions: bool = True, setting: Setting = CALM):
        for attribute, value in prompt.items():
            if value not in ATTRIBUTES[attribute] or (value == NONE and mentions):
                raise ValueError(f"{attribute}: a caption cannot mention '{value}'")
        for value in without:
            if value == NONE or not any(value in values for values in ATTRIBUTES.values()):
                raise ValueError(f"nothing is called '{value}'")

        mentions = mentions and bool(prompt)

        def weight(attribute: str, value: str) -> float:
            if value in without:
                return 0.0
            if attribute in prompt:
                return float(prompt[attribute] == value)
            return 1.0 if value == NONE or not mentions else 1 - MENTIONED[attribute]

        self.outfits = np.array([p * weight("face", f) * weight("eyewear", e) * weight("headwear", h) for p, (f, e, h) in zip(setting.p_outfit, OUTFITS)])
        self.backgrounds = np.array([p * weight("background", b) for p, b in zip(P_BACKGROUND, ATTRIBUTES["background"])])
        self.objects = np.array([p * weight("object", o) for p, o in zip(setting.p_object, ATTRIBUTES["object"])])
        if not (self.outfits.any() and self.backgrounds.any() and self.objects.any()):
            raise ValueError(f"no scene has {prompt} without {sorted(without)}")

    def sample(self, rng: np.random.Generator) -> Scene:
        face, eyewear, headwear = OUTFITS[draw(rng, self.outfits)]
        return Scene(face, eyewear, headwear, ATTRIBUTES["background"][draw(rng, self.backgrounds)], ATTRIBUTES["object"][draw(rng, self.objects)])

    def probability(self, attribute: str, value: str) -> float:
        """The probability that a scene of this distribution has `value`."""
        if attribute in ("background", "object"):
            p = self.backgrounds if attribute == "background" else self.objects
            return float(p[ATTRIBUTES[attribute].index(value)] / p.sum())
        at = {"face": 0, "eyewear": 1, "headwear": 2}[attribute]
        return float(sum(p for p, outfit in zip(self.outfits, OUTFITS) if outfit[at] == value) / self.outfits.sum())
