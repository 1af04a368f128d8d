"""What a person reads before a case runs: what it is, and what its numbers will not be good for."""

from __future__ import annotations

from pathlib import Path

from hardware.precision.cpu_features import has_float16
from runner.config.schema import Case, Topology
from runner.messages import tr
from runner.record.task import task_of
from runner.views.tables import EMULATED, NOT_PUBLISHABLE, TINY

SLOW_FLOAT16 = (
    "SLOW: this processor has no float16 arithmetic, software does it. fp32 and bf16 are likely to be faster."
)


def header(case: Case, run_folder: Path, vendor_detected: bool, tuning: str | None = None) -> list[tuple[str, str]]:
    """What runs, as (label, text) lines; `tuning` is the file of `conf/tuning` that changed the case."""
    task, precision, vendor = task_of(case), case.precision, case.vendor
    found = f" {tr('(found on this machine; vendor=NAME chooses another)')}" if vendor_detected else ""
    chip, root = f", {vendor.chip}" if vendor.chip else "", case.data.root
    lines = [
        *([(tr("model"), _model(case))] if case.has_model else []),
        (tr("software"), f"{case.framework.name}, {case.compiler.name}"),
        (tr("precision"), f"{precision.name}: {_types(case)}"),
        (tr("vendor"), f"{vendor.name}, {vendor.title}{chip}{found}"),
        (tr("topology"), _topology(case.topology)),
        (tr("data"), tr("{data} in {place}", data=case.data.name, place=root) if root else case.data.name),
    ]
    if tuning is not None:
        file = f"conf/tuning/{tuning}.yaml"
        lines.append((tr("tuning"), tr("{file}, this vendor's for this model; '~tuning' leaves it out", file=file)))
    if task.serves:
        lines.append((tr("load"), load_line(case)))
    if task.measured_window:
        window = case.measure.window
        least = tr("at least {seconds} s and {steps} steps", seconds=f"{window.min_s:g}", steps=window.min_steps)
        lines.append((tr("measure"), f"{case.measure.name}: {least}{_repeats(case)}"))
    if task.quality_target:
        budget = case.model.training.max_train_samples
        within = tr("{target} within {count} examples", target=targets(case), count=f"{budget:,}")
        lines.append((tr("target"), f"{within}{_repeats(case)}"))
    return [*lines, (tr("folder"), str(run_folder))]


def case_marks(case: Case) -> list[str]:
    """What must be known about the numbers before there are any."""
    marks = [tr(EMULATED)] if case.emulate else []
    marks += [tr(TINY)] if case.scale == "tiny" else []
    measured = task_of(case).on_device
    on_host = case.vendor.on_host or case.emulate
    if measured and on_host and "float16" in (case.precision.autocast, case.precision.weights):
        marks += [tr(SLOW_FLOAT16)] if has_float16() is False else []
    brief = measured and not case.measure.publishable
    return [*marks, tr(NOT_PUBLISHABLE, measure=case.measure.name)] if brief else marks


def _types(case: Case) -> str:
    """What weights and products are of."""
    precision = case.precision
    products = precision.autocast or precision.weights
    if precision.served == "int4":
        return tr("weights quantised to int4, computed in {products}", products=products)
    if precision.served is not None:
        return tr("weights and activations quantised to {type}", type=precision.served)
    if precision.matmul == "tf32":
        return tr(
            "{weights} weights, computed in {products}, TF32 products", weights=precision.weights, products=products
        )
    return tr("{weights} weights, computed in {products}", weights=precision.weights, products=products)


def load_line(case: Case) -> str:
    """How requests arrive, and what one holds."""
    load, size = case.load, case.model.inference.batch_size
    rate = f", {load.rate:g} requests/s" if load.rate else ""
    how = {"clients": f", {tr('{count} of them', count=load.clients)}", "server": rate}
    slo = "".join(f", {name} ≤ {limit:g}" for name, limit in load.slo.given.items())
    return f"{load.name}{how.get(load.name, '')}{slo}, {tr('requests of {count}', count=size)}"


def targets(case: Case) -> str:
    """The quality targets, e.g. `mlm_accuracy ≥ 0.2`."""
    sign = "≥" if case.model.training.quality.mode == "max" else "≤"
    return tr(" and ").join(f"{name} {sign} {goal:g}" for name, goal in case.model.training.quality.targets.items())


def _model(case: Case) -> str:
    """The model, and what one pass of its training holds."""
    train, about = case.model.train, f"{case.model.name}, scale={case.scale}"
    if train is None or not task_of(case).trains:
        return about
    passes = train.gradient_accumulation_steps
    most = train.batching.max_size
    held = tr("batches of at most {size}", size=f"{most:,}") if most else tr("batch {size}", size=train.batch_size)
    several = f", {tr('{count} passes per step', count=passes)}" if passes > 1 else ""
    return f"{about}, {tr('{batch} per device and pass', batch=held)}{several}"


def _topology(topology: Topology) -> str:
    """`cluster, 2 nodes x 8 devices, fsdp 16`."""
    devices = topology.devices
    if isinstance(devices, int):
        count = tr("{count} device", count=devices) if devices == 1 else tr("{count} devices", count=devices)
    else:
        count = tr("every visible device")
    nodes = tr("{count} nodes", count=topology.nodes) + " x " if topology.nodes > 1 else ""
    layout = [] if topology.layout == "data" else [topology.layout]
    return ", ".join([topology.name, f"{nodes}{count}", *layout])


def _repeats(case: Case) -> str:
    count = case.measure.repeats
    return f", {tr('{count} times in fresh processes', count=count)}" if count > 1 else ""
