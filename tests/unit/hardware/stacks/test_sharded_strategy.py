"""The strategy of a device mesh: who gets it, what is left out between steps, and steps that are skipped together."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hardware_specs import vendor
from pytorch_lightning.strategies import DDPStrategy
from torch import nn

from hardware.device import load_device
from hardware.layout import MeshLayout
from hardware.stacks.sharded import MeshStrategy, _send, load_optimizer, load_whole

SUPPORT = Path(__file__).parents[3] / "support"


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> None:
    """As torchrun starts a rank."""
    for name, value in {"TORCHELASTIC_RUN_ID": "1", "RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("launched")
@pytest.mark.parametrize(
    ("layout", "kind"),
    [
        (None, DDPStrategy),
        (MeshLayout(replicate=4), DDPStrategy),
        (MeshLayout(replicate=2, shard=2), MeshStrategy),
        (MeshLayout(replicate=2, tensor=2), MeshStrategy),
    ],
)
def test_who_gets_which(layout: MeshLayout | None, kind: type[Any]) -> None:
    strategy = load_device(vendor("kunlunxin"), emulate=True).strategy(4, layout)
    assert type(strategy) is kind and strategy._process_group_backend == "gloo"


def test_the_mesh_has_its_axes_in_order() -> None:
    assert MeshLayout._fields == ("replicate", "shard", "tensor"), "tensor groups are neighbours"
    assert [MeshLayout(2, 1, 1).sharded, MeshLayout(1, 2, 1).sharded, MeshLayout(1, 1, 2).sharded] == [
        False,
        True,
        True,
    ]


@pytest.mark.parametrize(
    ("layout", "told"),
    [
        (MeshLayout(replicate=2, tensor=2), [("gradient_sync", False), ("gradient_sync", True)]),
        (MeshLayout(replicate=2, shard=2), [("all_reduce", False), ("all_reduce", True)]),
        (MeshLayout(shard=4), []),
    ],
)
def test_what_is_not_sent_before_a_step(layout: MeshLayout, told: list[tuple[str, bool]]) -> None:
    """Copies add up at the step alone; parts of one copy are handed out in every pass, and stay parts."""
    heard: list[tuple[str, bool]] = []
    module = SimpleNamespace(
        set_requires_gradient_sync=lambda value, recurse: heard.append(("gradient_sync", value)),
        set_requires_all_reduce=lambda value, recurse: heard.append(("all_reduce", value)),
    )
    for always in (False, True):
        _send([module], layout, always=always)
    assert heard == told


def test_whole_tensors_are_loaded_where_nothing_is_spread() -> None:
    layer, other = nn.Linear(2, 2), nn.Linear(2, 2)
    load_whole(layer, other.state_dict())
    assert torch.equal(layer.weight, other.weight)
    with pytest.raises(RuntimeError, match="nothing"):
        load_whole(layer, {**other.state_dict(), "nothing": torch.ones(1)})
    optimizer, trained = (torch.optim.AdamW(one.parameters(), lr=0.1) for one in (layer, other))
    other(torch.ones(1, 2)).sum().backward()
    trained.step()
    load_optimizer(optimizer, trained.state_dict())
    assert torch.equal(optimizer.state[layer.weight]["exp_avg"], trained.state[other.weight]["exp_avg"])
    assert optimizer.state[layer.weight]["step"] == 1


@pytest.mark.heavy
def test_an_infinite_gradient_of_one_rank_skips_the_step_of_all() -> None:
    """torch goes by how the first weight is spread: alone, the rank with a finite part would step."""
    assert _scaled() == ["rank 0 moved False scale 1.0", "rank 1 moved False scale 1.0"]
    assert _scaled("alone") != _scaled()


def _scaled(*arguments: str) -> list[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, str(SUPPORT / "scaler_ranks.py"), *arguments],
        env=os.environ | {"PYTHONPATH": str(SUPPORT.parents[1]), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return sorted(line for line in done.stdout.splitlines() if line.startswith("rank"))
