"""Which figure is a case's speed, and whether two results of it may be divided by each other."""

from __future__ import annotations

from collections.abc import Sequence

from runner.comparison.result import emulated
from runner.record.report import Report
from runner.record.task import task_named
from runner.suites.score import Speed
from runner.views.comparable import comparable_key
from runner.views.ranking import rule_changes

OF_TARGET = ("time/to_target_s",)
"""First, of a task that has a target to reach."""
FURTHER = (
    *("throughput/core", "throughput/train", "throughput/whole"),
    *("infer/core_samples_per_second", "infer/input_tokens_per_second"),
)
"""After a task's own: what others publish in its place. They are compared with the same figure of ours alone."""
_SPEEDS = ("throughput/", "infer/", "generation/", "time/to_target_s")


def speed_figures(report: Report, asked: str | None) -> list[str]:
    """The figures that may stand for a case's speed, the first choice first."""
    if asked is not None:
        return [asked]
    task = task_named(report.case.get("task"))
    own = [name for name in (task.main_figures(report.case) if task else ()) if name.startswith(_SPEEDS)]
    first = OF_TARGET if task is not None and task.quality_target else ()
    return list(dict.fromkeys([*first, *own, *FURTHER]))


def measures_speed(report: Report) -> bool:
    """Whether its task measures anything; one that this installation does not have is taken for one that does."""
    task = task_named(report.case.get("task"))
    return task is None or task.on_device


def speed_of(report: Report, name: str, *, devices: int = 1) -> Speed | None:
    """The figure as a speed, divided by a number of devices; None where it was not measured, or is not positive."""
    figure = report.figures.get(name)
    if figure is None or figure.value is None or not figure.value > 0:
        return None
    return Speed(value=figure.value / devices, repeats=tuple(one / devices for one in figure.repeats or ()))


def unscorable(report: Report) -> str | None:
    """Why a result can stand in no score; None where it can."""
    if report.imported:
        return f"it was imported from another tool's file ({report.imported.get('file')})"
    if emulated(report):
        return "it was emulated on the host CPU"
    if report.status != "done" or report.exit_code:
        cause = f", {report.error['class']}" if report.error else ""
        return f"it {report.status} (exit {report.exit_code}{cause})"
    return None


def unlike(ours: Report, theirs: Report, *, per_device: bool) -> str | None:
    """In what two results differ so that their ratio would say nothing of the systems; None where they are alike.

    Args:
        ours: a result that can be scored.
        theirs: the reference's.
        per_device: whether speeds are divided by the devices.
    """
    pairs = [
        (name, here, there)
        for (name, here), (_, there) in zip(comparable_key(ours), comparable_key(theirs), strict=True)
    ]
    fields: Sequence[str] = ("precision", "unit", "load") if per_device else ("precision", "unit", "load", "devices")
    pairs += [(name, str(ours.case.get(name)), str(theirs.case.get(name))) for name in fields]
    said = [f"{name} is {here} here and {there} in the reference" for name, here, there in pairs if here != there]
    if rule_changes(ours) != rule_changes(theirs):
        said.append("one of them is open: it changes more than a vendor may")
    return "; ".join(said) or None
