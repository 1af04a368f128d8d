"""What only a job of several ranks has: scaling, its slowest rank, what its ranks send each other."""

from __future__ import annotations

from runner.record.run_record import RunRecord
from runner.record.values import Value, Values
from runner.results.parallel.communication import communication
from runner.results.parallel.ranks import ranks
from runner.results.parallel.scaling import scaling


def job_figures(run_record: RunRecord, throughput: Value) -> tuple[Values, list[str]]:
    """`scaling/*`, `ranks/*` and `communication/*`, and what a reader must know about them.

    Args:
        run_record: of a job.
        throughput: the steady one of the whole job.
    """
    efficiency, unlike = scaling(run_record, throughput)
    slowest, slow = ranks(run_record)
    return efficiency | slowest | communication(run_record), [*unlike, *slow]
