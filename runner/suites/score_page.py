"""A suite's score for people and for programs."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from runner.messages import tr, tr_recorded
from runner.record.names import number
from runner.suites.score import CaseScore, Interval, Score, ScoreMean, geometric_mean
from runner.views.page import NULL, Grid, Page


def page(score: Score, *, system: str, reference: str) -> Page:
    """The score first, then each case, then what is missing and why.

    Args:
        score: of the system.
        system: what was scored, for people.
        reference: what it was held against, for people.
    """
    made = Page()
    made.note(tr("Score of {system} against {reference}", system=system, reference=reference), "title")
    if score.score is not None:
        made.note(tr("Score {value}", value=_mean(score.score)), "good")
    else:
        made.note(tr("No score: {reason}.", reason=tr_recorded(score.reason or "")), "error")
        if score.partial is not None:
            made.note(
                tr(
                    "Partial score, over the {count} cases that both have, and no score: {value}",
                    count=score.partial.cases,
                    value=_mean(score.partial),
                )
            )
    why = (score.score or score.partial or _NOTHING).interval_reason
    if why is not None:
        made.note(tr("No interval: {reason}.", reason=tr_recorded(why)))
    if score.cases:
        made.blocks.append(_grid(score.cases))
    _notes(made, score.cases)
    _left_out(made, score.cases)
    made.note(tr("A ratio above 1 is faster than the reference. Weighted geometric mean; see docs/suites.md."), "plain")
    return made


def to_json(score: Score, *, system: str, reference: str) -> str:
    """Everything, unrounded."""
    cases = [_case_values(case) for case in score.cases]
    values = {"system": system, "reference": reference} | asdict(score) | {"cases": cases}
    return json.dumps(values, indent=1, allow_nan=False) + "\n"


_NOTHING = ScoreMean(value=1.0, interval=None, interval_reason=None, cases=0, weight=0.0)


def _mean(mean: ScoreMean) -> str:
    if mean.interval is None:
        return number(mean.value)
    return tr("{value}, 95 % interval {interval}", value=number(mean.value), interval=_interval(mean.interval))


def _interval(interval: Interval | None) -> str:
    return NULL if interval is None else f"{number(interval[0])} to {number(interval[1])}"


def _grid(cases: list[CaseScore]) -> Grid:
    header = [tr("Case"), tr("Weight"), tr("Ratio"), tr("95 % interval"), tr("Figure"), tr("Here"), tr("Reference")]
    return Grid(header=header, rows=[_row(case) for case in cases], right=frozenset({1, 2, 5, 6}))


def _row(case: CaseScore) -> list[str]:
    if case.ratio is None or case.ours is None or case.theirs is None:
        state = tr("missing") if case.state == "missing" else tr("not applicable")
        return [case.name, f"{case.weight:g}", state, NULL, NULL, NULL, NULL]
    here, there = number(case.ours.value), number(case.theirs.value)
    interval = _interval(geometric_mean([case]).interval)
    figure = f"{case.figure} ({case.unit})"
    return [case.name, f"{case.weight:g}", number(case.ratio), interval, figure, here, there]


def _notes(made: Page, cases: list[CaseScore]) -> None:
    """What must be known of the cases that have a ratio: each note once, with its cases, and where figures are from."""
    scored = [case for case in cases if case.ratio is not None]
    for note in dict.fromkeys(note for case in scored for note in case.notes):
        names = [case.name for case in scored if note in case.notes]
        told = tr("all cases") if len(names) == len(scored) else ", ".join(names)
        made.note(f"{tr_recorded(note)}: {told}", "warning")
    if scored:
        made.note(tr("Where the reference is from"), "heading")
    for source in dict.fromkeys(case.source for case in scored):
        made.note(f"{source}: {', '.join(case.name for case in scored if case.source == source)}", "item")


def _left_out(made: Page, cases: list[CaseScore]) -> None:
    for state, title in (("missing", tr("Missing")), ("not applicable", tr("Not applicable"))):
        found = [case for case in cases if case.state == state]
        if found:
            made.note(title, "heading")
        for case in found:
            made.note(f"{case.name}: {tr_recorded(case.reason or '')}", "item")


def _case_values(case: CaseScore) -> dict[str, Any]:
    mean = geometric_mean([case]) if case.ratio is not None else None
    return asdict(case) | {"ratio": case.ratio, "interval": mean.interval if mean else None}
