"""Whether an intact result may be published: by the very rules that its report was judged by."""

from __future__ import annotations

from runner.record.report import Report
from runner.results.publication.rule import KEPT, Judgement
from runner.results.publication.rules import PUBLISHABLE, judge
from runner.verify.verdict import About, Check, Outcome, failed, not_applicable, passed

ABOUT: About = "publication"


def checks(report: Report) -> list[Check]:
    """What every rule finds, and whether the report says the same of itself."""
    found = judge(report)
    return [*map(_check, found), _stated(report, found)]


def _check(one: Judgement) -> Check:
    """A rule that cannot be judged is not kept."""
    outcome: Outcome = "failed" if one.outcome == "unknown" else one.outcome
    return Check(name=one.rule, about=ABOUT, outcome=outcome, text=one.text)


def _stated(report: Report, found: list[Judgement]) -> Check:
    """What the report says of itself; never better than what the rules say of it."""
    name, figure = "stated", report.figures.get(PUBLISHABLE)
    if figure is None:
        return not_applicable(name, ABOUT, f"the report has no {PUBLISHABLE}")
    kept = all(one.outcome in KEPT for one in found)
    if figure.value and not kept:
        return failed(name, ABOUT, f"{PUBLISHABLE} is 1, and the rules say otherwise")
    if figure.value:
        return passed(name, ABOUT, f"{PUBLISHABLE} is 1")
    return failed(name, ABOUT, f"{PUBLISHABLE} is {0 if figure.value is not None else figure.reason}")
