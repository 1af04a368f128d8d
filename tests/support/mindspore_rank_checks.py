"""What two ranks of MindSpore make of a step together; torchrun starts `mindspore_rank_checks.py FOLDER` in each."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import mindspore
from mindspore import Tensor
from mindspore_step_checks import RECIPES, TREATED, Linear, drawn, rate, weights_of

from hardware.runtimes.mindspore_ranks import meet
from runner.frameworks.cells.optimizer import build_rule
from runner.frameworks.cells.step import build_passes


def taken(world: int, values: list[Tensor]) -> SimpleNamespace:
    """Weights after a step of two passes, clipped, in so many ranks."""
    cell = Linear()
    weights = [cell.matrix, cell.bias]
    rule = build_rule(RECIPES["momentum"], weights, TREATED)
    accumulate, step, state = build_passes(cell, weights, rule, passes=2, scales=True, max_norm=0.5, world=world)
    accumulate(values[0])
    _, finite = mindspore.jit(step)(rate(0.1), values[1])
    return SimpleNamespace(weights=weights_of(cell), finite=bool(finite), scale=float(state["scale"]))


def main(folder: Path) -> None:
    """A step of both ranks, one of all their samples in one, and one that overflows on the second rank alone."""
    rank = int(os.environ["RANK"])
    mindspore.set_device("CPU")
    meet(rank, 2)
    passes = [drawn(0, rows=4), drawn(1, rows=4)]
    own = [Tensor(one[2 * rank : 2 * rank + 2]) for one in passes]
    together, alone = taken(2, own), taken(1, [Tensor(one) for one in passes])
    broken = taken(2, [own[0], own[1] * (float("inf") if rank == 1 else 1.0)])
    told = {"together": vars(together), "alone": vars(alone), "broken": vars(broken)}
    (folder / f"rank{rank}.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
