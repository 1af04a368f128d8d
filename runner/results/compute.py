"""FLOPs, peaks and limits: counted work against what the chip's data sheet allows."""

from __future__ import annotations

from hardware.chip_identity import KnownChip, identify
from hardware.chips import peak_flops
from runner.core.events import Name
from runner.record.peaks.measured_peaks import peak_of_run
from runner.record.run_record import RunRecord
from runner.record.task import task_of
from runner.record.values import Impossible, Missing, Value, Values, at_most_one, divide, known, multiply

WRONG_CHIP = "the chip is another one than the catalogue's, its entry is wrong, or the work was counted wrongly"
WRONG_MEASURED = (
    "the measured peak is too low, or the work was counted wrongly; python -m runner.peaks measures it again"
)


def chip_of(run_record: RunRecord) -> KnownChip:
    """The chip of the devices that the case's ranks used; of a task that uses none, `vendor.chip`."""
    case = run_record.case
    if case.emulate:
        return KnownChip(name=None, entry=None, reason="emulated on the host CPU")
    told = [node.last(Name.ENVIRONMENT) or {} for node in run_record.by_node()]
    devices = [device for one in told for device in one.get("devices") or []]
    planned = case.vendor.chip is not None and not task_of(case).on_device
    return identify(case.vendor.chip, [] if planned else devices[: case.topology.ranks])


def beyond_peak(values: Values) -> list[str]:
    """What a reader must know of figures that came out above 100 % of what there is."""
    return [f"{name} is left out: {value.reason}." for name, value in values.items() if isinstance(value, Impossible)]


def compute(run_record: RunRecord, chip: KnownChip, throughput: Value, devices: int) -> Values:
    """`compute/*` and `roofline/*`; `throughput` is the steady one of the whole job."""
    account = run_record.last(Name.ACCOUNT)
    if account is None or "reason" in account:
        missing = Missing((account or {}).get("reason", "the run ended before the model was counted"))
        parameters: Value = missing
        flops: Value = missing
        traffic: Value = missing
    else:
        parameters = float(account["parameters"])
        flops = float(account["flops_per_sample"])
        traffic = float(account["minimum_bytes_per_sample"])
    peak = multiply(_peak(run_record, chip), float(devices))
    bandwidth = multiply(bandwidth_of(chip), float(devices))
    limit = _slower(divide(peak, flops), divide(bandwidth, traffic))
    achieved = multiply(flops, throughput)
    measured = multiply(_measured_peak(run_record, chip), float(devices))
    return {
        "compute/parameters": parameters,
        "compute/flops_per_sample": flops,
        "compute/achieved_flops_per_second": achieved,
        "compute/peak_flops_per_second": peak,
        "compute/mfu": at_most_one(divide(achieved, peak), WRONG_CHIP),
        "compute/mbu": at_most_one(divide(multiply(traffic, throughput), bandwidth), WRONG_CHIP),
        "compute/measured_peak_flops_per_second": measured,
        "compute/mfu_of_measured_peak": at_most_one(divide(achieved, measured), WRONG_MEASURED),
        "roofline/throughput_samples_per_second": limit,
        "roofline/fraction": at_most_one(divide(throughput, limit), WRONG_CHIP),
    }


def _peak(run_record: RunRecord, chip: KnownChip) -> Value:
    if chip.entry is None:
        return Missing(chip.reason or "the chip is not known")
    rate = run_record.case.precision.compute
    return known(peak_flops(chip.entry, rate), f"the catalogue has no dense {rate} peak of {chip.entry.name}")


def _measured_peak(run_record: RunRecord, chip: KnownChip) -> Value:
    """Of one device, from the run folder's copy of what `runner.peaks` had filed when the run began."""
    if chip.name is None or chip.unlike:
        return Missing(chip.reason or "the chip is not known")
    return peak_of_run(run_record.folder, run_record.case.vendor.name, chip.name, run_record.case.precision.compute)


def bandwidth_of(chip: KnownChip) -> Value:
    """Of one chip's memory, in bytes per second."""
    if chip.entry is None:
        return Missing(chip.reason or "the chip is not known")
    gb_s = chip.entry.memory_bandwidth_gb_s
    return Missing(f"the catalogue has no bandwidth of {chip.entry.name}") if gb_s is None else gb_s * 1e9


def _slower(one: Value, other: Value) -> Value:
    if isinstance(one, Missing):
        return one
    return other if isinstance(other, Missing) else min(one, other)
