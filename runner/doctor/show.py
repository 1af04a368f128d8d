"""The doctor's findings as a page."""

from __future__ import annotations

from collections.abc import Sequence

from hardware.base import DeviceCondition
from runner.doctor.cluster.page import fabric_page, ray_page, slurm_page
from runner.doctor.findings import DeviceFinding, Findings, MeterFinding, VendorFinding
from runner.views.page import NULL, Grid, Page


def page(findings: Findings, asked: Sequence[str]) -> Page:
    """All vendors in one table; those that were found, or asked for, in full."""
    made = Page()
    made.note("What is on this machine", "title")
    host = findings.host
    made.note(f"{host['cpu']}, {host['cores_usable']} of {host['cores']} cores, {host['memory_gib']:.1f} GiB")
    made.note(f"Python {host['python']}, {host['system']}")
    made.note(f"Without vendor=, a case runs on: {findings.detected}")
    rows = [[one.name, one.title, _yes(one.found), _yes(one.usable), one.missing or ""] for one in findings.vendors]
    made.blocks.append(Grid(header=["vendor=", "What", "Found", "Usable", "Missing"], rows=rows))
    choices = [[name, _yes(missing is None), missing or ""] for name, missing in findings.choices.items()]
    if choices:
        made.blocks.append(Grid(header=["Choice", "Usable", "Missing"], rows=choices))
    for one in findings.vendors:
        if one.details is not None or one.name in asked:
            _vendor(made, one, deep=findings.deep)
    if findings.cluster is not None:
        slurm_page(made, findings.cluster.slurm)
        ray_page(made, findings.cluster.ray)
        fabric_page(made, findings.cluster.fabric)
    return made


def _vendor(made: Page, one: VendorFinding, *, deep: bool) -> None:
    made.note(f"{one.name}: {one.title}", "heading")
    if one.missing:
        made.note(f"Not usable: {one.missing}.", "mark")
    if one.todo:
        made.note(f"To do: {one.todo}")
    if one.nodes:
        made.note(f"Device nodes: {', '.join(one.nodes)}")
    installed = [f"{name} {version or 'not installed'}" for name, version in one.packages.items()]
    told = [f"{name} {version}" for name, version in one.details.versions.items()] if one.details else []
    if installed or told:
        made.note(f"Versions: {', '.join([*installed, *told])}")
    made.note(f"Precisions: {' '.join(one.precisions)}. Compilers: {' '.join(one.compilers)}.")
    if one.container_options:
        made.note(f"In a container: {one.container_options}")
    if one.details is None:
        return
    if one.details.problem:
        made.note(f"Problem: {one.details.problem}", "error")
    if one.details.devices:
        made.blocks.append(_devices(one.details.devices))
        _remarks(made, one.details.devices)
    if one.details.meters:
        made.blocks.append(_meters(one.details.meters))
    if one.usable and not deep:
        made.note("With --deep its stack is started too, and asked for its devices and versions.")


def _devices(devices: Sequence[DeviceFinding]) -> Grid:
    header = ["#", "Device", "UUID", "PCI", "Chip", "Isolated", "Clocks locked", "Power limit"]
    rows = [
        [
            str(one.identity.index),
            one.identity.name,
            one.identity.uuid or NULL,
            one.identity.pci_bus_id or NULL,
            one.chip or NULL,
            _known(one.condition.isolated),
            _known(one.condition.clocks_locked),
            NULL if one.condition.power_limit_w is None else f"{one.condition.power_limit_w:g} W",
        ]
        for one in devices
    ]
    return Grid(header=header, rows=rows, sticky=2)


def _remarks(made: Page, devices: Sequence[DeviceFinding]) -> None:
    """What the table cannot hold, once for all devices that it is the same of."""
    said: dict[str, list[str]] = {}
    for one in devices:
        for text in _sentences(one):
            said.setdefault(text, []).append(str(one.identity.index))
    for text, numbers in said.items():
        whose = "" if len(numbers) == len(devices) else f"Device {', '.join(numbers)}: "
        made.note(whose + text, "item")


def _sentences(one: DeviceFinding) -> list[str]:
    condition = one.condition
    named = {"isolated": "isolated", "clocks_locked": "clocks locked", "power_limit_w": "power limit"}
    why: dict[str, list[str]] = {}
    for name, words in named.items():
        if name in condition.reasons:
            why.setdefault(condition.reasons[name], []).append(words)
    facts = [f"{name} {value}" for name, value in condition.facts.items()]
    return [
        *([f"no chip: {one.chip_reason}"] if one.chip_reason else []),
        *([f"not isolated{_who(condition)}"] if condition.isolated is False else []),
        *(f"{', '.join(words)} not known: {reason}" for reason, words in why.items()),
        *([", ".join(facts)] if facts else []),
    ]


def _who(condition: DeviceCondition) -> str:
    words = []
    for process in condition.processes or ():
        held = "" if process.memory_bytes is None else f", {process.memory_bytes / 2**20:.0f} MiB"
        taken = "" if process.cores is None else f", {process.cores:.2f} cores"
        words.append(f"{process.name or 'a process'} (pid {process.pid}{held}{taken})")
    return f": {'; '.join(words)}" if words else ": somebody who is not listed uses it"


def _meters(meters: Sequence[MeterFinding]) -> Grid:
    header = ["Meter", "Works", "Period", "A reading", "Processor time", "Tells, or why not"]
    rows = [
        [
            one.name,
            _yes(one.available),
            _seconds(one.period_s),
            _seconds(one.read_s),
            _seconds(one.read_cpu_s),
            one.reason or f"{' '.join(one.tells) or 'nothing'} of {', '.join(one.sources) or 'nothing'}",
        ]
        for one in meters
    ]
    return Grid(header=header, rows=rows, right=frozenset({2, 3, 4}))


def _seconds(value: float | None) -> str:
    if value is None:
        return NULL
    return f"{value:g} s" if value >= 0.1 else f"{value * 1e3:.2f} ms"  # noqa: PLR2004 -- tenths of a second


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _known(value: bool | None) -> str:
    return NULL if value is None else _yes(value)
