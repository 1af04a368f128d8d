"""`estimate/*` of `task=inspect`: how much memory training takes on each device, and whether the chip has it."""

from __future__ import annotations

from typing import Any

from hardware.chip_identity import KnownChip
from runner.config.schema import Case
from runner.core.events import Name
from runner.record.run_record import RunRecord
from runner.record.values import GIB, Missing, Value, Values, add, divide, known, multiply

UNCOUNTED = "the version that counted the model did not count this"
PARTS = {
    "weights": "parameter_bytes",
    "gradients": "gradient_bytes",
    "gradient_buckets": "gradient_bytes",
    "weight_copies": "weight_copy_bytes",
    "optimizer": "optimizer_state_bytes",
    "weight_average": "weight_average_bytes",
}
"""Part of the estimate to what was counted for it."""
SPREAD = ("weights", "gradients", "optimizer", "weight_average")
"""What sharded training spreads over `topology.fsdp` devices."""
AHEAD = 2
"""Blocks gathered at once: the one that is computed and the next one, fetched meanwhile."""


def memory_estimate(run_record: RunRecord, chip: KnownChip) -> tuple[Values, list[str]]:
    """`estimate/*` per device at the case's batch size, and a sentence where it does not fit.

    The total is what stands when the backward pass begins, gradients of an earlier pass included:

        weights + gradients + buckets + optimizer state + autocast's copies of weights + average of weights
        + batch x activations

    Buckets are the gradients once more, with more than one device alone. Llama-2-7B in bf16, n = 6,738,415,616
    parameters: weights and gradients 4n, AdamW's state 8n, activations 28.4 GiB, in all 128.8 GiB; copies of
    6,607,077,376 weights at 2 bytes, 12.3 GiB, make 141; buckets of 4n, 25.1 GiB, make 166.

    With `topology.fsdp=N` weights, gradients, optimizer state and average are an Nth each. Instead of copies and
    buckets there are the gathered parameters, in autocast's type (what is in no block, and two blocks), and the
    gradients of one block and of what is in none, not yet spread.
    """
    account: dict[str, Any] | None = run_record.last(Name.ACCOUNT)
    if account is None or "reason" in account:
        none: Value = Missing((account or {}).get("reason", "the run ended before the model was counted"))
        names = (*PARTS, "activations_per_sample", "total", "chip_memory")
        return dict.fromkeys([*(f"estimate/{name}_gib" for name in names), "estimate/fits"], none), []
    parts = _parts(run_record.case, account)
    activations = divide(known(account.get("saved_activation_bytes_per_sample"), UNCOUNTED), GIB)
    total = add(multiply(activations, float(account["samples_per_pass"])), *parts.values())
    memory: Value = Missing(chip.reason or "the catalogue does not state it")
    if chip.entry is not None and chip.entry.memory_gib is not None:
        memory = chip.entry.memory_gib
    missing = next((value for value in (total, memory) if isinstance(value, Missing)), None)
    fits: Value = missing if missing is not None else float(total <= memory)  # type: ignore[operator]
    values = {f"estimate/{name}_gib": value for name, value in parts.items()} | {
        "estimate/activations_per_sample_gib": activations,
        "estimate/total_gib": total,
        "estimate/chip_memory_gib": memory,
        "estimate/fits": fits,
    }
    return values, [_too_much(run_record.case, total, memory)] if fits == 0.0 else []


def _parts(case: Case, account: dict[str, Any]) -> dict[str, Value]:
    """Each part but activations, GiB per device."""
    parts = {name: divide(known(account.get(key), UNCOUNTED), GIB) for name, key in PARTS.items()}
    if case.model.training.regularisation.ema_decay is None:
        parts["weight_average"] = 0.0
    devices, spread = case.topology.devices, case.topology.fsdp
    if devices == 1:
        parts["gradient_buckets"] = 0.0
    if spread == 1:
        return parts
    unit = divide(known(account.get("largest_unit_bytes"), UNCOUNTED), GIB)
    root = divide(known(account.get("root_unit_bytes"), UNCOUNTED), GIB)
    narrower = 0.5 if case.precision.autocast in ("bfloat16", "float16") else 1.0
    return {
        **{name: divide(parts[name], float(spread)) for name in SPREAD},
        "weight_copies": multiply(add(root, multiply(unit, float(AHEAD))), narrower),
        "gradient_buckets": add(root, unit),
    }


def _too_much(case: Case, total: Value, memory: Value) -> str:
    spread = f", weights over {case.topology.fsdp}" if case.topology.fsdp > 1 else ""
    layout = f"batch {case.model.training.batch_size} on each of {case.topology.devices} devices{spread}"
    advice = "A smaller model.train.batch_size or a larger topology.fsdp takes less."
    return f"Training with {layout}, does not fit: about {total:.1f} GiB of the chip's {memory:g}. {advice}"
