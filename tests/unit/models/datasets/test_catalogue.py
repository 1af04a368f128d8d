"""Data sets by name: of this tree, and of packages that bring a catalogue of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from models.datasets import catalogue
from models.datasets.catalogue import UnknownDatasetError, dataset_names, find_dataset, outside_problems

CONF = Path(__file__).parents[4] / "conf/model"
POINTS = {"rocks": "rocks_bench:sets.yaml", "sand": "rocks_bench:sand.yaml", "mud": "nowhere_at_all:mud.yaml"}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed package with one good catalogue, one with a wrong key and one that is not there."""
    (tmp_path / "rocks_bench").mkdir()
    (tmp_path / "rocks_bench/__init__.py").touch()
    (tmp_path / "rocks_bench/sets.yaml").write_text("pebbles: {title: Pebbles, source: a beach, files: ['*.pt']}\n")
    (tmp_path / "rocks_bench/sand.yaml").write_text("grains: {title: Grains, source: a beach, sise: 3}\n")
    installed = tmp_path / "rocks_bench-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: rocks-bench\nVersion: 1\n")
    lines = "\n".join(f"{name} = {value}" for name, value in POINTS.items())
    (installed / "entry_points.txt").write_text(f"[touchstone.datasets]\n{lines}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    catalogue._outside.cache_clear()
    yield tmp_path
    monkeypatch.undo()
    catalogue._outside.cache_clear()


def test_every_model_names_a_data_set_with_its_files() -> None:
    leaves = [yaml.safe_load(path.read_text()) for path in sorted(CONF.glob("*.yaml")) if path.stem != "none"]
    named = [leaf["dataset"] for leaf in leaves if "dataset" in leaf]
    assert len(named) >= 6
    assert all("train" not in leaf for leaf in leaves if "dataset" not in leaf), "what is trained has data"
    for name in named:
        found = find_dataset(name)
        assert found.files and found.described == f"{found.title}: {found.source}"
    assert set(named) <= set(dataset_names(outside=False))


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownDatasetError, match=r"no data set is called imagnet\. Did you mean imagenet\? There"):
        find_dataset("imagnet")


def test_a_package_adds_data_sets(package: Path) -> None:
    assert find_dataset("pebbles").files == ("*.pt",)
    assert "pebbles" in dataset_names() and "pebbles" not in dataset_names(outside=False)


def test_a_catalogue_that_cannot_be_read_is_named_and_hides_no_other(package: Path) -> None:
    mud, sand = outside_problems()
    assert "rocks-bench registers mud = nowhere_at_all:mud.yaml under touchstone.datasets" in mud
    assert "rocks-bench registers sand = rocks_bench:sand.yaml" in sand and "1 values are wrong" in sand
    assert "grains" not in dataset_names() and "imagenet" in dataset_names()


def test_ours_go_before_a_packages_of_the_same_name(package: Path) -> None:
    (package / "rocks_bench/sets.yaml").write_text("imagenet: {title: Other, source: elsewhere}\n")
    assert find_dataset("imagenet").title == "ImageNet-1k, ILSVRC 2012"
