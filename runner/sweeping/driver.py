"""`python -m runner.sweeping.driver FOLDER`: hands the jobs of a sweep to Hydra's launcher, in a process of its own.

Launchers import much, and wait in their own ways, for ever where a job's end is never told. The sweep itself follows
its jobs by their files and needs nothing that a launcher returns; it ends this process when it has what it needs.
"""

from __future__ import annotations

import json
import shlex
import sys
import time
from pathlib import Path
from typing import Any

from runner.commandline.quoting import quoted
from runner.sweeping.case_job import run_case_job
from runner.sweeping.job_files import FOLDER, CaseFiles

ASKED, SUBMITTED = "launch.json", "submitted.json"
"""What is to be launched, and the batch system's numbers of the jobs."""
JOB_NAME = "touchstone"
LOOK_S = 1.0


class SubmittedError(Exception):
    """Leaves the launcher once its jobs are submitted: it would wait for what they return."""


def main() -> int:
    """Launch, and stay for as long as the jobs need this process."""
    jobs = Path(sys.argv[1])
    asked = json.loads((jobs / ASKED).read_text())
    _keep_numbers(jobs, asked["cases"])
    try:
        _launch(jobs, asked)
    except SubmittedError:
        pass
    except Exception:
        if not _begun(jobs, asked["cases"]):
            raise
        # One job's failure is not the others': they go on for as long as this process does.
        _wait_for(jobs, asked["cases"])
        raise
    return 0


def _launch(jobs: Path, asked: dict[str, Any]) -> None:
    """Have the launcher start a job for every case; returns, or raises, when it has done with them."""
    from hydra import initialize
    from hydra._internal.callbacks import Callbacks
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.plugins import Plugins
    from hydra.core.utils import setup_globals
    from hydra.types import HydraContext, RunMode
    from omegaconf import OmegaConf

    setup_globals()
    sweep = jobs.parent
    with initialize(version_base="1.3", config_path=None):
        loader = GlobalHydra.instance().config_loader()
        config = loader.load_configuration(
            config_name=None,
            overrides=[
                f"hydra/launcher={asked['launcher']}",
                *("hydra/job_logging=none", "hydra/hydra_logging=none", "hydra.output_subdir=null"),
                *(f"hydra.job.name={JOB_NAME}", "hydra.job.chdir=false", "hydra.mode=MULTIRUN"),
                f"hydra.sweep.subdir={FOLDER}",
                _as_word("hydra.sweep.dir", sweep),
            ],
            run_mode=RunMode.MULTIRUN,
        )
        OmegaConf.set_readonly(config.hydra, False)
        OmegaConf.set_struct(config.hydra, False)
        config.hydra.launcher = OmegaConf.create(_settled(asked["launcher"], asked["settings"]))
        context = HydraContext(config_loader=loader, callbacks=Callbacks())
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=context, task_function=run_case_job, config=config
        )
        where = _as_word("+sweep", sweep)
        launcher.launch([[f"+case={number}", where] for number in asked["cases"]], initial_job_idx=0)


def _as_word(key: str, folder: Path) -> str:
    """An override whose value is taken as it stands."""
    return shlex.split(quoted(key, str(folder)))[0]


def _settled(launcher: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings, with what a sweep of measurements needs of them where the command line says nothing."""
    if launcher == "ray":
        # A case that was lost is a result. Ray would run it again, beside what is left of the first.
        settings["ray"]["remote"].setdefault("max_retries", 0)
    return settings


def _keep_numbers(jobs: Path, cases: list[int]) -> None:
    """Have submitit tell the numbers of its jobs as soon as they are submitted, and leave it then."""
    try:
        import submitit
    except ImportError:
        return

    executor: Any = submitit.AutoExecutor
    submit = executor.map_array

    def submit_and_tell(self: Any, *arguments: Any) -> Any:
        submitted = submit(self, *arguments)
        numbers = {case: str(job.job_id) for case, job in zip(cases, submitted, strict=True)}
        draft = jobs / f".{SUBMITTED}"
        draft.write_text(json.dumps(numbers))
        draft.replace(jobs / SUBMITTED)
        # Jobs of this machine are children of this process; SLURM's need nobody.
        while any(hasattr(job, "_process") and not job.done() for job in submitted):
            time.sleep(LOOK_S)
        raise SubmittedError

    executor.map_array = submit_and_tell


def _begun(jobs: Path, cases: list[int]) -> list[int]:
    """Cases whose job has begun."""
    return [number for number in cases if CaseFiles(jobs, number).started is not None]


def _wait_for(jobs: Path, cases: list[int]) -> None:
    """Wait for what was begun; the sweep ends this process when none of it lives any more."""
    while any(CaseFiles(jobs, number).ended is None for number in _begun(jobs, cases)):
        time.sleep(LOOK_S)


if __name__ == "__main__":
    sys.exit(main())
