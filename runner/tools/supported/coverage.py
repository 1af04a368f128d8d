"""How far FlagPerf's training list is covered: each model, framework and vendor of it, and whether that is verified."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from runner.core import packages
from runner.tools.supported.evidence import PYTORCH, EmulatedRun, Index, Measured

LIST = Path(__file__).with_name("flagperf.yaml")
TO_COME = "to come"


@dataclass(kw_only=True, slots=True, frozen=True)
class ListedCell:
    """One case that FlagPerf lists."""

    model: str
    """Its name in `conf/model`."""
    theirs: str
    """The framework, as FlagPerf calls it."""
    framework: str
    """The same in `conf/framework`."""
    vendor: str
    """Its name in `conf/vendor`."""
    why: str | None = None
    """Why that framework stands for FlagPerf's."""

    @property
    def overrides(self) -> tuple[str, ...]:
        """The tiny case on the host's processor."""
        chosen = (f"model={self.model}", f"framework={self.framework}", f"vendor={self.vendor}")
        return (*chosen, "emulate=true", "scale=tiny")


@cache
def cells() -> tuple[ListedCell, ...]:
    """Every case that FlagPerf lists, in its order."""
    content: dict[str, dict[str, Any]] = yaml.safe_load(LIST.read_text())
    ours = content["frameworks"]
    return tuple(
        ListedCell(
            model=model,
            theirs=theirs,
            framework=ours.get(theirs, {"here": theirs})["here"],
            vendor=vendor,
            why=ours.get(theirs, {}).get("why"),
        )
        for model, frameworks in content["cells"].items()
        for theirs, vendors in frameworks.items()
        for vendor in vendors
    )


def state(index: Index, model: str, framework: str, vendor: str) -> str:
    """`measured`, `emulated` or `not verified`; `to come` where the framework or the model is none of this tree's.

    Args:
        index: results and emulated runs.
        model: its name in `conf/model`.
        framework: its name in `conf/framework`.
        vendor: its name in `conf/vendor`.
    """
    if framework not in packages.choices("framework", outside=False):
        return TO_COME
    if model not in packages.choices("model", outside=False):
        return TO_COME

    def is_it(one: Measured | EmulatedRun) -> bool:
        return (one.vendor, one.model, one.framework or PYTORCH) == (vendor, model, framework)

    if any(map(is_it, index.measured)):
        return "measured"
    return "emulated" if any(map(is_it, index.emulated)) else "not verified"


def coverage_rows(index: Index) -> tuple[list[str], list[list[str]]]:
    """The table's head, and a row for each model and framework; an empty cell is none of FlagPerf's."""
    listed = {(one.model, one.framework, one.vendor) for one in cells()}
    vendors = sorted({one.vendor for one in cells()})
    rows = [
        [
            f"`{model}`",
            framework,
            *(
                state(index, model, framework, vendor) if (model, framework, vendor) in listed else ""
                for vendor in vendors
            ),
        ]
        for model, framework in dict.fromkeys((one.model, one.framework) for one in cells())
    ]
    return ["`model=`", "Framework", *(f"`{vendor}`" for vendor in vendors)], rows
