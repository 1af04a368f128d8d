"""`task=inspect`: runs nothing. Parameters, FLOPs, bytes and memory are counted; the chip's peaks set the limit."""

from __future__ import annotations

from runner.measure.context import Context
from runner.tasks.account import tell_account


def run(context: Context) -> None:
    """Count the case's model on the meta device: no weights are allocated."""
    tell_account(context.case, context.events)
