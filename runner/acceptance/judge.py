"""Whether what was delivered is accepted: each device against its data sheet and against the others. Pure.

The rules stand in docs/suites.md.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from runner.acceptance.readings import BurnedIn
from runner.record.peaks.peak_figures import MEMORY, PRODUCTS

Kind = Literal[
    "straggler", "faster", "below data sheet", "beyond data sheet", "faded", "missing", "failed", "throttled"
]
FAILING: frozenset[Kind] = frozenset({"straggler", "below data sheet", "missing", "failed"})
MAD_TO_SIGMA = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""
FEWEST_OTHERS = 3
"""Devices of which a spread can be had."""
FEWEST_ROUNDS = 3
"""Where fewer others tell no spread, only so many rounds of each tell noise from a slow device."""
FADING_ROUNDS = 6
"""Rounds from which the last third is held against the first."""


@dataclass(kw_only=True, slots=True, frozen=True)
class Limits:
    """From where on a device is not accepted."""

    slower: float = 0.05
    """Below the others' median, as a share of it."""
    z: float = 3.5
    """Robust z from which a device lies outside (Iglewicz and Hoaglin, 1993)."""
    faded: float = 0.05
    least_compute: float = 0.5
    """Share of the data sheet's rate of a matrix product."""
    least_memory: float = 0.6
    """Share of the data sheet's memory bandwidth."""


@dataclass(kw_only=True, slots=True)
class PartFinding:
    """Something to be known of a subject."""

    kind: Kind
    text: str

    @property
    def fails(self) -> bool:
        """Whether the subject is not accepted for it."""
        return self.kind in FAILING


@dataclass(kw_only=True, slots=True)
class Judged:
    """One figure of one subject."""

    name: str
    unit: str
    value: float
    """Median over the rounds."""
    deviation: float | None = None
    """From the median of the others, as a share of it; None where there are none."""
    z: float | None = None
    """Robust: the same over 1.4826 times the others' median absolute deviation; None for fewer than three others."""
    fraction: float | None = None
    """Of the data sheet; None where that says nothing, or less than was measured."""


@dataclass(kw_only=True, slots=True)
class PartVerdict:
    """A subject with all that was found of it."""

    subject: BurnedIn
    figures: list[Judged] = field(default_factory=list)
    findings: list[PartFinding] = field(default_factory=list)
    rank: int | None = None
    """Among the devices of its chip, 1 the fastest; None where it cannot be ranked."""
    index: float | None = None
    """Geometric mean of its figures over the fleet's medians; what it is ranked by."""

    @property
    def accepted(self) -> bool:
        """Whether nothing was found that fails it."""
        return not any(finding.fails for finding in self.findings)


@dataclass(kw_only=True, slots=True)
class Acceptance:
    """The judgement of a node or of a fleet."""

    verdicts: list[PartVerdict]
    limits: Limits
    not_judged: list[str]
    """What could not be looked at, and why."""

    @property
    def accepted(self) -> bool:
        """Whether every subject is, and there is one."""
        return bool(self.verdicts) and all(one.accepted for one in self.verdicts)


def judge(subjects: Sequence[BurnedIn], limits: Limits | None = None) -> Acceptance:
    """Judge every subject against its data sheet, and against the others of its kind and chip."""
    limits = limits or Limits()
    verdicts: list[PartVerdict] = []
    not_judged: list[str] = []
    for group in _groups(subjects):
        verdicts += _judge_group(group, limits, not_judged)
    return Acceptance(verdicts=verdicts, limits=limits, not_judged=list(dict.fromkeys(not_judged)))


def _groups(subjects: Sequence[BurnedIn]) -> list[list[BurnedIn]]:
    """Subjects that may be compared: of one kind, and devices of one chip."""
    found: dict[tuple[str, str | None], list[BurnedIn]] = {}
    for one in subjects:
        found.setdefault((one.kind, one.chip), []).append(one)
    return list(found.values())


def _judge_group(group: list[BurnedIn], limits: Limits, not_judged: list[str]) -> list[PartVerdict]:
    names = list(dict.fromkeys(name for one in group for name in one.figures))
    verdicts = [PartVerdict(subject=one) for one in group]
    if len(group) == 1 and group[0].kind == "device" and group[0].figures:
        not_judged.append(f"{group[0].name} has no other device of its chip to be compared with")
    for verdict in verdicts:
        subject = verdict.subject
        verdict.findings += [PartFinding(kind="failed", text=text) for text in subject.failures]
        if subject.throttled_by:
            text = f"the device was throttled: {', '.join(subject.throttled_by)}"
            verdict.findings.append(PartFinding(kind="throttled", text=text))
        if subject.kind == "device" and not subject.sheet and subject.figures:
            why = subject.no_data_sheet or "its data sheet states none of the figures"
            not_judged.append(f"{subject.chip or subject.name} against its data sheet: {why.partition(chr(10))[0]}")
        for name in names:
            _judge_figure(verdict, name, [one for one in group if one is not subject], limits, not_judged)
    _rank(verdicts, names)
    return verdicts


def _judge_figure(
    verdict: PartVerdict, name: str, others: list[BurnedIn], limits: Limits, not_judged: list[str]
) -> None:
    rounds = verdict.subject.figures.get(name)
    if not rounds:
        verdict.findings.append(PartFinding(kind="missing", text=f"{name} was not measured, and was on other devices"))
        return
    value = statistics.median(rounds)
    judged = Judged(name=name, unit=verdict.subject.units.get(name, ""), value=value)
    verdict.figures.append(judged)
    told = [one.figures[name] for one in others if one.figures.get(name)]
    _against_others(verdict, judged, rounds, told, limits=limits, not_judged=not_judged)
    _against_sheet(verdict, judged, limits)
    _over_time(verdict, name, rounds, limits)


def _against_others(
    verdict: PartVerdict,
    judged: Judged,
    rounds: list[float],
    told: list[list[float]],
    *,
    limits: Limits,
    not_judged: list[str],
) -> None:
    if not told:
        return
    medians = [statistics.median(one) for one in told]
    middle = statistics.median(medians)
    judged.deviation = judged.value / middle - 1
    if len(medians) >= FEWEST_OTHERS:
        spread = MAD_TO_SIGMA * statistics.median(abs(one - middle) for one in medians)
        judged.z = (judged.value - middle) / spread if spread else None
    slow, fast = judged.deviation < -limits.slower, judged.deviation > limits.slower
    if judged.z is not None:
        slow, fast = slow and judged.z < -limits.z, fast and judged.z > limits.z
    else:  # no spread of the others is known: no round of one may have been as fast as any of the other
        enough = min(map(len, [rounds, *told])) >= FEWEST_ROUNDS
        if (slow or fast) and not enough:
            not_judged.append(
                f"{judged.name} against the others: fewer than {FEWEST_ROUNDS} rounds, and fewer than "
                f"{FEWEST_OTHERS} others to tell noise by. Raise --minutes"
            )
        slow, fast = slow and enough, fast and enough
        slow = slow and max(rounds) < min(min(one) for one in told)
        fast = fast and min(rounds) > max(max(one) for one in told)
    if slow or fast:
        z = f", robust z {judged.z:.1f}" if judged.z is not None else ""
        text = f"{judged.name} is {abs(judged.deviation):.1%} {'below' if slow else 'above'} the others' median{z}"
        verdict.findings.append(PartFinding(kind="straggler" if slow else "faster", text=text))


def _against_sheet(verdict: PartVerdict, judged: Judged, limits: Limits) -> None:
    sheet = verdict.subject.sheet.get(judged.name)
    if not sheet:
        return
    fraction = judged.value / sheet
    if fraction > 1:
        text = f"{judged.name} is {fraction:.1%} of the data sheet: the chip is another one, or its entry is wrong"
        verdict.findings.append(PartFinding(kind="beyond data sheet", text=text))
        return
    judged.fraction = fraction
    least = limits.least_compute if judged.name in PRODUCTS else limits.least_memory if judged.name == MEMORY else 0.0
    if fraction < least:
        text = f"{judged.name} is {fraction:.1%} of the data sheet, and {least:.0%} are asked for"
        verdict.findings.append(PartFinding(kind="below data sheet", text=text))


def _over_time(verdict: PartVerdict, name: str, rounds: list[float], limits: Limits) -> None:
    if len(rounds) < FADING_ROUNDS:
        return
    third = len(rounds) // 3
    first, last = statistics.median(rounds[:third]), statistics.median(rounds[-third:])
    if last < first * (1 - limits.faded):
        text = f"{name} fell by {1 - last / first:.1%} from the first third of its rounds to the last"
        verdict.findings.append(PartFinding(kind="faded", text=text))


def _rank(verdicts: list[PartVerdict], names: list[str]) -> None:
    """Rank those that have every figure by the geometric mean of their shares of the fleet's medians."""
    whole = [one for one in verdicts if len(one.figures) == len(names) and names]
    middles = {
        name: statistics.median(figure.value for one in whole for figure in one.figures if figure.name == name)
        for name in (names if whole else ())
    }
    for one in whole:
        one.index = statistics.geometric_mean(figure.value / middles[figure.name] for figure in one.figures)
    for rank, one in enumerate(sorted(whole, key=lambda verdict: -(verdict.index or 0.0)), 1):
        one.rank = rank
