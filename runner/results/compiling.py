"""How long a framework compiled its programs, and whether it did so where speed was measured."""

from __future__ import annotations

from collections.abc import Sequence

from runner.core.events import Event, Name
from runner.record.run_record import RunRecord
from runner.record.values import Missing, Values

NOTHING_TOLD = "the framework tells of no compilation: it runs its operators one by one, or compiles without a word"


def compiling(run_record: RunRecord) -> tuple[Values, list[str]]:
    """`time/compile_s`, of the rank that compiled longest, over all parts of the run; a sentence where it was measured.

    A framework tells each compilation once it is over (`Name.COMPILED`: `what`, `seconds`).
    """
    told = [[event for event in rank if event.name == Name.COMPILED] for rank in run_record.ranks]
    if not any(told):
        return {"time/compile_s": Missing(NOTHING_TOLD)}, []
    seconds = max(sum(event.value["seconds"] for event in rank) for rank in told)
    return {"time/compile_s": seconds}, _measured(run_record)


def _measured(run_record: RunRecord) -> list[str]:
    """What a reader must know of programs that were compiled between the edges of a segment."""
    inside: dict[str, float] = {}
    for rank in run_record.ranks:
        segments = [(event.value["begin_s"], event.value["end_s"]) for event in rank if event.name == Name.SEGMENT_END]
        for event in rank:
            if event.name == Name.COMPILED and (shared := _shared(event, segments)) > 0:
                what = str(event.value["what"])
                inside[what] = max(inside.get(what, 0.0), shared)
    if not inside:
        return []
    programs = ", ".join(f"{what} ({seconds:.3g} s)" for what, seconds in inside.items())
    return [f"Compiled inside the measured window: {programs}. The throughput contains that time."]


def _shared(event: Event, segments: Sequence[tuple[float, float]]) -> float:
    """Seconds of a compilation that lie in segments."""
    end_s = event.monotonic_s
    begin_s = end_s - float(event.value["seconds"])
    return sum(max(0.0, min(end_s, stop_s) - max(begin_s, start_s)) for start_s, stop_s in segments)
