"""The table of a filed measurement."""

from __future__ import annotations

from typing import Any

from hardware.stacks.host import ISOLATED
from runner.record.names import number
from runner.record.peaks.peak_figures import ALL_REDUCE_BUS, FAR_BELOW, MEMORY, POINT_TO_POINT
from runner.views.page import NULL, Grid, Page

SHORT = "SHORT: timed for {seconds:g} s per figure; shows that the tool works, reports do not use it."

AS_ABOVE = "as above"


def page(made: dict[str, Any]) -> Page:
    """A measurement as text and a grid.

    Args:
        made: as `runner.record.peaks.measured_peaks` holds it.
    """
    result = Page()
    devices = made["devices"]
    result.note(f"peaks · {made['vendor']} ({made['chip']}) · {devices} device{'' if devices == 1 else 's'}", "title")
    if made["short"]:
        result.note(SHORT.format(seconds=made["seconds_per_figure"]), "mark")
    if made["error"]:
        result.note(f"FAILED ({made['error']['class']})", "error")
        result.note(made["error"]["message"], "error")
    else:
        result.note("done", "good")
    rows: list[list[str]] = []
    previous = ""
    for name, one in made["figures"].items():
        row = _row(name, one)
        note = row[-1]
        rows.append([*row[:-1], AS_ABOVE if one["reason"] and note == previous else note])
        previous = note
    header = ["Measured", "Value", "Unit", "Spread", "Data sheet", "Reached", "Note"]
    result.blocks.append(Grid(header=header, rows=rows, right=frozenset({1, 3, 4, 5})))
    result.note(
        "Median of the timed blocks, per device, the slowest of several; spread: (highest - lowest) / median. "
        + (f"Data sheet: {made['data_sheet']}." if made["data_sheet"] else f"No data sheet: {_no_sheet(made)}.")
    )
    for problem in (*_beyond(made), *_throttling(made), *_disturbance(made), *_doubt(made)):
        result.note(problem, "warning")
    return result


def title(name: str) -> str:
    """What people read, from the figure's name: `matmul fp32`."""
    return name.removeprefix("peak/").rpartition("_gb_s")[0].replace("_", " ") or _matmul(name)


def _matmul(name: str) -> str:
    return name.removeprefix("peak/").rpartition("_")[0].replace("_", " ")


def _row(name: str, one: dict[str, Any]) -> list[str]:
    if one["value"] is None:
        return [title(name), NULL, "", "", _sheet(one), "", one["reason"]]
    spread = f"{100 * one['spread']['relative']:.1f} %"
    reached = f"{100 * one['fraction']:.1f} %" if one["fraction"] is not None else ""
    return [title(name), number(one["value"]), one["unit"], spread, _sheet(one), reached, _note(name, one)]


def _sheet(one: dict[str, Any]) -> str:
    return NULL if one["data_sheet"] is None else f"{one['data_sheet']:g}"


def _note(name: str, one: dict[str, Any]) -> str:
    """The conditions that decide the number."""
    told = one["conditions"]
    if "operands" in told:
        note = f"{told['operands']}, order {told['size']:,}"
    elif name == MEMORY:
        note = f"read + write, arrays of {_mib(told['array_bytes'])}"
    elif name == POINT_TO_POINT:
        note = f"one way, slowest pair {told['pair']}, {_mib(told['bytes'])}"
    elif name == ALL_REDUCE_BUS:
        note = f"2 (n - 1) / n x algorithm, {_mib(told['bytes'])}"
    else:
        note = _mib(told["bytes"])
    power = one.get("power_mean_w")
    return note if power is None else f"{note}, {power:.0f} W"


def _mib(size: float) -> str:
    return f"{size / 2**20:,.0f} MiB"


def _no_sheet(made: dict[str, Any]) -> str:
    return made.get("no_data_sheet") or "the catalogue does not have this chip"


def _beyond(made: dict[str, Any]) -> list[str]:
    above = {name: one for name, one in made["figures"].items() if one.get("beyond_data_sheet")}
    found = [f"{title(name)} ({100 * one['value'] / one['data_sheet']:.4g} %)" for name, one in above.items()]
    if not found:
        return []
    why = "the chip is another one than the catalogue's, or its entry is wrong"
    return [f"More than the data sheet allows: {', '.join(found)}. Either {why}; no fraction is given."]


def _throttling(made: dict[str, Any]) -> list[str]:
    found = sorted({reason for one in made["figures"].values() for reason in one.get("throttled_by", [])})
    return [f"The device was throttled: {', '.join(found)}."] if found else []


def _disturbance(made: dict[str, Any]) -> list[str]:
    loads = {name: one["conditions"].get("host_load", 0.0) for name, one in made["figures"].items()}
    disturbed = [f"{title(name)} ({100 * load:.0f} %)" for name, load in loads.items() if load >= ISOLATED]
    if not disturbed:
        return []
    what = "Other processes kept the host's cores busy meanwhile, so that these may be too low"
    return [f"{what}: {', '.join(disturbed)}. Measure again when the host is idle."]


def _doubt(made: dict[str, Any]) -> list[str]:
    shares = {name: one["conditions"].get("share_of_try", 1.0) for name, one in made["figures"].items()}
    low = [f"{title(name)} ({100 * share:.0f} %)" for name, share in shares.items() if share < FAR_BELOW]
    if not low:
        return []
    what = "Far below what a short try of the same size reached, so that reports do not use it"
    return [f"{what}: {', '.join(low)}. Measure again."]
