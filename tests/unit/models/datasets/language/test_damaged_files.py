"""Whatever is wrong with a file, a reader says which one: damaged in many ways, each an error of the data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import coco_samples
import h5py
import lambada_samples
import mlperf_bert_samples
import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin

from models.datasets.audio.ljspeech import LJSpeech
from models.datasets.base import DataError
from models.datasets.language.masked.mlperf_bert import mlperf_datasets
from models.datasets.language.tasks.lambada import lambada_passages
from models.datasets.language.tokens.flat_tokens import flat_token_datasets
from models.datasets.language.tokens.token_stream import open_npy
from models.datasets.vision.coco import CocoInstances
from models.datasets.vision.image_folder import image_folders
from models.datasets.vision.views import Views, centre_crop, random_crop

BOM = b"\xef\xbb\xbf"


def read_all(dataset: Any) -> None:
    for index in range(len(dataset)):
        dataset[index]


def refused(read: Callable[[], object], victim: Path) -> str:
    with pytest.raises(DataError) as refusal:
        read()
    assert str(victim) in str(refusal.value)
    return str(refusal.value)


# COCO: the wrong type or range of one value

COCO_VALUES: list[tuple[str, Any]] = [
    ("bbox", []),
    ("bbox", [5, 5, None, 20]),
    ("bbox", [5, 5, float("nan"), 20]),
    ("bbox", [5, 5, -1, 20]),
    ("bbox", [1e9, 0, 1, 1]),
    ("bbox", ["5", 5, 5, 5]),
    ("iscrowd", None),
    ("iscrowd", 2),
    ("iscrowd", True),
    ("category_id", "3"),
    ("category_id", 1.5),
    ("area", float("nan")),
    ("area", -1),
    ("segmentation", [[1.0, 2.0, 3.0, 4.0]]),  # two points, which pycocotools takes for a box
    ("segmentation", [[1, 2, 3, 4, 5, 6, 7]]),
    ("segmentation", [[1, 2, 3, 4, None, 6]]),
    ("segmentation", [[1e12, 2, 3, 4, 5, 6]]),
    ("segmentation", {"size": [40, 60], "counts": [2399]}),
    ("segmentation", {"size": [40, 60], "counts": [-1, 2401]}),
    ("segmentation", {"size": [40, 60], "counts": "zz"}),
]


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    (tmp_path / "annotations").mkdir()
    (tmp_path / "val2017").mkdir()
    for image in coco_samples.instances()["images"]:
        Image.new("RGB", (60, 40)).save(tmp_path / "val2017" / image["file_name"])
    return tmp_path


@pytest.mark.parametrize(("key", "value"), COCO_VALUES)
def test_a_value_of_an_annotation(coco: Path, key: str, value: Any) -> None:
    content = coco_samples.instances()
    content["annotations"][0][key] = value
    coco_samples.write(coco, "val", content)
    message = refused(lambda: read_all(CocoInstances(coco, "val")), coco / "annotations" / "instances_val2017.json")
    assert "Annotation 11" in message
    assert key in message


@pytest.mark.parametrize(("key", "value"), [("height", 40.0), ("width", 0), ("file_name", None), ("id", "1")])
def test_a_value_of_an_image(coco: Path, key: str, value: Any) -> None:
    content = coco_samples.instances()
    content["images"][0][key] = value
    coco_samples.write(coco, "val", content)
    message = refused(lambda: read_all(CocoInstances(coco, "val")), coco / "annotations" / "instances_val2017.json")
    assert f"{key} is {value!r}" in message


def test_categories_beyond_the_network(coco: Path) -> None:
    coco_samples.write(coco, "val", coco_samples.instances())
    with pytest.raises(DataError, match="category_id is 18, not a whole number from 1 to 5"):
        CocoInstances(coco, "val", categories=5)


# What decoders raise


def png_with_a_long_text(path: Path) -> None:
    """Pillow refuses to unpack it with a bare ValueError."""
    text = PngImagePlugin.PngInfo()
    text.add_text("comment", "x" * 2 * 2**20, zip=True)
    Image.new("RGB", (8, 8)).save(path, "PNG", pnginfo=text)


def test_an_image_that_pillow_refuses_to_unpack(tmp_path: Path) -> None:
    for part in ("train", "val"):
        (tmp_path / part / "a").mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / part / "a" / "0.JPEG")
    victim = tmp_path / "val" / "a" / "0.JPEG"
    png_with_a_long_text(victim)
    views = Views(random_crop(8), centre_crop(8))
    refused(lambda: read_all(image_folders(tmp_path, views=views, classes=1, source="").evaluation), victim)


def test_a_damaged_chunk_of_a_shard_names_its_example(tmp_path: Path) -> None:
    for part in ("train", "eval"):
        (tmp_path / part).mkdir()
        with h5py.File(tmp_path / part / "a.hdf5", "w") as file:
            for name, values in mlperf_bert_samples.arrays(4).items():
                file.create_dataset(name, data=values, compression="gzip")
    victim = tmp_path / "eval" / "a.hdf5"
    with h5py.File(victim) as file:
        offset = file["input_ids"].id.get_chunk_info(0).byte_offset
    content = bytearray(victim.read_bytes())
    content[offset + 2 : offset + 10] = b"\xff" * 8
    victim.write_bytes(content)
    evaluation = mlperf_datasets(tmp_path, **mlperf_bert_samples.SIZES).evaluation
    assert "Example 0 cannot be read" in refused(lambda: read_all(evaluation), victim)


@pytest.mark.parametrize("tensor", [torch.eye(80).to_sparse(), torch.full((80, 3), 1e300, dtype=torch.float64), 2000.0])
def test_a_mel_that_is_none(tmp_path: Path, tensor: Any) -> None:
    (tmp_path / "filelists").mkdir()
    (tmp_path / "filelists" / "ljs_mel_text_val_filelist.txt").write_text("a.pt|words\n")
    torch.save(torch.full((80, 3), tensor) if isinstance(tensor, float) else tensor, tmp_path / "a.pt")
    refused(lambda: read_all(LJSpeech(tmp_path, "val")), tmp_path / "a.pt")


@pytest.mark.parametrize("line", ["a\0b|words", f"{'a' * 5000}|words"])
def test_a_name_that_no_file_can_have(tmp_path: Path, line: str) -> None:
    (tmp_path / "filelists").mkdir()
    path = tmp_path / "filelists" / "ljs_mel_text_val_filelist.txt"
    path.write_text(f"{line}\n")
    assert "line 1" in refused(lambda: read_all(LJSpeech(tmp_path, "val")), path)


@pytest.mark.parametrize("text", ["a \ud800", "a zz", "a " + "c" * 50])  # no character, not in the vocabulary, too long
def test_a_passage_that_cannot_be_encoded(tmp_path: Path, text: str) -> None:
    lambada_samples.write(tmp_path, [json.dumps({"text": text})])
    message = refused(lambda: read_all(lambada_passages(tmp_path, 8, 9, source="")), tmp_path / "lambada_test.json")
    assert "Line 1" in message


@pytest.mark.parametrize("ids", [{"a": -1}, {"a": 1}, {"a": 2**40}, {"a": True}])
def test_ids_that_are_none(tmp_path: Path, ids: dict[str, Any]) -> None:
    lambada_samples.write(tmp_path, lambada_samples.texts("a b"), vocabulary=lambada_samples.VOCABULARY | ids)
    refused(lambda: read_all(lambada_passages(tmp_path, 8, 9, source="")), tmp_path / "vocab.json")


@pytest.mark.parametrize("deep", ["[" * 100_000, "9" * 6000])
def test_json_that_pythons_reader_gives_up_on(coco: Path, deep: str) -> None:
    victim = coco / "annotations" / "instances_val2017.json"
    victim.write_text(deep)
    refused(lambda: read_all(CocoInstances(coco, "val")), victim)


def test_a_file_that_becomes_shorter_while_it_is_read(tmp_path: Path) -> None:
    """A memory map would end the process with SIGBUS."""
    path = tmp_path / "tokens.npy"
    np.save(path, np.arange(20_000, dtype=np.uint16) % 100)
    tokens = open_npy(path)
    assert tokens.read(0, 3).tolist() == [0, 1, 2]
    path.write_bytes(path.read_bytes()[:1000])
    assert "the file ends" in refused(lambda: str(tokens.read(19_000, 19_010)), path)


# A byte-order mark is no damage


def test_a_byte_order_mark_is_read_over(tmp_path: Path, coco: Path) -> None:
    lambada_samples.write(tmp_path, lambada_samples.texts("ab c bc"))
    before = lambada_passages(tmp_path, 8, 9, source="")[0].targets.tolist()
    for name in ("lambada_test.json", "vocab.json", "merges.txt"):
        (tmp_path / name).write_bytes(BOM + (tmp_path / name).read_bytes())
    assert lambada_passages(tmp_path, 8, 9, source="")[0].targets.tolist() == before
    (tmp_path / "filelists").mkdir()
    torch.save(torch.zeros(80, 4), tmp_path / "a.pt")
    (tmp_path / "filelists" / "ljs_mel_text_val_filelist.txt").write_bytes(BOM + b"a.pt|words\n")
    assert LJSpeech(tmp_path, "val")[0].mel.shape == (4, 80)
    coco_samples.write(coco, "val", coco_samples.instances())
    victim = coco / "annotations" / "instances_val2017.json"
    victim.write_bytes(BOM + victim.read_bytes())
    assert CocoInstances(coco, "val").ids == [1, 2, 3, 4, 5]


def test_flat_tokens_beside_another_file(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(9))
    np.save(tmp_path / "b.npy", np.arange(9))
    with pytest.raises(DataError, match=r"found a\.npy, b\.npy"):
        flat_token_datasets(tmp_path, sequence_length=2, vocabulary=9, source="")
