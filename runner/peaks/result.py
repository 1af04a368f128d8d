"""A measurement as it is filed: figures with data sheet, power, versions and what they were measured on."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hardware.chip_identity import identify
from hardware.chips import Chip
from hardware.energy.plausible import Floor
from hardware.sampling.trace import Trace
from runner.peaks.launch import TRACE, Launched
from runner.peaks.plan import Plan
from runner.record.peaks import peak_figures as figures
from runner.record.peaks.measured_peaks import SCHEMA_VERSION


def content(plan: Plan, told: Launched, folder: Path) -> dict[str, Any]:
    """All that is known of a measurement, as it is filed.

    Args:
        plan: what was to be measured.
        told: what the ranks told.
        folder: the measurement's own, with its power trace.
    """
    devices = told.environment.get("devices") or []
    known = identify(plan.case.vendor.chip, devices[: plan.devices])
    chip = known.entry
    failure = told.failure
    why = (
        f"the measurement ended with {type(failure).__name__} before it was measured"
        if failure
        else "nothing measured it"
    )
    found = {name: asdict(one) for name, one in figures.missing(figures.NAMES, why).items()} | told.figures
    return {
        "schema_version": SCHEMA_VERSION,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "status": "failed" if failure else "done",
        "error": {"class": type(failure).__name__, "message": str(failure)} if failure else None,
        "vendor": plan.case.vendor.name,
        "chip": known.name,
        "devices": plan.devices,
        "device_uuids": [device.get("uuid") for device in devices[: plan.devices]],
        "ranks_share_device": plan.case.vendor.on_host,
        "seconds_per_figure": plan.seconds,
        "short": plan.short,
        "folder": folder.name,
        "data_sheet": chip.source if chip else None,
        "no_data_sheet": known.reason,
        "figures": _with_power(_with_data_sheet(found, chip), folder / TRACE, plan, chip),
        "environment": told.environment,
    }


def _with_data_sheet(found: dict[str, Any], chip: Chip | None) -> dict[str, Any]:
    """Beside each figure the data sheet's, and which fraction of that was reached; more than all of it is an error."""
    for name, one in found.items():
        sheet = figures.data_sheet(name, chip)
        fraction = one["value"] / sheet if sheet and one["value"] is not None else None
        one["data_sheet"] = sheet
        one["beyond_data_sheet"] = fraction is not None and fraction > 1.0
        one["fraction"] = None if one["beyond_data_sheet"] else fraction
    return found


def _with_power(found: dict[str, Any], trace_file: Path, plan: Plan, chip: Chip | None) -> dict[str, Any]:
    """Beside each figure the devices' mean power while it was timed, null with a reason, and what throttled them."""
    on_host = plan.case.vendor.on_host
    trace = Trace.load(trace_file, floor=Floor.of(chip.tdp_w if chip and not on_host else None))
    for one in found.values():
        if one["window_s"] is None:
            continue
        begin_s, end_s = one["window_s"]
        reading = (
            trace.total_energy(begin_s, end_s, "package")
            if on_host
            else trace.device_energy(begin_s, end_s, least=plan.devices)
        )
        one["power_mean_w"] = reading.mean_w
        one["power_reason"] = reading.reason if reading.mean_w is None else None
        one["throttled_by"] = list(trace.throttle_reasons(begin_s, end_s))
    return found
