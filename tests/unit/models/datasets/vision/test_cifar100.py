"""CIFAR-100's binary version, written here in its true form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from cifar_samples import image_of, write_cifar
from torchvision.transforms.v2.functional import pil_to_tensor

from models.datasets.base import DataError
from models.datasets.reading import Reader
from models.datasets.vision.cifar100 import Cifar100, cifar100_folder, class_names

READER = Reader(expected="cifar-100-binary", source="Toronto")


@pytest.mark.parametrize("place", [".", "cifar-100-binary"])
def test_pixels_and_fine_labels(tmp_path: Path, place: str) -> None:
    write_cifar(tmp_path / place, [7, 99, 0])
    folder = cifar100_folder(tmp_path, READER)
    data = Cifar100(folder / "test.bin", READER, view=pil_to_tensor)
    assert [data[index].label for index in range(len(data))] == [7, 99, 0]
    for index in range(3):
        assert np.array_equal(data[index].image.numpy(), image_of(index))
    assert data[0].image.dtype == torch.uint8
    assert class_names(folder, READER)[11] == "class 11"


def test_damaged_files_are_named(tmp_path: Path) -> None:
    write_cifar(tmp_path, [1, 2])
    path = tmp_path / "test.bin"
    whole = path.read_bytes()
    for content, problem in (
        (whole[:-1], "no whole number"),
        (b"", "no whole number"),
        (b"\x00\xff" + whole[2:], "255"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=problem):
            Cifar100(path, READER, view=pil_to_tensor)
    (tmp_path / "fine_label_names.txt").write_text("apple\n")
    with pytest.raises(DataError, match="1 names, not 100"):
        class_names(tmp_path, READER)


def test_the_pickle_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"No test\.bin"):
        cifar100_folder(tmp_path, READER)
    (tmp_path / "cifar-100-python").mkdir()
    (tmp_path / "cifar-100-python/test").write_bytes(b"\x80\x04.")
    with pytest.raises(DataError, match="a pickle, which is not read"):
        cifar100_folder(tmp_path, READER)
