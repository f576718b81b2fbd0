"""Captions: English templates with synonyms. A caption says some of what a scene shows and never what it does not show."""
from __future__ import annotations

import numpy as np

from .world import MENTIONED, NONE, Scene

WORDS = {
    "panda": ["panda", "panda", "panda bear"], "fox": ["fox"], "lion": ["lion"], "cat": ["cat", "cat", "kitty", "kitten"], "dog": ["dog", "dog", "puppy"],
    "tiger": ["tiger"], "bear": ["bear", "bear", "brown bear"], "koala": ["koala"], "rabbit": ["rabbit", "rabbit", "bunny"], "mouse": ["mouse"], "frog": ["frog"],
    "monkey": ["monkey"], "pig": ["pig", "pig", "piglet"], "cow": ["cow"], "wolf": ["wolf"], "hamster": ["hamster"], "raccoon": ["raccoon"],
    "polar bear": ["polar bear", "polar bear", "white bear"], "penguin": ["penguin"], "owl": ["owl"], "robot": ["robot"], "alien": ["alien"], "ghost": ["ghost"],
    "pumpkin": ["pumpkin"], "skull": ["skull"], "clown": ["clown"], "devil": ["devil", "devil", "imp"], "octopus": ["octopus"],
    "chick": ["chick", "chick", "baby chicken"], "sun": ["sun"],
    "sunglasses": ["sunglasses", "sunglasses", "shades"], "glasses": ["glasses", "glasses", "spectacles", "eyeglasses"],
    "top hat": ["a top hat"], "crown": ["a crown", "a crown", "a golden crown"], "cap": ["a cap", "a cap", "a blue cap", "a baseball cap"],
    "bow": ["a bow", "a bow", "a red bow", "a ribbon"], "graduation cap": ["a graduation cap", "a graduation cap", "a graduate's cap"],
    "balloon": ["a balloon", "a red balloon"], "star": ["a star", "a yellow star"], "heart": ["a heart", "a red heart"], "apple": ["an apple", "a red apple"],
    "tree": ["a tree", "a green tree"], "moon": ["a moon", "a crescent moon"], "sunflower": ["a sunflower"], "mushroom": ["a mushroom", "a red mushroom"],
    "purple": ["purple", "purple", "violet"], "gray": ["gray", "grey"],
}
ANYONE = ["someone", "a face", "an animal", "a creature"]
STYLES = ["", "", "", "", "a picture of ", "an emoji of ", "a photo of "]
ADJECTIVES = ["", "", "", "", "cute ", "happy ", "little "]


def mentions(scene: Scene, rng: np.random.Generator) -> dict[str, str]:
    """Which attributes a caption speaks of: present ones with the probabilities of `MENTIONED`, absent ones never; at least one."""
    shown = {a: v for a, v in vars(scene).items() if v != NONE}
    kept = {a: v for a, v in shown.items() if rng.random() < MENTIONED[a]}
    return kept or {"face": scene.face}


def _article(noun: str) -> str:
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def write(attributes: dict[str, str], rng: np.random.Generator) -> str:
    """A caption that mentions exactly `attributes`: a sentence, a list of tags, or the thing alone."""
    pick = lambda options: options[int(rng.random() * len(options))]
    word = lambda value: pick(WORDS.get(value, [value]))
    noun = word(attributes["face"]) if "face" in attributes else None
    worn = [word(attributes[a]) for a in ("eyewear", "headwear") if a in attributes]
    if len(worn) == 2 and rng.random() < 0.5:
        worn.reverse()
    colour = word(attributes["background"]) if "background" in attributes else None
    thing = word(attributes["object"]) if "object" in attributes else None
    bare = lambda phrase: phrase.removeprefix("a ").removeprefix("an ")

    if rng.random() < 0.25:                                            # tags, as negative prompts are written
        tags = [t for t in (noun, *map(bare, worn), f"{colour} background" if colour else None, bare(thing) if thing else None) if t]
        return ", ".join(tags)
    if noun:
        adjective = pick(ADJECTIVES)
        subject = pick(STYLES) + ("the " + adjective + noun if noun == "sun" and rng.random() < 0.5 else _article(adjective + noun))
    elif worn or thing:
        subject = pick(ANYONE)
    else:
        return pick([f"{_article(colour)} background", f"{colour} background", f"something on {_article(colour)} background"])
    text = subject
    if worn:
        text += pick([" wearing ", " wearing ", " with ", " in "]) + " and ".join(worn)
    if thing:
        text += pick([" next to ", " beside "] if worn else [" next to ", " beside ", " and "]) + thing
    if colour:
        text += pick([f" on {_article(colour)} background", f" on {_article(colour)} background", f" in front of {_article(colour)} wall", f", {colour} background"])
    return text


def caption(scene: Scene, rng: np.random.Generator) -> str:
    return write(mentions(scene, rng), rng)
