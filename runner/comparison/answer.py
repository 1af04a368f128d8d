"""The first lines of a comparison: which is faster, by how much, how sure; then energy, memory, cost and quality."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from runner.comparison.compared import Comparison, pair
from runner.comparison.difference import Difference
from runner.comparison.goodness import unkept
from runner.comparison.labels import spoken
from runner.comparison.main_figure import main_figure
from runner.comparison.result import COST, emulated, known, value_of
from runner.comparison.words import advantage, factor, percent, percent_span, span
from runner.messages import tr, tr_recorded
from runner.record.names import written

Kind = Literal["answer", "plain", "warning"]
ENERGY = "energy/per_sample_j"
MEMORY = ("memory/device_peak_allocated_gib", "memory/device_peak_used_gib", "memory/host_peak_rss_gib")
_TOLD = 5
"""Runs of which a line each is said."""


@dataclass(kw_only=True, slots=True, frozen=True)
class Line:
    """A sentence of the answer."""

    text: str
    kind: Kind = "plain"


def answer(comparison: Comparison) -> list[Line]:
    """What a reader wants to know first."""
    if comparison.differing:
        fields = ", ".join(comparison.differing)
        return [_warning(tr("No answer: these runs differ in {fields} and must not be compared.", fields=fields))]
    if any(map(emulated, comparison.reports)):
        return [_warning(tr("No answer: emulated runs are never compared."))]
    lines = _speed(comparison)
    for name in (ENERGY, _memory(comparison), COST.name):
        lines += _beside(comparison, name) if name else []
    return lines


def _warning(text: str) -> Line:
    return Line(text=text, kind="warning")


def _speed(comparison: Comparison) -> list[Line]:
    reports = comparison.reports
    bad = [unkept(report) for report in reports]
    lines = [
        _warning(tr("{run} does not count: {reasons}.", run=spoken(label), reasons="; ".join(said)))
        for label, said in zip(comparison.labels, bad, strict=True)
        if said
    ]
    good = [index for index, said in enumerate(bad) if not said]
    if len(good) < 2:  # noqa: PLR2004 -- a comparison takes two
        return [_warning(tr("No answer: fewer than two of these runs count.")), *lines, *_uncounted(comparison)]
    name = main_figure([reports[index] for index in good])
    if name is None:
        return [_warning(tr("No answer: there is no figure of speed that all of them measured.")), *lines]
    sign = 1 if known(name, reports[good[0]]).better == "higher" else -1
    best, *others = sorted(good, key=lambda index: -sign * (value_of(reports[index], name) or 0.0))
    said = [_faster(comparison, name, best, other) for other in others[:_TOLD]]
    said[0] = Line(text=said[0].text, kind="answer")
    if len(others) > _TOLD:
        said.append(Line(text=tr("… and {count} more.", count=len(others) - _TOLD)))
    return [*said, *lines]


def _uncounted(comparison: Comparison) -> list[Line]:
    """What the speeds would be, where quality forbids to call one better."""
    reports = comparison.reports
    name = main_figure(reports)
    found = None if name is None else comparison.figures[name].differences[-1]
    if name is None or len(reports) != 2 or found is None or found.ratio is None:  # noqa: PLR2004
        return []
    times = factor(advantage(found.ratio, known(name, reports[0])))
    one, two = map(spoken, comparison.labels)
    said = tr(
        "{run} ran at {factor} the speed of {other}, which makes neither better.", run=two, factor=times, other=one
    )
    return [Line(text=said)]


def _faster(comparison: Comparison, name: str, best: int, other: int) -> Line:
    """How much faster the best is than another, with both values."""
    reports, names = comparison.reports, list(map(spoken, comparison.labels))
    meaning = known(name, reports[best])
    found = pair(name, meaning, reports[other], reports[best], comparison.method)
    if found is None or found.ratio is None:
        return Line(text=tr("{run} and {other}: not compared.", run=names[best], other=names[other]))
    turned = meaning.better == "lower"
    details = {
        "run": names[best],
        "other": names[other],
        "factor": factor(advantage(found.ratio, meaning)),
        "about": _values(comparison, name, best, other),
        "sure": span(found, turned=turned) or (found.reason or ""),
    }
    if found.outcome == "no difference shown":
        text = tr("No difference in speed shown between {run} and {other}: {about}, {factor} ({sure}).", **details)
    elif found.outcome == "no interval":
        text = tr("{run} was {factor} as fast as {other}: {about} ({sure}).", **details)
    else:
        text = tr("{run} is {factor} faster than {other}: {about} ({sure}).", **details)
    return Line(text=text if turned else f"{text}{_per_device(comparison, found.ratio, best, other)}")


def _values(comparison: Comparison, name: str, best: int, other: int) -> str:
    meaning, reports = known(name, comparison.reports[best]), comparison.reports
    unit, like = reports[best].figures[name].unit, value_of(reports[best], name)
    shown = [written(value_of(reports[index], name) or 0.0, unit, meaning.form, like=like) for index in (best, other)]
    values = {"best": shown[0][0], "other": shown[1][0], "unit": shown[0][1]}
    return tr("{title} {best} against {other} {unit}", title=tr(meaning.title), **values)


def _per_device(comparison: Comparison, ratio: float, best: int, other: int) -> str:
    """What becomes of it per device, where they had different numbers of devices."""
    mine, theirs = (comparison.reports[index].case.get("devices") for index in (best, other))
    if not isinstance(mine, int) or not isinstance(theirs, int) or mine == theirs:
        return ""
    each = factor(ratio * theirs / mine)
    return " " + tr(
        "That is {mine} devices against {theirs}; per device it is {factor} as fast.",
        mine=mine,
        theirs=theirs,
        factor=each,
    )


def _memory(comparison: Comparison) -> str | None:
    return next(
        (name for name in MEMORY if all(value_of(report, name) is not None for report in comparison.reports)), None
    )


def _beside(comparison: Comparison, name: str) -> list[Line]:
    """One sentence for each further run against the first: how much more or less it needs."""
    compared = comparison.figures.get(name)
    if compared is None:
        return []
    lines = []
    for index, found in list(enumerate(compared.differences))[1 : 1 + _TOLD]:
        subject = {
            "title": tr(compared.meaning.title),
            "run": spoken(comparison.labels[index]),
            "first": spoken(comparison.labels[0]),
        }
        if found is None or found.ratio is None or found.outcome == "not compared":
            why = _why_not(comparison, name, index, found)
            lines.append(Line(text=tr("{title}: not compared: {reason}.", title=subject["title"], reason=why)))
        elif found.outcome == "no difference shown":
            text = tr(
                "{title}: no difference shown between {run} and {first} ({sure}).", sure=percent_span(found), **subject
            )
            lines.append(Line(text=text))
        else:
            sure = percent_span(found)
            change = percent(found)
            text = tr("{title}: {run} has {change} than {first}", change=change, **subject)
            lines.append(Line(text=tr("{text} ({sure}).", text=text, sure=sure) if sure else f"{text}."))
    return list({line.text: line for line in lines}.values())


def _why_not(comparison: Comparison, name: str, index: int, found: Difference | None) -> str:
    if found is not None and found.reason:
        return found.reason
    figures = (comparison.reports[0].figures.get(name), comparison.reports[index].figures.get(name))
    reasons = [figure.reason for figure in figures if figure is not None and figure.reason]
    return tr_recorded(reasons[0]).partition("\n")[0].rstrip(".。") if reasons else tr("not in both reports")
