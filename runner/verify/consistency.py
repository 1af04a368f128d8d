"""Whether what the ranks told agrees with what was written down beside it: steps, and marks of the power trace.

The three are written by different hands while a run goes on. Who flatters a result in the events alone is found here;
who changes all of them alike is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from hardware.sampling.trace import Trace
from runner.core.events import Name
from runner.record.run_record import RunRecord
from runner.record.step_rows import read_rows
from runner.verify.verdict import Check, failed, not_applicable, passed

SLACK, SLACK_S = 0.05, 0.2
"""By how much two clocks' views of a window may differ: as a share of it, and in seconds."""


def consistent(parts: Sequence[RunRecord]) -> Check:
    """The measured segments of every fresh process, against its steps and the marks in its power trace."""
    name = "consistent"
    if not any(run_record.all(Name.SEGMENT_END) for run_record in parts):
        return not_applicable(name, "integrity", "nothing was measured")
    faults = [fault for run_record in parts for fault in _faults(run_record)]
    if faults:
        return failed(name, "integrity", "; ".join(faults[:3]))
    return passed(name, "integrity", "events, steps.csv and the marks in power.csv tell the same window")


def _faults(run_record: RunRecord) -> Iterator[str]:
    segments = [event.value for event in run_record.all(Name.SEGMENT_END)]
    yield from _edges(segments)
    yield from _steps(run_record, segments)
    if not run_record.all(Name.RESUMED):  # the segments of a further part are numbered anew
        yield from _marks(Trace.load(run_record.by_node()[0].trace).marks, segments)


def _edges(segments: Sequence[dict[str, Any]]) -> Iterator[str]:
    for one in segments:
        between_s = one["end_s"] - one["begin_s"]
        if abs(one["seconds"] - between_s) > SLACK * between_s + SLACK_S:
            yield f"segment {one['segment']} is told as {one['seconds']:.4g} s, its edges lie {between_s:.4g} s apart"


def _steps(run_record: RunRecord, segments: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A part that was killed may have left steps without their segment, but no segment goes without its steps."""
    rows = [row for row in read_rows(run_record.folder / "steps.csv") if row["phase"] == "window"]
    first = [row for row in rows if row["rank"] == "0"]
    steps, samples = sum(one["steps"] for one in segments), sum(one["samples"] for one in segments)
    if steps > len(first):
        yield f"{steps} steps were told, steps.csv has {len(first)}"
    written = sum(float(row["samples"]) for row in rows)
    if samples > written:
        yield f"{samples:,} samples were told, steps.csv has {written:,.0f}"
    told_s = sum(one["seconds"] for one in segments)
    spent = [float(row["seconds"]) for row in first if row.get("seconds")]
    if steps == len(spent) and sum(spent) > told_s * (1 + SLACK) + SLACK_S:
        yield f"{told_s:.4g} s were told, the steps of steps.csv took {sum(spent):.4g} s"


def _marks(marks: dict[str, float], segments: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A segment lies between its two marks, which were set just outside it."""
    for one in segments:
        begin_s, end_s = (marks.get(f"segment_{edge}:{one['segment']}") for edge in ("begin", "end"))
        early = begin_s is not None and one["begin_s"] < begin_s - SLACK_S
        late = end_s is not None and one["end_s"] > end_s + SLACK_S
        if early or late:
            yield f"segment {one['segment']} does not lie between its marks in power.csv"
