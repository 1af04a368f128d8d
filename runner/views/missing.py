"""What several results have not measured, and why."""

from __future__ import annotations

from collections.abc import Sequence

from runner.messages import tr, tr_recorded
from runner.views.page import Page
from runner.views.ranking import Column
from runner.views.tables import first_line

_NAMED = 6
"""More missing figures than this are counted, not named."""


def add_missing(made: Page, columns: Sequence[Column], names: Sequence[str]) -> None:
    """The reasons behind every `-`, each once, with the runs it holds for."""
    found: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for column in columns:
        reasons: dict[str, list[str]] = {}
        for name in names:
            figure = column.report.figures.get(name)
            if figure is None:
                reasons.setdefault(tr("not in this report"), []).append(name)
            elif figure.reason is not None:
                reasons.setdefault(first_line(tr_recorded(figure.reason)), []).append(name)
        for reason, missing in reasons.items():
            found.setdefault((reason, tuple(missing)), []).append(column.label)
    for (reason, missing_names), labels in found.items():
        who = tr("all runs") if len(labels) == len(columns) else ", ".join(labels)
        few = len(missing_names) <= _NAMED
        values = {"who": who, "figures": ", ".join(missing_names), "count": len(missing_names), "reason": reason}
        text = (
            tr("{who}: no {figures}: {reason}", **values)
            if few
            else tr("{who}: {count} figures are missing: {reason}", **values)
        )
        made.note(text, "item")
