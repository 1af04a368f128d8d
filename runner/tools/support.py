"""`python -m runner.support`: the tables of what is supported and of all figures, made from what the repository holds.

Nothing in them is written by hand: choices come from `conf/`, figures from `runner.record.names`, and how far something
is verified from `benchmarks/results/*.json` (committed results) and from the commands the test-suite runs.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_module

from models.recipe import Recipe
from runner.config import resolvers
from runner.config.compose import REFERENCE_VENDOR, to_case
from runner.config.schema import Case
from runner.core import packages
from runner.core.errors import ConfigurationError
from runner.record.names import FIGURES, unit_of
from runner.record.task import task_named

ROOT = Path(__file__).parents[2]
RESULTS = "benchmarks/results"
CORE = "throughput/core"
_TOLD = ("vendor", "chip", "model", "scale", "date", "emulated", "status")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(kw_only=True, slots=True, frozen=True)
class Measured:
    """One result in a committed file."""

    vendor: str
    chip: str
    model: str | None
    """Null in a file about the engine alone."""
    scale: str | None
    date: str | None


def measured(root: Path = ROOT) -> list[Measured]:
    """Results on real hardware in `benchmarks/results/*.json`; emulated and failed ones are none.

    A result is any object that names its vendor and its chip, itself or through an object around it: whole reports
    (`runner.report --format json`) and the benchmarks of the engine, whose host is the CPU vendor's chip.

    Raises:
        ConfigurationError: a file is not JSON.
    """
    found: list[Measured] = []
    for path in sorted((root / RESULTS).glob("*.json")):
        try:
            content = json.loads(path.read_text())
        except ValueError as error:
            raise ConfigurationError(f"{path} is not JSON: {error}") from error
        found += list(dict.fromkeys(_results(content, {"date": path.stem})))
    return found


def _results(value: Any, around: Mapping[str, Any]) -> Iterator[Measured]:
    if isinstance(value, list):
        for item in value:
            yield from _results(item, around)
    if not isinstance(value, dict):
        return
    here = {**_told(value.get("asked")), **_told(value)}
    told = {**around, **here}
    host = value.get("host")
    if isinstance(host, dict) and told.get("vendor") == REFERENCE_VENDOR:
        told.setdefault("chip", host.get("cpu"))
    real = not told.get("emulated") and told.get("status", "done") == "done"
    if real and told.get("vendor") and told.get("chip") and {"vendor", "chip", "model"} & here.keys():
        date = _DATE.search(told["date"])
        yield Measured(
            vendor=told["vendor"],
            chip=told["chip"],
            model=told.get("model"),
            scale=told.get("scale"),
            date=date.group() if date else None,
        )
    for key, item in value.items():
        if key == "models" and isinstance(item, dict):
            for name, part in item.items():
                yield from _results({"model": name, **part}, told)
        elif key != "published":  # what others measured
            yield from _results(item, told)


def _told(value: Any) -> dict[str, Any]:
    """What an object says itself of the result it is."""
    if not isinstance(value, dict):
        return {}
    return {key: item for key in _TOLD if isinstance(item := value.get(key), str | bool)}


def emulated(root: Path = ROOT) -> list[frozenset[str]]:
    """The `group=choice` arguments of every command of the test-suite that holds `emulate=true`."""
    calls = (
        node
        for path in sorted((root / "tests").rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
    )
    commands = (
        frozenset(part for word in call.args if isinstance(word, ast.Constant) for part in _choices(str(word.value)))
        for call in calls
    )
    return [command for command in commands if "emulate=true" in command]


def _choices(word: str) -> list[str]:
    """`vendor=a,b` as `vendor=a` and `vendor=b`: a sweep runs both."""
    group, equals, values = word.partition("=")
    return [f"{group}={value}" for value in values.split(",")] if equals else [word]


def status(results: Iterable[Measured], commands: Sequence[frozenset[str]], choice: str, *, with_scale: bool) -> str:
    """How far a choice is verified: `measured` with its chips, `emulated`, or `not verified`.

    Args:
        results: those of this choice.
        commands: what `emulated` found.
        choice: as on the command line, e.g. `vendor=nvidia`.
        with_scale: whether to say at which scale it was measured.
    """
    places: dict[str, str] = {}
    for one in results:
        place = f"{one.scale or 'scale not stated,'} on {one.chip}" if with_scale else one.chip
        places[place] = max(places.get(place, ""), one.date or "")
    if places:
        return "measured: " + "; ".join(f"{place}, {date}" if date else place for place, date in sorted(places.items()))
    return "emulated" if any(choice in command for command in commands) else "not verified"


def choices(group: str, *, outside: bool = False) -> list[str]:
    """The choices of a group, as `conf/` has them; with `outside` those of installed packages, too."""
    return packages.choices(group, outside=outside)


def cases(group: str, *, outside: bool = False) -> list[Case]:
    """One case at reference scale for every choice of a group."""
    resolvers.register()
    vendor = [] if group == "vendor" else [f"vendor={REFERENCE_VENDOR}"]
    with initialize_config_module("conf", version_base="1.3"):
        named = choices(group, outside=outside)
        return [to_case(compose("config", overrides=[f"{group}={choice}", *vendor])) for choice in named]


def vendor_table(results: Sequence[Measured], commands: Sequence[frozenset[str]], *, outside: bool = False) -> str:
    """Vendors: how the device shows itself, what it offers, how far that is verified."""
    from hardware.device import load_device

    rows = []
    for vendor in (case.vendor for case in cases("vendor", outside=outside)):
        mine = [one for one in results if one.vendor == vendor.name]
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
                _on_hardware(status(mine, commands, f"vendor={vendor.name}", with_scale=False)),
            )
        )
    return _table(("`vendor=`", "What", "Shows itself as", "Precisions", "Meters", "Tasks", "Status"), rows)


def _on_hardware(found: str) -> str:
    """A vendor that was only emulated, or not even that, has never been seen by this code."""
    unseen = {"emulated": "emulated; not verified on hardware", "not verified": "not verified on hardware"}
    return unseen.get(found, found)


def model_table(results: Sequence[Measured], commands: Sequence[frozenset[str]], *, outside: bool = False) -> str:
    """Models at reference scale: what they count, learn from and must reach, and how far that is verified."""
    rows = []
    for case in cases("model", outside=outside):
        model = case.model
        mine = [one for one in results if one.model == model.name]
        rows.append(
            (
                f"`{model.name}`",
                model.unit,
                re.split(r":| \(| as ", model.dataset)[0],
                _targets(model),
                _published(case),
                " ".join(name for name in choices("task") if _fits(name, model)),
                status(mine, commands, f"model={model.name}", with_scale=True),
            )
        )
    return _table(("`model=`", "Unit", "Data set", "Target", "Published (FlagPerf)", "Tasks", "Status"), rows)


def _fits(task: str, model: Recipe) -> bool:
    """Whether a model's YAML has what a task needs."""
    return bool((found := task_named(task)) and found.needs_model and getattr(model, found.section or "name", None))


def _targets(model: Recipe) -> str:
    sign = "≥" if model.training.quality.mode == "max" else "≤"
    return ", ".join(f"{name} {sign} {goal:g}" for name, goal in model.training.quality.targets.items())


def _published(case: Case) -> str:
    """The published row that is comparable best: `throughput/core` on the most devices, else the first."""
    figures = case.published.figures
    if not figures:
        return "none"
    row = max(figures, key=lambda one: (one.figure == CORE, one.devices))
    unit = unit_of(row.figure, case.model.unit)
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


def support_tables(root: Path = ROOT, *, outside: bool = False) -> str:
    """Both support tables, vendors first; with `outside` what installed packages bring, too."""
    found = measured(root), emulated(root)
    return f"{vendor_table(*found, outside=outside)}\n\n{model_table(*found, outside=outside)}"


SECTIONS = {"support": support_tables, "figures": figure_table}
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
        if not options.write:
            for problem in packages.problems():
                sys.stderr.write(f"Warning: {problem}\n")
            sys.stdout.write(f"{support_tables(outside=True)}\n\n{figure_table()}\n")
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
    return made
