"""How far FlagPerf's training list is covered: each model, framework and vendor of it, and whether that is verified."""

from __future__ import annotations

from pathlib import Path

import yaml

from runner.core import packages
from runner.tools.supported.evidence import Index

LIST = Path(__file__).with_name("flagperf.yaml")
TO_COME = "to come"


def cells() -> dict[tuple[str, str, str], None]:
    """Model, framework and vendor of every case that FlagPerf lists, in its order."""
    listed: dict[str, dict[str, list[str]]] = yaml.safe_load(LIST.read_text())
    return {
        (model, framework, vendor): None
        for model, frameworks in listed.items()
        for framework, vendors in frameworks.items()
        for vendor in vendors
    }


def state(index: Index, model: str, framework: str, vendor: str) -> str:
    """`measured`, `emulated` or `not verified`; `to come` where the framework is none of this tree's.

    Args:
        index: results and emulated runs.
        model: its name in `conf/model`.
        framework: as FlagPerf runs it.
        vendor: its name in `conf/vendor`.
    """
    if framework not in packages.choices("framework", outside=False):
        return TO_COME
    if model not in packages.choices("model", outside=False):
        return TO_COME
    if any(one.vendor == vendor and one.model == model for one in index.measured):
        return "measured"
    return "emulated" if any(one.vendor == vendor and one.model == model for one in index.emulated) else "not verified"


def coverage_rows(index: Index) -> tuple[list[str], list[list[str]]]:
    """The table's head, and a row for each model and framework; an empty cell is none of FlagPerf's."""
    listed = cells()
    vendors = sorted({vendor for _, _, vendor in listed})
    rows = [
        [
            f"`{model}`",
            framework,
            *(
                state(index, model, framework, vendor) if (model, framework, vendor) in listed else ""
                for vendor in vendors
            ),
        ]
        for model, framework in dict.fromkeys((model, framework) for model, framework, _ in listed)
    ]
    return ["`model=`", "Framework", *(f"`{vendor}`" for vendor in vendors)], rows
