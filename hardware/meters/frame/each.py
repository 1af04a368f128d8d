"""Tools that are asked for one device at a time: a device that is lost must not hide the others, nor a hang add up."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from hardware.meters.base import MeterUnavailableError


def ask_each(numbers: Sequence[int], ask: Callable[[int], str], budget_s: float) -> list[str | MeterUnavailableError]:
    """What the tool prints for each number, or why it does not.

    Args:
        numbers: the tool's numbers of the devices.
        ask: runs the tool for one of them.
        budget_s: seconds after which no further device is asked for: a tool that hangs would hang for each.

    Raises:
        MeterUnavailableError: none could be asked for; the first reason.
    """
    answers: list[str | MeterUnavailableError] = []
    started_s = time.monotonic()
    for number in numbers:
        if time.monotonic() - started_s > budget_s:
            answers.append(MeterUnavailableError(f"device {number} was not asked for: the others took too long"))
            continue
        try:
            answers.append(ask(number))
        except MeterUnavailableError as error:
            answers.append(error)
    first = answers[0] if answers else None
    if isinstance(first, MeterUnavailableError) and not any(isinstance(answer, str) for answer in answers):
        raise first
    return answers
