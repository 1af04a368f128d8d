"""The page of `runner.compare`: the answer first, what must be known of it, then every figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from runner.comparison.answer import answer
from runner.comparison.compared import Comparison
from runner.comparison.notices import notices
from runner.messages import tr
from runner.views.compare import add_table, add_title
from runner.views.page import Kind, Page

_KINDS: dict[str, Kind] = {"answer": "good", "plain": "plain", "warning": "mark"}
_NOTICES = 12
"""More of them are counted."""


def page(comparison: Comparison, patterns: Sequence[str] = (), problems: Sequence[str] = ()) -> Page:
    """A comparison as text and grids.

    Args:
        comparison: the results.
        patterns: names or patterns of the figures that the table has; empty: those that matter.
        problems: what is wrong with folders that were read.
    """
    made = Page()
    for line in answer(comparison):
        made.note(line.text, _KINDS[line.kind])
    made.note("")
    add_title(made, comparison.reports)
    said = [*problems, *notices(comparison)]
    for text in said[:_NOTICES]:
        made.note(text, "warning")
    if len(said) > _NOTICES:
        made.note(tr("… and {count} more notices.", count=len(said) - _NOTICES), "warning")
    add_table(made, chosen(comparison, patterns), ranked=comparison.ranked, strict=False)
    return made


def chosen(comparison: Comparison, patterns: Sequence[str]) -> Comparison:
    """Only the figures that fit one of the patterns; all where there is none."""
    if not patterns:
        return comparison
    figures = {
        name: one for name, one in comparison.figures.items() if any(fnmatchcase(name, each) for each in patterns)
    }
    return replace(comparison, figures=figures)
