"""`fairness.require`, and the reference composition that a case is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from typing import Any

from runner.config.compose import composing, reference_case
from runner.config.division import Division, differences, division
from runner.config.schema import Case
from runner.core.errors import ConfigurationError
from runner.core.packages import SHIPPED


def choices_of(case: Case, made: Mapping[str, Any] | None = None) -> dict[str, str]:
    """The choice of every group that a case stands for.

    A leaf that calls itself by a shipped one's name is compared with the shipped one, wherever it comes from.

    Args:
        case: what runs.
        made: the choices that composed it, for leaves that are not shipped; None: those are found by their names.
    """
    names = {part.name: str(value.name) for part in fields(case) if hasattr(value := getattr(case, part.name), "name")}
    return {
        group: name if (SHIPPED / group / f"{name}.yaml").is_file() else str((made or {}).get(group, name))
        for group, name in names.items()
    }


def division_of(case: Case, search_path: Sequence[str] = (), made: Mapping[str, Any] | None = None) -> Division:
    """The division that follows from a case and `conf/` alone.

    Args:
        case: what runs, or ran.
        search_path: further places of configuration.
        made: as for `choices_of`.

    Raises:
        hydra.errors.HydraException: a choice that is found nowhere.
    """
    with composing():
        return division(case, _reference(tuple(choices_of(case, made).items()), case.scale, tuple(search_path)))


@cache
def _reference(choices: tuple[tuple[str, str], ...], scale: str, search_path: tuple[str, ...]) -> Case:
    """Composed once for all runs of a folder that have the same choices."""
    return reference_case(dict(choices), scale, search_path)


def require(case: Case, changes: Division) -> None:
    """Refuse an open run where `fairness.require=closed` asks for a closed one.

    Raises:
        ConfigurationError: lists each key that is not a vendor's to change, with both values.
    """
    if case.fairness.require == "closed" and changes.name == "open":
        raise ConfigurationError(
            f"fairness.require=closed, and this run is open: {differences(changes)}. Take back what was changed, or "
            "leave fairness.require out; the report then lists each change."
        )
