"""What an acceptance runs on each device: from the command line's overrides to checked plans. Imports no torch."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import yaml

from runner.cli import with_vendor
from runner.commandline.arguments import read_arguments
from runner.config import resolvers
from runner.config.checks import check, with_devices
from runner.config.compose import compose_with_engine, composing, to_case
from runner.config.division import Division
from runner.config.plan import plan as plan_cases
from runner.config.schema import Case, case_from_dict
from runner.config.search_path import take_search_path
from runner.core.errors import ConfigurationError
from runner.launch.folder import make_own
from runner.peaks.plan import GROUPS, Plan, load_plan, make_plan
from runner.record.peaks.peak_figures import ALL_REDUCE_BUS, COPIES, MEMORY, POINT_TO_POINT, product
from runner.record.task import task_of

FOLDER = "burn_in"
"""Under `run.root`; nothing looks for results there."""
TOLD, TRAINING = "acceptance_plan.json", "training.yaml"
SECONDS = 1.0
"""Timed seconds of each figure in each round."""
_PEAKS_TAKE = (*GROUPS, "run.root", "run.timeout_s", "hydra.searchpath", "seed")
_PREFERRED = ("bf16", "fp16", "fp32")


@dataclass(kw_only=True, slots=True)
class AcceptancePlan:
    """One node's acceptance."""

    single: Plan
    """What is measured on each device by itself."""
    together: Plan | None
    """What is measured between all devices; None for one device."""
    training: Case
    """The short training of each device."""
    division: Division
    devices: int
    minutes: float
    node: str

    def claim(self) -> Path:
        """A folder of its own with the plan in it.

        Raises:
            ConfigurationError: it cannot be made.
        """
        stem = f"{datetime.now():%Y-%m-%d_%H-%M-%S}_{self.node}_{self.single.case.vendor.name}_{self.devices}"
        folder = make_own(Path(self.single.case.run.root) / FOLDER / stem)
        self.single.save(folder)
        self.training.save(folder / TRAINING)
        told = {"devices": self.devices, "minutes": self.minutes, "node": self.node}
        (folder / TOLD).write_text(json.dumps(told, indent=1) + "\n")
        return folder


def load_device_plan(folder: Path) -> tuple[Plan, Case, float, int]:
    """What a device's process needs: its measurement, its training, the minutes, and how many devices there are."""
    told = json.loads((folder / TOLD).read_text())
    training = case_from_dict(yaml.safe_load((folder / TRAINING).read_text()))
    return load_plan(folder), training, float(told["minutes"]), int(told["devices"])


def make_acceptance_plan(overrides: Sequence[str], *, minutes: float) -> AcceptancePlan:
    """Compose and check.

    Args:
        overrides: as the engine takes them: `vendor`, `topology.devices`, `model`, `precision`, `scale` …
        minutes: how long each device is kept at it; every one does one round at least.

    Raises:
        ConfigurationError: what cannot be done, such as an emulated acceptance.
        HardwareError: the vendor's chip or stack is not here, or too few devices are.
    """
    if not 0 < minutes < float("inf"):
        raise ConfigurationError(f"--minutes {minutes:g} must be positive.")
    read = read_arguments(overrides)
    if read.flags or read.sweep:
        raise ConfigurationError("runner.acceptance takes KEY=VALUE and its own options (--help).")
    take_search_path(read.overrides)
    complete = with_vendor(list(read.overrides))
    devices = _devices(complete)
    alone = [word for word in complete if not _key(word).startswith("topology")]
    training, division = _training(alone)
    of_peaks = [word for word in alone if _key(word).startswith(_PEAKS_TAKE) and not _key(word).startswith("measure")]
    names = (product(training.precision.compute), MEMORY, *(name for name in COPIES if "pinned" in name))
    single = replace(make_plan(of_peaks, SECONDS), only=names)
    together = None
    if devices > 1:
        between = (ALL_REDUCE_BUS, POINT_TO_POINT)
        together = replace(make_plan([*of_peaks, f"topology.devices={devices}"], SECONDS), only=between)
    node = "".join(character if character.isalnum() or character in "-." else "-" for character in socket.gethostname())
    return AcceptancePlan(
        single=single,
        together=together,
        training=training,
        division=division,
        devices=devices,
        minutes=minutes,
        node=node,
    )


def _key(word: str) -> str:
    return word.partition("=")[0].lstrip("+~")


def _given(words: Sequence[str]) -> set[str]:
    return {_key(word) for word in words}


def _devices(words: Sequence[str]) -> int:
    """How many devices are taken: those asked for, else all visible ones; a host is one.

    Raises:
        ConfigurationError: fewer than one, more than there are cores on a host, or an emulated vendor.
    """
    resolvers.register()
    topology = [word for word in words if _key(word).startswith("topology")]
    vendor = [word for word in words if _key(word).startswith(("vendor", "emulate", "hydra"))]
    with composing():
        case = to_case(compose_with_engine([*vendor, "topology=node", "topology.devices=1"]))
        if case.emulate:
            raise ConfigurationError(
                "emulate=true puts the host CPU in the chip's place, whose speed says nothing of what was delivered. "
                "The host itself is tried with vendor=cpu."
            )
        chosen = topology or (["topology.devices=1"] if case.vendor.on_host else ["topology.devices=auto"])
        chosen = chosen if "topology" in _given(chosen) else ["topology=node", *chosen]
        found = with_devices(to_case(compose_with_engine([*vendor, *chosen]))).topology.devices
    assert isinstance(found, int)
    cores = len(os.sched_getaffinity(0))
    if found < 1 or (case.vendor.on_host and found > cores):
        raise ConfigurationError(
            f"topology.devices={found}: from 1 on, and on a host with {cores} cores up to {cores}."
        )
    return found


def _training(words: list[str]) -> tuple[Case, Division]:
    """The short training: what was asked for, else ResNet-50 on synthetic data in the vendor's fastest precision."""
    given = _given(words)
    vendor = [word for word in words if _key(word).startswith(("vendor", "hydra"))]
    with composing():
        spec = to_case(compose_with_engine(vendor)).vendor
        preferred = ("fp32",) if spec.on_host else _PREFERRED
        precision = next((name for name in preferred if name in spec.precisions), spec.precisions[0])
        default = {
            "task": "train",
            "model": "resnet50",
            "data": "synthetic",
            "measure": "smoke",
            "precision": precision,
            "scale": "tiny" if spec.on_host else "reference",
        }
        own = [f"{key}={value}" for key, value in default.items() if key not in given]
        kept = [word for word in words if _key(word) not in ("tracking", "resume")]
        (one,) = plan_cases(read_arguments([*own, *kept, "tracking=none"]))
        if one.case is None:
            raise one.error or AssertionError("an invalid case has an error")
        if not (task_of(one.case).trains and task_of(one.case).measured_window):
            raise ConfigurationError(f"task={one.case.task.name}: the short case of an acceptance is a training.")
        check(one.case, one.division)
    return one.case, one.division
