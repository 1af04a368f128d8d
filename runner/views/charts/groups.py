"""Runs in groups that may share an axis: one task, model, scale, load and target, one figure in one unit. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from runner.comparison.likeness import workload_changes
from runner.core.errors import TargetNotReachedError
from runner.messages import tr
from runner.record.definition import Definition
from runner.record.names import written
from runner.record.report import Figure, Report
from runner.record.task import task_named
from runner.views.comparable import RunResult, comparable_key
from runner.views.meanings import known
from runner.views.tables import emulated

QUALITY_MISSED = TargetNotReachedError.exit_code
FURTHER = (
    *("framework", "compiler", "topology", "layout"),
    *("batch_size", "gradient_accumulation_steps", "measure", "seed"),
)
"""Keys of a case that tell runs apart beside vendor, chip, devices and precision."""


@dataclass(kw_only=True, slots=True)
class ChartGroup:
    """Runs whose figures mean the same."""

    name: str
    """For files and anchors: letters, digits and underscores."""
    title: str
    """What was run, with a word before it where the runs are emulated or tiny."""
    emulated: bool
    meaning: Definition
    unit: str
    runs: list[RunResult]
    """Those that measured the figure."""
    left_out: int
    """Those that did not, failed ones among them."""
    labels: dict[int, str] = field(default_factory=dict)
    """By `id` of the run: what tells it from the others."""

    def figure(self, run: RunResult) -> Figure:
        """What the run measured of the group's figure."""
        return run.report.figures[self.meaning.name]

    def axis_title(self) -> str:
        """The figure and its unit."""
        unit = f" ({self.unit})" if self.unit not in ("1", "") else ""
        return f"{tr(self.meaning.title)}{unit}"


def ran(report: Report) -> bool:
    """Whether it was measured to its end; one that missed its quality was."""
    return report.status != "killed" and report.exit_code in (0, QUALITY_MISSED)


def value(report: Report, name: str) -> float | None:
    """A figure's value; null where it was not measured or is not in the report."""
    found = report.figures.get(name)
    return None if found is None else found.value


def groups_of(runs: Sequence[RunResult]) -> list[ChartGroup]:
    """The groups that measured something, the largest first.

    What another tool measured stands with the runs of its task, model and unit: no such file tells their data, and
    none is of a tiny scale.
    """
    found: dict[tuple[object, ...], list[RunResult]] = {}
    for run in runs:
        if not run.report.imported:
            found.setdefault(_key(run.report), []).append(run)
    for run in runs:
        if run.report.imported:
            alike = next((key for key in found if _may_stand_with(run.report, found[key][0].report)), None)
            found.setdefault(alike or _key(run.report), []).append(run)
    groups = [group for members in found.values() for group in _by_figure(members)]
    groups.sort(key=lambda group: -len(group.runs))
    often: Counter[str] = Counter()
    for group in groups:
        often[group.name] += 1
        group.name += f"_{often[group.name]}" if often[group.name] > 1 else ""
    return groups


def written_value(group: ChartGroup, number: float) -> str:
    """A value of the group's figure with its unit."""
    return " ".join(part for part in written(number, group.unit, group.meaning.form) if part)


def _key(report: Report) -> tuple[object, ...]:
    changes = {} if report.imported else workload_changes(report.division.changed)
    return *comparable_key(report), str(report.case.get("unit")), str(report.case.get("load")), *sorted(changes.items())


def _may_stand_with(imported: Report, own: Report) -> bool:
    same = all(imported.case.get(key) == own.case.get(key) for key in ("task", "model", "unit"))
    return same and own.case.get("scale") == "reference" and not emulated(own) and not own.imported


def _by_figure(members: list[RunResult]) -> list[ChartGroup]:
    """One group, or where the figure can only be ranked at one batch size, one for each."""
    reports = [run.report for run in members]
    name = _main_figure(reports)
    if name is None:
        return []
    first = next(report for report in reports if name in report.figures)
    meaning = known(name, first)
    if not meaning.same_batch:
        return [_group(members, name, meaning)]
    sizes: dict[object, list[RunResult]] = {}
    for run in members:
        sizes.setdefault(run.report.case.get("batch_size"), []).append(run)
    made = [_group(part, name, meaning, batch=size) for size, part in sizes.items()]
    return [group for group in made if group.runs]


def _main_figure(reports: Sequence[Report]) -> str | None:
    """The first figure that matters to the task and that one of them measured."""
    told = task_named(reports[0].case.get("task"))
    names = told.main_figures(reports[0].case) if told else tuple(reports[0].figures)
    measured = {name for one in reports if ran(one) for name, figure in one.figures.items() if figure.value is not None}
    return next((name for name in names if name in measured), None)


def _group(members: Sequence[RunResult], name: str, meaning: Definition, *, batch: object = None) -> ChartGroup:
    case = members[0].report.case
    shown = [run for run in members if ran(run.report) and value(run.report, name) is not None]
    # A unit that differs is another figure under the same name: it must not stand on the same axis.
    units = Counter(run.report.figures[name].unit for run in shown)
    unit = units.most_common(1)[0][0] if units else ""
    shown = [run for run in shown if run.report.figures[name].unit == unit]
    parts = [case.get("model"), case.get("task"), case.get("load"), f"batch {batch}" if batch is not None else None]
    said = " · ".join(str(part) for part in parts if part)
    scale = case.get("scale")
    made = ChartGroup(
        name="_".join("".join(c if c.isalnum() else "_" for c in str(part)) for part in parts if part),
        title=f"{said} · {scale}" if scale == "tiny" else said,
        emulated=emulated(members[0].report),
        meaning=meaning,
        unit=unit,
        runs=sorted(shown, key=lambda run: run.report.figures[name].value or 0.0, reverse=meaning.better != "lower"),
        left_out=len(members) - len(shown),
    )
    made.labels = labels_of(made.runs)
    return made


def labels_of(runs: Sequence[RunResult]) -> dict[int, str]:
    """What tells each run from the others, by `id`: chip, devices, precision, what else differs; at last its folder."""
    cases = [run.report.case for run in runs]
    differing = [key for key in FURTHER if len({str(case.get(key)) for case in cases}) > 1]
    said = {id(run): _said(run, differing) for run in runs}
    often = Counter(said.values())
    # Folders begin with their time of day, which tells them apart shorter than all of their names.
    short = Counter(run.folder.name.partition("_")[0] for run in runs)
    names = {id(run): run.folder.name.partition("_")[0] for run in runs}
    names |= {id(run): run.folder.name for run in runs if short[names[id(run)]] > 1}
    return {
        key: f"{text} · {names[key]}" if often[text] > 1 else text
        for run, (key, text) in zip(runs, said.items(), strict=True)
    }


def _said(run: RunResult, differing: Sequence[str]) -> str:
    case = run.report.case
    devices = case.get("devices")
    chip = str(case.get("chip") or case.get("vendor") or "?").replace("(R)", "").replace("(TM)", "")
    where = f"{devices} x {chip}" if isinstance(devices, int) and devices > 1 else chip
    if case.get("vendor") and emulated(run.report):
        where = f"{tr('EMULATED')} {case['vendor']}"
    parts = [where, case.get("precision"), *(_bare(key, case.get(key)) for key in differing)]
    if run.report.imported:
        parts.append(tr("imported from {format}", format=run.report.imported.get("format", "?")))
    return " · ".join(str(part) for part in parts if part)


def _bare(key: str, told: object) -> str:
    if told is None:
        return ""
    return str(told) if key in ("framework", "compiler", "topology") else f"{key}={told}"
