"""Figures of finished runs, one compact row each, as a file to commit.

    python -m benchmarks.collect NAME RUN_FOLDER... [--about TEXT] [--out FOLDER] [--emulated]

Writes `benchmarks/results/NAME_<date>.json`, dated by its newest run, UTC. A failed run is a row with its reason. The
file names no machine, path or device's identity. `python -m runner.support --index` then counts its rows.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from benchmarks.flagperf_cells import PLACE
from benchmarks.record import RESULTS
from runner.config.compose import REFERENCE_VENDOR
from runner.core.errors import ConfigurationError, TouchstoneError
from runner.core.events import Name, read_events
from runner.core.owner import FILE as OWNER
from runner.record.report import Figure, Report
from runner.record.task import task_named
from runner.results.find import find_runs, load_with_hash

CHOICES = (
    *("task", "model", "framework", "compiler", "vendor", "chip", "precision", "topology", "devices", "layout"),
    *("scale", "data", "load", "measure", "repeats", "batch_size", "gradient_accumulation_steps", "unit"),
)
FIGURES = (
    *("throughput/steady", "throughput/tokens_per_second", "infer/*", "generation/*"),
    *("step/*_ms", "compute/mfu", "compute/mfu_of_measured_peak", "compute/mbu", "roofline/fraction", "memory/*"),
    *("energy/per_sample_j", "power/device_*", "estimate/total_gib", "time/compile_s", "quality/*", "time/to_target_s"),
    *("accuracy/*", "numerics/*", "run/window_s", "run/steady", "run/skipped_steps", "overhead/fraction"),
    "run/publishable",
)
STACK_PROSE = ("reached through", "timing", "torch's part")
"""What a stack tells of itself beside versions."""
IDENTITY = re.compile(r"\b(?:GPU-|MIG-)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE)
RULE = re.compile(r"[-=*]{4,}")
"""A line that is drawn between paragraphs."""
REASON_CHARACTERS = 300


def collected(places: Iterable[Path], *, emulated: bool = False) -> dict[str, Any]:
    """Date, what the runs share and their rows, in the order of the folders; the same report counts once.

    A run of a task that measures nothing (`inspect`) is no row: its memory estimate joins the runs of the same choices.

    Raises:
        ConfigurationError: a place holds no run that measured, or one that cannot be read, was changed, was imported
            or, unless `emulated`, ran on the host CPU in its vendor's place.
    """
    rows: dict[str, dict[str, Any]] = {}
    estimates: dict[str, float | bool] = {}
    for folder in (run for place in places for run in find_runs(place)):
        report, digest, intact = load_with_hash(folder)
        if not intact:
            raise ConfigurationError(f"{folder} holds a report that was changed after its run.")
        if report.imported:
            raise ConfigurationError(f"{folder} holds a result that another tool measured.")
        if report.case.get("emulated") and not emulated:
            raise ConfigurationError(f"{folder} is an emulated run, of the host CPU: --emulated takes it.")
        task = task_named(report.case["task"])
        if task is not None and "run/window_s" not in task.figure_names():
            estimates |= {_choices(report): value for value in _figures(report, ("estimate/total_gib",)).values()}
        else:
            rows[digest] = row_of(folder, report, digest)
    if not rows:
        raise ConfigurationError("None of these runs measured anything.")
    for row in rows.values():
        if (estimate := estimates.get(row.pop("asked"))) is not None:
            row["figures"]["estimate/total_gib"] = estimate
    return {"date": max(row["date"] for row in rows.values()), "host": _shared(rows.values()), "rows": [*rows.values()]}


def row_of(folder: Path, report: Report, digest: str) -> dict[str, Any]:
    """One run: what was chosen, how it ended, what was measured; `asked` and `host` for those who gather rows."""
    case, host = report.case, host_of(report)
    row: dict[str, Any] = {name: case[name] for name in CHOICES if case.get(name) is not None}
    if case["vendor"] == REFERENCE_VENDOR and "cpu" in host:
        row["chip"] = host["cpu"]
    if case.get("emulated"):
        row["emulated"] = True
    row |= {"date": _date(folder), "status": report.status, "report": digest}
    hidden = _hidden(folder, report)
    if report.error is not None:
        row |= {"class": report.error["class"], "reason": _clean(report.error["message"], hidden)[:REASON_CHARACTERS]}
    row["figures"] = _figures(report, FIGURES)
    if ranges := {name: one.interval for name in row["figures"] if (one := report.figures[name]).interval}:
        row["intervals"] = ranges
    if report.warnings:
        row["warnings"] = [_clean(text, hidden) for text in report.warnings]
    return row | {"asked": _choices(report), "host": host}


def host_of(report: Report) -> dict[str, Any]:
    """Versions and host of one run; empty of one that ended before it told them."""
    told = report.environment
    host = told.get("host") or {}
    named = {"cpu": host.get("cpu"), "cores": host.get("cores_physical"), "cores_logical": host.get("cores_logical")}
    versions = {"python": told.get("python"), **(told.get("packages") or {}), **(told.get("stack") or {})}
    return {key: value for key, value in {**named, **versions}.items() if value is not None and key not in STACK_PROSE}


def _shared(rows: Collection[dict[str, Any]]) -> dict[str, Any]:
    """What no two runs' hosts contradict each other in; what else one says stays in its row."""
    values: dict[str, set[Any]] = {}
    for row in rows:
        for key, value in row["host"].items():
            values.setdefault(key, set()).add(value)
    for row in rows:
        own = {key: value for key, value in row.pop("host").items() if len(values[key]) > 1}
        if own:
            row["host"] = own
    return {key: found.pop() for key, found in values.items() if len(found) == 1}


def _figures(report: Report, patterns: Sequence[str]) -> dict[str, float | bool]:
    names = dict.fromkeys(name for one in patterns for name in report.figures if fnmatchcase(name, one))
    return {name: _value(one) for name in names if (one := report.figures[name]).value is not None}


def _value(figure: Figure) -> float | bool:
    """Nine digits: more than any repeat agrees in, and enough to tell a cosine from 1."""
    assert figure.value is not None
    if figure.unit == "bool":
        return bool(figure.value)
    return int(figure.value) if float(figure.value).is_integer() else float(f"{figure.value:.9g}")


def _choices(report: Report) -> str:
    """What a run and its memory estimate have in common."""
    apart = ("task", "measure", "data", "load", "repeats")
    return json.dumps({name: report.case.get(name) for name in CHOICES if name not in apart})


def _date(folder: Path) -> str:
    """Of the run's start, UTC."""
    events, _ = read_events(folder / "events" / "parent.log")
    began = next((event for event in events if event.name == Name.SUBMIT_INFO), None)
    if began is None:
        raise ConfigurationError(f"{folder} does not tell when its run began: events/parent.log lacks it.")
    return datetime.fromtimestamp(began.time_ms / 1000, UTC).date().isoformat()


def _hidden(folder: Path, report: Report) -> list[str]:
    """Names of the machine and its devices, which warnings and messages may hold."""
    owner = folder / OWNER
    names = owner.read_text().split()[1:2] if owner.is_file() else []
    devices: list[Mapping[str, Any]] = report.environment.get("devices") or []
    return [*names, *(str(one[key]) for one in devices for key in ("uuid", "pci_bus_id", "serial") if one.get(key))]


def _clean(text: str, hidden: Sequence[str]) -> str:
    """One line without places and names of this machine."""
    for name in hidden:
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "…", text)
    return " ".join(RULE.sub(" ", IDENTITY.sub("…", PLACE.sub("…", text))).split())


def main(argv: Sequence[str] | None = None) -> int:
    """Write the file; returns 0, or the exit code of what is wrong with the runs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.collect", description=__doc__)
    parser.add_argument("name", help="what the file is called, before its date")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN_FOLDER", help="run folders, or folders above them")
    parser.add_argument("--about", help="a sentence on what was run and why")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FOLDER")
    parser.add_argument("--emulated", action="store_true", help="take emulated runs as well; they are marked")
    options = parser.parse_args(argv)
    try:
        content = collected(options.runs, emulated=options.emulated)
    except TouchstoneError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    head = {"benchmark": options.name} | ({"about": options.about} if options.about else {})
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"{options.name}_{content['date']}.json"
    path.write_text(written(head | content))
    print(f"{path.name}: {len(content['rows'])} runs")
    return 0


def written(content: Mapping[str, Any]) -> str:
    """JSON with a line for each row."""
    rows = ",\n  ".join(json.dumps(row, ensure_ascii=False) for row in content["rows"])
    head = json.dumps({key: value for key, value in content.items() if key != "rows"}, indent=1, ensure_ascii=False)
    return f'{head[:-2]},\n "rows": [\n  {rows}\n ]\n}}\n'


if __name__ == "__main__":
    sys.exit(main())
