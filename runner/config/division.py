"""What a run changed against its reference composition: the same choices as shipped, with no vendor tuning.

A choice of a group (`task=`, `model=`, `precision=`, `measure=` …) is the case itself. A value inside a chosen leaf
that is not as shipped is a change, whoever made it: a tuning file, the command line, or an edited `run.yaml`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Any, Literal

from runner.config.schema import Case
from runner.core.tasks import TASKS

ALLOWED = {
    "model.train.batch_size": "batch size",
    "model.train.gradient_accumulation_steps": "gradient accumulation",
    "model.memory_format": "memory format",
    "model.infer.batch_size": "batch size",
    "model.infer.batch_sizes": "batch size",
    "model.infer.generation.prompt_lengths": "further lengths, beside the case's",
    "model.infer.generation.new_lengths": "further lengths, beside the case's",
    "data.workers": "data-loader workers",
    "topology.parallel.*": "parallel layout",
    "framework.zero_stage": "parallel layout",
    "framework.offload": "where optimizer state and weights lie",
    "framework.activation_checkpointing": "what is kept of a forward pass",
    "framework.amp_level": "how mixed precision is done",
    "framework.initial_loss_scale": "how mixed precision is done",
    "framework.mode": "compiler",
    "framework.sequence_parallel": "parallel layout",
    "framework.sharding_stage": "parallel layout",
    "framework.xla": "compiler",
    "framework.distributed_optimizer": "where optimizer state lies",
    "seed": "another draw of the same case",
    "compiler.*": "compiler",
    "vendor.communication_backend": "communication",
    "vendor.compilers": "what the vendor's stack offers",
    "vendor.precisions": "what the vendor's stack offers; the probe says what runs",
    "vendor.served_precisions": "what the vendor's stack offers; the engine's evidence says what runs",
    "vendor.tasks": "what the vendor's stack offers",
    "vendor.visible_devices_env": "which of equal devices are used",
    "vendor.chip": "the chip's name in the catalogue",
    "vendor.environment": "which variables the result tells",
    "vendor.container_options": "words",
    "vendor.pod_resource": "words",
    "vendor.ray_resource": "words",
    "vendor.install": "words",
    "measure.repeats": "how often the same is measured; the report says how often",
}
"""Keys a vendor may change, as glob patterns, with what they are. Kernels have no key: a vendor's stack brings them."""

RAISED = frozenset(
    {
        *("measure.window.min_s", "measure.window.min_steps", "measure.window.max_s"),
        *("measure.warmup.blocks", "measure.warmup.max_steps", "measure.warmup.max_s"),
    }
)
"""Keys that may be raised, because more of them measures more strictly."""
LOWERED = frozenset({"measure.warmup.tolerance", "measure.sampling_period_s"})
"""Keys that may be lowered, for the same reason."""

THE_CASE = ("scale", "emulate", "topology.devices", "topology.nodes", "topology.parallel.data", "data.root", "load.*")
"""Choices without a group of their own, as patterns: how large, where, on how many devices, under which load; never a
change."""


@dataclass(kw_only=True, slots=True)
class Division:
    """Whether a vendor changed only what it may change, and what was changed."""

    name: Literal["closed", "open"]
    changed: list[dict[str, Any]] = field(default_factory=list)
    """`{"key", "reference", "value", "allowed"}` for every value that differs from the reference composition."""


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one level with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        flat |= flatten(value, f"{name}.") if isinstance(value, Mapping) and value else {name: value}
    return flat


def division(case: Case, reference: Case) -> Division:
    """Closed when nothing but allowed keys differs; lists every difference with both values.

    Args:
        case: what runs.
        reference: the same choices as shipped. One of another vendor says nothing about this vendor's own section,
            which is then left out.
    """
    mine, theirs = flatten(case.deciding()), flatten(reference.deciding())
    no_change = (*THE_CASE, *(("vendor.*",) if case.vendor.name != reference.vendor.name else ()))
    changed = [
        {"key": key, "reference": theirs.get(key), "value": mine.get(key), "allowed": allowed(key, theirs, mine)}
        for key in sorted(mine.keys() | theirs.keys())
        if mine.get(key) != theirs.get(key) and not any(fnmatch(key, pattern) for pattern in no_change)
    ]
    closed = all(change["allowed"] for change in changed)
    return Division(name="closed" if closed else "open", changed=changed)


def allowed(key: str, reference: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Whether a vendor may change this key from its reference to its value."""
    if any(fnmatch(key, pattern) for pattern in ALLOWED):
        return True
    if key == "model.weights":  # the published case starts from a file, which everybody has somewhere else
        return reference.get("model.initial_weights") is not None or TASKS.find(str(values["task.name"])).serves
    before, after = reference.get(key), values.get(key)
    if not isinstance(before, int | float) or not isinstance(after, int | float):
        return False
    return (key in RAISED and after > before) or (key in LOWERED and after < before)


def differences(changes: Division) -> str:
    """The changes that are not a vendor's to make, each with both values, for people."""
    return "; ".join(
        f"{change['key']}={change['value']} (the reference has {change['reference']})"
        for change in changes.changed
        if not change["allowed"]
    )
