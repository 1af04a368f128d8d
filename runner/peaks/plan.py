"""What is to be measured: from the command line's overrides to a checked plan. Imports no torch."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from hardware.device import load_device
from hardware.spec import PrecisionSpec
from runner.cli import with_vendor
from runner.commandline.arguments import read_arguments
from runner.config import resolvers
from runner.config.checks import on_host, with_devices
from runner.config.compose import to_case
from runner.config.schema import Case, case_from_dict
from runner.config.search_path import take_search_path
from runner.core.errors import ConfigurationError, HardwareError
from runner.core.packages import SHIPPED

FILE = "plan.json"
SECONDS = 3.0
"""Timed seconds of each figure."""
SMOKE_SECONDS = 0.5
SHORT_S = 1.0
"""A figure that was timed for less shows that the tool works; reports do not use it."""
GROUPS = ("vendor", "topology", "measure", "tracking")
"""Groups of conf/ that decide something here."""
WITHOUT_EFFECT = ("scale", "resume", "debug", "fairness", "meters", "run.retries")


@dataclass(kw_only=True, slots=True)
class Plan:
    """One measurement of one kind of device."""

    case: Case
    """Its vendor, topology, measure, tracking and run count; the rest stays as composed."""
    seconds: float
    """Timed seconds of each figure, at least."""
    precisions: dict[str, PrecisionSpec]
    """Key of the chip catalogue's peak rates to a precision of the vendor that computes in it."""
    only: tuple[str, ...] = ()
    """Figures that are measured; empty: all of them."""

    @property
    def short(self) -> bool:
        """Whether it is too brief to be used by reports."""
        return self.seconds < SHORT_S

    @property
    def devices(self) -> int:
        """Number of ranks, one device each."""
        devices = self.case.topology.devices
        assert isinstance(devices, int)
        return devices

    def save(self, folder: Path) -> None:
        """Write it down for the ranks. It is not called `run.yaml`: the folder is no run's."""
        precisions = {compute: asdict(spec) for compute, spec in self.precisions.items()}
        content = {"case": self.case.to_dict(), "seconds": self.seconds, "precisions": precisions}
        content["only"] = list(self.only)
        (folder / FILE).write_text(json.dumps(content, indent=1) + "\n")


def load_plan(folder: Path) -> Plan:
    """The plan that `Plan.save` wrote."""
    content = json.loads((folder / FILE).read_text())
    precisions = {compute: PrecisionSpec(**spec) for compute, spec in content["precisions"].items()}
    only = tuple(content.get("only", ()))
    return Plan(case=case_from_dict(content["case"]), seconds=content["seconds"], precisions=precisions, only=only)


def make_plan(overrides: Sequence[str], seconds: float | None) -> Plan:
    """Compose and check.

    Args:
        overrides: as the engine takes them, e.g. `vendor=cpu`, `topology.devices=2`.
        seconds: timed seconds of each figure; null: 3, and 0.5 with `measure=smoke`.

    Raises:
        ConfigurationError: a choice that has no effect here, or that nothing can be measured with.
        HardwareError: the vendor's chip or stack is not here.
        Exception: what Hydra and pydantic say of a bad override; `runner.commandline.explain` has words for it.
    """
    read_arguments(overrides)
    _require_effect(overrides)
    if seconds is not None and not 0 < seconds < float("inf"):
        raise ConfigurationError(f"--seconds {seconds:g} must be positive.")
    complete = with_vendor(_with_node(list(overrides)))
    take_search_path(complete)
    resolvers.register()
    with initialize_config_module("conf", version_base="1.3"):
        case = with_devices(to_case(compose("config", overrides=complete)))
        _check(case)
        precisions = _precisions(case, [one for one in complete if one.startswith("hydra.")])
    default = SECONDS if case.measure.publishable else SMOKE_SECONDS
    return Plan(case=case, seconds=default if seconds is None else seconds, precisions=precisions)


def _with_node(overrides: list[str]) -> list[str]:
    """`topology.devices=2` alone means `topology=node`: `single` has one device."""
    keys = [override.partition("=")[0].lstrip("+") for override in overrides]
    return ["topology=node", *overrides] if "topology.devices" in keys and "topology" not in keys else overrides


def _require_effect(overrides: Sequence[str]) -> None:
    groups = {path.name for path in SHIPPED.iterdir() if path.is_dir()}
    without = (groups - set(GROUPS)) | set(WITHOUT_EFFECT)
    for override in overrides:
        key = override.partition("=")[0].lstrip("+~").partition("@")[0]
        if any(key == other or key.startswith(f"{other}.") for other in without):
            raise ConfigurationError(
                f"{key} has no effect here: the device is measured, in every precision its vendor offers, and no "
                "model. What counts: vendor, topology, measure, tracking, run.root, run.timeout_s, seed."
            )


def _precisions(case: Case, search_path: list[str]) -> dict[str, PrecisionSpec]:
    """The vendor's precisions, by what they compute in; `search_path` as `hydra.searchpath=…` gave it."""
    found: dict[str, PrecisionSpec] = {}
    for name in case.vendor.precisions:
        config: Any = compose(f"precision/{name}", overrides=search_path)
        values = OmegaConf.to_container(config.precision, resolve=True)
        assert isinstance(values, dict)
        spec = PrecisionSpec(**{str(key): value for key, value in values.items()})
        found.setdefault(spec.compute, spec)
    return found


def _check(case: Case) -> None:
    if case.emulate:
        raise ConfigurationError(
            "emulate=true puts the host CPU in the chip's place, whose peaks would say nothing about the chip. "
            "Measure the host itself with vendor=cpu."
        )
    devices = case.topology.devices
    assert isinstance(devices, int)
    if devices < 1:
        raise ConfigurationError(f"topology.devices={devices} must be at least 1.")
    if case.topology.name == "single" and devices != 1:
        raise ConfigurationError(f"topology=single has one device, not {devices}. Choose topology=node.")
    cores = os.cpu_count() or 1
    if on_host(case) and devices > cores:
        raise ConfigurationError(
            f"topology.devices={devices} ranks on a host CPU with {cores} cores. Choose at most {cores}."
        )
    try:
        device = load_device(case.vendor)
    except ValueError as error:
        raise ConfigurationError(f"vendor={case.vendor.name}: {error}") from error
    if not device.runs_torch:
        raise ConfigurationError(
            f"{case.vendor.title} is reached through {device.reached_through}: PyTorch, which measures peaks, cannot "
            "use it."
        )
    reason = device.unavailable_reason()
    if reason is not None:
        raise HardwareError(
            f"vendor={case.vendor.name} is not available on this machine: {reason.rstrip('.')}. "
            f"{case.vendor.install.rstrip('.')}."
        )
