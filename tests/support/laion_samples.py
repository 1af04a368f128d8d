"""MLPerf's shards of moments and CLIP's tokenizer files, a few images in their true form."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np

from models.datasets.multimodal.clip_tokens import word_merges

WORDS = ["cat", "dog", "red"]
SIZE = 8
VOCABULARY = len(word_merges(WORDS)[0])


def moments(number: int) -> np.ndarray:
    """As the autoencoder writes them: a batch of one."""
    return np.random.default_rng(number).standard_normal((1, 8, SIZE, SIZE)).astype(np.float32)


def caption(number: int) -> str:
    return f"A {'red ' * (number % 2)}{WORDS[number % 3]} &amp; {number}"


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def members(numbers: range) -> dict[str, bytes]:
    """The files of a shard, as img2dataset names them."""
    found: dict[str, bytes] = {}
    for number in numbers:
        key = f"{number:09d}"
        found[f"{key}.json"] = json.dumps({"key": key}).encode()
        found[f"{key}.npy"] = npy(moments(number))
        found[f"{key}.txt"] = caption(number).encode()
    return found


def write_shard(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        folder = tarfile.TarInfo("shard")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def write_tokenizer(root: Path) -> None:
    vocabulary, merges = word_merges(WORDS)
    (root / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    pairs = [f"{first} {second}" for first, second in merges]
    (root / "merges.txt").write_text("\n".join(["#version: 0.2", *pairs]) + "\n", encoding="utf-8")


def write_laion(root: Path, shards: int = 3, images: int = 4) -> Path:
    """Shards of so many images, with the tokenizer beside them."""
    write_tokenizer(root)
    for number in range(shards):
        write_shard(root / f"{number:05d}.tar", members(range(number * images, (number + 1) * images)))
    return root
