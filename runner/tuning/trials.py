"""What a search tried, and what it found. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

FILE = "tune.json"
SCHEMA_VERSION = 1
NEAR = 0.98
"""Share of the best throughput from which a smaller batch size is as good for most purposes."""

State = Literal["done", "out of memory", "failed", "interrupted"]


@dataclass(kw_only=True, slots=True)
class Trial:
    """One batch size that was run."""

    batch_size: int
    state: State
    value: float | None = None
    """The figure that is searched for; None where it was not measured."""
    memory_gib: float | None = None
    reason: str | None = None
    """Why there is no value, or why it does not count."""
    exit_code: int = 0
    folder: str | None = None
    """Its run folder, inside the search's."""


@dataclass(kw_only=True, slots=True)
class Found:
    """All of a search, as its file holds it."""

    key: str
    """Of the batch size."""
    figure: str
    unit: str
    low: int
    high: int
    memory_limit_gib: float | None
    trials: list[Trial] = field(default_factory=list)
    best: int | None = None
    schema_version: int = SCHEMA_VERSION

    def save(self, folder: Path) -> None:
        """Write it down."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=1, allow_nan=False) + "\n")

    def best_trial(self) -> Trial | None:
        """The one with the highest value; None where none was measured. Of equal ones the smallest batch size."""
        done = [trial for trial in self.trials if trial.state == "done" and trial.value is not None]
        return max(done, key=lambda trial: (trial.value or 0.0, -trial.batch_size), default=None)

    def smallest_near(self) -> Trial | None:
        """The smallest batch size that reaches `NEAR` of the best; None where there is no best."""
        best = self.best_trial()
        if best is None:
            return None
        least = NEAR * (best.value or 0.0)
        near = [trial for trial in self.trials if trial.state == "done" and (trial.value or 0.0) >= least]
        return min(near, key=lambda trial: trial.batch_size)


def search(found: Found, run: Callable[[int], Trial], folder: Path, *, trials: int, first: int, seed: int) -> None:
    """Run so many batch sizes, as Optuna's TPE sampler proposes them, and write every one into `found`.

    None is run twice, and none that is larger than one that ran out of memory: in its place comes the nearest one that
    was not run. The search ends early where there is none left.

    Args:
        found: is filled.
        run: runs a batch size.
        folder: where `found` is kept, after each trial.
        trials: how many are run at most.
        first: which one is run first; the case's own.
        seed: of the sampler.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    # Few sizes are run: after three at random, the sampler has to use what it knows.
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=3)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.enqueue_trial({"batch_size": min(max(first, found.low), found.high)})
    seen: dict[int, Trial] = {}
    while len(seen) < trials:
        proposed = study.ask()
        batch_size = proposed.suggest_int("batch_size", found.low, found.high, log=True)
        free = _untried(found, seen)
        if not free:
            break
        if batch_size not in free:
            _tell(study, proposed, seen.get(batch_size))
            nearest = min(free, key=lambda size: abs(math.log(size / batch_size)))
            study.enqueue_trial({"batch_size": nearest})
            continue
        trial = run(batch_size)
        seen[batch_size] = trial
        found.trials.append(trial)
        best = found.best_trial()
        found.best = best.batch_size if best else None
        found.save(folder)
        _tell(study, proposed, trial)
        if trial.state == "interrupted":
            break


def _untried(found: Found, seen: Mapping[int, Trial]) -> set[int]:
    """Sizes that were not run and are smaller than all that ran out of memory."""
    too_large = min((size for size, one in seen.items() if one.state == "out of memory"), default=found.high + 1)
    return set(range(found.low, too_large)) - seen.keys()


def _tell(study: object, proposed: object, trial: Trial | None) -> None:
    """Tell the sampler: a value, pruned where memory did not do, or failed."""
    from optuna.trial import TrialState

    if trial is not None and trial.value is not None and trial.state == "done":
        study.tell(proposed, trial.value)  # type: ignore[attr-defined]
    else:
        memory = trial is None or trial.state == "out of memory"
        study.tell(proposed, state=TrialState.PRUNED if memory else TrialState.FAIL)  # type: ignore[attr-defined]
