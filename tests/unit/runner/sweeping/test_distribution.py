"""What a sweep's launcher is asked to run, and what is refused before any job is submitted."""

from __future__ import annotations

from typing import Any

import pytest
from case_samples import make_case

from runner.config.plan import Planned
from runner.core.errors import ConfigurationError, DependencyError
from runner.launchers import slurm_queue
from runner.sweeping.distribution import Distribution, distribution_of

SLURM = ["hydra/launcher=submitit_slurm"]


def plans(**settings: Any) -> list[Planned]:
    """One case with its launcher's settings."""
    from omegaconf import OmegaConf

    from runner.config.division import Division

    config = OmegaConf.create({})
    nothing = Division(name="closed")
    case = make_case()
    return [Planned(config=config, overrides=(), values={}, case=case, division=nothing, error=None, launcher=settings)]


@pytest.fixture
def with_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm_queue, "available", lambda: True)


def test_without_a_launcher_nothing_is_distributed() -> None:
    assert distribution_of([], plans(), vendor_detected=True) is None
    assert distribution_of(["hydra/launcher=basic"], plans(), vendor_detected=True) is None


def test_slurm_needs_its_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm_queue, "available", lambda: False)
    with pytest.raises(DependencyError, match="sbatch, squeue, scancel"):
        Distribution(SLURM, plans(), vendor_detected=False)


@pytest.mark.usefixtures("with_slurm")
def test_the_vendor_of_this_machine_is_not_that_of_the_jobs() -> None:
    """A login node without an accelerator would have the whole sweep measured on host CPUs."""
    with pytest.raises(ConfigurationError, match="Name it: vendor=NAME"):
        Distribution(SLURM, plans(), vendor_detected=True)
    with pytest.raises(ConfigurationError, match="Name it: vendor=NAME"):
        Distribution(["hydra/launcher=ray"], plans(ray={"init": {"address": "auto"}}), vendor_detected=True)
    assert not Distribution(["hydra/launcher=joblib"], plans(), vendor_detected=True).elsewhere


@pytest.mark.usefixtures("with_slurm")
@pytest.mark.parametrize(
    ("settings", "told"),
    [({"tasks_per_node": 2}, "tasks_per_node=2"), ({"max_num_timeout": 3}, "resume=true goes on")],
)
def test_settings_that_would_run_a_case_twice_are_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        Distribution(SLURM, plans(**settings), vendor_detected=False)


@pytest.mark.usefixtures("with_slurm")
def test_a_job_has_as_many_nodes_as_its_case() -> None:
    how = Distribution(SLURM, plans(nodes=2), vendor_detected=False)
    error = how.refusal(plans(nodes=2)[0])
    assert isinstance(error, ConfigurationError)
    assert "topology.nodes=1, and the jobs of this sweep have hydra.launcher.nodes=2" in str(error)


@pytest.mark.parametrize(
    ("name", "emulate", "turns"),
    [("joblib", False, True), ("submitit_local", False, True), ("ray", True, True), ("ray", False, False)],
)
def test_cases_that_share_a_machine_take_turns(name: str, emulate: bool, turns: bool) -> None:
    """On Ray those do that are measured on the host's processor: Ray keeps only accelerators apart."""
    how = Distribution([f"hydra/launcher={name}"], plans(), vendor_detected=False)
    assert how._takes_turns(make_case(emulate=emulate)) is turns


@pytest.mark.usefixtures("with_slurm")
def test_slurms_jobs_take_none() -> None:
    assert not Distribution(SLURM, plans(), vendor_detected=False)._takes_turns(make_case())
