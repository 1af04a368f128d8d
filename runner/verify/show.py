"""Verdicts as a page: every check of one run, or one line for each of several."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from runner.verify.verdict import BROKEN, PUBLISHABLE, Verdict
from runner.views.page import WIDTH, Grid, Page, screen, to_rich, to_text


def page(verdicts: Sequence[Verdict]) -> Page:
    """One run in full; of several, what became of each."""
    made = Page()
    if len(verdicts) == 1:
        _single(made, verdicts[0])
    else:
        _several(made, verdicts)
    return made


def show(made: Page) -> None:
    """Put a page on standard output: drawn on a terminal, plain text elsewhere."""
    terminal = screen()
    if terminal.is_terminal:
        terminal.print(to_rich(made, width=min(terminal.width, WIDTH)))
    else:
        terminal.out(to_text(made), end="", highlight=False)


def _single(made: Page, verdict: Verdict) -> None:
    made.note(str(verdict.folder), "title")
    rows = [[check.name, check.outcome, check.text] for check in verdict.checks]
    last = max((row for row, check in enumerate(verdict.checks) if check.about == "integrity"), default=0)
    made.blocks.append(Grid(header=["Check", "Outcome", "Found"], rows=rows, groups=frozenset({last})))
    if verdict.exit_code == PUBLISHABLE:
        made.note("publishable", "good")
        return
    if verdict.exit_code == BROKEN:
        made.note("broken or changed, and not publishable:", "error")
    else:
        made.note("not publishable:", "mark")
    for reason in verdict.reasons:
        made.note(reason, "item")


def _several(made: Page, verdicts: Sequence[Verdict]) -> None:
    root = Path(os.path.commonpath([one.folder.absolute() for one in verdicts]))
    made.note(str(root), "title")
    rows = [[str(one.folder.absolute().relative_to(root)), one.words, _why(one)] for one in verdicts]
    made.blocks.append(Grid(header=["Run", "Verdict", "Why"], rows=rows))
    counts = {word: sum(one.words == word for one in verdicts) for word in ("publishable", "not publishable", "broken")}
    made.note(f"{len(verdicts)} runs: " + ", ".join(f"{count} {word}" for word, count in counts.items() if count))


def _why(verdict: Verdict) -> str:
    """The worst reason; one run's own page has them all."""
    failures = [check for check in verdict.checks if check.outcome == "failed"]
    worst = sorted(failures, key=lambda check: check.about != "integrity")
    more = f" (and {len(worst) - 1} more)" if len(worst) > 1 else ""
    return f"{worst[0].name}: {worst[0].text}{more}" if worst else ""
