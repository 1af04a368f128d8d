"""What a reader must know before the figures of results that may be compared."""

from __future__ import annotations

from collections.abc import Sequence

from hardware.stacks.host import ISOLATED
from runner.comparison.compared import Comparison
from runner.comparison.result import is_published, rule_changes, value_of
from runner.messages import tr, tr_recorded
from runner.record.report import Report
from runner.results.host import OTHERS

_TELLING = {
    "batch_size": "step times, latencies and memory are not compared",
    "gradient_accumulation_steps": "step times, latencies and memory are not compared",
    "measure": "one was measured more strictly than the other",
    "devices": "figures are the whole job's, all devices together",
    "seed": "the data came in another order",
}
"""Key of the case → what follows where runs differ in it."""


def notices(comparison: Comparison) -> list[str]:
    """A sentence each."""
    said = [_differs(key, comparison.reports) for key in _TELLING]
    said.append(_unexplained(comparison.reports))
    for label, report in zip(comparison.labels, comparison.reports, strict=True):
        said += [f"{label}: {text}" for text in _of_one(report)]
    return [text for text in said if text]


def _differs(key: str, reports: Sequence[Report]) -> str:
    values = [report.case.get(key) for report in reports if not is_published(report)]
    if len(dict.fromkeys(map(str, values))) < 2:  # noqa: PLR2004 -- two differ
        return ""
    told = ", ".join(dict.fromkeys(map(str, values)))
    return tr("{key} differs ({values}): {consequence}.", key=key, values=told, consequence=tr(_TELLING[key]))


def _unexplained(reports: Sequence[Report]) -> str:
    """That cases differ in something the reports do not name."""
    own = [report for report in reports if not report.imported]
    named = [(_without(report), sorted(rule_changes(report))) for report in own]
    identities = {report.case.get("identity") for report in own}
    if len(identities) < 2 or any(one != named[0] for one in named):  # noqa: PLR2004
        return ""
    return tr("Their cases differ in something that the reports do not name (identity); compare their run.yaml.")


def _without(report: Report) -> dict[str, object]:
    """The case but for what names it."""
    return {key: value for key, value in report.case.items() if key not in ("identity", "repeats", "name", "seed")}


def _of_one(report: Report) -> list[str]:
    said = []
    if is_published(report):
        source = report.case.get("source")
        said.append(
            tr("published by others ({source}): batch size, data and versions are what they used", source=source)
        )
    elif report.imported:
        said.append(tr("measured by another tool ({format})", format=report.imported.get("format")))
    if value_of(report, "run/steady") == 0:
        said.append(tr("the speed was not steady when measuring began"))
    others = value_of(report, OTHERS)
    if others is not None and others >= ISOLATED:
        said.append(tr("others took {share} % of its host's processors", share=f"{100 * others:.0f}"))
    return said + [tr_recorded(text) for text in report.warnings if text.startswith(("Joined: ", "The report"))]
