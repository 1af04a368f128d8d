"""Every model of the zoo computes, spread over ranks, what it computes as a whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from torch import nn
from zoo import MODELS, built

from models.sharding.spread import _others

SUPPORT = Path(__file__).parents[3] / "support"
EXACT, ROUNDED = 1e-5, 5e-2
"""Of gradients, in float32 and where products are in bfloat16: one that is added up of several uses is rounded."""


@pytest.mark.heavy
def test_the_zoo_computes_the_same_when_it_is_spread() -> None:
    done = subprocess.run(
        [sys.executable, str(SUPPORT / "spread_zoo.py")],
        env=os.environ | {"PYTHONPATH": f"{SUPPORT.parents[1]}:{SUPPORT}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["model"] for one in told] == [name for name in MODELS for _ in range(2)]
    assert not [one for one in told if "error" in one]
    for one in told:
        assert one["spread"] == pytest.approx(one["whole"], rel=1e-6), one
        assert one["gradients"] < (EXACT if one["products"] == "None" else ROUNDED), one


def test_blocks_are_gathered_in_two_types_where_norms_lie_apart() -> None:
    layer = built("llama2_7b").units()[0]
    found = _others(layer, ())
    assert found is not None and [type(one).__name__ for one in found] == ["LlamaRMSNorm"] * 2
    experts = built("mixtral_8x7B")
    assert [type(one).__name__ for one in _others(experts.units()[0], experts.multiplying) or []] == [
        "MixtralRMSNorm"
    ] * 2


def test_a_block_with_a_weight_of_its_own_is_gathered_as_it_is() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.scale = nn.Linear(2, 2), nn.Parameter(nn.Linear(1, 1).weight)

    assert _others(Scaled(), ()) is None
    assert _others(nn.Sequential(nn.Linear(2, 2)), ()) == []
