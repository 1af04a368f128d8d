"""`python -m runner.support`: the tables of what is supported and of all figures, made from what the repository holds.

Nothing in them is written by hand: choices come from `conf/`, figures from `runner.record.names`, and how far something
is verified from `benchmarks/results/index.json`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path

from hydra import compose, initialize_config_module

from models.datasets.catalogue import find_dataset
from models.recipe import Recipe
from runner.config import resolvers
from runner.config.compose import REFERENCE_VENDOR, to_case
from runner.config.schema import Case
from runner.core import packages
from runner.core.errors import ConfigurationError
from runner.record.names import FIGURES, unit_of
from runner.record.task import task_named
from runner.tools.choices import choice_rows
from runner.tools.supported.cells import CELL_HEAD, cell_rows
from runner.tools.supported.coverage import coverage_rows
from runner.tools.supported.engines import ENGINE_HEAD, engine_rows
from runner.tools.supported.evidence import Index, read_index, renew_index, status
from runner.tools.supported.frameworks import device_head, device_rows, framework_head, framework_rows
from runner.tools.supported.serving_matrix import matrix

CORE = "throughput/core"


def choices(group: str, *, outside: bool = False) -> list[str]:
    """The choices of a group, as `conf/` has them; with `outside` those of installed packages, too."""
    return packages.choices(group, outside=outside)


@cache
def cases(group: str, *, outside: bool = False) -> list[Case]:
    """One case at reference scale for every choice of a group; composed once."""
    resolvers.register()
    vendor = [] if group == "vendor" else [f"vendor={REFERENCE_VENDOR}"]
    with initialize_config_module("conf", version_base="1.3"):
        named = choices(group, outside=outside)
        return [to_case(compose("config", overrides=[f"{group}={choice}", *vendor])) for choice in named]


def vendor_table(index: Index, *, outside: bool = False) -> str:
    """Vendors: how the device shows itself, what it offers, how far that is verified."""
    from hardware.device import load_device

    rows, emulated = [], {one.vendor for one in index.emulated}
    for vendor in (case.vendor for case in cases("vendor", outside=outside)):
        mine = [one for one in index.measured if one.vendor == vendor.name]
        device = load_device(vendor)
        nodes = getattr(sys.modules[type(device).__module__], "DEVICE_NODES", ())
        rows.append(
            (
                f"`{vendor.name}`",
                vendor.title,
                ", ".join([*(f"`{node}`" for node in nodes[:1]), device.reached_through]),
                " ".join(vendor.precisions),
                " ".join(vendor.meters).replace("|", " or "),
                " ".join(task for task in vendor.tasks if task in choices("task")),
                _on_hardware(status(mine, emulated=vendor.name in emulated, with_scale=False)),
            )
        )
    return _table(("`vendor=`", "What", "Detected by", "Precisions", "Meters", "Tasks", "Status"), rows)


def _on_hardware(found: str) -> str:
    """A vendor that was only emulated, or not even that, has never been seen by this code."""
    unseen = {"emulated": "emulated; not verified on hardware", "not verified": "not verified on hardware"}
    return unseen.get(found, found)


def model_table(index: Index, *, outside: bool = False) -> str:
    """Models at reference scale: what they count, learn from and must reach, and how far that is verified."""
    rows, emulated = [], {one.model for one in index.emulated}
    for case in cases("model", outside=outside):
        model = case.model
        mine = [one for one in index.measured if one.model == model.name]
        rows.append(
            (
                f"`{model.name}`",
                model.unit,
                "none" if model.dataset is None else find_dataset(model.dataset).title,
                _targets(model),
                _published(case),
                " ".join(name for name in choices("task") if _fits(name, model)),
                status(mine, emulated=model.name in emulated, with_scale=True),
            )
        )
    return _table(("`model=`", "Unit", "Data set", "Target", "Published", "Tasks", "Status"), rows)


def _fits(task: str, model: Recipe) -> bool:
    """Whether a model's YAML has what a task needs."""
    return bool((found := task_named(task)) and found.needs_model and getattr(model, found.section or "name", None))


def _targets(model: Recipe) -> str:
    if model.train is None:
        metric = model.infer.metric if model.infer else None
        return f"{metric} of the fp32 reference" if metric else "none"
    sign = "≥" if model.training.quality.mode == "max" else "≤"
    return ", ".join(f"{name} {sign} {goal:g}" for name, goal in model.training.quality.targets.items())


def _published(case: Case) -> str:
    """The published row that is comparable best: `throughput/core` on the most devices, else the first."""
    figures = case.published.figures
    if not figures:
        return "none"
    row = max(figures, key=lambda one: (one.figure == CORE, one.devices))
    unit = unit_of(row.figure, case.model.unit)
    unit += " per device" if row.per == "device" else ""
    return f"{row.value:,g} {unit} on {row.devices} x {row.chip}, {row.precision}"


def figure_table() -> str:
    """Every figure with its unit and the tasks that report it."""
    tasks = [task for name in choices("task") if (task := task_named(name))]
    judged = " ".join(task.name for task in tasks if task.quality_target)
    family = ("`quality/<metric>`, `quality/<metric>_last`", "Quality, best and last evaluation", "1", "", judged)
    fixed = [
        (
            f"`{name}`",
            known.title,
            known.unit.format(unit="samples"),
            known.better or "",
            " ".join(task.name for task in tasks if name in task.figure_names()),
        )
        for name, known in FIGURES.items()
    ]
    return _table(("Figure", "What", "Unit", "Better", "Tasks"), [family, *fixed])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def coverage_table(index: Index) -> str:
    """FlagPerf's training list: every model, framework and vendor of it."""
    head, rows = coverage_rows(index)
    return _table(head, rows)


def framework_table(index: Index) -> str:
    """Models by framework: where each form of a model is verified."""
    return _table(framework_head(), framework_rows(index, cases))


def device_table() -> str:
    """Vendors by framework: what it calls their devices."""
    return _table(device_head(), device_rows(cases))


def cell_table() -> str:
    """FlagPerf's training cells: what composes here, and what ran."""
    return _table(CELL_HEAD, cell_rows())


def engine_table(index: Index) -> str:
    """Engines: what they are, what they serve in and on whose chips."""
    return _table(ENGINE_HEAD, engine_rows(index))


def serving_table() -> str:
    """Served models by engine, as they were tried here at tiny scale."""
    return _table(*matrix())


SECTIONS: dict[str, Callable[[], str]] = {
    "vendors": lambda: vendor_table(read_index()),
    "models": lambda: model_table(read_index()),
    "engines": lambda: engine_table(read_index()),
    "serving": serving_table,
    "coverage": lambda: coverage_table(read_index()),
    "frameworks": lambda: framework_table(read_index()),
    "devices": device_table,
    "cells": cell_table,
    "figures": figure_table,
}
"""Name of the markers to what stands between them."""


def fill(text: str) -> str:
    """`text` with every section between `<!-- NAME:begin -->` and `<!-- NAME:end -->` made anew.

    Raises:
        ConfigurationError: no such section in it.
    """
    found = False
    for name, make in SECTIONS.items():
        begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
        before, opened, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if opened and closed:
            text, found = f"{before}{begin}{make()}\n{end}{after}", True
    if not found:
        known = " or ".join(f"<!-- {name}:begin --> … <!-- {name}:end -->" for name in SECTIONS)
        raise ConfigurationError(f"There is nothing to replace: the file has no {known}.")
    return text


def main(argv: list[str] | None = None) -> int:
    """Print the tables, or put those of this tree into files; returns the exit code: 0, or 2 with what is wrong."""
    options = parser().parse_args(argv)
    try:
        if options.index is not None:
            renew_index(options.index).save()
        elif not options.write:
            for problem in packages.problems():
                sys.stderr.write(f"Warning: {problem}\n")
            others = _table(("Further choices", "What", "Status"), choice_rows())
            index = read_index()
            tables = (vendor_table(index, outside=True), model_table(index, outside=True), others)
            sys.stdout.write("\n\n".join([*tables, coverage_table(index), figure_table()]) + "\n")
        for path in options.write:
            path.write_text(fill(path.read_text()))
    except (ConfigurationError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return ConfigurationError.exit_code
    return 0


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = argparse.ArgumentParser(prog="python -m runner.support", description="Tables of what is supported.")
    made.add_argument(
        "--write", metavar="FILE", nargs="+", type=Path, default=[], help="replace the marked tables in these files"
    )
    made.add_argument(
        "--index",
        metavar="RUN_FOLDER",
        nargs="*",
        type=Path,
        default=None,
        help="make benchmarks/results/index.json anew, with the emulated runs in these folders added",
    )
    return made
