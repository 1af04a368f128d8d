"""What a search found, for people: every trial, the best one, and the command that uses it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from runner.config.plan import Planned
from runner.messages import tr, tr_recorded
from runner.record.names import number
from runner.record.task import task_of
from runner.tuning.chart import throughput_by_batch
from runner.tuning.trials import NEAR, Found
from runner.views.charts.parts.chart import save
from runner.views.page import BEST, NULL, Grid, Page


def page(found: Found, typed: Sequence[str]) -> Page:
    """The trials by batch size, and what follows from them.

    Args:
        found: the search.
        typed: the case's overrides, for the command.
    """
    made, best = Page(), found.best_trial()
    made.note(
        tr(
            "{key} from {low} to {high}: {count} trials",
            key=found.key,
            low=found.low,
            high=found.high,
            count=len(found.trials),
        ),
        "title",
    )
    rows = []
    for trial in sorted(found.trials, key=lambda one: one.batch_size):
        value = NULL if trial.value is None else number(trial.value)
        value = f"{value} {BEST}" if trial is best else value
        memory = NULL if trial.memory_gib is None else number(trial.memory_gib)
        rows.append([str(trial.batch_size), tr(trial.state), value, memory, tr_recorded(trial.reason or "")])
    header = [tr("Batch size"), tr("Status"), f"{found.figure} ({found.unit})", tr("Memory (GiB)"), tr("Note")]
    made.blocks.append(Grid(header=header, rows=rows, right=frozenset({0, 2, 3})))
    if best is None:
        made.note(tr("Nothing was found: no trial was measured within the limits."), "error")
        return made
    made.note(tr("Best of those that were run: {batch}", batch=best.batch_size), "good")
    made.note(command(found, typed, best.batch_size))
    near = found.smallest_near()
    if near is not None and near is not best:
        made.note(
            tr("{batch} reaches {share} of it.", batch=near.batch_size, share=f"{NEAR:.0%}")
            + " "
            + tr("Differences this small may be noise; measure.repeats=3 tells.")
        )
    return made


def command(found: Found, typed: Sequence[str], batch_size: int) -> str:
    """The command that uses a batch size."""
    own = [word for word in typed if word.partition("=")[0].lstrip("+") != found.key]
    return shlex.join(["python", "-m", "runner", *own, f"{found.key}={batch_size}"])


def save_chart(found: Found, planned: Planned, folder: Path) -> list[Path]:
    """Draw throughput against batch size; nothing where nothing was measured."""
    case = planned.case
    assert case is not None
    chart = throughput_by_batch(found, task_of(case).definition(found.figure).title)
    return save(chart, folder, emulated=case.emulate, subtitle=case.name) if chart is not None else []
