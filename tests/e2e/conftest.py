"""Fixtures of the real runs: clusters that this machine can play."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from slurm_machine import SlurmMachine, missing, running


@pytest.fixture(scope="session")
def slurm() -> Iterator[SlurmMachine]:
    """Two SLURM nodes without accounting, as many small clusters have them."""
    yield from _cluster(accounting=False)


@pytest.fixture(scope="session")
def slurm_with_accounting() -> Iterator[SlurmMachine]:
    """Two SLURM nodes whose jobs are remembered by slurmdbd."""
    yield from _cluster(accounting=True)


def _cluster(*, accounting: bool) -> Iterator[SlurmMachine]:
    if (reason := missing(accounting=accounting)) is not None:
        pytest.skip(reason)
    with running(accounting=accounting) as machine:
        yield machine
