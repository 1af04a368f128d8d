"""Ecosystem adaptation: how much of what was asked a vendor's or an engine's software takes. Counted, never judged.

A case that was tried several times is one case: it ran where one of its attempts did. Emulated runs say nothing about a
vendor's software and are counted apart; results of other tools are left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from runner.core.errors import TargetNotReachedError
from runner.record.report import Report
from runner.results.ecosystem.engine_told import fallbacks_of

By = Literal["vendor", "compiler"]
Run = tuple[Path, Report]
ENDINGS = {
    **{0: "done", 2: "configuration refused", 3: "hardware or driver missing, or refuses", 4: "package missing"},
    **{5: "data or weights missing", 6: "out of memory", 7: "diverged or not finite", 8: "quality missed"},
    **{9: "timed out", 10: "crashed", 130: "killed"},
}
"""What an exit code says of how a case ended."""
RAN = (0, TargetNotReachedError.exit_code)
"""A case that missed its quality was run to its end."""
REFUSED = (2, 3)
_DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
_GRAPH = re.compile(r"^\S+ cannot take the network: (?P<node>.+?): ")


@dataclass(kw_only=True, slots=True, frozen=True)
class Ending:
    """How cases ended that did not run."""

    exit_code: int
    ending: str
    cases: int
    reason: str
    """The first line of the message of one of them."""


@dataclass(kw_only=True, slots=True, frozen=True)
class PrecisionAsked:
    """What became of the cases in one precision."""

    precision: str
    asked: int
    ran: int
    refused: int
    """Cases that were refused because of the precision itself."""
    reason: str | None
    """Why, of the first refusal."""


@dataclass(kw_only=True, slots=True, frozen=True)
class Changed:
    """A key that was changed against the reference composition, in cases that ran."""

    key: str
    cases: int
    allowed: bool
    """Whether the closed division allows it."""


@dataclass(kw_only=True, slots=True, frozen=True)
class Extent:
    """A figure over cases; null with the reason where none told it."""

    cases: int
    """How many told it."""
    lowest: float | None
    highest: float | None
    total: float | None
    unit: str
    reason: str | None


@dataclass(kw_only=True, slots=True, frozen=True)
class Adaptation:
    """One vendor's, or one engine's."""

    name: str
    emulated: bool
    asked: int
    """Distinct cases."""
    ran: int
    attempts: int
    quality_missed: int
    """Of those that ran."""
    endings: list[Ending]
    precisions: list[PrecisionAsked]
    operators_refused: dict[str, str]
    """Operator, node or file that stopped an engine, to its words."""
    changed: list[Changed]
    coverage: Extent
    fallbacks: dict[str, str]
    """Operator that fell back, to the reason."""
    compile: Extent

    @property
    def share(self) -> float:
        """Cases that ran ÷ cases asked for."""
        return self.ran / self.asked

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"share": self.share}


def adaptation(runs: Sequence[Run], *, by: By = "vendor") -> list[Adaptation]:
    """One for each vendor or engine, real ones first, in the order of their names."""
    groups: dict[tuple[bool, str], list[Run]] = {}
    for folder, report in runs:
        if not report.imported:
            key = bool(report.case.get("emulated")), str(report.case.get(by) or "unknown")
            groups.setdefault(key, []).append((folder, report))
    return [_of(name, groups[emulated, name], emulated=emulated) for emulated, name in sorted(groups)]


def _of(name: str, runs: list[Run], *, emulated: bool) -> Adaptation:
    cases = _cases(runs)
    ran = [one for one in cases if one[1].exit_code in RAN]
    failed = [report for _, report in cases if report.exit_code not in RAN]
    return Adaptation(
        name=name,
        emulated=emulated,
        asked=len(cases),
        ran=len(ran),
        attempts=len(runs),
        quality_missed=sum(report.exit_code == TargetNotReachedError.exit_code for _, report in ran),
        endings=_endings(failed),
        precisions=_precisions([report for _, report in cases]),
        operators_refused=_operators(failed),
        changed=_changed([report for _, report in ran]),
        coverage=_spread([report for _, report in ran], "infer/coverage"),
        fallbacks=_fallbacks(ran),
        compile=_spread([report for _, report in ran], "infer/compile_s"),
    )


def _cases(runs: Iterable[Run]) -> list[Run]:
    """One run of every case: the last one that ran, else the last one."""
    found: dict[str, Run] = {}
    for folder, report in runs:
        # A case that was not valid has no identity: nobody can tell whether it was asked for twice.
        key = str(report.case.get("identity") or folder)
        if key not in found or report.exit_code in RAN or found[key][1].exit_code not in RAN:
            found[key] = folder, report
    return list(found.values())


def _endings(failed: Sequence[Report]) -> list[Ending]:
    counts = Counter((report.exit_code, _reason(report)) for report in failed)
    return [
        Ending(exit_code=code, ending=ENDINGS.get(code, "failed"), cases=count, reason=reason)
        for (code, reason), count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]


def _reason(report: Report) -> str:
    message = (report.error or {}).get("message", "").strip()
    return message.partition("\n")[0] or "the report does not say"


def _precisions(reports: Sequence[Report]) -> list[PrecisionAsked]:
    found = []
    for name in dict.fromkeys(str(report.case.get("precision")) for report in reports):
        asked = [report for report in reports if str(report.case.get("precision")) == name]
        refused = [report for report in asked if _names_precision(report, name)]
        found.append(
            PrecisionAsked(
                precision=name,
                asked=len(asked),
                ran=sum(report.exit_code in RAN for report in asked),
                refused=len(refused),
                reason=_reason(refused[0]) if refused else None,
            )
        )
    return found


def _names_precision(report: Report, name: str) -> bool:
    """Whether a refusal is about the precision: its message names it."""
    if report.exit_code not in REFUSED:
        return False
    words = re.findall(r"\w+", _reason(report))
    return name in words or _DTYPES.get(name.removesuffix("_true"), name) in words


def _operators(failed: Sequence[Report]) -> dict[str, str]:
    matched = ((_GRAPH.match(reason), reason) for reason in map(_reason, failed))
    return {found["node"]: reason for found, reason in matched if found}


def _changed(ran: Sequence[Report]) -> list[Changed]:
    counts = Counter(
        (str(change["key"]), bool(change["allowed"])) for report in ran for change in report.division.changed
    )
    return [
        Changed(key=key, allowed=allowed, cases=count)
        for (key, allowed), count in sorted(counts.items(), key=lambda item: (item[0][1], -item[1], item[0][0]))
    ]


def _fallbacks(ran: Sequence[Run]) -> dict[str, str]:
    """Of cases whose engine took less than all; only their events are read."""
    found: dict[str, str] = {}
    for folder, report in ran:
        coverage = report.figures.get("infer/coverage")
        if coverage is not None and coverage.value is not None and coverage.value < 1:
            found |= fallbacks_of(folder)
    return found


def _spread(ran: Sequence[Report], name: str) -> Extent:
    figures = [report.figures[name] for report in ran if name in report.figures]
    values = [figure.value for figure in figures if figure.value is not None]
    reasons = Counter(figure.reason for figure in figures if figure.reason)
    why = reasons.most_common(1)[0][0] if reasons else "none of the cases that ran was compiled for serving"
    return Extent(
        cases=len(values),
        lowest=min(values, default=None),
        highest=max(values, default=None),
        total=sum(values) if values else None,
        unit=figures[0].unit if figures else "",
        reason=None if values else why,
    )
