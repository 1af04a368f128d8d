"""`scaling/efficiency`: the job's throughput over that of as many devices, were each as fast as one alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from runner.core.events import Name
from runner.record.run_record import RunRecord
from runner.record.values import Missing, Value, Values, divide
from runner.results.parallel.one_device import OneDevice, device_of, reference_of, surroundings
from runner.results.parallel.ranks import SINGLE

FIGURE = "scaling/efficiency"


def scaling(run_record: RunRecord, throughput: Value) -> tuple[Values, list[str]]:
    """Weak scaling: the same batch on each device. With what differs between both runs beside their devices.

    Args:
        run_record: of a job.
        throughput: the steady one of the whole job.
    """
    reference = _reference(run_record)
    if isinstance(reference, Missing):
        return {FIGURE: reference}, []
    ranks = run_record.case.topology.ranks
    efficiency = divide(throughput, ranks * reference.samples_per_second)
    notes = [] if isinstance(efficiency, Missing) else _notes(run_record, reference)
    return {FIGURE: efficiency}, notes


def _reference(run_record: RunRecord) -> OneDevice | Missing:
    case = run_record.case
    if case.topology.ranks == 1:
        return Missing(SINGLE)
    if case.emulate:
        return Missing("emulated ranks share one processor and scale nothing")
    if case.topology.parallel.shared > 1:
        return Missing(
            f"ranks share a batch ({case.topology.layout}): beside one device, each has less to do, which is not weak "
            "scaling"
        )
    told = [(node.last(Name.ENVIRONMENT) or {}).get("devices") or [] for node in run_record.by_node()]
    device = device_of({"devices": [device for devices in told for device in devices]})
    if not all(told):
        return Missing("the device is not known")
    if device is None:
        return Missing("the devices are of different kinds")
    return reference_of(run_record.folder, device)


def _notes(run_record: RunRecord, one: OneDevice) -> list[str]:
    """What a reader must know of the run on one device."""
    own = surroundings(run_record.last(Name.ENVIRONMENT) or {})
    unlike = [
        f"{name} {_told(theirs)}, here {_told(ours)}" for name, theirs, ours in _pairs(one, own) if theirs != ours
    ]
    unlike += [] if one.steady else ["its speed was not steady"]
    if not unlike:
        return []
    date = datetime.fromtimestamp(one.date_ms / 1e3, UTC).strftime("%Y-%m-%d")
    return [
        f"Scaling efficiency is against a 1-device run of {date} ({one.folder}) that is unlike: {'; '.join(unlike)}."
    ]


def _pairs(one: OneDevice, own: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """What both runs have, by name: that of one device, and this one's."""
    versions = [
        (name, one.versions.get(name), own["versions"].get(name))
        for name in sorted(one.versions.keys() | own["versions"].keys())
    ]
    return [("processor", one.host, own["host"]), ("threads per rank", one.threads, own["threads"]), *versions]


def _told(value: Any) -> str:
    return "none" if value is None else str(value)
