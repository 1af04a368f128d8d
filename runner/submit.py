"""From a composed configuration to the case's folder and its run."""

from __future__ import annotations

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from runner.check import with_devices
from runner.compose import to_case, tuning_in_use
from runner.errors import ConfigurationError, InterruptedRunError
from runner.fairness import division_of
from runner.folder import claim, find_earlier, is_done, remove_if_empty
from runner.interrupts import Interrupts
from runner.lock import OwnedError, let_go
from runner.report.schema import Division
from runner.schema import Case
from runner.sweep import end_sweep
from runner.tracking.owner import write_parent


def run_composed(config: DictConfig, *, vendor_detected: bool) -> tuple[int, bool]:
    """Run one composed case; returns its exit code and whether it belongs to a sweep."""
    hydra = HydraConfig.get()
    is_sweep = hydra.mode == RunMode.MULTIRUN
    case = with_devices(to_case(config))
    changes = division_of(case, list(hydra.searchpath), dict(hydra.runtime.choices))
    wanted = from_here(Path(hydra.runtime.output_dir))
    tuning = tuning_in_use(hydra.runtime.choices)
    code = run_case(case, wanted, changes, is_sweep=is_sweep, vendor_detected=vendor_detected, tuning=tuning)
    if is_sweep and code == InterruptedRunError.exit_code:
        end_sweep(Path(hydra.sweep.dir), uri=case.tracking.uri, at_least=code)
    return code, is_sweep


def from_here(folder: Path) -> Path:
    """The folder relative to the working directory where it lies below it, as people write it."""
    return folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder


def run_case(
    case: Case,
    wanted: Path,
    changes: Division,
    *,
    is_sweep: bool,
    vendor_detected: bool,
    tuning: str | None = None,
) -> int:
    """Claim a folder, or find the earlier one that `resume=true` asks for, and run the case in it."""
    from runner.console import Console
    from runner.engine import Engine

    console = Console(case)
    folder = find_earlier(case, Path(case.run.root), console.warn) if case.resume else None
    if folder is None:
        folder = claim(case, wanted)
    else:
        remove_if_empty(wanted)
        if is_done(folder):
            console.skip(folder)
            return 0
        _continue(folder)
    try:
        console.start(folder, vendor_detected=vendor_detected, tuning=tuning)
        with Interrupts() as interrupts:
            engine = Engine(
                case=case, folder=folder, division=changes, console=console, forked=is_sweep, interrupts=interrupts
            )
            code = engine.run()
        # Asked for while the result was filed: the run is done, the sweep goes no further.
        return InterruptedRunError.exit_code if is_sweep and interrupts.asked else code
    finally:
        let_go(folder)


def _continue(folder: Path) -> None:
    """Own the folder of an earlier run that is gone on with.

    Raises:
        ConfigurationError: it cannot be owned.
    """
    try:
        write_parent(folder)
    except OwnedError as error:
        raise ConfigurationError(
            f"The run in {folder} was just taken up by another process. Wait for its end, or leave resume=true out."
        ) from error
    except OSError as error:
        let_go(folder)
        raise ConfigurationError(
            f"The run in {folder} cannot be gone on with: {error.strerror}. Leave resume=true out, or mend that."
        ) from error
