"""Filed peaks: `<run.root>/peaks/<vendor>_<chip>_<devices>.json`, and the copy that a run takes along.

A report must stay a function of its run folder, so a run copies what it found at its start (`take_along`), and its
report reads that copy alone (`peak_of_run`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hardware.base import DeviceIdentity
from hardware.chip_identity import identify
from hardware.stacks.host import ISOLATED
from runner.config.schema import Case
from runner.record.peaks import peak_figures as figures
from runner.record.values import Missing, Value

SCHEMA_VERSION = 1
FOLDER = "peaks"
"""Under `run.root`."""
COPY = "peaks.json"
"""In a run folder."""
_NEEDED = frozenset({"vendor", "chip", "devices", "date", "status", "short", "ranks_share_device", "figures"})
NONE_FILED = "no measured peak of this chip in this precision: python -m runner.peaks measures it"


def path_of(root: Path, made: dict[str, Any]) -> Path:
    """Where a measurement is filed; a failed one, or one too short to be used, never in a good one's place."""
    ending = "_failed" if made["status"] != "done" else "_short" if made["short"] else ""
    return root / FOLDER / f"{_stem(made['vendor'], made['chip'])}_{made['devices']}{ending}.json"


def _stem(vendor: str, chip: str) -> str:
    return f"{vendor}_{re.sub(r'[^A-Za-z0-9.]+', '-', chip).strip('-')}"


def save(path: Path, made: dict[str, Any]) -> None:
    """Write in one step, so that no reader sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(made, indent=1) + "\n")
    draft.replace(path)


def find(root: Path, vendor: str, chip: str, devices: int) -> Path | None:
    """The filed peaks that hold for a run.

    Those of as many devices; where each rank has a device of its own, else those of the fewest devices: a device's peak
    is its own. Ranks that share a processor get less of it the more they are.
    """
    usable: dict[int, Path] = {}
    for path in sorted((root / FOLDER).glob("*.json")):
        made = load(path)
        if made is None or (made["vendor"], made["chip"]) != (vendor, chip):
            continue
        if made["status"] != "done" or made["short"]:
            continue
        if made["devices"] == devices or not made["ranks_share_device"]:
            usable[made["devices"]] = path
    return usable.get(devices) or (usable[min(usable)] if usable else None)


def load(path: Path) -> dict[str, Any] | None:
    """A filed measurement; null when the file is none, or of another version."""
    try:
        made = json.loads(path.read_text())
        whole = made["schema_version"] == SCHEMA_VERSION and made.keys() >= _NEEDED
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return made if whole else None


def take_along(case: Case, run_folder: Path, identities: Sequence[DeviceIdentity]) -> dict[str, Any]:
    """Copy the peaks that hold for a run into its folder; called by its first rank once the device is connected.

    Returns:
        `{"measured_peaks": {"file", "date", "devices"}}`, for the environment that the report shows; null instead of
        the inner dictionary where none are filed, or for an emulated run.
    """
    chip = identify(case.vendor.chip, [asdict(identity) for identity in identities])
    name = None if chip.unlike else chip.name
    devices, root = case.topology.devices, Path(case.run.root)  # of a node: those that may share a processor
    assert isinstance(devices, int)
    path = None if case.emulate or name is None else find(root, case.vendor.name, name, devices)
    made = load(path) if path else None
    if path is None or made is None:
        (run_folder / COPY).unlink(missing_ok=True)  # of an earlier part of a resumed run
        return {"measured_peaks": None}
    source = {"file": path.relative_to(root).as_posix(), "date": made["date"], "devices": made["devices"]}
    save(run_folder / COPY, made | {"file": source["file"]})
    return {"measured_peaks": source}


def peak_of_run(run_folder: Path, vendor: str, chip: str, compute: str) -> Value:
    """Measured operations per second of one device, from the run folder's own copy.

    Args:
        run_folder: a run's.
        vendor: its vendor.
        chip: as the report names it.
        compute: `PrecisionSpec.compute`.
    """
    made = load(run_folder / COPY)
    name = figures.product(compute) if compute in figures.PRODUCTS.values() else None
    if made is None or (made["vendor"], made["chip"]) != (vendor, chip) or name not in made["figures"]:
        return Missing(NONE_FILED)
    figure = made["figures"][name]
    if figure["value"] is None:
        return Missing(f"no measured peak of this chip in this precision: {figure['reason']}")
    # A peak that is too low would make the run look better than it is.
    told = figure.get("conditions", {})
    busy, share = told.get("host_load", 0.0), told.get("share_of_try", 1.0)
    if made["ranks_share_device"] and busy >= ISOLATED:
        return Missing(
            f"the peak of this processor was measured while others kept {100 * busy:.0f} % of it busy: "
            "python -m runner.peaks measures it again"
        )
    if share < figures.FAR_BELOW:
        return Missing(
            f"the peak of this chip was measured at {100 * share:.0f} % of what a short try reached: "
            "python -m runner.peaks measures it again"
        )
    return float(figure["value"]) * figures.TERA
