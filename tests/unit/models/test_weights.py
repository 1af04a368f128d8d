"""Initial weights from every kind of checkpoint, and what is said of a bad one."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from models.datasets.base import DataError
from models.weights import InitialWeights, is_unreached, load_weights, read_weights

WEIGHTS = {"weight": torch.arange(6.0).reshape(3, 2), "bias": torch.tensor([1.0, 2.0, 3.0])}


def sharded(root: Path) -> Path:
    save_file({"weight": WEIGHTS["weight"]}, root / "a.safetensors")
    save_file({"bias": WEIGHTS["bias"]}, root / "b.safetensors")
    index = {"weight_map": {"weight": "a.safetensors", "bias": "b.safetensors"}}
    (root / "model.safetensors.index.json").write_text(json.dumps(index))
    return root


def single(root: Path) -> Path:
    save_file(WEIGHTS, root / "model.safetensors")
    return root


def pickled(root: Path) -> Path:
    torch.save({"epoch": 3, "state_dict": WEIGHTS}, root / "last.ckpt")
    return root / "last.ckpt"


def plain(root: Path) -> Path:
    torch.save(WEIGHTS, root / "weights.pth")
    return root / "weights.pth"


@pytest.mark.parametrize("write", [sharded, single, pickled, plain])
def test_weights_reach_the_network(write: Callable[[Path], Path], tmp_path: Path) -> None:
    network, path = nn.Linear(2, 3), write(tmp_path)
    load_weights(network, InitialWeights(read_weights(path)), path=path)
    assert network.weight.equal(WEIGHTS["weight"]) and network.bias.equal(WEIGHTS["bias"])


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("run",))


def test_nothing_in_a_checkpoint_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "evil.pt"
    path.write_bytes(pickle.dumps(Evil(), protocol=2))
    with pytest.raises(DataError, match=r"it asks for \S*print, and nothing in a checkpoint is run\): .*evil\.pt"):
        read_weights(path)
    assert "run" not in capsys.readouterr().out


def test_a_damaged_checkpoint_is_told_in_one_line(tmp_path: Path) -> None:
    whole, torn = tmp_path / "whole.safetensors", tmp_path / "torn.safetensors"
    save_file(WEIGHTS, whole)
    torn.write_bytes(whole.read_bytes()[:-8])
    text = tmp_path / "text.pth"
    text.write_text("no weights at all")
    for path in (torn, text):
        with pytest.raises(DataError, match="the checkpoint cannot be read") as caught:
            read_weights(path)
        assert "\n" not in str(caught.value) and "weights_only" not in str(caught.value)


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"1 missing \(bias .*1 unexpected \(scale .*1 of another shape \(weight \(3, 2\)"
    ):
        load_weights(
            nn.Linear(4, 3), InitialWeights({"weight": WEIGHTS["weight"], "scale": torch.ones(1)}), path=tmp_path
        )


@pytest.mark.parametrize("name", ["absent.pth", "folder", "text.txt", "broken.safetensors", "list.pth"])
def test_a_bad_checkpoint_is_named(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.txt").write_text("no weights")
    (tmp_path / "broken.safetensors").write_bytes(b"\x00" * 9)
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(DataError, match=name):
        read_weights(tmp_path / name)


def test_a_run_that_missed_its_target_has_its_last_weights_alone(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    assert not is_unreached(tmp_path), "no run's folder"
    (folder / "last.ckpt").touch()
    assert is_unreached(tmp_path)
    (folder / "reached.ckpt").touch()
    assert not is_unreached(tmp_path)
