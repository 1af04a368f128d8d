"""From a command line to its cases: every one is composed and checked before any is started."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError

from runner.commandline.arguments import Arguments
from runner.commandline.explain import explain
from runner.commandline.one_launcher import check_one_launcher, check_own_launcher, launcher_settings
from runner.commandline.quoting import without_secrets
from runner.commandline.suite import Asked, asked_cases
from runner.config.checks import with_devices
from runner.config.complete import check_sections, check_texts
from runner.config.compose import compose_with_engine, plain_values, tuning_in_use
from runner.config.division import Division
from runner.config.fairness import division_of
from runner.config.schema import NO_MODEL, Case, case_from_dict
from runner.core.errors import ConfigurationError, TouchstoneError
from runner.core.tasks import TASKS

MOST_CASES = 10_000
"""A sweep of more was typed by mistake: nobody waits for them, and composing them takes minutes."""


@dataclass(kw_only=True, slots=True)
class Planned:
    """One case of a command line."""

    config: DictConfig
    """As composed, with Hydra's own section."""
    overrides: tuple[str, ...]
    """What it was composed from."""
    values: dict[str, Any]
    """Plain values, not checked; what there is of them where one is missing."""
    case: Case | None
    """None where a value is not valid."""
    division: Division
    error: TouchstoneError | None
    """Why it is not valid."""
    tuning: str | None = None
    """The tuning file that it took values from."""
    asked: Asked | None = None
    """Where a sweep's case comes from."""
    launcher: dict[str, Any] = field(default_factory=dict)
    """Settings of Hydra's launcher that starts it, as composed with it; `_target_` says which one."""

    def folder(self) -> Path:
        """Where a single run goes."""
        return from_here(Path(self.config.hydra.run.dir))

    def sweep_folder(self) -> Path:
        """Where the sweep goes that this is a case of."""
        return from_here(Path(self.config.hydra.sweep.dir))

    def name_in_sweep(self, number: int) -> str:
        """The name of its folder in a sweep's."""
        OmegaConf.set_readonly(self.config.hydra, False)
        self.config.hydra.job.num = number
        try:
            return str(self.config.hydra.sweep.subdir)
        except OmegaConfBaseException:  # a value that its name is made of is not valid
            return f"{number}_invalid"


def from_here(folder: Path) -> Path:
    """The folder relative to the working directory where it lies below it, as people write it."""
    absolute = Path.cwd() / folder
    return absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else folder


def plan(arguments: Arguments, added: Sequence[str] = ()) -> list[Planned]:
    """All cases that a command line names, in the order in which they run.

    Args:
        arguments: the command line.
        added: overrides of the engine's own, such as the vendor found on this machine.

    Raises:
        ConfigurationError: there is no case, or there are too many.
        hydra.errors.HydraException: a word of the command line is unknown. That is a mistake of the whole command line,
            even where only some cases have it.
    """
    if not arguments.sweep:
        return [_planned((*arguments.overrides, *added))]
    found = list(itertools.islice(asked_cases(arguments), MOST_CASES + 1))
    if len(found) > MOST_CASES:
        raise ConfigurationError(f"This sweep has more than {MOST_CASES:,} cases. Make it several sweeps.")
    plans = [replace(_planned((*one.overrides, *added), arguments.launcher), asked=one) for one in found]
    for one in plans:
        check_own_launcher(" ".join(one.overrides), one.config)
    check_one_launcher([(" ".join(one.overrides), one.launcher) for one in plans])
    return plans


def added_model(overrides: Sequence[str]) -> list[str]:
    """`model=none` where the task that the overrides name runs no model, and they name no model."""
    given = {key.lstrip("+"): value for key, _, value in (override.partition("=") for override in overrides)}
    if "model" in given or "task" not in given:
        return []
    try:
        needed = TASKS.find(given["task"]).needs_model
    except ValueError:  # Hydra, or the case's own check, says more of it
        return []
    return [] if needed else [f"model={NO_MODEL.name}"]


def _planned(given: tuple[str, ...], launcher: Sequence[str] = ()) -> Planned:
    overrides = (*given, *added_model(given))
    config = compose_with_engine(overrides)
    one = _checked(config, overrides)
    return replace(
        one, launcher=launcher_settings(compose_with_engine((*overrides, *launcher)) if launcher else config)
    )


def _checked(config: DictConfig, overrides: tuple[str, ...]) -> Planned:
    values: dict[str, Any] = {}
    nothing = Division(name="closed")
    try:
        values = plain_values(config)
        check_texts(values)
        case = with_devices(case_from_dict(values))
        check_sections(case)
        config.topology.devices = case.topology.devices
        hydra = config.hydra
        changes = division_of(case, list(hydra.searchpath), dict(hydra.runtime.choices))
    except (TouchstoneError, ValidationError, OmegaConfBaseException) as error:
        cause = ConfigurationError(explain(error))
        return Planned(config=config, overrides=overrides, values=values, case=None, division=nothing, error=cause)
    tuning = tuning_in_use(dict(config.hydra.runtime.choices))
    return Planned(
        config=config, overrides=overrides, values=values, case=case, division=changes, error=None, tuning=tuning
    )


def without_twins(plans: Sequence[Planned]) -> tuple[list[Planned], list[str]]:
    """The plans without those that are the same case as an earlier one, and a sentence for each of these."""
    kept: list[Planned] = []
    said: list[str] = []
    seen: set[str] = set()
    for one in plans:
        what = one.case.identity if one.case is not None else " ".join(one.overrides)
        if what in seen:
            name = one.case.name if one.case is not None else what
            said.append(
                f"{without_secrets(name)} stands twice in this sweep and counts once. Repeats: measure.repeats=N."
            )
            continue
        seen.add(what)
        kept.append(one)
    return kept, said
