"""The two tokenizers of a FLUX checkpoint, trained on the captions: byte-level BPE in CLIP's layout and a Unigram model in T5's.

Neither `tokenizers` nor `sentencepiece` is needed. The captions use a few hundred words, all of which become single tokens; any other
text is spelled with smaller pieces.
"""
from __future__ import annotations

import collections
import json
import math
import pathlib
import re

import numpy as np

from . import captions, data, world

START, END = "<|startoftext|>", "<|endoftext|>"
# As CLIP divides text; the captions are ASCII, other letters are left to whoever loads the files.
WORDS = re.compile(r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|(?:[^\s\w]|_)+", re.IGNORECASE)
MARK = "\u2581"
EXTRA_IDS = 100
MAX_LENGTH = 32             # of T5 prompts: captions have at most 25 tokens, and training pads to no more


def corpus(count: int = 40000, seed: int = 0) -> list[str]:
    """Captions of the training distribution."""
    texts = []
    for i in range(count):
        rng = data.generator(seed, data.TRAIN, i)
        texts.append(captions.caption(world.sample(rng, world.WIDE), rng))
    return texts


# -------------------------------------------------------------------------------------------------------------------- CLIP

def _byte_symbols() -> dict[int, str]:
    """GPT-2's printable character for every byte."""
    symbols = {b: chr(b) for b in (*range(33, 127), *range(161, 173), *range(174, 256))}
    symbols |= {b: chr(256 + i) for i, b in enumerate(b for b in range(256) if b not in symbols)}
    return symbols


BYTES = _byte_symbols()


def _symbols(word: str) -> tuple[str, ...]:
    letters = [BYTES[b] for b in word.encode("utf-8")]
    return (*letters[:-1], letters[-1] + "</w>")


def _merge(symbols: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    out, i = [], 0
    while i < len(symbols):
        if symbols[i:i + 2] == pair:
            out.append(symbols[i] + symbols[i + 1])
            i += 2
        else:
            out.append(symbols[i])
            i += 1
    return tuple(out)


class ClipTokenizer:
    """vocab.json and merges.txt: 256 bytes, 256 bytes that end a word, one token per merge, start and end."""

    def __init__(self, merges: list[tuple[str, str]]):
        letters = [BYTES[b] for b in sorted(BYTES, key=lambda b: ord(BYTES[b]))]
        self.merges = merges
        tokens = [*letters, *(s + "</w>" for s in letters), *(a + b for a, b in merges), START, END]
        self.vocabulary = {token: i for i, token in enumerate(tokens)}
        if len(self.vocabulary) != len(tokens):
            raise ValueError("two merges give the same token")
        self.start, self.end = self.vocabulary[START], self.vocabulary[END]
        self.ranks = {pair: i for i, pair in enumerate(merges)}
        self.known: dict[str, list[int]] = {}

    @staticmethod
    def train(texts: list[str]) -> ClipTokenizer:
        """Merges the most frequent pair, of equals the first in the alphabet, until every word that occurs is one token."""
        words = collections.Counter(w for text in texts for w in WORDS.findall(text.lower()))
        divided = {word: _symbols(word) for word in words}
        merges: list[tuple[str, str]] = []
        made: set[str] = set()
        while True:
            pairs: collections.Counter = collections.Counter()
            for word, symbols in divided.items():
                for pair in zip(symbols, symbols[1:]):
                    pairs[pair] += words[word]
            pairs = {p: n for p, n in pairs.items() if p[0] + p[1] not in made}
            if not pairs:
                return ClipTokenizer(merges)
            best = min(pairs, key=lambda p: (-pairs[p], p))
            merges.append(best)
            made.add(best[0] + best[1])
            divided = {word: _merge(symbols, best) for word, symbols in divided.items()}

    def _word(self, word: str) -> list[int]:
        if word in (START, END):
            return [self.vocabulary[word]]
        if word not in self.known:
            symbols = _symbols(word)
            while True:
                ranked = [self.ranks[p] for p in zip(symbols, symbols[1:]) if p in self.ranks]
                if not ranked:
                    break
                symbols = _merge(symbols, self.merges[min(ranked)])
            self.known[word] = [self.vocabulary[s] for s in symbols]
        return self.known[word]

    def encode(self, text: str, length: int | None = None) -> list[int]:
        """Start, words, end; padded with end tokens or cut to `length` where given."""
        ids = [self.start, *(i for word in WORDS.findall(text.lower()) for i in self._word(word)), self.end]
        if length is None:
            return ids
        return ids + [self.end] * (length - len(ids)) if len(ids) <= length else ids[:length - 1] + [self.end]

    def save(self, folder: pathlib.Path):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "vocab.json").write_text(json.dumps(self.vocabulary, ensure_ascii=False), encoding="utf-8")
        (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in self.merges), encoding="utf-8")
        token = lambda content: {"content": content, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False}
        _json(folder / "special_tokens_map.json", {"bos_token": token(START), "eos_token": token(END), "pad_token": END, "unk_token": token(END)})
        _json(folder / "tokenizer_config.json", {
            "add_prefix_space": False, "bos_token": {**token(START), "__type": "AddedToken"}, "do_lower_case": True, "eos_token": {**token(END), "__type": "AddedToken"},
            "errors": "replace", "model_max_length": 77, "pad_token": END, "tokenizer_class": "CLIPTokenizer", "unk_token": {**token(END), "__type": "AddedToken"}})

    @staticmethod
    def load(folder: pathlib.Path) -> ClipTokenizer:
        lines = (folder / "merges.txt").read_text(encoding="utf-8").split("\n")[1:]
        return ClipTokenizer([tuple(line.split(" ")) for line in lines if line])


# ---------------------------------------------------------------------------------------------------------------------- T5

class T5Tokenizer:
    """tokenizer.json: pad, end, unknown, the pieces with their log probabilities, the extra ids in descending order. Text is lowered first."""

    def __init__(self, pieces: list[tuple[str, float]]):
        self.pieces = pieces                                           # without the three special ones
        self.scores = {piece: score for piece, score in pieces}
        self.ids = {piece: i + 3 for i, (piece, _) in enumerate(pieces)}
        self.unknown = min(self.scores.values()) - 10
        self.longest = max(map(len, self.scores))
        self.vocabulary_size = 3 + len(pieces) + EXTRA_IDS
        self.known: dict[str, list[int]] = {}

    @staticmethod
    def words(text: str) -> list[str]:
        """Lowered, divided before every space; each word begins with the mark."""
        text = re.sub(" {2,}", MARK, text.lower().rstrip()).replace(" ", MARK)
        return re.findall(f"{MARK}[^{MARK}]*", text if text.startswith(MARK) else MARK + text) if text else []

    @staticmethod
    def train(texts: list[str], size: int) -> T5Tokenizer:
        """Expectation maximisation with pruning (Kudo, arXiv 1804.10959) down to at most `size` pieces; printable characters and the mark always stay."""
        counts = collections.Counter(w for text in texts for w in T5Tokenizer.words(text))
        letters = {chr(c) for c in range(33, 127) if not chr(c).isupper()} | {MARK}
        seeds: collections.Counter = collections.Counter({letter: 1 for letter in letters})
        for word, n in counts.items():
            for i in range(len(word)):
                for j in range(i + 1, len(word) + 1):
                    if j == i + 1 or word[i:j].lstrip(MARK).replace("'", "").isalnum():    # a comma never joins a word
                        seeds[word[i:j]] += n
        total = sum(n * len(p) for p, n in seeds.items())
        scores = {p: math.log(n * len(p) / total) for p, n in seeds.items()}
        while True:
            for _ in range(3):                                         # E: expected use of every piece; M: their logarithms
                expected = dict.fromkeys(scores, 0.0)
                for word, n in counts.items():
                    _add_expected(word, n, scores, expected)
                kept = {p: max(e, 0.1) for p, e in expected.items() if e > 0.5 or p in letters}
                norm = math.log(sum(kept.values()))
                scores = {p: math.log(e) - norm for p, e in kept.items()}
            if len(scores) <= size:
                break
            # Of the pieces that may go, those whose loss costs the corpus least: use times the gap to their next best division.
            use: collections.Counter = collections.Counter()
            for word, n in counts.items():
                for piece in _best(word, scores)[1]:
                    use[piece] += n
            cost = {p: use[p] * (s - _best(p, scores, without=p)[0]) for p, s in scores.items() if p not in letters}
            keep = max(size, int(0.8 * len(scores))) - len(letters)
            stay = sorted(cost, key=lambda p: (-cost[p], p))[:keep]
            scores = {p: scores[p] for p in sorted(letters | set(stay))}
        return T5Tokenizer([(p, round(s, 6)) for p, s in sorted(scores.items(), key=lambda item: (-item[1], item[0]))])

    def _word(self, word: str) -> list[int]:
        if word not in self.known:
            ids = []
            for piece in _best(word, self.scores, unknown=self.unknown, longest=self.longest)[1]:
                i = self.ids.get(piece, 2)
                if not (i == 2 and ids and ids[-1] == 2):              # neighbours that are unknown become one
                    ids.append(i)
            self.known[word] = ids
        return self.known[word]

    def encode(self, text: str, length: int | None = None) -> list[int]:
        """Pieces and the end token; padded with 0 or cut to `length` where given."""
        ids = [*(i for word in self.words(text) for i in self._word(word)), 1]
        if length is None:
            return ids
        return ids + [0] * (length - len(ids)) if len(ids) <= length else ids[:length - 1] + [1]

    def save(self, folder: pathlib.Path):
        folder.mkdir(parents=True, exist_ok=True)
        extra = [(3 + len(self.pieces) + k, f"<extra_id_{EXTRA_IDS - 1 - k}>") for k in range(EXTRA_IDS)]
        flags = lambda strip: {"single_word": False, "lstrip": strip, "rstrip": strip, "normalized": False, "special": True}
        added = [(0, "<pad>", False), (1, "</s>", False), (2, "<unk>", False), *((i, name, True) for i, name in extra)]
        space = {"type": "Metaspace", "replacement": MARK, "prepend_scheme": "always", "split": True}
        frame = lambda sequence: [{"Sequence": {"id": sequence, "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}]
        _json(folder / "tokenizer.json", {
            "version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [{"id": i, "content": name, **flags(strip)} for i, name, strip in added],
            "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}, {"type": "Strip", "strip_left": False, "strip_right": True},
                                                               {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": MARK}]},
            "pre_tokenizer": space,
            "post_processor": {"type": "TemplateProcessing", "single": frame("A"), "pair": frame("A") + frame("B"), "special_tokens": {"</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}}},
            "decoder": space,
            "model": {"type": "Unigram", "unk_id": 2, "vocab": [["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0], *map(list, self.pieces), *([name, 0.0] for _, name in extra)], "byte_fallback": False},
        })
        names = sorted(name for _, name in extra)
        token = lambda content: {"content": content, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
        _json(folder / "special_tokens_map.json", {"additional_special_tokens": names, "eos_token": token("</s>"), "pad_token": token("<pad>"), "unk_token": token("<unk>")})
        _json(folder / "tokenizer_config.json", {
            "add_prefix_space": True,
            "added_tokens_decoder": {str(i): {"content": name, "lstrip": strip, "normalized": False, "rstrip": strip, "single_word": False, "special": True} for i, name, strip in added},
            "additional_special_tokens": names, "clean_up_tokenization_spaces": False, "eos_token": "</s>", "extra_ids": EXTRA_IDS, "model_max_length": MAX_LENGTH, "pad_token": "<pad>",
            "tokenizer_class": "T5Tokenizer", "unk_token": "<unk>"})

    @staticmethod
    def load(folder: pathlib.Path) -> T5Tokenizer:
        vocabulary = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
        return T5Tokenizer([(piece, score) for piece, score in vocabulary[3:-EXTRA_IDS]])


def _best(word: str, scores: dict[str, float], without: str | None = None, unknown: float = -math.inf, longest: int = 64) -> tuple[float, list[str]]:
    """The division of `word` with the largest sum of scores; a character that is no piece costs `unknown`. Of equals the one found first stays."""
    best = [(0.0, 0), *[(-math.inf, 0)] * len(word)]
    for i in range(len(word)):
        for j in range(i + 1, min(len(word), i + longest) + 1):
            piece = word[i:j]
            score = scores.get(piece, unknown if j == i + 1 else None) if piece != without else None
            if score is not None and best[i][0] + score > best[j][0]:
                best[j] = (best[i][0] + score, i)
    pieces, end = [], len(word)
    while end:
        begin = best[end][1]
        pieces.append(word[begin:end])
        end = begin
    return best[-1][0], pieces[::-1]


def _add_expected(word: str, count: int, scores: dict[str, float], expected: dict[str, float]):
    """Forward and backward sums over all divisions of `word`; adds `count` times the probability of each piece."""
    n = len(word)
    forward, backward = np.full(n + 1, -np.inf), np.full(n + 1, -np.inf)
    forward[0] = backward[n] = 0
    spans = [(i, j, scores[word[i:j]]) for i in range(n) for j in range(i + 1, n + 1) if word[i:j] in scores]
    for i, j, s in spans:
        forward[j] = np.logaddexp(forward[j], forward[i] + s)
    for i, j, s in reversed(spans):
        backward[i] = np.logaddexp(backward[i], backward[j] + s)
    for i, j, s in spans:
        expected[word[i:j]] += count * math.exp(forward[i] + s + backward[j] - forward[n])


def _json(path: pathlib.Path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def build(folder: pathlib.Path, pieces: int = 381) -> tuple[ClipTokenizer, T5Tokenizer]:
    """Trains both on the captions and writes `tokenizer` and `tokenizer_2`."""
    texts = corpus()
    clip, t5 = ClipTokenizer.train(texts), T5Tokenizer.train(texts, pieces)
    clip.save(folder / "tokenizer")
    t5.save(folder / "tokenizer_2")
    lengths = [(len(clip.encode(t)), len(t5.encode(t))) for t in texts]
    words = {w for t in texts for w in WORDS.findall(t)}
    split = sorted(w for w in {w for t in texts for w in t5.words(t)} if len([i for i in t5._word(w)]) > 1 + w.endswith(","))
    print(f"{len(words)} words; CLIP: {len(clip.vocabulary)} tokens, captions of {min(a for a, _ in lengths)} to {max(a for a, _ in lengths)}; "
          f"T5: {t5.vocabulary_size} tokens, captions of {min(b for _, b in lengths)} to {max(b for _, b in lengths)}; words of several pieces: {split or 'none'}")
    return clip, t5
