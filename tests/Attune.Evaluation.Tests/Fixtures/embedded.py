"""Makes embedded.safetensors and embedded.json: what PyTorch says of three renders and their captions with the judge and the dual encoder of models/.

OMP_NUM_THREADS=1 PYTHONPATH=tools/scenes /usr/bin/python3 tests/Attune.Evaluation.Tests/Fixtures/embedded.py    (needs the sprites: python3 -m scenes sprites)
"""
import pathlib

import torch

from scenes import data, dual_encoder, judge, safetensors, training
from scenes.tokenizers import ClipTokenizer

HERE = pathlib.Path(__file__).parent
MODELS = HERE.parents[2] / "models"

pictures, texts, scenes, _ = dual_encoder.collate([dual_encoder.Pairs(0, data.HELD_OUT, degraded=False)[i] for i in range(3)])
x = data.to_float(pictures)
with torch.no_grad():
    decider = judge.load(MODELS / "scenes-judge")
    values = {"pictures": pictures, "features": decider.features(x), **{f"probabilities.{h}": v.softmax(1) for h, v in decider(x).items()}}
    pair = dual_encoder.DualEncoder(ClipTokenizer.load(MODELS / "scenes-dual-encoder" / "tokenizer"))
    for name, module in (("text_encoder", pair.text), ("image_encoder", pair.image)):
        module.load_state_dict({k: v.float() for k, v in safetensors.load_folder(MODELS / "scenes-dual-encoder" / name).items()})
    values |= {"image_embeds": pair.image(x), "text_embeds": pair.embed_texts(texts)}
safetensors.save(HERE / "embedded.safetensors", values)
training.save_json(HERE / "embedded.json", {"texts": texts, "scenes": [dict(zip(("face", "eyewear", "headwear", "background"), s)) for s in scenes]})
