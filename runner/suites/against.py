"""Scores a sweep against a reference, case by case."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from models.published import PublishedFigure
from runner.commandline.suite import load_suite
from runner.core.errors import ConfigurationError
from runner.record.report import Report
from runner.suites.score import CaseScore, Score, Speed, score_of
from runner.suites.speeds import measures_speed, speed_figures, speed_of, unlike, unscorable
from runner.suites.systems import PUBLISHED, PublishedSystem, Ran, SweepSystem, read_published, read_sweep
from runner.views.meanings import known
from runner.views.ranking import rule_changes
from runner.views.tables import publishable

Reference = PublishedSystem | SweepSystem


def read_reference(text: str) -> Reference:
    """`published:CHIP`, or the folder of a sweep.

    Raises:
        ConfigurationError: there is no such thing.
    """
    if text.startswith(PUBLISHED):
        return read_published(text.removeprefix(PUBLISHED))
    return read_sweep(Path(text))


def own_reference(system: SweepSystem) -> str:
    """The reference that the suite's file names.

    Raises:
        ConfigurationError: it names none.
    """
    suites = {case.asked.suite for case in system.cases}
    name = next(iter(suites)) if len(suites) == 1 else None
    reference = load_suite(name).reference if name is not None else None
    if reference is None:
        raise ConfigurationError(
            "A score is against a reference system, and this suite's file names none. Give --reference published:CHIP "
            "(for instance published:A100-SXM4-40GB) or --reference FOLDER, another run of the same suite."
        )
    return reference


def score(system: SweepSystem, reference: Reference, *, per_device: bool = False) -> Score:
    """The score of all cases that a sweep was asked for.

    Args:
        system: what is scored.
        reference: what it is held against.
        per_device: divide speeds by the devices, so that systems of different sizes can be compared.
    """
    return score_of([_case(one, reference, per_device=per_device) for one in system.cases])


def _case(ran: Ran, reference: Reference, *, per_device: bool) -> CaseScore:
    blank = CaseScore(name=ran.asked.name, weight=ran.asked.weight, state="missing", reason=ran.problem)
    ours = ran.report
    if ours is None:
        return blank
    if not measures_speed(ours):
        return replace(blank, state="not applicable", reason=f"task={ours.case.get('task')} measures no speed")
    why = unscorable(ours)
    if why is not None:
        return replace(blank, reason=why)
    if not publishable(ours):
        blank.notes.append("not publishable")
    if ours.case.get("scale") == "tiny":
        blank.notes.append("scale=tiny: the code path alone, not the published case")
    if isinstance(reference, PublishedSystem):
        return _against_published(blank, ours, reference, asked=ran.asked.figure, per_device=per_device)
    return _against_run(blank, ran, ours, reference, per_device=per_device)


def _against_run(blank: CaseScore, ran: Ran, ours: Report, reference: SweepSystem, *, per_device: bool) -> CaseScore:
    found = reference.find(ran)
    theirs = found.report if found else None
    if found is None or theirs is None:
        why = "it has no such case" if found is None else found.problem
        return replace(blank, reason=f"of the reference: {why}")
    why = unscorable(theirs)
    if why is not None:
        return replace(blank, reason=f"of the reference: {why}")
    why = unlike(ours, theirs, per_device=per_device)
    if why is not None:
        return replace(blank, reason=why)
    names = speed_figures(ours, ran.asked.figure)
    devices = (_devices(ours), _devices(theirs))
    for name in names:
        meaning = known(name, ours)
        if meaning.better is None or not _devices_allow(meaning.better, devices):
            continue
        if meaning.same_batch and ours.case.get("batch_size") != theirs.case.get("batch_size"):
            continue
        divided = per_device and meaning.better == "higher"
        here = speed_of(ours, name, devices=devices[0] if divided else 1)
        there = speed_of(theirs, name, devices=devices[1] if divided else 1)
        if here is not None and there is not None:
            notes = [*blank.notes, *([] if publishable(theirs) else ["the reference is not publishable"])]
            made = _scored(blank, ours, name, here, there, divided=divided)
            return replace(made, source=str(found.asked.folder), notes=notes)
    return replace(blank, reason=f"no figure of its speed was measured on both: {', '.join(names)}")


def _against_published(
    blank: CaseScore, ours: Report, reference: PublishedSystem, *, asked: str | None, per_device: bool
) -> CaseScore:
    if ours.case.get("scale") != "reference":
        return replace(blank, reason=f"scale={ours.case.get('scale')} is never held against published figures")
    if rule_changes(ours):
        return replace(blank, reason="it is open: it changes more than a vendor may")
    names, devices = speed_figures(ours, asked), _devices(ours)
    rows = [row for row in reference.figures.get(str(ours.case.get("model")), []) if row.figure in names]
    if not rows:
        return replace(blank, reason=f"of the reference: nothing was published of {ours.case.get('model')}'s speed")
    of_precision = [row for row in rows if row.precision == ours.case.get("precision")]
    if not of_precision:
        there = ", ".join(sorted({row.precision for row in rows}))
        return replace(blank, reason=f"precision is {ours.case.get('precision')} here and {there} in the reference")
    fitting = [row for row in of_precision if per_device or row.devices == devices]
    if not fitting:
        there = ", ".join(str(count) for count in sorted({row.devices for row in of_precision}))
        return replace(blank, reason=f"devices is {devices} here and {there} in the reference")
    for name in names:
        meaning, own = known(name, ours), [row for row in fitting if row.figure == name]
        divided = per_device and meaning.better == "higher"
        here = speed_of(ours, name, devices=devices if divided else 1)
        if meaning.better == "lower":  # a time cannot be divided by devices
            own = [row for row in own if row.devices == devices]
        if meaning.better is None or meaning.same_batch or here is None or not own:
            continue
        values = [(_published_value(row, divided=divided, lower=meaning.better == "lower"), row.source) for row in own]
        best, source = (min if meaning.better == "lower" else max)(values)
        made = _scored(blank, ours, name, here, Speed(value=best, exact=True), divided=divided)
        notes = [*blank.notes, *([f"the best of {len(own)} published"] if len(own) > 1 else [])]
        return replace(made, source=source, notes=notes)
    published = ", ".join(sorted({row.figure for row in fitting}))
    return replace(blank, reason=f"published is {published}, which was not measured here")


def _published_value(row: PublishedFigure, *, divided: bool, lower: bool) -> float:
    """Of the whole job, or of one device of it; a time is the same for both."""
    if lower:
        return row.value
    job = row.value * row.devices if row.per == "device" else row.value
    return job / row.devices if divided else job


def _scored(blank: CaseScore, ours: Report, name: str, here: Speed, there: Speed, *, divided: bool) -> CaseScore:
    unit = ours.figures[name].unit + (" per device" if divided else "")
    lower = known(name, ours).better == "lower"
    return replace(
        blank, state="scored", reason=None, figure=name, unit=unit, lower_is_better=lower, ours=here, theirs=there
    )


def _devices(report: Report) -> int:
    return int(report.case.get("devices") or 1)


def _devices_allow(better: str, devices: tuple[int, int]) -> bool:
    """A time cannot be divided by devices: it is compared between as many of them alone."""
    return better == "higher" or devices[0] == devices[1]
