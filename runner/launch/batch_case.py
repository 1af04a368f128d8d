"""A case with another batch size: as a short attempt, as what was found, and as a change in its division."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from runner.config.division import Division
from runner.config.schema import Case, Tracking, WarmUp, WindowSpec
from runner.record.task import task_of


def section_of(case: Case) -> Any:
    """The section of the model that holds the batch size; None where it has none."""
    return case.model.infer if task_of(case).serves else case.model.train


def key_of(case: Case) -> str:
    """Key of the batch size."""
    return f"model.{'infer' if task_of(case).serves else 'train'}.batch_size"


def batch_of(case: Case) -> int:
    """The batch size, of one device and pass."""
    return int(section_of(case).batch_size)


def with_batch(case: Case, batch_size: int) -> Case:
    """The case with another batch size; served sizes above it, which would not fit, are left out."""
    if not task_of(case).serves:
        return replace(case, model=replace(case.model, train=replace(case.model.training, batch_size=batch_size)))
    infer = case.model.inference
    sizes = tuple(size for size in infer.batch_sizes if size <= batch_size)
    return replace(case, model=replace(case.model, infer=replace(infer, batch_size=batch_size, batch_sizes=sizes)))


def with_change(changes: Division, before: Case, after: Case) -> Division:
    """The division of the case with the batch size that was found: a change that is a vendor's to make."""
    keys: dict[str, tuple[Any, Any]] = {key_of(before): (batch_of(before), batch_of(after))}
    if task_of(before).serves:
        sizes = (list(before.model.inference.batch_sizes), list(after.model.inference.batch_sizes))
        keys["model.infer.batch_sizes"] = sizes
    kept = [change for change in changes.changed if change["key"] not in keys]
    earlier = {change["key"]: change["reference"] for change in changes.changed}
    for key, (old, new) in keys.items():
        reference: Any = earlier.get(key, old)
        if new != reference:
            kept.append({"key": key, "reference": reference, "value": new, "allowed": True})
    return Division(name=changes.name, changed=sorted(kept, key=lambda change: str(change["key"])))


def short_case(case: Case, batch_size: int) -> Case:
    """The case for as few steps as show its memory: two to have every buffer, three to be measured."""
    made = with_batch(case, batch_size)
    if task_of(case).serves:
        made = replace(made, model=replace(made.model, infer=replace(made.model.inference, batch_sizes=())))
    warmup = WarmUp(block_steps=1, blocks=2, tolerance=1e9, max_steps=2, max_s=600)
    window = WindowSpec(min_s=1e-3, min_steps=3, max_s=600)
    measure = replace(made.measure, warmup=warmup, window=window, repeats=1, publishable=False)
    tracking = Tracking(name="none")
    return replace(made, measure=measure, tracking=tracking, resume=False, run=replace(made.run, retries=0))
