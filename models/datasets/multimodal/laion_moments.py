"""MLPerf's subset of LAION-400M: tar shards of moments that Stable Diffusion's autoencoder made, with captions.

A shard holds, for each image, `<key>.npy`, float (8, size, size) or (1, 8, size, size), and `<key>.txt`; what else is
there, such as `<key>.json`, is not read. MLPerf judges by images drawn for COCO's captions and holds nothing back; here
the last shard is evaluated on. The moments are MLPerf's own, of images whose values lie between 0 and 1, not -1 and 1
(mlcommons/training issue 721).
"""

from __future__ import annotations

import io
import tarfile
from bisect import bisect_right
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from models.datasets.multimodal.captioned import CaptionedLatent
from models.datasets.multimodal.clip_tokens import ClipTokenizer, read_clip_tokenizer
from models.datasets.reading import Reader

FOLDERS = (".", "webdataset-moments-filtered")
LAYOUT = (
    "at least two shards <root>/*.tar (or <root>/webdataset-moments-filtered/*.tar) of <key>.npy, moments (1, 8, size, "
    "size), and <key>.txt, captions; beside them CLIP's vocab.json and merges.txt"
)
CHANNELS = 8
LARGEST = 1e3
"""Beyond any moment of a latent."""
READERS = 8
"""Shards whose members are listed at the same time."""
ENDS = (".npy", ".txt")


class Shard(NamedTuple):
    """Where the images of a shard are."""

    path: Path
    places: np.ndarray
    """int64 (images, 4): first byte and length of the moments, and of the caption."""


class LaionMoments(Dataset[CaptionedLatent]):
    """Images of a list of shards, one after another; each is read when it is asked for."""

    def __init__(self, shards: list[Shard], tokenizer: ClipTokenizer, *, size: int, reader: Reader) -> None:
        self.shards, self.tokenizer, self.size, self.reader = shards, tokenizer, size, reader
        self.ends = list(accumulate(len(shard.places) for shard in shards))

    def __len__(self) -> int:
        return self.ends[-1]

    def __getitem__(self, index: int) -> CaptionedLatent:
        """One image.

        Raises:
            DataError: the shard is damaged there; says which image of it.
        """
        number = bisect_right(self.ends, index)
        path, places = self.shards[number]
        row = index - self.ends[number] + len(places)
        with self.reader.reading(path, f"Image {row} cannot be read"), path.open("rb") as file:
            moments, caption = (_content(file, *places[row, part : part + 2]) for part in (0, 2))
            array = np.load(io.BytesIO(moments), allow_pickle=False)
            tokens = self.tokenizer(caption.decode("utf-8-sig"))
        return CaptionedLatent(self._checked(array, row, path), tokens)

    def _checked(self, array: np.ndarray, row: int, path: Path) -> Tensor:
        wanted = (CHANNELS, self.size, self.size)
        if array.dtype.kind != "f" or array.shape not in (wanted, (1, *wanted)):
            raise self.reader.error(f"Image {row} is {array.dtype} {array.shape}, not floats {wanted}", path)
        if not (np.abs(array) < LARGEST).all():
            raise self.reader.error(f"Image {row} holds values that are no moments of a latent", path)
        return torch.from_numpy(array.reshape(wanted).astype(np.float32))


def laion_datasets(
    root: Path, *, size: int, length: int, vocabulary: int, source: str
) -> tuple[LaionMoments, LaionMoments]:
    """All shards but the last to train on, the last to evaluate on.

    Every shard's members are listed first, some minutes for all of MLPerf's.

    Args:
        root: as `LAYOUT` says.
        size: edge of a latent.
        length: tokens of a caption.
        vocabulary: ids that the model knows.
        source: where the data set is to be had.

    Raises:
        DataError: there are fewer than two shards, one is damaged, or there is no such tokenizer.
    """
    reader = Reader(expected=LAYOUT, source=source)
    tokenizer = read_clip_tokenizer(root, reader, vocabulary=vocabulary, length=length)
    files: list[Path] = []
    with reader.reading(root):
        for folder in (root / name for name in FOLDERS if (root / name).is_dir()):
            found = sorted(folder.iterdir())
            files = files or [path for path in found if path.suffix.lower() == ".tar" and path.name[0] != "."]
    if len(files) < 2:  # noqa: PLR2004
        raise reader.error(f"{len(files)} shards", root)
    with ThreadPoolExecutor(READERS) as pool:
        shards = list(pool.map(lambda path: _shard(path, reader), files))
    train, evaluation = (LaionMoments(part, tokenizer, size=size, reader=reader) for part in (shards[:-1], shards[-1:]))
    return train, evaluation


def _shard(path: Path, reader: Reader) -> Shard:
    """A shard's images in the order of their keys."""
    found: dict[str, dict[str, tuple[int, int]]] = {}
    with reader.reading(path, "Not a readable tar"), tarfile.open(path, "r:") as archive:
        for member in archive:
            name = PurePosixPath(member.name)
            if member.isfile() and name.suffix.lower() in ENDS and not name.name.startswith("."):
                key = str(name.with_suffix(""))
                found.setdefault(key, {})[name.suffix.lower()] = (member.offset_data, member.size)
        _refuse_cut_off(archive, path)
    if not found:
        raise reader.error("No .npy file in", path)
    for key, parts in found.items():
        if missing := [end for end in ENDS if end not in parts]:
            raise reader.error(f"{key} has no {missing[0]}", path)
    return Shard(path, np.array([[*found[key][".npy"], *found[key][".txt"]] for key in sorted(found)], dtype=np.int64))


def _refuse_cut_off(archive: tarfile.TarFile, path: Path) -> None:
    """A tar ends in a block of zeros; one that was cut off between two members does not, and opens all the same.

    Raises:
        EOFError: it does not.
    """
    with path.open("rb") as file:
        file.seek(-tarfile.BLOCKSIZE, io.SEEK_END)
        if any(file.read()):
            raise EOFError("the end of the archive is missing")


def _content(file: io.BufferedReader, first: int, length: int) -> bytes:
    file.seek(first)
    content = file.read(length)
    if len(content) < length:
        raise EOFError(f"the file ends {length - len(content)} bytes before")
    return content
