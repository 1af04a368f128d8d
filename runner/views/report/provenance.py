"""Where a result comes from: division, environment, versions, hash, and the command that repeats it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from runner.messages import tr, tr_recorded
from runner.record.report import Report
from runner.views.page import NULL
from runner.views.report.markup import Cell, Markup, folded, html, joined, pairs, table, tag

_LONGEST = 200
"""Characters of an environment's value that stand in the open."""


def division(report: Report) -> Markup:
    """What was changed against the reference composition."""
    if not report.division.changed:
        return tag("p", tr("The reference composition, unchanged."))
    header = [tr("Changed key"), tr("Reference"), tr("Here"), tr("Closed division allows it")]
    rows = [
        [
            Cell(content=tag("code", str(change["key"]))),
            Cell(content=_short(change.get("reference"))),
            Cell(content=_short(change.get("value"))),
            Cell(content=tr("yes") if change.get("allowed") else tr("no")),
        ]
        for change in report.division.changed
    ]
    open_ = report.division.name == "open"
    meaning = tr("Open: more was changed than a vendor may change.") if open_ else tr("Closed: only allowed changes.")
    return joined([tag("p", meaning), table([Cell(content=title) for title in header], rows)])


def environment(report: Report) -> Markup:
    """Machine, devices and versions, as the run found them."""
    if not report.environment:
        return tag("p", tr("The run did not get as far as describing its environment."), kind="dim")
    plain = [(name, _short(value)) for name, value in report.environment.items() if not isinstance(value, dict | list)]
    nested = [(name, value) for name, value in report.environment.items() if isinstance(value, dict | list) and value]
    parts = [pairs((tag("code", name), value) for name, value in plain)]
    parts += [folded(name, _nested(value), prints=False) for name, value in nested]
    return joined(parts)


def _nested(value: Any) -> Markup:
    if isinstance(value, dict) and all(not isinstance(one, dict | list) for one in value.values()):
        return pairs((tag("code", str(name)), str(one)) for name, one in value.items())
    return tag("pre", tag("code", json.dumps(value, indent=1, ensure_ascii=False, default=str)), kind="pre")


def provenance(folder: Path, report: Report) -> Markup:
    """The report's hash, its schema, its folder, and how to repeat and check it."""
    rows: list[tuple[str, str]] = [
        (tr("Hash of the report (SHA-256)"), tag("code", report.to_dict()["hash"])),
        (tr("Identity of the case"), tag("code", str(report.case.get("identity") or ""))),
        (tr("Schema"), str(report.schema_version)),
        (tr("Run folder"), tag("code", str(folder))),
        (tr("Files covered by the hash"), str(len(report.files)) if report.files else ""),
        (tr("Check it"), tag("code", f"python -m runner.verify {folder}")),
    ]
    rows += [(tr("Imported: {key}", key=key), tag("code", value)) for key, value in report.imported.items()]
    probe = [(name, _short(value)) for name, value in report.precision.items()]
    parts = [pairs(rows)]
    parts += [tag("h3", tr("Precision, as the probe found it")), pairs(_coded(probe))] if probe else []
    parts += _repeat(folder)
    return joined(parts)


def _coded(rows: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(tag("code", name), html(value)) for name, value in rows]


def _repeat(folder: Path) -> list[Markup]:
    """The command that a failed run leaves; nothing of a run that left none."""
    script = folder / "repro.sh"
    try:
        lines = [line for line in script.read_text(errors="replace").splitlines() if line and not line.startswith("#")]
    except OSError:
        return []
    return [tag("h3", tr("Repeat it")), tag("pre", tag("code", "\n".join(lines)), kind="pre")]


def _short(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return NULL if value is None else tr("yes") if value else tr("no")
    text = tr_recorded(", ".join(map(str, value)) if isinstance(value, list) else str(value))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
