"""Who started a lone rank is not asked of launchers that it was not started by."""

from __future__ import annotations

from pathlib import Path

import pytest
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.mpi import MPIEnvironment
from toy import CPU_SPEC, lone_context, toy_case

from hardware.vendors.cpu import Cpu
from runner.frameworks.lightning.trainer import build_trainer


def test_mpi_is_not_started_to_find_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def detect() -> bool:
        pytest.fail("MPI was asked: where it cannot start it ends the process")

    monkeypatch.setattr(MPIEnvironment, "detect", staticmethod(detect))
    trainer = build_trainer(lone_context(toy_case(), tmp_path, Cpu(CPU_SPEC)), [], max_steps=1)
    assert isinstance(trainer._accelerator_connector.cluster_environment, LightningEnvironment)
