"""What a person reads before a case runs: what it is, and what its numbers will not be good for."""

from __future__ import annotations

from pathlib import Path

from hardware.precision.cpu_features import has_float16
from runner.config.schema import Case
from runner.record.task import task_of
from runner.views.tables import EMULATED, NOT_PUBLISHABLE, TINY

SLOW_FLOAT16 = (
    "SLOW: this processor has no float16 arithmetic, software does it. fp32 and bf16 are likely to be faster."
)


def header(case: Case, run_folder: Path, vendor_detected: bool, tuning: str | None = None) -> list[tuple[str, str]]:
    """What runs, as (label, text) lines; `tuning` is the file of `conf/tuning` that changed the case."""
    task, precision, vendor = task_of(case), case.precision, case.vendor
    found = " (found on this machine; vendor=NAME chooses another)" if vendor_detected else ""
    chip = f", {vendor.chip}" if vendor.chip else ""
    lines = [
        *([("model", _model(case))] if case.has_model else []),
        ("software", f"{case.framework.name}, {case.compiler.name}"),
        ("precision", f"{precision.name}: {_types(case)}"),
        ("vendor", f"{vendor.name}, {vendor.title}{chip}{found}"),
        ("topology", f"{case.topology.name}, {_devices(case.topology.devices)}"),
        ("data", f"{case.data.name}{f' in {case.data.root}' if case.data.root else ''}"),
    ]
    if tuning is not None:
        lines.append(("tuning", f"conf/tuning/{tuning}.yaml, this vendor's for this model; '~tuning' leaves it out"))
    if task.serves:
        lines.append(("load", load_line(case)))
    if task.measured_window:
        window = case.measure.window
        lines.append(
            (
                "measure",
                f"{case.measure.name}: at least {window.min_s:g} s and {window.min_steps} steps{_repeats(case)}",
            )
        )
    if task.quality_target:
        budget = case.model.training.max_train_samples
        lines.append(("target", f"{targets(case)} within {budget:,} examples{_repeats(case)}"))
    return [*lines, ("folder", str(run_folder))]


def case_marks(case: Case) -> list[str]:
    """What must be known about the numbers before there are any."""
    marks = [EMULATED] if case.emulate else []
    marks += [TINY] if case.scale == "tiny" else []
    measured = task_of(case).on_device
    on_host = case.vendor.on_host or case.emulate
    if measured and on_host and "float16" in (case.precision.autocast, case.precision.weights):
        marks += [SLOW_FLOAT16] if has_float16() is False else []
    return marks + (
        [NOT_PUBLISHABLE.format(measure=case.measure.name)] if measured and not case.measure.publishable else []
    )


def _types(case: Case) -> str:
    """What weights and products are of."""
    precision = case.precision
    products = precision.autocast or precision.weights
    if precision.served == "int4":
        return f"weights quantised to int4, computed in {products}"
    if precision.served is not None:
        return f"weights and activations quantised to {precision.served}"
    tf32 = ", TF32 products" if precision.matmul == "tf32" else ""
    return f"{precision.weights} weights, computed in {products}{tf32}"


def load_line(case: Case) -> str:
    """How requests arrive, and what one holds."""
    load, size = case.load, case.model.inference.batch_size
    how = {"clients": f", {load.clients} of them", "server": f", {load.rate:g} requests/s" if load.rate else ""}
    slo = "".join(f", {name} ≤ {limit:g}" for name, limit in load.slo.given.items())
    return f"{load.name}{how.get(load.name, '')}{slo}, requests of {size}"


def targets(case: Case) -> str:
    """The quality targets, e.g. `mlm_accuracy ≥ 0.2`."""
    sign = "≥" if case.model.training.quality.mode == "max" else "≤"
    return " and ".join(f"{name} {sign} {goal:g}" for name, goal in case.model.training.quality.targets.items())


def _model(case: Case) -> str:
    """The model, and what one pass of its training holds."""
    train, about = case.model.train, f"{case.model.name}, scale={case.scale}"
    if train is None or not task_of(case).trains:
        return about
    passes = train.gradient_accumulation_steps
    several = f", {passes} passes per step" if passes > 1 else ""
    held = f"batches of at most {train.batching.max_size:,}" if train.batching.max_size else f"batch {train.batch_size}"
    return f"{about}, {held} per device and pass{several}"


def _devices(devices: int | str) -> str:
    if isinstance(devices, int):
        return f"{devices} device{'' if devices == 1 else 's'}"
    return "every visible device"


def _repeats(case: Case) -> str:
    return f", {case.measure.repeats} times in fresh processes" if case.measure.repeats > 1 else ""
