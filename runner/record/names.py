"""The names of all figures: unit, title, direction and how they are written for people.

The one source of units: whoever builds a report takes them from here. MLflow's metric names are these names. Which of
them a task yields, and figures that only one task has, stand with the task.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Better = Literal["higher", "lower"]
Form = Literal["number", "integer", "prefixed", "percent", "yes_no"]

LAST = "_last"
"""Suffix of a quality metric's figure for the last evaluation; without it, the best one is meant."""
_FIXED_QUALITY = ("quality/target", "quality/reached")
_FIXED_ACCURACY = ("accuracy/reference", "accuracy/drop", "accuracy/kept", "accuracy/gate_passed", "accuracy/samples")
_PREFIXES = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_DIGITS = 4


@dataclass(kw_only=True, slots=True, frozen=True)
class Definition:
    """What is known about a figure before it is measured."""

    name: str
    title: str
    """What people read."""
    unit: str
    """`{unit}` stands for the model's own unit in the plural; `1` is a plain ratio, `bool` is 0 or 1."""
    better: Better | None = None
    """Which direction is an advantage; null where more is neither better nor worse by itself."""
    form: Form = "number"
    same_batch: bool = False
    """Whether two runs can only be ranked by it when they have the same batch size."""
    highest: bool = False
    """Whether it is the highest value that was seen: of several repeats, the highest of all."""


def _define(
    name: str,
    title: str,
    unit: str,
    better: Better | None = None,
    *,
    form: Form = "number",
    same_batch: bool = False,
    highest: bool = False,
) -> Definition:
    return Definition(
        name=name,
        title=title,
        unit=unit,
        better=better,
        form=form,
        same_batch=same_batch,
        highest=highest,
    )


# Totals over a run or a window (J, s of the whole run) have no direction: they grow with the length of the run alone.
_DEFINITIONS = (
    _define("quality/target", "Quality target", "1"),
    _define("quality/reached", "Quality target reached", "bool", "higher", form="yes_no"),
    _define("time/to_target_s", "Time to target", "s", "lower"),
    _define(
        "convergence/samples_to_target",
        "Samples to target",
        "{unit}",
        "lower",
        form="integer",
    ),
    _define("convergence/steps_to_target", "Steps to target", "steps", "lower", form="integer"),
    _define("convergence/energy_j_to_target", "Energy to target", "J", "lower"),
    _define("accuracy/reference", "Accuracy of the fp32 reference", "1"),
    _define("accuracy/drop", "Accuracy lost against the reference", "1", "lower"),
    _define("accuracy/kept", "Share of the reference's accuracy kept", "1", "higher", form="percent"),
    _define("accuracy/gate_passed", "Accuracy gate passed", "bool", "higher", form="yes_no"),
    _define("accuracy/samples", "Samples scored", "samples", form="integer"),
    _define("numerics/mean_abs", "Numerics, mean absolute error", "1", "lower"),
    _define("numerics/max_abs", "Numerics, largest absolute error", "1", "lower"),
    _define("numerics/max_rel", "Numerics, largest relative error", "1", "lower"),
    _define("numerics/cosine", "Numerics, cosine with the reference", "1", "higher"),
    _define("numerics/snr_db", "Numerics, signal to noise", "dB", "higher"),
    _define("numerics/passed", "Numerics within the precision's threshold", "bool", "higher", form="yes_no"),
    _define("infer/samples_per_second", "Throughput", "{unit}/s", "higher"),
    _define("infer/core_samples_per_second", "Throughput, copies excluded", "{unit}/s", "higher"),
    _define("infer/latency_mean_ms", "Latency, mean", "ms", "lower", same_batch=True),
    _define("infer/latency_p50_ms", "Latency, median", "ms", "lower", same_batch=True),
    _define("infer/latency_p90_ms", "Latency, 90th percentile", "ms", "lower", same_batch=True),
    _define("infer/latency_p99_ms", "Latency, 99th percentile", "ms", "lower", same_batch=True),
    _define("infer/requests", "Requests in the window", "requests", form="integer"),
    _define("infer/offered_per_second", "Requests offered", "requests/s"),
    _define("infer/achieved_per_second", "Requests answered", "requests/s", "higher"),
    _define("infer/goodput_per_second", "Requests answered within the SLO", "requests/s", "higher"),
    _define("generation/ttft_p50_ms", "Time to first token, median", "ms", "lower", same_batch=True),
    _define("generation/ttft_p99_ms", "Time to first token, 99th percentile", "ms", "lower", same_batch=True),
    _define("generation/tpot_p50_ms", "Time per output token, median", "ms", "lower", same_batch=True),
    _define("generation/itl_p50_ms", "Time between tokens, median", "ms", "lower", same_batch=True),
    _define("generation/itl_p99_ms", "Time between tokens, 99th percentile", "ms", "lower", same_batch=True),
    _define("generation/tokens_per_second", "Output tokens per second", "tokens/s", "higher"),
    _define("generation/prefill_tokens_per_second", "Prompt tokens per second, prefill alone", "tokens/s", "higher"),
    _define("generation/decode_tokens_per_second", "Output tokens per second, decoding alone", "tokens/s", "higher"),
    _define("infer/compile_s", "Compilation", "s", "lower"),
    _define("infer/export_s", "Export out of the framework", "s", "lower"),
    _define("infer/compile_peak_gib", "Host memory while compiling, peak", "GiB", "lower", highest=True),
    _define("infer/engine_mib", "Size of what was compiled", "MiB", "lower"),
    _define("infer/coverage", "Share of the graph that the engine took", "1", "higher", form="percent"),
    _define("infer/subgraphs", "Pieces the graph was cut into", "subgraphs", "lower", form="integer"),
    _define("throughput/steady", "Throughput, steady", "{unit}/s", "higher"),
    _define("throughput/steady_per_device", "Throughput, steady, per device", "{unit}/s", "higher"),
    _define("throughput/whole", "Throughput, evaluations included", "{unit}/s", "higher"),
    _define("throughput/whole_per_device", "Throughput, evaluations included, per device", "{unit}/s", "higher"),
    _define("throughput/train", "Throughput, evaluations excluded", "{unit}/s", "higher"),
    _define("throughput/train_per_device", "Throughput, evaluations excluded, per device", "{unit}/s", "higher"),
    _define("throughput/core", "Throughput, waiting for data excluded too", "{unit}/s", "higher"),
    _define("throughput/core_per_device", "Throughput, core, per device", "{unit}/s", "higher"),
    _define("throughput/tokens_per_second", "Tokens per second", "tokens/s", "higher"),
    _define("compute/parameters", "Parameters", "parameters", form="prefixed"),
    _define(
        "compute/flops_per_sample",
        "Model FLOPs per sample",
        "FLOP/sample",
        form="prefixed",
    ),
    _define("compute/achieved_flops_per_second", "Model FLOPs per second", "FLOP/s", "higher", form="prefixed"),
    _define("compute/peak_flops_per_second", "Peak of the chip(s)", "FLOP/s", form="prefixed"),
    _define(
        "roofline/throughput_samples_per_second",
        "Roofline of the chip",
        "{unit}/s",
    ),
    _define("compute/mbu", "Memory bandwidth utilisation (MBU)", "1", "higher", form="percent"),
    _define("roofline/fraction", "Fraction of the roofline", "1", "higher", form="percent"),
    _define("compute/mfu", "Model FLOPs utilisation (MFU)", "1", "higher", form="percent"),
    _define(
        "compute/measured_peak_flops_per_second",
        "Peak of the chip(s), measured",
        "FLOP/s",
        form="prefixed",
    ),
    _define("compute/mfu_of_measured_peak", "MFU of the measured peak", "1", "higher", form="percent"),
    _define("time/e2e_s", "Time, end to end", "s"),
    _define("time/init_s", "Time, start-up", "s", "lower"),
    _define("time/train_s", "Time, training", "s"),
    _define("time/eval_s", "Time, evaluation", "s"),
    _define("step/mean_ms", "Step time, mean", "ms", "lower", same_batch=True),
    _define("step/p50_ms", "Step time, median", "ms", "lower", same_batch=True),
    _define("step/p90_ms", "Step time, 90th percentile", "ms", "lower", same_batch=True),
    _define("step/p99_ms", "Step time, 99th percentile", "ms", "lower", same_batch=True),
    _define("step/cv", "Step time, variation", "1", "lower", form="percent"),
    _define("estimate/weights_gib", "Memory estimate, weights", "GiB"),
    _define("estimate/gradients_gib", "Memory estimate, gradients", "GiB"),
    _define("estimate/gradient_buckets_gib", "Memory estimate, data parallel's buckets", "GiB"),
    _define("estimate/weight_copies_gib", "Memory estimate, autocast's copies of weights", "GiB"),
    _define("estimate/optimizer_gib", "Memory estimate, optimizer", "GiB"),
    _define("estimate/weight_average_gib", "Memory estimate, average of weights", "GiB"),
    _define(
        "estimate/activations_per_sample_gib",
        "Memory estimate, activations",
        "GiB/sample",
    ),
    _define("estimate/total_gib", "Memory estimate, total per device", "GiB"),
    _define("estimate/chip_memory_gib", "Memory of the chip", "GiB"),
    _define("estimate/fits", "Fits into the chip's memory", "bool", form="yes_no"),
    _define(
        "memory/device_peak_allocated_gib",
        "Device memory, allocated peak",
        "GiB",
        "lower",
        same_batch=True,
        highest=True,
    ),
    _define(
        "memory/device_peak_reserved_gib",
        "Device memory, reserved peak",
        "GiB",
        "lower",
        same_batch=True,
        highest=True,
    ),
    _define("memory/device_peak_used_gib", "Device memory, used peak", "GiB", "lower", same_batch=True, highest=True),
    _define(
        "memory/host_peak_rss_gib",
        "Host memory, peak",
        "GiB",
        "lower",
        same_batch=True,
        highest=True,
    ),
    _define("energy/per_sample_j", "Energy per sample", "J/sample", "lower"),
    _define("energy/samples_per_j", "Samples per joule", "{unit}/J", "higher"),
    _define("energy/device_j", "Energy, devices", "J"),
    _define("energy/node_j", "Energy, node", "J"),
    _define("power/device_mean_w", "Power, devices, mean", "W"),
    _define("power/device_peak_w", "Power, devices, peak", "W", highest=True),
    _define("power/device_idle_w", "Power, devices, idle", "W"),
    _define("power/node_mean_w", "Power, node, mean", "W"),
    _define("host/disk_read_gib", "Host, read from disks in the window", "GiB"),
    _define("host/disk_written_gib", "Host, written to disks in the window", "GiB"),
    _define("host/network_sent_gib", "Host, sent over the network in the window", "GiB"),
    _define("host/network_received_gib", "Host, received over the network in the window", "GiB"),
    _define("host/others_utilisation_mean", "Host processors, taken by others, mean", "1", form="percent"),
    _define("device/temperature_max_c", "Device temperature, highest", "°C", highest=True),
    _define("device/utilisation_mean", "Device utilisation, mean", "1", form="percent"),
    _define("overhead/fraction", "Cost of measuring", "1", "lower", form="percent"),
    _define("data/skipped_train_examples", "Training examples that could not be read", "examples", form="integer"),
    _define(
        "data/skipped_evaluation_examples", "Evaluation examples left out as unreadable", "examples", form="integer"
    ),
    _define("run/window_s", "Measured window", "s"),
    _define("run/skipped_steps", "Steps skipped by the gradient scaler", "steps", "lower", form="integer"),
    _define("run/steady", "Speed was steady", "bool", form="yes_no"),
    _define("run/emulated", "Emulated on the host CPU", "bool", form="yes_no"),
    _define("run/publishable", "Publishable", "bool", form="yes_no"),
)

FIGURES: dict[str, Definition] = {definition.name: definition for definition in _DEFINITIONS}
"""Every figure with a fixed name, in the order reports show them."""


def is_quality(name: str) -> bool:
    """Whether a name is a measured quality (`quality/<metric>`), not the target it is held against."""
    return name.startswith("quality/") and name not in _FIXED_QUALITY


def is_accuracy(name: str) -> bool:
    """Whether a name is a served model's own accuracy (`accuracy/<metric>`), not what it is held against."""
    return name.startswith("accuracy/") and name not in _FIXED_ACCURACY


def definition(name: str, *, quality_mode: str | None = None) -> Definition:
    """What a figure means.

    Args:
        name: figure name, of the registry or of the families `quality/<metric>[_last]` and `accuracy/<metric>`.
        quality_mode: the recipe's `quality.mode`, `max` or `min`: which way its metrics improve.

    Raises:
        KeyError: no such figure.
    """
    directions: dict[str, Better] = {"max": "higher", "min": "lower"}
    if is_accuracy(name):
        metric = name.removeprefix("accuracy/")
        return _define(name, f"Accuracy of the engine, {metric}", "1", directions.get(quality_mode or ""))
    if not is_quality(name):
        return FIGURES[name]
    metric = name.removeprefix("quality/")
    moment = "last" if metric.endswith(LAST) else "best"
    return _define(
        name,
        f"{metric.removesuffix(LAST)}, {moment} evaluation",
        "1",
        directions.get(quality_mode or ""),
    )


def unit_of(name: str, model_unit: str) -> str:
    """The unit a figure is reported in.

    Args:
        name: figure name.
        model_unit: the recipe's `unit`, in the plural, e.g. `images`.

    Raises:
        KeyError: no such figure.
    """
    return definition(name).unit.format(unit=model_unit)


def written(value: float, unit: str, form: Form = "number", *, like: float | None = None) -> tuple[str, str]:
    """A value and its unit as people read them, with sensible digits: `(41.2, %)`, `(312.0, TFLOP/s)`, `(yes, "")`.

    Args:
        value: in `unit`.
        unit: as reported.
        form: how the figure is written.
        like: a value of the same figure whose prefix (k, M, G …) is to be used, so that a row has one unit.
    """
    if unit == "bool" or form == "yes_no":
        return ("yes" if value else "no"), ""
    if form == "percent":
        return number(100 * value, digits=3), "%"
    if form == "integer":
        return f"{value:,.0f}", unit
    if form == "prefixed":
        for factor, prefix in _PREFIXES:
            if abs(value if like is None else like) >= factor:
                return number(value / factor), f"{prefix}{unit}" if "FLOP" in unit else f"{prefix} {unit}"
    return number(value), "" if unit == "1" else unit


def number(value: float, digits: int = _DIGITS) -> str:
    """A number with `digits` significant digits; all digits before the point are kept, thousands are grouped."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    magnitude = math.floor(math.log10(abs(float(f"{value:.{digits - 1}e}"))))
    if magnitude < -_DIGITS:
        return f"{value:.{digits - 1}e}"
    return f"{value:,.{max(0, digits - 1 - magnitude)}f}"
