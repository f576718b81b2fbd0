"""Reads and writes safetensors files: an 8-byte length, a JSON header, the tensors one after another."""
from __future__ import annotations

import json
import os
import pathlib
import struct

import torch

_NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64", torch.uint8: "U8"}
_TYPES = {name: dtype for dtype, name in _NAMES.items()}


def save(path: pathlib.Path, tensors: dict[str, torch.Tensor], dtype: torch.dtype | None = None, metadata: dict[str, str] | None = None):
    """Writes `tensors` in the order of their names, floating ones as `dtype` where given; the file appears whole or not at all."""
    header: dict = {"__metadata__": {"format": "pt", **(metadata or {})}}
    blobs, offset = [], 0
    for name, tensor in sorted(tensors.items()):
        tensor = tensor.detach().cpu()
        if dtype and tensor.is_floating_point():
            converted = tensor.to(dtype)
            if not converted.isfinite().all():
                raise ValueError(f"{path}: {name} holds {float(tensor.abs().max()):.3g}, which {_NAMES[dtype]} cannot")
            tensor = converted
        # contiguous_format: a channels-last weight is written in its logical order
        tensor = tensor.contiguous(memory_format=torch.contiguous_format)
        raw = bytes(tensor.view(torch.int16).numpy().data) if tensor.dtype == torch.bfloat16 else tensor.numpy().tobytes()
        header[name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [offset, offset + len(raw)]}
        blobs.append(raw)
        offset += len(raw)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)                                    # the data begin on a multiple of 8 bytes
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    with open(temporary, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for blob in blobs:
            file.write(blob)
    os.replace(temporary, path)


def load(path: pathlib.Path) -> dict[str, torch.Tensor]:
    """All tensors of a file, in the types they are stored in."""
    data = pathlib.Path(path).read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    tensors = {}
    for name, entry in json.loads(data[8:8 + length]).items():
        if name == "__metadata__":
            continue
        begin, end = (8 + length + o for o in entry["data_offsets"])
        raw = bytearray(data[begin:end]) if end > begin else bytearray()
        tensors[name] = torch.frombuffer(raw, dtype=_TYPES[entry["dtype"]]).reshape(entry["shape"]) if raw else torch.empty(entry["shape"], dtype=_TYPES[entry["dtype"]])
    return tensors


def load_folder(folder: pathlib.Path) -> dict[str, torch.Tensor]:
    """All tensors of the single or sharded checkpoint in `folder`."""
    files = sorted(pathlib.Path(folder).glob("*.safetensors"))
    if not files:
        raise FileNotFoundError(f"{folder}: no safetensors file")
    return {name: tensor for file in files for name, tensor in load(file).items()}
