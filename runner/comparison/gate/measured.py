"""What one run measured, as a gate needs it: the values of its fresh processes, and how much others disturbed them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner.comparison.gate.kinds import Kind, kind_of, machine_of
from runner.comparison.gate.undisturbed import Undisturbed, undisturbed
from runner.comparison.result import RunResult, known
from runner.comparison.sample import sample_of
from runner.record.report import Figure, Report
from runner.results.host import OTHERS

CROWDED = 0.55
"""Share of the host's processors; where others take more, a process waits for its turn in nearly every step. Seen on
two processors: up to 0.50 the fastest tenth of steps stayed within 8 %, from 0.64 on it was 1.2 to 2.9 times as long.
"""


@dataclass(kw_only=True, slots=True)
class MeasuredRun:
    """One run."""

    folder: str
    kind: Kind
    machine: str
    values: dict[str, tuple[float, ...]]
    """Figure → what each fresh process measured; those above 0 that improve in one direction."""
    others: tuple[float, ...]
    """What others took of the host's processors during each, as fractions; empty where nobody knows."""


def measured(run: RunResult, fastest: Undisturbed | None = None) -> MeasuredRun:
    """What a run measured.

    Args:
        run: the result.
        fastest: its undisturbed figures; None: they are read from its folder.
    """
    report = run.report
    values = {
        name: found
        for name, figure in report.figures.items()
        if figure.value is not None and figure.unit != "bool" and known(name, report).better is not None
        if (found := processes(figure, report.case)) and min(found) > 0
    }
    figure = report.figures.get(OTHERS)
    others = () if figure is None or figure.value is None else tuple(figure.repeats or (figure.value,))
    told = undisturbed(run.folder) if fastest is None else fastest
    return MeasuredRun(
        folder=str(run.folder),
        kind=kind_of(report),
        machine=machine_of(report),
        values=values | {name: kept for name, all_ in told.items() if (kept := _uncrowded(all_, others))},
        others=others,
    )


def _uncrowded(values: tuple[float, ...], others: tuple[float, ...]) -> tuple[float, ...]:
    """Those of the processes beside which others left room: beyond that, not even the fastest steps are undisturbed."""
    if len(values) != len(others):
        return values
    return tuple(value for value, share in zip(values, others, strict=True) if share <= CROWDED)


def processes(figure: Figure, case: dict[str, Any]) -> tuple[float, ...]:
    """What each fresh process measured; of older reports, as many values with the same mean and spread."""
    if figure.value is None:
        return ()
    if figure.repeats is not None:
        return tuple(figure.repeats)
    sample = sample_of(figure, case)
    if sample is None or sample.deviation is None:
        return (figure.value,)
    aside = sample.deviation * math.sqrt((sample.count - 1) / 2)
    return (sample.mean - aside, sample.mean + aside, *[sample.mean] * (sample.count - 2))


def to_plain(one: MeasuredRun) -> dict[str, Any]:
    """As JSON; `from_plain` reads it back."""
    values = {name: list(found) for name, found in one.values.items()}
    return {
        "folder": one.folder,
        "kind": [list(pair) for pair in one.kind],
        "machine": one.machine,
        "values": values,
        "others": list(one.others),
    }


def from_plain(plain: dict[str, Any]) -> MeasuredRun:
    """What `to_plain` wrote.

    Raises:
        KeyError, TypeError, ValueError: it is something else.
    """
    return MeasuredRun(
        folder=str(plain["folder"]),
        kind=tuple((str(name), str(value)) for name, value in plain["kind"]),
        machine=str(plain["machine"]),
        values={str(name): tuple(map(float, found)) for name, found in plain["values"].items()},
        others=tuple(map(float, plain["others"])),
    )


def history(runs: list[RunResult], root: Path, *, most: int = 20) -> list[MeasuredRun]:
    """Earlier runs of the same kinds below a root, on the same machines: of each kind the latest `most`.

    They tell how far apart runs lie. One that differs by a change of the software makes the noise look larger than it
    is, never smaller.
    """
    from runner.core.errors import TouchstoneError
    from runner.results.find import load
    from runner.results.index import summaries

    if not root.is_dir():
        return []
    wanted = {(kind_of(run.report), machine_of(run.report)) for run in runs}
    own = {run.folder.resolve() for run in runs}
    try:
        found, _ = summaries([root])
    except TouchstoneError:
        return []
    models = {run.report.case.get("model") for run in runs}
    fitting = [one for one in found if one.status == "done" and one.case.get("model") in models]
    fitting.sort(key=lambda one: one.started_ms or 0, reverse=True)
    kept: dict[tuple[Kind, str], list[MeasuredRun]] = {}
    for one in fitting:
        if one.folder.resolve() in own or not one.intact:
            continue
        report: Report = load(one.folder)
        key = (kind_of(report), machine_of(report))
        if key in wanted and len(kept.setdefault(key, [])) < most:
            kept[key].append(measured(RunResult(report=report, folder=one.folder)))
    return [one for several in kept.values() for one in several]
