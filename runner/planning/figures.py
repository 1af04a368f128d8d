"""`estimate/*` and `plan/*` of `task=inspect`: what a device of the case's own layout holds, takes and sends."""

from __future__ import annotations

from hardware.chip_identity import KnownChip
from runner.config.schema import Case
from runner.planning.layout import JobLayout
from runner.planning.memory import NAMES, memory
from runner.planning.model_costs import ModelCosts
from runner.planning.network import JobDevices
from runner.planning.step_time import StepTime
from runner.record.definition import define
from runner.record.values import GIB, Missing, Value, Values, divide, known, multiply

MS = 1000.0
COLLECTIVES = {
    "all_reduce": "all-reduce",
    "all_gather": "all-gather",
    "reduce_scatter": "reduce-scatter",
    "point_to_point": "point to point",
}
DEFINITIONS = (
    define("estimate/activations_gib", "Memory estimate, activations of all passes in flight", "GiB"),
    define("estimate/temporary_gib", "Memory estimate, gradients of scores or a block computed again", "GiB"),
    define("plan/step_time_ms", "Least step time", "ms"),
    define("plan/compute_ms", "Least step time, computing", "ms"),
    define("plan/bubble_ms", "Least step time, the pipeline's bubble", "ms"),
    define("plan/link_ms", "Least step time, links inside a node", "ms"),
    define("plan/network_ms", "Least step time, network between nodes", "ms"),
    define("plan/throughput_samples_per_second", "Highest throughput", "{unit}/s"),
    *(
        define(f"plan/{name}_gib", f"Sent by each device in a step, {title}", "GiB")
        for name, title in COLLECTIVES.items()
    ),
    define("plan/layouts_that_fit", "Layouts that fit", "layouts", form="integer"),
)
ESTIMATED = (*NAMES, "activations_per_sample", "total", "chip_memory")
"""In GiB; `fits` beside them."""
NO_NETWORK = "the network between nodes is no property of a chip: give task.network_gbit_s_per_device"
NO_LINK = "the catalogue does not state the chip's links inside a node: give task.link_gb_s"


def plan_values(time: StepTime, cluster: JobDevices, *, samples: float, no_peak: str) -> Values:
    """The figures of one layout; each that needs a rate nobody gave is null with that reason.

    Args:
        time: of the layout.
        cluster: its devices.
        samples: of one step of the whole job, in the model's unit.
        no_peak: why the chip's peak is not known, where it is not.
    """
    compute = _ms(time.compute, no_peak)
    bubble = _ms(time.bubble, no_peak)
    link, network = _ms(time.link, NO_LINK), _ms(time.network, NO_NETWORK)
    first: Missing | None = next((one for one in (compute, link, network) if isinstance(one, Missing)), None)
    total: Value = first if first is not None else multiply(known(time.total, no_peak), MS)
    values: Values = {
        "plan/step_time_ms": total,
        "plan/compute_ms": compute,
        "plan/bubble_ms": bubble,
        "plan/link_ms": link,
        "plan/network_ms": network,
        "plan/throughput_samples_per_second": divide(samples, divide(total, MS)),
    }
    return values | {f"plan/{name}_gib": size / GIB for name, size in time.traffic.by_name().items()}


def _ms(seconds: float | None, reason: str) -> Value:
    return multiply(known(seconds, reason), MS)


def no_plan(reason: Missing) -> Values:
    """All of them, for a model whose parts nobody counted."""
    return {one.name: reason for one in DEFINITIONS}


def memory_estimate(
    case: Case, costs: ModelCosts, layout: JobLayout, chip: KnownChip, *, per_sample: float
) -> tuple[Values, list[str]]:
    """`estimate/*` per device at the case's batch size, and a sentence where it does not fit.

    The total is what stands when the backward pass begins, gradients of an earlier pass included:

        weights + gradients + buckets + optimizer state + autocast's copies of weights + average of weights
        + batch x activations + what the loss's own backward pass takes

    Buckets are the gradients once more, with more than one copy of the model alone. Llama-2-7B in bf16, n =
    6,738,415,616 parameters: weights and gradients 4n, AdamW's state 8n, activations 28.4 GiB, in all 128.8 GiB; copies
    of 6,607,077,376 weights at 2 bytes, 12.3 GiB, make 141; buckets of 4n, 25.1 GiB, make 166. `runner.planning.memory`
    says what other layouts change.

    Args:
        case: whose layout it is.
        costs: of its model.
        layout: its own.
        chip: whose memory counts.
        per_sample: bytes of activations of one sample in the model's unit.
    """
    parts = memory(costs, layout)
    total = sum(parts.values()) / GIB
    size: Value = Missing(chip.reason or "the catalogue does not state it")
    if chip.entry is not None and chip.entry.memory_gib is not None:
        size = chip.entry.memory_gib
    fits: Value = size if isinstance(size, Missing) else float(total <= size)
    values: Values = {f"estimate/{name}_gib": value / GIB for name, value in parts.items()}
    values |= {
        "estimate/activations_per_sample_gib": per_sample / GIB,
        "estimate/total_gib": total,
        "estimate/chip_memory_gib": size,
        "estimate/fits": fits,
    }
    return values, [_too_much(case, total, size)] if fits == 0.0 else []


def no_estimate(reason: Missing) -> Values:
    """All of them, where the model was not counted."""
    return dict.fromkeys([*(f"estimate/{name}_gib" for name in ESTIMATED), "estimate/fits"], reason)


def _too_much(case: Case, total: float, memory: Value) -> str:
    spread = "" if case.topology.layout == "data" else f", {case.topology.layout}"
    layout = f"batch {case.model.training.batch_size} on each of {case.topology.ranks} devices{spread}"
    advice = "A smaller model.train.batch_size or a larger topology.parallel.fsdp takes less."
    return f"Training with {layout} does not fit: about {total:.1f} GiB of the chip's {memory:g}. {advice}"
