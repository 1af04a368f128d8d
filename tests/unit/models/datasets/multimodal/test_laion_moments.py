"""MLPerf's shards of moments, written here in their true form."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from laion_samples import (
    SIZE,
    VOCABULARY,
    caption,
    members,
    moments,
    npy,
    write_laion,
    write_shard,
    write_tokenizer,
)
from torch.utils.data import DataLoader

from models.datasets.base import DataError
from models.datasets.multimodal.captioned import captioned_batch
from models.datasets.multimodal.laion_moments import LaionMoments, laion_datasets


def opened(root: Path, *, size: int = SIZE, vocabulary: int = VOCABULARY) -> tuple[LaionMoments, LaionMoments]:
    return laion_datasets(root, size=size, length=10, vocabulary=vocabulary, source="MLCommons")


def test_images_follow_one_another_and_the_last_shard_is_held_out(tmp_path: Path) -> None:
    train, evaluation = opened(write_laion(tmp_path))
    assert (len(train), len(evaluation)) == (8, 4)
    for part, first in ((train, 0), (evaluation, 8)):
        for index in range(len(part)):
            example = part[index]
            assert example.moments.numpy().tolist() == moments(first + index)[0].tolist()
            assert example.tokens.tolist() == train.tokenizer(caption(first + index)).tolist()
    assert len({tuple(train[index].tokens.tolist()) for index in range(8)}) == 8


def test_the_published_folder_hidden_files_and_upper_case_endings(tmp_path: Path) -> None:
    folder = tmp_path / "webdataset-moments-filtered"
    folder.mkdir()
    write_laion(folder)
    (folder / "00000.tar").rename(folder / "00000.TAR")
    write_tokenizer(tmp_path)
    (folder / "._00000.tar").write_bytes(b"junk")
    (folder / "sha512sums.txt").write_text("junk")
    files = members(range(12, 14)) | {"._000000012.npy": b"junk"}
    write_shard(folder / "00003.tar", dict(sorted(files.items(), reverse=True)))
    train, evaluation = opened(tmp_path)
    assert (len(train), len(evaluation)) == (12, 2)
    assert evaluation[0].moments.numpy().tolist() == moments(12)[0].tolist(), "in the order of the keys"


def test_workers_read_what_one_process_does(tmp_path: Path) -> None:
    train, _ = opened(write_laion(tmp_path))
    dataset: Any = pickle.loads(pickle.dumps(train))
    loader = DataLoader(
        dataset, batch_size=3, collate_fn=captioned_batch, num_workers=1, multiprocessing_context="fork"
    )
    tokens = torch.cat([batch["tokens"] for batch in loader])
    assert tokens.tolist() == [train[index].tokens.tolist() for index in range(8)]


def with_image(content: bytes) -> Callable[[Path], Any]:
    """Shard 1 with other moments for its first image."""
    return lambda root: write_shard(root / "00001.tar", members(range(4, 8)) | {"000000004.npy": content})


def without(name: str) -> Callable[[Path], Any]:
    files = {key: content for key, content in members(range(4, 8)).items() if key != name}
    return lambda root: write_shard(root / "00001.tar", files)


def cut(root: Path, length: int) -> None:
    path = root / "00001.tar"
    path.write_bytes(path.read_bytes()[:length])


BAD_AT_ONCE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "one shard alone": (lambda root: [(root / f"0000{i}.tar").unlink() for i in (1, 2)], r"1 shards"),
    "an empty file": (lambda root: cut(root, 0), r"Not a readable tar.*00001.tar"),
    "a shard cut off within an image": (lambda root: cut(root, 6000), r"00001.tar"),
    "a shard cut off between two": (
        lambda root: cut(root, 512 + 2 * 512 + 512 + 2560),
        r"end of the archive|00001.tar",
    ),
    "no image": (lambda root: write_shard(root / "00001.tar", {"a.json": b"{}"}), r"No .npy file in.*00001.tar"),
    "a missing caption": (without("000000005.txt"), r"000000005 has no .txt.*00001.tar"),
    "missing moments": (without("000000005.npy"), r"000000005 has no .npy.*00001.tar"),
    "no vocabulary": (lambda root: (root / "vocab.json").unlink(), r"no such file.*vocab.json"),
    "another vocabulary": (lambda root: (root / "vocab.json").write_text('{"a": 0}'), r"merges.txt|vocab.json"),
    "a bad merge": (lambda root: (root / "merges.txt").write_text("q zzz"), r"does not fit the vocabulary.*merges.txt"),
}


@pytest.mark.parametrize("bad", BAD_AT_ONCE)
def test_bad_files_are_refused_at_once(tmp_path: Path, bad: str) -> None:
    damage, said = BAD_AT_ONCE[bad]
    damage(write_laion(tmp_path))
    with pytest.raises(DataError, match=said):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"junk", r"Image 0 cannot be read"),
        (npy(moments(0))[:-8], r"Image 0 cannot be read"),
        (npy(moments(0)[:, :4]), r"Image 0 is float32 \(1, 4, 8, 8\)"),
        (npy(moments(0).astype(int)), r"Image 0 is int64"),
        (npy(moments(0) * np.nan), r"Image 0 holds values that are no moments"),
        (npy(moments(0) * 1e6), r"Image 0 holds values that are no moments"),
    ],
)
def test_bad_images_are_named_when_they_are_read(tmp_path: Path, content: bytes, said: str) -> None:
    with_image(content)(write_laion(tmp_path))
    train, _ = opened(tmp_path)
    with pytest.raises(DataError, match=rf"(?s){said}.*00001.tar"):
        train[4]
    train[5]


def test_a_shard_that_became_shorter_is_named(tmp_path: Path) -> None:
    train, _ = opened(write_laion(tmp_path))
    cut(tmp_path, 3000)
    with pytest.raises(DataError, match=r"(?s)Image 3 cannot be read.*00001.tar"):
        train[7]


def test_a_vocabulary_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"{VOCABULARY} ids, not those from 0 to {VOCABULARY}"):
        opened(write_laion(tmp_path), vocabulary=VOCABULARY + 1)
