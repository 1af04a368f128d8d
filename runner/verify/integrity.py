"""Whether a report is one, is as it was written, and follows from the files beside it.

The hash is no signature: who changes a file and then report.json and its hash with it is found by the report not
following from the folder, or not at all where nothing in the folder contradicts him.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from runner.config.division import Division
from runner.config.fairness import division_of
from runner.config.schema import Case
from runner.record.report import CHANGED, Report, digests, parse_report
from runner.results.build import build
from runner.results.repeats import REPEATS
from runner.verify.verdict import About, Check, failed, not_applicable, passed

SHOWN = 4
"""Differences that are written out; the others are counted."""
CLOSE = 1e-9
"""Relative difference below which two figures are the same: another version of a library may sum in another order."""


def read(path: Path) -> tuple[Report | None, list[Check]]:
    """`report.json`, null when it is none; and what was found on the way."""
    name = "schema"
    if not path.is_file():
        text = "there is no report.json; the run goes on, or was killed: python -m runner.report FOLDER makes it"
        return None, [failed(name, "integrity", text)]
    try:
        report, digest, intact = parse_report(path)
    except (OSError, ValueError) as error:
        return None, [failed(name, "integrity", _one_line(error))]
    return report, [passed(name, "integrity", f"schema {report.schema_version}"), _hash(digest, intact=intact)]


def _hash(digest: str, *, intact: bool) -> Check:
    if intact:
        return passed("hash", "integrity", f"SHA-256 {digest[:12]}…")
    return failed("hash", "integrity", CHANGED)


def files(folder: Path, report: Report) -> Check:
    """The digests that the report states, against the files there are."""
    if not report.files:
        text = "the report states no digests: run.yaml, steps.csv and power.csv may have been changed unseen"
        return failed("files", "publication", text)
    there = digests(folder)
    if report.publication is None:  # the digests of that version covered a few files alone
        there = {name: digest for name, digest in there.items() if name in report.files}
    wrong = [
        f"{name} {_fault(name, report.files, there)}"
        for name in sorted(report.files.keys() | there.keys())
        if report.files.get(name) != there.get(name)
    ]
    if wrong:
        return failed("files", "integrity", _several(wrong))
    if report.publication is None:
        text = f"{len(there)} are as their digests say; an earlier version left the others out"
        return failed("files", "publication", text)
    return passed("files", "integrity", f"{len(there)} as their digests say")


def _fault(name: str, stated: Mapping[str, str], there: Mapping[str, str]) -> str:
    if name not in there:
        return "is missing"
    return "was changed" if name in stated else "was added: the report does not cover it"


def environment(folder: Path, report: Report) -> Check:
    """`environment.json`, which repeats what the report holds."""
    path = folder / "environment.json"
    if not path.is_file():
        return not_applicable("environment", "integrity", "no environment.json; the report holds it")
    try:
        same = json.loads(path.read_text()) == report.environment
    except (OSError, ValueError) as error:
        return failed("environment", "integrity", f"environment.json cannot be read: {_one_line(error)}")
    if same:
        return passed("environment", "integrity", "environment.json is the report's")
    return failed("environment", "integrity", "environment.json is not what the report holds")


def rebuilt(folder: Path, report: Report) -> Check:
    """The report made anew from the folder, against the stated one."""
    try:
        by_run = report.publication is not None and report.publication.by_run
        made = build(folder, by_run=by_run).to_dict()
    except Exception as error:  # noqa: BLE001 -- whatever a damaged folder does to the builder is a finding
        text = f"no report can be built from the folder: {type(error).__name__}: {_one_line(error)}"
        return failed("rebuilt", _blame(report), text)
    stated = report.to_dict()
    wrong = []
    for key in sorted(made.keys() - {"hash", "files", "warnings", "figures"}):
        wrong += _unlike(key, made[key], stated.get(key))
    names = sorted(made["figures"].keys() | stated["figures"].keys())
    wrong += [
        _figure_fault(name, made["figures"], stated["figures"])
        for name in names
        if not same(_as_stated(made["figures"].get(name), stated["figures"].get(name)), stated["figures"].get(name))
    ]
    wrong += _unlike("warnings", made["warnings"], stated["warnings"])
    if wrong:
        return failed("rebuilt", _blame(report), f"the folder gives another result: {_several(wrong)}")
    return passed("rebuilt", "integrity", f"all {len(made['figures'])} figures follow from the folder")


def _as_stated(made: Any, stated: Any) -> Any:
    """A figure without what each repeat measured, where the stated one is of a schema that did not keep it."""
    known = not isinstance(made, dict) or not isinstance(stated, dict) or stated.get("repeats") is not None
    return made if known else made | {"repeats": None}


def _unlike(key: str, made: Any, stated: Any) -> list[str]:
    """Names of what differs below a key of the report."""
    if isinstance(made, dict) and isinstance(stated, dict):
        below = sorted(made.keys() | stated.keys())
        return [f"{key}.{name}" for name in below if not same(made.get(name), stated.get(name))]
    return [] if same(made, stated) else [key]


def _figure_fault(name: str, made: Mapping[str, Any], stated: Mapping[str, Any]) -> str:
    if name not in made or name not in stated:
        return f"{name} is {'not known to this version' if name in stated else 'missing'}"
    before, after = stated[name]["value"], made[name]["value"]
    if same(before, after):
        return f"{name} (its unit, reason or interval)"
    return f"{name} is stated as {_number(before)} and comes to {_number(after)}"


def _number(value: float | None) -> str:
    return "null" if value is None else f"{value:.6g}"


def same(one: Any, other: Any) -> bool:
    """Whether two plain values are equal, numbers up to rounding."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=CLOSE)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def divided(folder: Path, case: Case, report: Report, search_path: Sequence[str]) -> Check:
    """The division that follows from `run.yaml` and `conf/`, against the stated one."""
    name = "division"
    try:
        found = division_of(case, search_path)
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        hint = "where its configuration is kept elsewhere, name the place with --searchpath"
        return failed(name, "publication", f"cannot be worked out again: {_one_line(error)}; {hint}")
    inside = folder.parent.name == REPEATS  # one of several repeats: a run.yaml of its own, with one repeat
    left_out = {"measure.repeats"} if inside else set()
    mine, stated = _by_key(found, left_out), _by_key(report.division, left_out)
    if found.name == report.division.name and same(mine, stated):
        return passed(name, "integrity", _words(found))
    unlike = [key for key in sorted(mine.keys() | stated.keys()) if not same(mine.get(key), stated.get(key))]
    text = f"stated as {report.division.name}, and run.yaml comes to {found.name}"
    return failed(name, _blame(report), f"{text}: {_several(unlike)}" if unlike else text)


def _by_key(division: Division, without: set[str]) -> dict[str, Any]:
    return {str(change.get("key")): change for change in division.changed if change.get("key") not in without}


def _words(division: Division) -> str:
    if not division.changed:
        return "closed: nothing was changed"
    if division.name == "closed":
        return f"closed: {_several([str(change['key']) for change in division.changed])}, which may be changed"
    return f"open: {_several([str(change['key']) for change in division.changed if not change['allowed']])}"


def _blame(report: Report) -> About:
    """What it means that this version comes to another result: little, where another version made the report."""
    made_by = report.environment.get("packages", {}).get("touchstone")
    try:
        own: str | None = version("touchstone")
    except PackageNotFoundError:
        own = None
    return "publication" if not report.files or (made_by is not None and made_by != own) else "integrity"


def _several(items: Sequence[str]) -> str:
    more = len(items) - SHOWN
    return ", ".join(items[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__
