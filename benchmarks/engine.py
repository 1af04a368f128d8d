"""The engine as a user starts it, and what its events say about where the time went."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
from hydra import compose, initialize_config_module

from benchmarks.bare import BarePlan
from runner.config import resolvers
from runner.config.compose import to_case
from runner.config.known import original_key
from runner.config.schema import Case
from runner.core.events import Event, Name, read_events
from runner.record.run_record import PARENT_LOG

ROOT = Path(__file__).resolve().parents[1]
HOST_VENDOR = "cpu"
DEVICES = {HOST_VENDOR: "cpu", "nvidia": "cuda"}
"""Vendor to torch's device: those a plain PyTorch loop runs on without further ado."""
POLL_S = 0.1
STAGES = {
    "composed": Name.LAUNCH_TRAINING,
    "worker up": Name.INIT_START,
    "device ready": Name.INIT_END,
    "model and data ready": Name.TRAIN_START,
    "first step done": Name.STEP_END,
    "window begun": Name.SEGMENT_BEGIN,
    "window done": Name.SEGMENT_END,
    "trained": Name.TRAIN_END,
    "counted": Name.ACCOUNT,
    "worker ended": Name.LAUNCH_END,
    "reported": Name.FINISHED,
}
"""The first event of each name ends its stage."""


@dataclass(kw_only=True, slots=True)
class Ended:
    """One run of the command line."""

    began_s: float
    """Monotonic time before the process was started."""
    seconds: float
    output: str
    others: float
    """Share of the machine's processors that went to other processes meanwhile, or to other guests of its host."""


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for what the runs leave, where Python also keeps its bytecode meanwhile.

    As on a user's machine, whatever this environment says: with `PYTHONDONTWRITEBYTECODE` set, packages that were
    installed without bytecode are compiled at every start, MLflow's and Hydra's hundreds of modules among them.
    """
    with tempfile.TemporaryDirectory() as folder:
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = f"{folder}/bytecode"
        yield Path(folder)


def start(*arguments: str) -> subprocess.Popen[str]:
    """Start `python -m ...` from the repository's root; its output is kept."""
    command = [sys.executable, "-m", *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def run(*arguments: str) -> Ended:
    """`python -m ...` to its end.

    Raises:
        SystemExit: it failed; shows what it said.
    """
    began_s, busy_s, own_s = time.monotonic(), _busy_s(), _own_s()
    output = finish(start(*arguments))
    seconds = time.monotonic() - began_s
    others = (_busy_s() - busy_s - (_own_s() - own_s)) / (seconds * (psutil.cpu_count() or 1))
    return Ended(began_s=began_s, seconds=seconds, output=output, others=max(0.0, others))


def finish(process: subprocess.Popen[str]) -> str:
    """What a program printed, once it has ended.

    Raises:
        SystemExit: it failed; shows what it said.
    """
    output, errors = process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"{process.args!r} ended with {process.returncode}:\n{output}\n{errors}")
    return output


def _busy_s() -> float:
    """Processor seconds that the whole machine has spent, those included that its host gave to others."""
    times = psutil.cpu_times()
    return sum(getattr(times, kind, 0.0) for kind in ("user", "nice", "system", "irq", "softirq", "steal"))


def _own_s() -> float:
    """Processor seconds of this process and of all it has waited for, and so on down."""
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, RUSAGE))


RUSAGE = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


def run_bare(plan: Path, what: str) -> tuple[Ended, dict[str, Any]]:
    """The bare loop in a process of its own, and the line it printed."""
    ended = run("benchmarks.bare", str(plan), what)
    told: dict[str, Any] = json.loads(ended.output.splitlines()[-1])
    return ended, told | {"others": ended.others}


def compose_case(*overrides: str) -> Case:
    """The case a command line leads to."""
    resolvers.register()
    with initialize_config_module("conf", version_base="1.3"):
        return to_case(compose("config", overrides=list(overrides)))


def wait_for(root: Path, name: Name, process: subprocess.Popen[str]) -> None:
    """Sleep until the first rank has told an event.

    Raises:
        SystemExit: the run ended without it.
    """
    while process.poll() is None:
        for path in root.glob("*/*/events/rank0.log"):
            if any(event.name == name for event in read_events(path)[0]):
                return
        time.sleep(POLL_S)
    raise SystemExit(f"The run ended before {name}:\n{process.communicate()[1]}")


def wait_for_line(line: str, process: subprocess.Popen[str]) -> None:
    """Block until a program has printed this line.

    Raises:
        SystemExit: it ended without it.
    """
    assert process.stdout is not None
    if not any(told.strip() == line for told in iter(process.stdout.readline, "")):
        raise SystemExit(f"The program ended before {line!r}:\n{process.communicate()[1]}")


def plan_of(case: Case, *, warmup_steps: int, window_s: float) -> BarePlan:
    """What the bare loop must do to train the same.

    Raises:
        SystemExit: the bare loop cannot do it.
    """
    if case.vendor.name not in DEVICES:
        raise SystemExit(f"The bare loop runs on {', '.join(DEVICES)} alone, not on {case.vendor.name}.")
    if case.precision.weights != "float32" or case.precision.loss_scaling or case.compiler.name != "eager":
        raise SystemExit("The bare loop does fp32, tf32 and bf16 alone, without a compiler.")
    return BarePlan(
        trainable=case.model.implementations[original_key(case.model, case.framework.name)],
        framework=case.framework.name,
        recipe=case.model,
        data=case.data,
        seed=case.seed,
        device=DEVICES[case.vendor.name],
        autocast=case.precision.autocast,
        matmul=case.precision.matmul,
        warmup_steps=warmup_steps,
        window_s=window_s,
    )


def folders(root: Path) -> list[Path]:
    """The run folders below an output root, MLflow's copies left out, in the order in which they were begun."""
    found = [path.parent for path in root.glob("????-??-??/**/run.yaml")]
    return sorted(found, key=lambda folder: _first(read(folder), Name.LAUNCH_TRAINING).monotonic_s)


def read(folder: Path) -> list[Event]:
    """Everything that the runner and the first rank told, in order of time."""
    events = [event for name in (PARENT_LOG, "rank0.log") for event in read_events(folder / "events" / name)[0]]
    return sorted(events, key=lambda event: event.monotonic_s)


def _first(events: list[Event], name: Name) -> Event:
    return next(event for event in events if event.name == name)


def stages(events: list[Event], began_s: float, ended_s: float | None = None) -> dict[str, float]:
    """Seconds of each stage of `STAGES` in their order, the first one since `began_s`.

    Args:
        events: of one run, in order of time.
        began_s: monotonic time at which the first stage began.
        ended_s: monotonic time at which the command ended; null leaves that last stage out.
    """
    moments = {stage: _first(events, name).monotonic_s for stage, name in STAGES.items()}
    moments |= {} if ended_s is None else {"plotted, filed, shown": ended_s}
    edges = pairwise([began_s, *moments.values()])
    return {stage: end - begin for stage, (begin, end) in zip(moments, edges, strict=True)}


def report(folder: Path) -> dict[str, Any]:
    """A run's `report.json`."""
    content: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return content


def figure(folder: Path, name: str) -> float:
    """A measured figure of a run's report.

    Raises:
        SystemExit: it was not measured; says why.
    """
    found = report(folder)["figures"][name]
    if found["value"] is None:
        raise SystemExit(f"{name} was not measured: {found['reason']}")
    return float(found["value"])
