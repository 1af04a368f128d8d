"""Runs all devices of a node at a time, each in a process of its own, and then what is measured between them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from hardware.child import environment_of_child, python
from runner.acceptance.plan import AcceptancePlan
from runner.acceptance.readings import BurnedIn, device_of, read_rounds
from runner.core.errors import InterruptedRunError
from runner.core.interrupts import Interrupts
from runner.core.lock import let_go, take
from runner.measure.context import PARENT_VARIABLE
from runner.peaks.launch import launch
from runner.peaks.result import content
from runner.record.peaks.peak_figures import ALL_REDUCE_BUS, POINT_TO_POINT, unit

LOOK_S = 0.5
"""Between two looks at the devices."""
TOGETHER = 3
"""Times that the devices are measured together."""
END_S = 15.0
"""For a device's process to end in good order when somebody asks."""


def burn_in(plan: AcceptancePlan, folder: Path, say: Callable[[str], None]) -> list[BurnedIn]:
    """Everything that is to be judged of this node.

    Args:
        plan: saved in `folder`.
        folder: of this acceptance.
        say: is told of every round.

    Raises:
        KeyboardInterrupt: somebody asked for the end; what was measured lies in the folder.
    """
    take(folder)  # the devices' processes end when it is given back, or when this process ends
    try:
        with Interrupts() as interrupts, interrupts.allowed():
            _all_devices(plan, folder, say)
        subjects = subjects_of(plan, folder)
        if plan.together is not None and not any(one.exit_code for one in subjects):
            say("measuring between the devices")
            subjects += _together(plan, folder)
        return subjects
    finally:
        let_go(folder)


def subjects_of(plan: AcceptancePlan, folder: Path) -> list[BurnedIn]:
    """The devices with what they told so far."""
    return [device_of(plan.node, index, read_rounds(folder / f"device{index}")) for index in range(plan.devices)]


def _all_devices(plan: AcceptancePlan, folder: Path, say: Callable[[str], None]) -> None:
    environment = environment_of_child({PARENT_VARIABLE: str(os.getpid())})
    processes = [_start(folder, index, environment) for index in range(plan.devices)]
    told = [0] * plan.devices
    try:
        running = True
        while running:
            running = any(process.poll() is None for process in processes)
            _tell(folder, told, say)
            if running:
                time.sleep(LOOK_S)
    finally:
        _end(processes)


def _start(folder: Path, index: int, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    with (folder / f"device{index}.log").open("ab") as log:
        return subprocess.Popen(
            python("runner.acceptance.device", str(folder), str(index)),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _tell(folder: Path, told: list[int], say: Callable[[str], None]) -> None:
    for index, before in enumerate(told):
        for one in read_rounds(folder / f"device{index}")[before:]:
            said = "; ".join(one.failures) or ", ".join(
                f"{name} {value:.4g} {one.units.get(name, '')}".strip() for name, value in one.figures.items()
            )
            say(f"device {index}, round {one.number} ({one.seconds:.0f} s): {said}")
            told[index] += 1


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """End what still runs: asked first, so that their workers end with them."""
    for process in processes:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
    end_s = time.monotonic() + END_S
    for process in processes:
        try:
            process.wait(max(0.1, end_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _together(plan: AcceptancePlan, folder: Path) -> list[BurnedIn]:
    """All-reduce over all devices, and each link of the ring between them, `TOGETHER` times."""
    found: dict[str, BurnedIn] = {}
    for number in range(1, TOGETHER + 1):
        for one in _once(plan, folder / "together" / f"round{number}"):
            known = found.setdefault(one.label, one)
            if known is not one:
                known.rounds += 1
                known.failures += one.failures
                known.exit_code = known.exit_code or one.exit_code
                for name, values in one.figures.items():
                    known.figures.setdefault(name, []).extend(values)
                known.units |= one.units
    return list(found.values())


def _once(plan: AcceptancePlan, place: Path) -> list[BurnedIn]:
    assert plan.together is not None
    place.mkdir(parents=True)
    plan.together.save(place)
    told = launch(plan.together, place, lambda event: None)
    if isinstance(told.failure, InterruptedRunError):
        raise KeyboardInterrupt
    found = content(plan.together, told, place)
    node = BurnedIn(kind="node", node=plan.node, label="all", chip=found["chip"], rounds=1)
    if told.failure is not None:
        node.failures.append(f"measuring between the devices ended with {told.failure}")
        node.exit_code = told.failure.exit_code
    bus, points = found["figures"][ALL_REDUCE_BUS], found["figures"][POINT_TO_POINT]
    if bus["value"] is not None:
        node.figures[ALL_REDUCE_BUS], node.units[ALL_REDUCE_BUS] = [bus["value"]], unit(ALL_REDUCE_BUS)
    if told.failure is None:
        lacking = {name: one for name, one in ((ALL_REDUCE_BUS, bus), (POINT_TO_POINT, points)) if one["value"] is None}
        node.failures += [f"{name}: {one['reason']}" for name, one in lacking.items()]
    links = []
    for label, value in (points["conditions"].get("pairs") or {}).items():
        link = BurnedIn(kind="link", node=plan.node, label=label, chip=found["chip"], rounds=1)
        link.figures[POINT_TO_POINT], link.units[POINT_TO_POINT] = [value], unit(POINT_TO_POINT)
        links.append(link)
    return [node, *links]
