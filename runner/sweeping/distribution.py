"""A sweep through one of Hydra's launchers: what it asks of the cases, and how it runs them as jobs."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runner.commandline.launcher import BASIC, PLUGINS, launcher_name
from runner.commandline.quoting import quoted
from runner.config.checks import check_for_elsewhere, on_host
from runner.config.fairness import require
from runner.config.plan import Planned
from runner.config.schema import Case
from runner.config.task import demands_of
from runner.core.errors import ConfigurationError, DependencyError, InterruptedRunError, TouchstoneError
from runner.core.interrupts import Interrupts
from runner.launch.folder import find_earlier, is_done
from runner.launch.refused import say
from runner.launch.submit import refusal
from runner.launch.sweep import SweepFolder
from runner.launchers import slurm_queue
from runner.messages import tr
from runner.sweeping.job_files import JobCase, JobList
from runner.sweeping.jobs import Jobs, JobsAsked

THREADS = (
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "BLIS_NUM_THREADS"),
    *("VECLIB_MAXIMUM_THREADS", "NUMBA_NUM_THREADS", "ENABLE_IPC"),
)
"""What joblib and Ray set in their workers' environment, and a case measured alone does not have."""
VISIBLE = "CUDA_VISIBLE_DEVICES"
"""submitit's local jobs see no device unless they ask for some."""


class Distribution:
    """What a sweep needs of its launcher."""

    def __init__(self, words: Sequence[str], plans: Sequence[Planned], *, vendor_detected: bool) -> None:
        """Look at the launcher and at what its jobs are.

        Args:
            words: those of the command line that are about the launcher.
            plans: all cases.
            vendor_detected: whether the vendor was looked for on this machine.

        Raises:
            ConfigurationError: they do not go together.
            DependencyError: the batch system is not here.
        """
        self.name = launcher_name(words)
        self.plugin = PLUGINS[self.name]
        self.settings: dict[str, Any] = plans[0].launcher if plans else {}
        if self.plugin.queued and not slurm_queue.available():
            raise DependencyError(
                f"hydra/launcher={self.name} needs SLURM's commands (sbatch, squeue, scancel), and they are not on "
                "this machine. Start the sweep where jobs are submitted."
            )
        if self.elsewhere and vendor_detected:
            raise ConfigurationError(
                f"hydra/launcher={self.name} starts the cases on other machines, and the vendor was looked for on this "
                "one. Name it: vendor=NAME, for instance vendor=nvidia."
            )
        _check_settings(self.name, self.settings)

    @property
    def elsewhere(self) -> bool:
        """Whether the jobs run on other machines than this one."""
        on_cluster = self.name == "ray" and (self.settings.get("ray", {}).get("init") or {}).get("address") is not None
        return self.plugin.queued or on_cluster

    def refusal(self, one: Planned) -> TouchstoneError | None:
        """Why a case cannot be run; what other machines have is seen there."""
        assert one.case is not None
        try:
            _check_nodes(one.case, self.name, int(self.settings.get("nodes", 1)))
            if not self.elsewhere:
                return None if one.case.resume else refusal(one.case, one.division)
            require(one.case, one.division)
            check_for_elsewhere(one.case, one.division)
        except TouchstoneError as error:
            return error
        return None

    def run(
        self, sweep: SweepFolder, runnable: Sequence[tuple[int, Case]], interrupts: Interrupts
    ) -> list[tuple[Path, Case]]:
        """Run a job for each case, and account for all; returns those that were lost, which are not filed yet."""
        wanted: dict[int, Case] = {}
        for number, case in runnable:
            earlier = find_earlier(case, Path(case.run.root), say) if case.resume else None
            if earlier is not None and is_done(earlier):
                sweep.placed(number, earlier, done=True)
                sweep.ended(number, 0)
                say(tr("{case} is done already (resume=true): {folder}", case=case.name, folder=earlier))
            else:
                wanted[number] = case
        if not wanted:
            return []
        if interrupts.asked:
            sweep.codes.append(InterruptedRunError.exit_code)
            return []
        listed = self.job_list(sweep, wanted)
        asked = JobsAsked(name=self.name, plugin=self.plugin, settings=self.settings, listed=listed)
        return Jobs(asked, sweep, wanted, clock=time.monotonic).run(interrupts)

    def job_list(self, sweep: SweepFolder, cases: dict[int, Case]) -> JobList:
        """What the jobs run."""
        restored = [*(THREADS if self.name in ("joblib", "ray") else ())]
        if self.name == "submitit_local" and not self.settings.get("gpus_per_node"):
            restored.append(VISIBLE)
        listed = JobList(directory=str(Path.cwd()), environment={name: os.environ.get(name) for name in restored})
        for number, case in cases.items():
            place = sweep.wanted(number).resolve()
            words = [*sweep.plans[number].overrides, _as_word("hydra.run.dir", str(place))]
            spread = case.topology.name == "cluster" and case.topology.nodes > 1
            listed.cases[number] = JobCase(words=words, spread=spread, turn=self._takes_turns(case))
        return listed

    def _takes_turns(self, case: Case) -> bool:
        """Whether the case would be measured beside others that use the same device."""
        shared = self.plugin.turns or (self.name == "ray" and on_host(case))
        return shared and demands_of(case).on_device


def distribution_of(words: Sequence[str], plans: Sequence[Planned], *, vendor_detected: bool) -> Distribution | None:
    """How a sweep is distributed; None where it is not, and its cases run here one after another."""
    return None if launcher_name(words) == BASIC else Distribution(words, plans, vendor_detected=vendor_detected)


def _check_settings(launcher: str, settings: dict[str, Any]) -> None:
    """Refuse what would start a case twice.

    Raises:
        ConfigurationError: a setting does.
    """
    tasks = settings.get("tasks_per_node", 1)
    if tasks != 1:
        raise ConfigurationError(
            f"hydra.launcher.tasks_per_node={tasks}: a case starts its own ranks, one task per node is all it needs. "
            "Their number is topology.devices."
        )
    if settings.get("max_num_timeout"):
        raise ConfigurationError(
            f"hydra.launcher.max_num_timeout={settings['max_num_timeout']} has no effect here: a job whose time is "
            "over ends with a checkpoint. The same command with resume=true goes on."
        )
    if launcher == "submitit_local" and int(settings.get("nodes", 1)) > 1:
        raise ConfigurationError(f"hydra.launcher.nodes={settings['nodes']}: this machine is one node.")


def _check_nodes(case: Case, launcher: str, nodes: int) -> None:
    """Refuse a case whose nodes are not those of its job.

    Raises:
        ConfigurationError: they are not.
    """
    asked = case.topology.nodes
    if asked == nodes == 1:
        return
    if launcher != "submitit_slurm":
        raise ConfigurationError(
            f"topology.nodes={asked}: hydra/launcher={launcher} gives a case one machine. Of several nodes are the "
            "jobs of hydra/launcher=submitit_slurm; or leave the launcher out, and the cases run one after another by "
            f"launcher={case.launcher.name}."
        )
    if asked != nodes:
        raise ConfigurationError(
            f"topology.nodes={asked}, and the jobs of this sweep have hydra.launcher.nodes={nodes}. Give both the same "
            "number; cases of different numbers of nodes are different sweeps."
        )
    if case.launcher.name != "slurm":
        raise ConfigurationError(
            f"launcher={case.launcher.name}: in a job of several nodes SLURM starts the case. Add launcher=slurm."
        )


def _as_word(key: str, value: str) -> str:
    """An override whose value is taken as it stands."""
    return shlex.split(quoted(key, value))[0]
