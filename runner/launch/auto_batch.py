"""`tuning.auto_batch=true`: the largest batch size that fits, found by short attempts in processes of their own.

An attempt is no result: its folder lies inside the run's, where nothing looks for results, and `auto_batch.json` there
says how each one ended. What is found becomes part of the case, and a change of the vendor's in its division.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from runner.config.checks import on_host
from runner.config.division import Division
from runner.config.schema import Case, load_case
from runner.core.errors import (
    ConfigurationError,
    GateMissedError,
    InterruptedRunError,
    OutOfMemoryError,
    TimedOutError,
    TouchstoneError,
    WorkerCrashedError,
)
from runner.core.interrupts import Interrupts
from runner.launch.batch_attempt import run_attempt
from runner.launch.batch_case import batch_of, key_of, section_of, short_case, with_batch, with_change
from runner.launch.batch_search import largest_that_fits
from runner.record.names import number
from runner.record.report import load_report
from runner.record.task import task_of
from runner.results.find import walk_runs

FILE = "auto_batch.json"
FOLDER = "auto_batch"
"""Of the attempts, inside the run folder."""
KILLED = "SIGKILL"
"""What the kernel ends a process with when memory runs out."""
DEVICE_MEMORY = ("memory/device_peak_used_gib", "memory/device_peak_reserved_gib", "memory/device_peak_allocated_gib")
HOST_MEMORY = ("memory/host_peak_rss_gib",)


@dataclass(kw_only=True, slots=True)
class Attempt:
    """One batch size that was tried."""

    batch_size: int
    fits: bool
    peak_gib: float | None
    """Highest memory that was seen, by `figure`; None where nothing told it."""
    figure: str | None
    reason: str | None
    """Why it does not fit."""
    exit_code: int
    seconds: float
    folder: str


@dataclass(kw_only=True, slots=True)
class AutoBatch:
    """What a search found, as its file holds it."""

    key: str
    """Of the batch size: `model.train.batch_size`."""
    limit_gib: float | None
    found: int | None = None
    attempts: list[Attempt] = field(default_factory=list)

    def save(self, run_folder: Path) -> None:
        """Write it down."""
        (run_folder / FILE).write_text(json.dumps(asdict(self), indent=1) + "\n")


def check_auto_batch(case: Case) -> None:
    """Refuse a search that has no batch size to look for, no limit, or that could cost the target.

    Raises:
        ConfigurationError: says which.
    """
    task = task_of(case)
    if not task.on_device or section_of(case) is None:
        raise ConfigurationError(f"tuning.auto_batch=true looks for a batch size, and task={task.name} has none.")
    if task.quality_target and not case.tuning.allow_converge:
        raise ConfigurationError(
            f"tuning.auto_batch=true changes the batch size, and with it whether task={task.name} reaches its target. "
            "Leave it out, or add tuning.allow_converge=true."
        )
    if case.tuning.largest_batch < case.tuning.batch_multiple:
        raise ConfigurationError(
            f"tuning.largest_batch={case.tuning.largest_batch}: there is no multiple of "
            f"tuning.batch_multiple={case.tuning.batch_multiple} up to it."
        )
    if on_host(case) and case.tuning.memory_limit_gib is None:
        raise ConfigurationError(
            "tuning.auto_batch=true on the host needs tuning.memory_limit_gib=N: a host does not refuse memory, it "
            "becomes slow and ends processes. Give what the ranks may take together."
        )


def find_batch(
    case: Case, folder: Path, attempt: Callable[[Case, Path], TouchstoneError | None], say: Callable[[str], None]
) -> int:
    """The largest batch size that fits; writes down every attempt.

    Args:
        case: whose batch size is looked for; its own is tried first.
        folder: the run's.
        attempt: runs a case in a new folder of its own; returns what went wrong, and leaves a report there.
        say: is told of each attempt.

    Raises:
        OutOfMemoryError: not even the smallest fits.
        TouchstoneError: what an attempt failed of where that was not memory and no smaller one had run.
    """
    search = AutoBatch(key=key_of(case), limit_gib=case.tuning.memory_limit_gib)
    search.save(folder)

    def fits(batch_size: int) -> bool:
        place = folder / FOLDER / f"{len(search.attempts) + 1}_batch{batch_size}"
        began_s = time.monotonic()
        failure = attempt(short_case(case, batch_size), place)
        made = _judged(case, batch_size, place, failure, seconds=time.monotonic() - began_s)
        search.attempts.append(replace(made, folder=str(place.relative_to(folder))))
        search.save(folder)
        say(_line(made))
        # What fails of something else than its size, and before anything ran, will fail at every size.
        ran = any(one.fits for one in search.attempts)
        hopeless = isinstance(failure, InterruptedRunError) or not (ran or made.fits or _of_memory(failure))
        if failure is not None and hopeless:
            raise failure
        return made.fits

    tuning = case.tuning
    found = largest_that_fits(batch_of(case), fits, multiple=tuning.batch_multiple, largest=tuning.largest_batch)
    search.found = found
    search.save(folder)
    if found is None:
        limit = f" of {tuning.memory_limit_gib:g} GiB" if tuning.memory_limit_gib is not None else ""
        raise OutOfMemoryError(
            f"Not enough memory{limit}: not even {key_of(case)}={tuning.batch_multiple} fits. Attempts are in "
            f"{folder / FILE}."
        )
    say(f"auto_batch: {key_of(case)}={found} is the largest that fits")
    return found


def search_in(
    folder: Path,
    case: Case,
    changes: Division,
    *,
    forked: bool,
    interrupts: Interrupts,
    say: Callable[[str], None],
) -> tuple[Case, Division]:
    """The case with the batch size that was found, written into its folder, and its division.

    Raises:
        TouchstoneError: none was found.
    """
    (folder / "events").mkdir(exist_ok=True)  # from here on the folder is a run's, and its attempts are its own
    found = find_batch(
        case,
        folder,
        lambda short, place: run_attempt(short, place, division=changes, forked=forked, interrupts=interrupts),
        say,
    )
    made = with_batch(case, found)
    draft = folder / "run.tmp"
    made.save(draft)
    draft.replace(folder / "run.yaml")
    return made, with_change(changes, case, made)


def found_earlier(case: Case, root: Path) -> Case | None:
    """The case with the batch size that the newest earlier search for it found; None where there was none.

    Args:
        case: as asked for, before any search.
        root: where earlier runs lie.
    """
    newest: tuple[float, Case] | None = None
    for folder in walk_runs(root):
        path = folder / FILE
        try:
            if not path.is_file() or json.loads(path.read_text())["found"] is None:
                continue
            earlier, time_s = load_case(folder), path.stat().st_mtime
            if section_of(earlier) is None or earlier.tuning != case.tuning:
                continue
            made = with_batch(case, batch_of(earlier))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # whoever looks for a folder to resume says what cannot be read
        if made.identity == earlier.identity and (newest is None or time_s > newest[0]):
            newest = time_s, made
    return newest[1] if newest else None


def _judged(case: Case, batch_size: int, place: Path, failure: TouchstoneError | None, *, seconds: float) -> Attempt:
    ended_well = failure is None or isinstance(failure, GateMissedError)
    figure, peak = _peak(case, place)
    limit = case.tuning.memory_limit_gib
    reason = None if ended_well else f"{type(failure).__name__}: {str(failure).splitlines()[0]}"
    if ended_well and limit is not None:
        if peak is None:
            reason = "nothing told how much memory it took"
        elif peak > limit:
            reason = f"it took {number(peak)} GiB"
    return Attempt(
        batch_size=batch_size,
        fits=reason is None,
        peak_gib=peak,
        figure=figure,
        reason=reason,
        exit_code=failure.exit_code if failure else 0,
        seconds=seconds,
        folder="",
    )


def _peak(case: Case, place: Path) -> tuple[str | None, float | None]:
    """The memory of an attempt: the highest of what was told of the device, or the host's where ranks run on it."""
    try:
        figures = load_report(place / "report.json").figures
    except (OSError, ValueError):
        return None, None
    names = HOST_MEMORY if on_host(case) else DEVICE_MEMORY
    told = {name: value for name in names if name in figures and (value := figures[name].value) is not None}
    name = max(told, key=lambda one: told[one], default=None)
    return (name, told[name]) if name else (None, None)


def _of_memory(failure: TouchstoneError | None) -> bool:
    """Whether it ran out of memory, or may have: the kernel ends whom it chooses, and says nothing."""
    killed = isinstance(failure, WorkerCrashedError) and KILLED in str(failure)
    return isinstance(failure, OutOfMemoryError) or killed or isinstance(failure, TimedOutError)


def _line(made: Attempt) -> str:
    memory = f", {number(made.peak_gib)} GiB" if made.peak_gib is not None else ""
    verdict = "fits" if made.fits else f"does not fit: {made.reason}"
    return f"auto_batch: batch {made.batch_size} {verdict}{memory if made.fits else ''} ({made.seconds:.0f} s)"
