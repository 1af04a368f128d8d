"""What a rank trains on: its share of repeated examples, its own random numbers."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from toy import CPU_SPEC, lone_context

from benchmarks.engine import compose_case
from hardware.vendors.cpu import Cpu
from models.datasets.base import Datasets
from models.training import Batching
from runner.frameworks.implementations import build_trainable
from runner.frameworks.loaders import build_training_loader
from runner.measure.context import Context


@pytest.fixture
def context(tmp_path: Path) -> Context:
    case = compose_case("model=vit", "vendor=cpu", "scale=tiny", "data=sample")
    training = replace(case.model.training, batching=Batching(repeats=4), batch_size=2)
    return lone_context(replace(case, model=replace(case.model, train=training)), tmp_path, Cpu(CPU_SPEC))


def begun(context: Context, *, rank: int = 0, world: int = 1, done_steps: int = 0) -> tuple[list[Any], float]:
    """The first batches of a rank, and the next random number of its process."""
    topology = replace(context.case.topology, devices=world)
    case = replace(context.case, topology=topology)
    one = replace(context, case=case, rank=rank, local_rank=rank, world=world)
    trainable = build_trainable(one)
    numbered: Any = [torch.tensor(number) for number in range(64)]
    trainable.collate = lambda examples: {"examples": [int(example) for example in examples]}  # type: ignore[method-assign]
    loader = build_training_loader(one, trainable, Datasets(numbered, numbered), done_steps=done_steps)
    return [batch["examples"] for batch in islice(iter(loader), 4)], float(torch.rand(()))


def test_copies_go_to_different_ranks_that_draw_different_numbers(context: Context) -> None:
    ranks = [begun(context, rank=rank, world=4) for rank in range(4)]
    assert all(batches == ranks[0][0] for batches, _ in ranks)
    assert len({number for _, number in ranks}) == 4
    assert ranks[1] == begun(context, rank=1, world=4)


def test_a_resumed_part_goes_on_with_the_examples_that_come_next_and_other_numbers(context: Context) -> None:
    whole, first = begun(context)
    rest, second = begun(context, done_steps=2)
    assert rest[:2] == whole[2:]
    assert first != second and begun(context, done_steps=2)[1] == second
