"""How a Python process of the engine's own is started: its modules are found first, whatever else has their names."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""Folder of the packages `conf`, `hardware`, `models` and `runner`."""

JOB_NAMES = frozenset(
    {
        *("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "LOCAL_SIZE", "NODE_RANK", "CROSS_RANK"),
        *("GROUP_RANK", "GROUP_WORLD_SIZE", "ROLE_RANK", "ROLE_WORLD_SIZE", "ROLE_NAME"),
        *("MASTER_ADDR", "MASTER_PORT"),
        *("RANK_ID", "RANK_SIZE", "RANK_TABLE_FILE"),  # Ascend's
        *("MPI_LOCALRANKID", "MPI_LOCALNRANKS", "ALPS_APP_PE"),
        *("CCL_LOCAL_RANK", "CCL_LOCAL_SIZE"),
    }
)
JOB_BEGINNINGS = (
    *("SLURM_", "SLURMD_", "PMI_", "PMIX_", "PALS_", "FLUX_", "LSB_", "JSM_"),
    *("OMPI_COMM_", "OMPI_MCA_", "OMPI_UNIVERSE_", "MV2_COMM_", "HYDI_", "MPIR_"),
    *("TORCHELASTIC_", "PET_", "PADDLE_TRAINER"),
)
"""What schedulers and launchers tell the ranks of *their* job: place, number, addresses; `PET_` is torchrun's own."""


def python(module: str, *arguments: str, interpreter: Path | None = None) -> list[str]:
    """The command that runs a module; `-P` leaves the working directory, and what lies in it, out of the search.

    Args:
        module: its dotted name.
        arguments: behind it.
        interpreter: of another environment; None: this process's.
    """
    return [str(interpreter or sys.executable), "-P", "-m", module, *arguments]


def with_own_root(values: Mapping[str, str]) -> dict[str, str]:
    """Environment variables with the engine's own packages first in `PYTHONPATH`, and no entry for "wherever I am"."""
    entries = [entry for entry in values.get("PYTHONPATH", "").split(os.pathsep) if entry and entry != str(ROOT)]
    return {**values, "PYTHONPATH": os.pathsep.join([str(ROOT), *entries])}


def without_job(values: Mapping[str, str]) -> dict[str, str]:
    """Environment variables without those of a surrounding job, whose ranks are not the engine's."""
    return {
        name: value for name, value in values.items() if name not in JOB_NAMES and not name.startswith(JOB_BEGINNINGS)
    }


def environment_of_child(added: Mapping[str, str], inherited: Mapping[str, str] = os.environ) -> dict[str, str]:
    """All environment variables of a worker: what this process has, less a surrounding job's, and what is added."""
    return with_own_root(without_job(inherited)) | dict(added)
