"""A pipeline's stages: which blocks each has. Embedding and head are on the first and the last one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from runner.planning.model_costs import ModelCosts, Part


@dataclass(kw_only=True, slots=True, frozen=True)
class PipelineStage:
    """What one stage of a pipeline holds; without a pipeline there is one, with everything."""

    number: int
    count: int = 1
    """Stages that are alike, this one the first of them."""
    parts: tuple[tuple[int, Part], ...]
    """What it is made of, each part so often."""
    roots: tuple[tuple[int, Part], ...]
    """Of these, what is in no block."""
    blocks: tuple[tuple[int, Part], ...]
    last: bool
    """Whether the loss is computed here."""

    @property
    def block_count(self) -> int:
        """Blocks of this stage."""
        return sum(count for count, _ in self.blocks)

    def total(self, name: str) -> float:
        """Sum of a cost over all parts."""
        return float(sum(count * getattr(part, name) for count, part in self.parts))


ENDS = 2
"""Embedding and head."""


def fitting_stages(blocks: int) -> list[int]:
    """Numbers of stages, more than one, into which so many blocks go.

    A number divides the blocks; or the blocks and two, embedding and head in the place of a block each, as Llama 3.1
    405B has 126 blocks in 16 stages of 8, of which the first and the last have 7.
    """
    return [count for count in range(2, blocks + 1) if block_counts(blocks, count) is not None]


def block_counts(blocks: int, stages: int) -> list[int] | None:
    """Blocks of each stage; None where they cannot be shared out."""
    if blocks % stages == 0:
        return [blocks // stages] * stages
    share, rest = divmod(blocks + ENDS, stages)
    if rest or share <= 1:
        return None
    return [share - 1, *[share] * (stages - 2), share - 1]


@lru_cache(maxsize=1024)
def stages_of(costs: ModelCosts, stages: int) -> list[PipelineStage]:
    """The stages of a pipeline that `fitting_stages` allows; neighbours that are alike as one."""
    counts = block_counts(costs.number_of_blocks, stages) if stages > 1 else [costs.number_of_blocks]
    assert counts is not None, "layouts are checked before they are planned"
    runs = list(costs.blocks)
    made: list[PipelineStage] = []
    for number, wanted in enumerate(counts):
        blocks, runs = _taken(runs, wanted)
        first, last = number == 0, number == stages - 1
        tied = costs.tied if last and not first and costs.tied.parameter_bytes else None
        before, behind = costs.before if first else None, costs.behind if last else None
        ends = tuple((1, part) for part in (before, behind, tied) if part is not None)
        if made and not ends and made[-1].parts == blocks:
            made[-1] = replace(made[-1], count=made[-1].count + 1)
        else:
            stage = PipelineStage(number=number, parts=(*ends, *blocks), roots=ends, blocks=blocks, last=last)
            made.append(stage)
    return made


def _taken(runs: list[tuple[int, Part]], wanted: int) -> tuple[tuple[tuple[int, Part], ...], list[tuple[int, Part]]]:
    """The first blocks of the runs, and what is left of them."""
    taken: list[tuple[int, Part]] = []
    left = list(runs)
    while wanted:
        count, part = left.pop(0)
        mine = min(count, wanted)
        taken.append((mine, part))
        wanted -= mine
        if count > mine:
            left.insert(0, (count - mine, part))
    return tuple(taken), left
