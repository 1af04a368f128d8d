"""The first screen of a run: what was run, and the three numbers that matter, each with what it is held against."""

from __future__ import annotations

import re

from runner.messages import tr, tr_recorded
from runner.record.names import written
from runner.record.report import Figure, Report
from runner.record.task import task_named
from runner.results.publication.rules import reasons
from runner.views.meanings import known
from runner.views.report.held_against import held_against
from runner.views.report.markup import Markup, html, items, joined, tag
from runner.views.report.rows import chip_of
from runner.views.tables import EMULATED, TINY, emulated, first_line, measures, publishable, value_and_unit

NUMBERS = 3
_REASONS, _WARNINGS = 4, 3
"""Of each on the first screen; the rest are further down."""


def title_of(report: Report) -> str:
    """What was run, on what."""
    case = report.case
    where = chip_of(case.get("chip")) or str(case.get("vendor"))
    devices = case.get("devices")
    where = f"{devices} x {where}" if isinstance(devices, int) and devices > 1 else where
    said = {"task": task_title(str(case.get("task"))), "model": case.get("model"), "precision": case.get("precision")}
    if emulated(report):
        vendor = case.get("vendor")
        return tr("{task}: {model} in {precision}, {vendor}'s configuration on the host CPU", **said, vendor=vendor)
    return tr("{task}: {model} in {precision} on {where}", **said, where=where)


def task_title(name: str) -> str:
    """A task as people call it."""
    titles = {"train": tr("Training"), "converge": tr("Training to a target"), "infer": tr("Inference")}
    return (titles | {"operator": tr("Operator"), "inspect": tr("Inspection")}).get(name, name)


def circumstances(report: Report) -> str:
    """Everything else that decides the result, in one line."""
    case = report.case
    parts = [str(case[key]) for key in ("framework", "compiler") if case.get(key)]
    parts += [tr("vendor {name}", name=case["vendor"])] if case.get("vendor") and case.get("chip") else []
    parts += [tr("batch {size}", size=case["batch_size"])] if case.get("batch_size") else []
    parts += [f"{key}={case[key]}" for key in ("topology", "scale", "data", "load", "measure", "seed") if case.get(key)]
    repeats = case.get("repeats")
    parts += (
        [tr("{count} repeats in fresh processes", count=repeats)] if isinstance(repeats, int) and repeats > 1 else []
    )
    return " · ".join(parts)


def banners(report: Report) -> Markup:
    """What must be known before any number."""
    found = []
    if report.status != "done":
        ending = tr("Killed") if report.status == "killed" else tr("Failed")
        error = report.error or {"class": "", "message": ""}
        head = tr("{ending} (exit {code}, {cause})", ending=ending, code=report.exit_code, cause=error["class"] or "?")
        found.append(_banner("bad", head, tr_recorded(error["message"])))
    if emulated(report):
        found.append(_banner("emulated", tr(EMULATED)))
    if report.imported:
        told = tr("IMPORTED from {format} {version}: measured by another tool, never publishable.", **_origin(report))
        found.append(_banner("warn", told))
    if report.case.get("scale") == "tiny":
        found.append(_banner("warn", tr(TINY)))
    return joined(found)


def _origin(report: Report) -> dict[str, str]:
    return {"format": report.imported.get("format", "?"), "version": report.imported.get("version", "")}


def _banner(kind: str, head: str, text: str = "") -> Markup:
    return tag("div", html(head) + (tag("p", text) if text else ""), kind=f"banner {kind}")


def care(report: Report) -> Markup:
    """Why it may not be published, and its warnings; nothing where all is well."""
    parts = []
    if report.status == "done" and measures(report) and not publishable(report):
        parts += [tag("h3", tr("Not publishable")), _few([tr_recorded(reason) for reason in reasons(report)], _REASONS)]
    if report.warnings:
        said = [_first_sentence(tr_recorded(warning)) for warning in report.warnings]
        parts += [tag("h3", tr("Warnings")), _few(said, _WARNINGS)]
    return tag("div", joined(parts), kind="care") if parts else Markup()


def _few(texts: list[str], most: int) -> Markup:
    more = [tr("and {count} more, below", count=len(texts) - most)] if len(texts) > most else []
    return items([*texts[:most], *more])


def _first_sentence(text: str) -> str:
    """Up to the first full stop that ends a sentence; the rest stands further down."""
    return re.split(r"(?<=\.)\s|(?<=。)", text, maxsplit=1)[0]


def key_figures(report: Report) -> list[str]:
    """The three that matter: the task's first, and the next measured ones that tell of something else.

    The first one is shown even where it was not measured, as long as it is in the report: its reason matters.
    """
    task = task_named(report.case.get("task"))
    promised = task.main_figures(report.case) if task else tuple(report.figures)
    names = [name for name in promised if name in report.figures]
    measured = [name for name in names if report.figures[name].value is not None]
    chosen: list[str] = []
    for name in measured:
        units = {report.figures[other].unit for other in chosen}
        if len(chosen) < NUMBERS and report.figures[name].unit not in units | {"bool"}:
            chosen.append(name)
    missing = [name for name in names if name not in measured]
    return [*chosen, *missing][:NUMBERS]


def tiles(report: Report) -> Markup:
    """The numbers, with interval, unit and what they are held against."""
    return tag("div", joined(_tile(name, report) for name in key_figures(report)), kind="tiles")


def _tile(name: str, report: Report) -> Markup:
    figure = report.figures[name]
    title = tag("h3", tr(known(name, report).title))
    if figure.value is None:
        reason = first_line(tr_recorded(figure.reason or ""))
        none = tag("div", tr("not measured"), kind="none")
        return tag("div", joined([title, none, tag("p", reason, kind="dim")]), kind="tile")
    value, unit = value_and_unit(name, figure, report)
    big = tag("div", joined([html(value), tag("span", unit, kind="unit") if unit else ""], " "), kind="number")
    against = held_against(name, report)
    lines = [tag("p", interval_text(name, figure, report), kind="dim"), tag("p", against) if against else ""]
    return tag("div", joined([title, big, *lines]), kind="tile")


def interval_text(name: str, figure: Figure, report: Report) -> str:
    """The interval in the figure's unit, or why there is none."""
    meaning = known(name, report)
    if figure.interval is not None:
        low, high = (written(end, figure.unit, meaning.form, like=figure.value)[0] for end in figure.interval)
        count = len(figure.repeats or ()) or report.case.get("repeats") or "?"
        return tr("95 % interval {low} to {high}, {count} repeats", low=low, high=high, count=count)
    if figure.repeats and meaning.highest:
        return tr("the highest of {count} repeats", count=len(figure.repeats))
    measured = task_named(report.case.get("task"))
    if measured is not None and not measured.on_device:
        return tr("computed, not measured")
    return tr("measured once: no interval")
