"""Holds how good the answers are to the baseline's: no noise excuses a loss."""

from __future__ import annotations

from collections.abc import Sequence

from runner.comparison.gate.decision import Outcome
from runner.comparison.gate.finding import GateFinding
from runner.comparison.goodness import GATES
from runner.comparison.result import RunResult, known, value_of
from runner.core.statistics import t_interval
from runner.messages import tr, tr_recorded
from runner.record.names import number
from runner.record.report import Figure


def hold(name: str, new: Sequence[RunResult], baseline: Sequence[RunResult]) -> GateFinding | None:
    """Hold a quality to the baseline's; None where the baseline did not measure it.

    A loss is a loss, however small, unless the interval over the new repeats reaches the baseline's value.
    """
    reports = [run.report for run in baseline]
    before = [value for report in reports if (value := value_of(report, name)) is not None]
    if not before:
        return None
    meaning = known(name, reports[0])
    title = tr(meaning.title)
    figures = [run.report.figures.get(name) for run in new]
    gone = lost(figures)
    if gone is not None:
        return GateFinding(figure=name, title=title, outcome="fail", text=gone)
    values = [one.value for one in figures if one is not None and one.value is not None]
    if name in GATES:
        worse = min(values) < max(before)
        text = tr("no, where the baseline has yes") if worse else tr("yes") if min(values) else tr("no, as before")
        return GateFinding(figure=name, title=title, outcome="fail" if worse else "pass", text=text)
    interval = t_interval(values) or next((one.interval for one in figures if one is not None), None)
    outcome, text = _held(values, before, interval, meaning.better)
    return GateFinding(figure=name, title=title, outcome=outcome, text=text)


def lost(figures: Sequence[Figure | None]) -> str | None:
    """That new runs have not what the baseline has, with the reason; None where they have."""
    for figure in figures:
        if figure is None or figure.value is None:
            why = tr_recorded(figure.reason or "") if figure else tr("not in the report")
            return tr("The baseline has it, the new run does not: {reason}.", reason=why.rstrip(".。"))
    return None


def _held(
    values: Sequence[float], before: Sequence[float], interval: tuple[float, float] | None, better: str | None
) -> tuple[Outcome, str]:
    """The mean over runs against the baseline's; several runs, or repeats, give an interval."""
    new, old = sum(values) / len(values), sum(before) / len(before)
    said = tr("{old} → {new}", old=number(old), new=number(new))
    if better is None:
        text = tr("{values}; which way it improves is not known.", values=said)
        return ("pass" if new == old else "undecided"), text
    sign = 1 if better == "higher" else -1
    if sign * (new - old) >= 0:
        return "pass", said
    if interval is not None and interval[0] <= old <= interval[1]:
        text = tr("{values}; inside the interval of its repeats.", values=said)
        return "pass", text
    text = tr("{values}: worse, and no noise excuses it.", values=said)
    return "fail", text
