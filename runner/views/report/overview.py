"""A set of runs on one screen: a row each, in groups, failures in one line, and how to see more."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from runner.comparison.result import known as figure_meaning
from runner.core.errors import ConfigurationError
from runner.messages import tr
from runner.record.names import written
from runner.results.index.summary import Summary
from runner.views.page import NULL, Grid, Page
from runner.views.report.rows import RowGroup, RunRow, failures_line, groups_of

MOST_ROWS = 40
"""More runs than this are told as one row per group."""
MOST_GROUPS = 40
_NUMBERED = ("batch_size", "measure", "seed")
"""Keys whose values say nothing without their names."""
_PUBLISHABLE = 7
"""The column that says so."""


def page(summaries: Sequence[Summary]) -> Page:
    """The set's page."""
    made = Page()
    groups = groups_of(summaries)
    made.note(title_of(summaries), "title")
    measured = [group for group in groups if group.rows]
    for mark in dict.fromkeys(group.mark for group in measured if group.mark):
        everywhere = all(group.mark == mark for group in measured)
        made.note(mark if everywhere else tr("Some of these runs: {mark}", mark=mark), "mark")
    if sum(len(group.rows) for group in groups) > MOST_ROWS:
        _by_group(made, measured)
    else:
        names = short_names([one.folder for one in summaries])
        if measured:
            _rows(made, measured, names)
    if not measured:
        made.note(tr("No run of these was measured to its end."), "warning")
    failed = failures_line(summaries)
    if failed:
        made.note(failed, "error")
    _further(made, summaries)
    return made


def sorted_by(summaries: Sequence[Summary], figure: str) -> list[Summary]:
    """From best to worst in one figure; runs that did not measure it come last.

    Raises:
        ConfigurationError: no run has this figure; names the nearest one.
    """
    have = {name: one for one in summaries for name in one.figures}
    if figure not in have:
        near = difflib.get_close_matches(figure, sorted(have), n=1, cutoff=0)
        hint = f" Nearest: {near[0]}." if near else ""
        raise ConfigurationError(
            f"--sort {figure}: no such figure in the rows of these runs.{hint} With --detail, every figure will do."
        )
    sign = 1 if figure_meaning(figure, have[figure]).better == "lower" else -1

    def key(one: Summary) -> tuple[bool, float]:
        value = one.figures[figure].value if figure in one.figures else None
        return value is None, 0.0 if value is None else sign * value

    return sorted(summaries, key=key)


def title_of(summaries: Sequence[Summary]) -> str:
    """How many runs of what."""
    models, vendors, precisions = (_values(summaries, key) for key in ("model", "vendor", "precision"))
    parts = [tr("{count} runs", count=len(summaries))]
    parts.append(models[0] if len(models) == 1 else tr("{count} models", count=len(models)) if models else "")
    parts.append(vendors[0] if len(vendors) == 1 else tr("{count} vendors", count=len(vendors)))
    parts.append(precisions[0] if len(precisions) == 1 else tr("{count} precisions", count=len(precisions)))
    return " · ".join(part for part in parts if part)


def _values(summaries: Sequence[Summary], key: str) -> list[str]:
    return list(dict.fromkeys(str(one.case[key]) for one in summaries if one.case.get(key)))


def short_names(folders: Sequence[Path]) -> dict[Path, str]:
    """What tells each folder from the others, as short as it can be said: `10-43-13…`, `2026-11-26/10-43-13…`."""
    absolute = [folder.absolute() for folder in folders]
    root = Path(os.path.commonpath([folder.parent for folder in absolute])) if absolute else Path()
    names = [folder.relative_to(root).as_posix() for folder in absolute]
    short = [name.partition("_")[0] for name in names]
    unique = len(set(short)) == len(short)
    kept = [f"{one}…" if one != name else one for one, name in zip(short, names, strict=True)] if unique else names
    return dict(zip(folders, kept, strict=True))


def _rows(made: Page, groups: Sequence[RowGroup], names: dict[Path, str]) -> None:
    """One grid over all groups, so that the columns stand below each other; what all have in common stands above."""
    header = [tr("Status"), tr("Case"), tr("Vendor (chip)"), tr("Precision"), tr("Result"), tr("95 % interval")]
    header += [tr("Quality"), tr("Publishable"), tr("Run")]
    rows = [_cells(group, row, names, groups) for group in groups for row in group.rows]
    kept = [column for column in range(len(header)) if any(row[column] not in ("", NULL) for row in rows)]
    unpublished = all(not row.summary.publishable for group in groups for row in group.rows)
    kept = [column for column in kept if column != _PUBLISHABLE or not unpublished]
    ends = list(accumulate(len(group.rows) for group in groups))
    made.blocks.append(
        Grid(
            header=[header[column] for column in kept],
            rows=[[row[column] for column in kept] for row in rows],
            right=frozenset(kept.index(column) for column in (4, 5) if column in kept),
            groups=frozenset(end - 1 for end in ends[:-1]) if len(rows) >= 2 * len(groups) else frozenset(),
        )
    )
    titles = dict.fromkeys(group.figure_title for group in groups if group.figure_title)
    made.note(tr("Result: {figures}.", figures="; ".join(titles)))
    if unpublished:
        made.note(tr("None of these runs is publishable; the page of each says why."))


def _cells(group: RowGroup, row: RunRow, names: dict[Path, str], groups: Sequence[RowGroup]) -> list[str]:
    case = row.summary.case
    told = [str(case[key]) for key in ("task", "model") if case.get(key)]
    for key in ("scale", "data", "load"):
        values = {str(other.summary.case.get(key)) for one in groups for other in one.rows}
        told += [str(case[key])] if len(values) > 1 and case.get(key) else []
    told += [
        f"{key}={case[key]}" if key in _NUMBERED else str(case[key]) for key in further_keys(group) if case.get(key)
    ]
    told += [tr("EMULATED")] if row.summary.emulated else []
    result = " ".join(part for part in (row.value, group.unit if row.value != NULL else "") if part)
    rest = [result, row.interval, row.quality, row.publishable, names[row.summary.folder]]
    return [row.status, " ".join(told), row.where, row.precision, *rest]


def further_keys(group: RowGroup) -> list[str]:
    """Keys of the case that tell runs of a group apart and have no column of their own."""
    keys = ("compiler", "framework", "batch_size", "measure", "seed")
    return [key for key in keys if len({str(row.summary.case.get(key)) for row in group.rows}) > 1][:2]


def key_title(key: str) -> str:
    """A key of a case as a column's head."""
    titles = {"compiler": tr("Compiler"), "framework": tr("Framework"), "batch_size": tr("Batch")}
    return (titles | {"measure": tr("Measure"), "seed": tr("Seed")}).get(key, key)


def _by_group(made: Page, groups: Sequence[RowGroup]) -> None:
    header = [tr("Case"), tr("Runs"), tr("Vendors"), tr("Precisions"), tr("Figure"), tr("Lowest"), tr("Highest")]
    rows = [_group_row(group) for group in groups[:MOST_GROUPS]]
    made.blocks.append(Grid(header=[*header, tr("Unit")], rows=rows, right=frozenset({1, 5, 6})))
    if len(groups) > MOST_GROUPS:
        made.note(tr("and {count} further groups", count=len(groups) - MOST_GROUPS))


def _group_row(group: RowGroup) -> list[str]:
    def count(key: str) -> str:
        values = dict.fromkeys(str(row.summary.case.get(key)) for row in group.rows)
        return next(iter(values)) if len(values) == 1 else str(len(values))

    low, high = _ends(group)
    marked = tr("{case} (emulated)", case=group.title) if group.rows[0].summary.emulated else group.title
    counted = [marked, str(len(group.rows)), count("vendor"), count("precision")]
    return [*counted, group.figure_title or NULL, low, high, group.unit]


def _ends(group: RowGroup) -> tuple[str, str]:
    known: list[RunRow] = [row for row in group.rows if row.number is not None]
    if not known:
        return NULL, NULL
    form = figure_meaning(group.figure, known[0].summary).form
    numbers = [row.number for row in known if row.number is not None]
    unit = known[0].summary.figures[group.figure].unit
    largest = max(map(abs, numbers))
    return written(min(numbers), unit, form, like=largest)[0], written(max(numbers), unit, form, like=largest)[0]


def _further(made: Page, summaries: Sequence[Summary]) -> None:
    made.note(tr("More"), "heading")
    example = next((one.folder for one in summaries if one.exit_code == 0), summaries[0].folder)
    made.note(tr("one run: {command}", command=f"python -m runner.report {example}"), "item")
    made.note(tr("every figure of every run: {command}", command="--detail, --format csv"), "item")
    made.note(tr("a page with charts: {command}", command="--out results.html"), "item")
    made.note(tr("which is faster, and how sure that is: {command}", command="python -m runner.compare A B"), "item")
