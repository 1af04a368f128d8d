"""The table of what a task measured beside its figures: other batch sizes, other lengths."""

from __future__ import annotations

from typing import Any

from runner.messages import tr, tr_recorded
from runner.record.names import number
from runner.record.report import Report
from runner.record.task import task_named
from runner.views.page import NULL, Grid, Page

_BESIDE_SPEED = ("requests", "seconds", "compute_ms", "bubble_ms", "link_ms", "network_ms")
"""What a row of points has for programs, and a page of a terminal's width has no room for."""
_HEADS = {
    **{"batch_size": "batch", "prompt_tokens": "prompt", "new_tokens": "new", "copies": "copies", "steady": "steady"},
    **{"samples_per_second": "samples/s", "tokens_per_second": "tokens/s", "ttft_p50_ms": "TTFT ms"},
    **{"prefill_tokens_per_second": "prefill tokens/s", "decode_tokens_per_second": "decode tokens/s"},
    **{
        "micro_batch": "batch",
        "passes": "passes",
        "recomputation": "recompute",
        "memory_gib": "GiB",
        "step_ms": "step ms",
    },
    **{"tpot_p50_ms": "TPOT ms", "latency_p50_ms": "p50 ms", "latency_p99_ms": "p99 ms", "parts_reason": "note"},
}
"""Columns of the table of points; another name is its own."""


def add_points(made: Page, report: Report) -> None:
    """Add what was measured beside the figures, a row each; nothing where there is none."""
    if not report.points:
        return
    names = list(dict.fromkeys(name for row in report.points for name in row if name not in _BESIDE_SPEED))
    task = task_named(report.case.get("task"))
    made.note(tr(task.points_title if task else "Measured beside it"), "heading")
    rows = [[_plain(row.get(name)) for name in names] for row in report.points]
    header = [tr(_HEADS[name]) if name in _HEADS else name.replace("_", " ") for name in names]
    made.blocks.append(Grid(header=header, rows=rows, right=frozenset(range(len(names)))))


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return tr("yes") if value else tr("no")
    if value is None:
        return NULL
    return number(value) if isinstance(value, float) else tr_recorded(str(value))
