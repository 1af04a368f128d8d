"""Holds new results to a baseline: which figures lost more than is allowed, beyond the noise of the machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from runner.comparison.gate.baseline import Baseline
from runner.comparison.gate.finding import GateCase, GateFinding, GateResult
from runner.comparison.gate.kinds import Kind, kind_of, same_kind, title_of
from runner.comparison.gate.measured import measured
from runner.comparison.gate.quality import hold, lost
from runner.comparison.gate.speed import GateEvidence, judge
from runner.comparison.goodness import is_goodness
from runner.comparison.main_figure import main_figure
from runner.comparison.result import BATCH, RunResult, known, value_of
from runner.core.errors import ConfigurationError
from runner.messages import tr, tr_recorded
from runner.record.report import Report

DEFAULT = 0.97


@dataclass(kw_only=True, slots=True)
class GateLimits:
    """What is asked."""

    ratio: float = DEFAULT
    """New ÷ baseline, better is above 1, below which a loss fails."""
    single: dict[str, float] = field(default_factory=dict)
    """Of single figures, by name or pattern."""
    figures: tuple[str, ...] = ()
    """Names or patterns; empty: the main figure of each case. Qualities are always held."""

    def of(self, name: str) -> float:
        """A figure's limit."""
        return next((limit for pattern, limit in self.single.items() if fnmatchcase(name, pattern)), self.ratio)


def gate(new: Sequence[RunResult], baseline: Baseline, limits: GateLimits) -> GateResult:
    """Hold new runs to a baseline, case by case; several new runs of a case are judged together.

    Raises:
        ConfigurationError: a figure that is asked for is in no run of the baseline, or improves in no direction.
    """
    _require_figures(limits, baseline)
    kinds: dict[Kind, list[int]] = {}
    for index, one in enumerate(baseline.measured):
        kinds.setdefault(one.kind, []).append(index)
    found: dict[Kind, list[RunResult]] = {}
    for run in new:
        found.setdefault(kind_of(run.report), []).append(run)
    cases = [_case(found.get(kind, []), baseline, kind, places, limits) for kind, places in kinds.items()]
    further = [title_of(runs[0].report) for kind, runs in found.items() if kind not in kinds]
    if not kinds.keys() & found.keys():
        raise ConfigurationError(_nothing_alike(new, baseline))
    return GateResult(baseline=baseline.name, cases=cases, further=further)


def _nothing_alike(new: Sequence[RunResult], baseline: Baseline) -> str:
    """Why no new run has a counterpart: the fields in which the nearest two differ."""
    pairs = [(kind_of(run.report), one.kind, run) for run in new for one in baseline.measured]
    mine, theirs, run = min(pairs, key=lambda pair: sum(a != b for a, b in zip(pair[0], pair[1], strict=True)))
    differ = ", ".join(
        f"{name} ({value or 'none'}, the baseline has {other or 'none'})"
        for (name, value), (_, other) in zip(mine, theirs, strict=True)
        if value != other
    )
    return f"No run of the baseline is of the kind of {run.folder}: it differs in {differ}. Compare like with like."


def _require_figures(limits: GateLimits, baseline: Baseline) -> None:
    import difflib

    have: dict[str, Report] = {name: run.report for run in baseline.runs for name in run.report.figures}
    for pattern in (*limits.figures, *limits.single):
        names = [name for name in have if fnmatchcase(name, pattern)]
        if not names:
            near = difflib.get_close_matches(pattern, sorted(have), n=1, cutoff=0)
            hint = f" Nearest: {near[0]}." if near else ""
            raise ConfigurationError(f"{pattern}: the baseline has no such figure.{hint}")
        if all(known(name, have[name]).better is None for name in names):
            raise ConfigurationError(
                f"{pattern}: neither more nor less of it is better, so that there is nothing to hold it to."
            )


def _case(new: list[RunResult], baseline: Baseline, kind: Kind, places: list[int], limits: GateLimits) -> GateCase:
    before = [baseline.runs[place] for place in places]
    case = GateCase(
        title=title_of(before[0].report),
        new=[str(run.folder) for run in new],
        baseline=[str(run.folder) for run in before],
    )
    failed = _ended(new)
    if failed:
        case.findings.append(failed)
        return case
    evidence = GateEvidence(
        new=[measured(run) for run in new],
        baseline=[baseline.measured[place] for place in places],
        past=[one for one in baseline.past if same_kind(one.kind, kind)],
    )
    case.warnings += _warnings(evidence, new, before)
    for name in _figures(before, limits):
        if is_goodness(name):
            held = hold(name, new, before)
            case.findings += [held] if held else []
        else:
            case.findings.append(_figure(name, new, before, evidence, limits.of(name)))
    if not case.findings:
        text = tr("The baseline measured none of the figures that are asked for.")
        case.findings.append(GateFinding(figure="run", title=tr("Run"), outcome="undecided", text=text))
    return case


def _ended(new: list[RunResult]) -> GateFinding | None:
    if not new:
        text = tr("There is no new run of this case.")
        return GateFinding(figure="run", title=tr("Run"), outcome="fail", text=text)
    bad = next((run for run in new if run.report.status != "done"), None)
    if bad is None:
        return None
    message = tr_recorded(bad.report.error["message"]) if bad.report.error else ""
    values = {"folder": bad.folder, "code": bad.report.exit_code, "message": message}
    text = tr("{folder} did not end well (exit {code}). {message}", **values).strip()
    return GateFinding(figure="run", title=tr("Run"), outcome="fail", text=text)


def _figures(before: list[RunResult], limits: GateLimits) -> list[str]:
    """What is judged of a case: what is asked for, else how fast it is; and always how good."""
    report = before[0].report
    measured_names = [name for name in report.figures if any(value_of(run.report, name) is not None for run in before)]
    goodness = [name for name in measured_names if is_goodness(name)]
    if limits.figures:
        asked = [name for name in measured_names if any(fnmatchcase(name, one) for one in limits.figures)]
        return [name for name in asked if known(name, report).better and name not in goodness] + goodness
    main = main_figure([run.report for run in before])
    return [*([main] if main else []), *goodness]


def _figure(
    name: str, new: list[RunResult], before: list[RunResult], evidence: GateEvidence, limit: float
) -> GateFinding:
    meaning = known(name, before[0].report)
    title = tr(meaning.title)
    figures = [run.report.figures.get(name) for run in new]
    gone = lost(figures)
    if gone is not None:
        return GateFinding(figure=name, title=title, outcome="fail", text=gone)
    units = {run.report.figures[name].unit for run in (*new, *before) if name in run.report.figures}
    if len(units) > 1:
        text = tr("It is in different units: {units}.", units=", ".join(sorted(units)))
        return GateFinding(figure=name, title=title, outcome="fail", text=text)
    batches = {tuple(run.report.case.get(key) for key in BATCH) for run in (*new, *before)}
    return judge(meaning, units.pop(), evidence, limit, same_batch=len(batches) == 1)


def _warnings(evidence: GateEvidence, new: list[RunResult], before: list[RunResult]) -> list[str]:
    said = []
    machines = {one.machine for one in evidence.baseline}
    for machine in {one.machine for one in evidence.new} - machines:
        said.append(
            tr("Another machine: {new}; the baseline was measured on {old}.", new=machine, old="; ".join(machines))
        )
    for key in (*BATCH, "measure"):
        ours, theirs = ({str(run.report.case.get(key)) for run in runs} for runs in (new, before))
        if ours != theirs:
            values = {"key": key, "new": ", ".join(sorted(ours)), "old": ", ".join(sorted(theirs))}
            said.append(tr("{key} is {new}; the baseline has {old}.", **values))
    if len(evidence.baseline) + len(evidence.past) == 1:
        said.append(
            tr("The baseline is a single run: what differs between two runs is assumed. Save it from five or more.")
        )
    return said
