"""What a gate found, for people: the verdict first, then every figure with what it says."""

from __future__ import annotations

from runner.comparison.gate.finding import GateCase, GateResult
from runner.messages import tr
from runner.views.page import Grid, Kind, Page

_ORDER = ("fail", "undecided", "pass")
_KINDS: dict[str, Kind] = {"fail": "error", "undecided": "mark", "pass": "good"}


def page(result: GateResult, *, strict: bool = False) -> Page:
    """A gate's result as text and grids.

    Args:
        result: what was found.
        strict: whether what could not be told fails, too.
    """
    made = Page()
    made.note(verdict(result, strict=strict), _KINDS[result.outcome])
    for outcome in ("fail", "undecided"):
        for case in result.cases:
            for one in case.findings:
                if one.outcome == outcome:
                    label = tr("FAILED") if outcome == "fail" else tr("UNDECIDED")
                    made.note(f"{label}: {case.title}: {one.title}: {one.sentence}", _KINDS[outcome])
    for case in result.cases:
        _add_case(made, case)
    for title in result.further:
        made.note(tr("{case}: new, not in the baseline.", case=title), "item")
    return made


def verdict(result: GateResult, *, strict: bool) -> str:
    """The result in a line."""
    values = {
        "count": result.count(result.outcome),
        "cases": len(result.cases),
        "baseline": result.baseline or tr("the baseline"),
    }
    if result.outcome == "fail":
        return tr("GATE FAILED: {count} figures of {cases} cases are worse than {baseline} allows.", **values)
    if result.outcome == "pass":
        return tr("GATE PASSED: {count} figures of {cases} cases hold against {baseline}.", **values)
    text = tr("GATE UNDECIDED: {count} figures of {cases} cases cannot be told from chance on this machine.", **values)
    more = tr("It fails for that (--strict).") if strict else tr("That is no failure; with --strict it is.")
    return f"{text} {more}"


def _add_case(made: Page, case: GateCase) -> None:
    made.note(case.title, "heading")
    words = {"fail": tr("FAILED"), "undecided": tr("UNDECIDED"), "pass": tr("passed")}
    findings = sorted(case.findings, key=lambda one: _ORDER.index(one.outcome))
    rows = [[one.title, words[one.outcome], one.values or one.text] for one in findings]
    made.blocks.append(Grid(header=[tr("Figure"), tr("Outcome"), tr("Found")], rows=rows))
    for one in case.findings:
        if one.outcome == "pass" and one.values:
            made.note(f"{one.title}: {one.text}", "item")
    for text in case.warnings:
        made.note(text, "warning")
    runs = {"new": ", ".join(case.new) or tr("none"), "baseline": ", ".join(case.baseline)}
    made.note(tr("New: {new}. Baseline: {baseline}.", **runs))
