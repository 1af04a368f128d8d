"""The names of all figures: unit, title, direction and how they are written for people.

The one source of units: whoever builds a report takes them from here. MLflow's metric names are these names. Which of
them a task yields, and figures that only one task has, stand with the task.
"""

from __future__ import annotations

import math

from runner.messages import tr
from runner.record.definition import Better, Definition, Form, define
from runner.record.serving_names import SERVING

__all__ = ["FIGURES", "LAST", "Better", "Definition", "Form", "definition", "is_accuracy", "is_quality", "number"]
__all__ += ["unit_of", "written"]

LAST = "_last"
"""Suffix of a quality metric's figure for the last evaluation; without it, the best one is meant."""
_FIXED_QUALITY = ("quality/target", "quality/reached")
_FIXED_ACCURACY = ("accuracy/reference", "accuracy/drop", "accuracy/kept", "accuracy/gate_passed", "accuracy/samples")
_PREFIXES = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_DIGITS = 4

COLLECTIVES = {
    "all_reduce": "all-reduce",
    "all_gather": "all-gather",
    "reduce_scatter": "reduce-scatter",
    "broadcast": "broadcast",
    "reduce": "reduce",
    "all_to_all": "all-to-all",
    "point_to_point": "point to point",
}
"""Kind of collective to its title."""


# Totals over a run or a window (J, s of the whole run) have no direction: they grow with the length of the run alone.
_DEFINITIONS = (
    define("quality/target", "Quality target", "1"),
    define("quality/reached", "Quality target reached", "bool", "higher", form="yes_no"),
    define("time/to_target_s", "Time to target", "s", "lower"),
    define(
        "convergence/samples_to_target",
        "Samples to target",
        "{unit}",
        "lower",
        form="integer",
    ),
    define("convergence/steps_to_target", "Steps to target", "steps", "lower", form="integer"),
    define("convergence/energy_j_to_target", "Energy to target", "J", "lower"),
    *SERVING,
    define("throughput/steady", "Throughput, steady", "{unit}/s", "higher"),
    define("throughput/steady_per_device", "Throughput, steady, per device", "{unit}/s", "higher"),
    define("throughput/whole", "Throughput, evaluations included", "{unit}/s", "higher"),
    define("throughput/whole_per_device", "Throughput, evaluations included, per device", "{unit}/s", "higher"),
    define("throughput/train", "Throughput, evaluations excluded", "{unit}/s", "higher"),
    define("throughput/train_per_device", "Throughput, evaluations excluded, per device", "{unit}/s", "higher"),
    define("throughput/core", "Throughput, waiting for data excluded too", "{unit}/s", "higher"),
    define("throughput/core_per_device", "Throughput, core, per device", "{unit}/s", "higher"),
    define("throughput/tokens_per_second", "Tokens per second", "tokens/s", "higher"),
    define("compute/parameters", "Parameters", "parameters", form="prefixed"),
    define(
        "compute/flops_per_sample",
        "Model FLOPs per sample",
        "FLOP/sample",
        form="prefixed",
    ),
    define("compute/achieved_flops_per_second", "Model FLOPs per second", "FLOP/s", "higher", form="prefixed"),
    define("compute/peak_flops_per_second", "Peak of the chip(s)", "FLOP/s", form="prefixed"),
    define(
        "roofline/throughput_samples_per_second",
        "Roofline of the chip",
        "{unit}/s",
    ),
    define("compute/mbu", "Memory bandwidth utilisation (MBU)", "1", "higher", form="percent"),
    define("roofline/fraction", "Fraction of the roofline", "1", "higher", form="percent"),
    define("compute/mfu", "Model FLOPs utilisation (MFU)", "1", "higher", form="percent"),
    define(
        "compute/measured_peak_flops_per_second",
        "Peak of the chip(s), measured",
        "FLOP/s",
        form="prefixed",
    ),
    define("compute/mfu_of_measured_peak", "MFU of the measured peak", "1", "higher", form="percent"),
    define("scaling/efficiency", "Scaling efficiency against one device", "1", "higher", form="percent"),
    define("ranks/slowest", "Slowest rank", "1", form="label"),
    define("ranks/slowest_to_median", "Slowest rank's own work over the median rank's", "1", "lower"),
    define("communication/wait_fraction", "Waiting for other ranks, share of a step", "1", "lower", form="percent"),
    define("communication/bytes_per_step", "Communication, payload per step and rank", "B", "lower", form="prefixed"),
    *(
        define(
            f"communication/{kind}_bytes_per_step", f"Communication, {title} per step and rank", "B", form="prefixed"
        )
        for kind, title in COLLECTIVES.items()
    ),
    define("communication/ring_bytes_per_step", "Communication, sent if on rings", "B", form="prefixed"),
    define("time/e2e_s", "Time, end to end", "s"),
    define("time/launch_s", "Time, launching the worker", "s"),
    define("time/init_s", "Time, start-up", "s"),
    define("time/setup_s", "Time, setting up", "s"),
    define("time/compile_s", "Time, compiling", "s"),
    define("time/train_s", "Time, training", "s"),
    define("time/eval_s", "Time, evaluation", "s"),
    define("time/ending_s", "Time, ending", "s"),
    define("step/mean_ms", "Step time, mean", "ms", "lower", same_batch=True),
    define("step/p50_ms", "Step time, median", "ms", "lower", same_batch=True),
    define("step/p90_ms", "Step time, 90th percentile", "ms", "lower", same_batch=True),
    define("step/p99_ms", "Step time, 99th percentile", "ms", "lower", same_batch=True),
    define("step/cv", "Step time, variation", "1", "lower", form="percent"),
    define("estimate/weights_gib", "Memory estimate, weights", "GiB"),
    define("estimate/gradients_gib", "Memory estimate, gradients", "GiB"),
    define("estimate/gradient_buckets_gib", "Memory estimate, data parallel's buckets", "GiB"),
    define("estimate/weight_copies_gib", "Memory estimate, autocast's copies of weights", "GiB"),
    define("estimate/optimizer_gib", "Memory estimate, optimizer", "GiB"),
    define("estimate/weight_average_gib", "Memory estimate, average of weights", "GiB"),
    define(
        "estimate/activations_per_sample_gib",
        "Memory estimate, activations",
        "GiB/sample",
    ),
    define("estimate/total_gib", "Memory estimate, total per device", "GiB"),
    define("estimate/chip_memory_gib", "Memory of the chip", "GiB"),
    define("estimate/fits", "Fits into the chip's memory", "bool", form="yes_no"),
    define(
        "memory/device_peak_allocated_gib",
        "Device memory, allocated peak",
        "GiB",
        "lower",
        same_batch=True,
        highest=True,
    ),
    define(
        "memory/device_peak_reserved_gib",
        "Device memory, reserved peak",
        "GiB",
        "lower",
        same_batch=True,
        highest=True,
    ),
    define("memory/device_peak_used_gib", "Device memory, used peak", "GiB", "lower", same_batch=True, highest=True),
    define(
        "memory/host_peak_rss_gib",
        "Host memory, peak",
        "GiB",
        "lower",
        same_batch=True,
        highest=True,
    ),
    define("energy/per_sample_j", "Energy per sample", "J/sample", "lower"),
    define("energy/samples_per_j", "Samples per joule", "{unit}/J", "higher"),
    define("energy/device_j", "Energy, devices", "J"),
    define("energy/node_j", "Energy, node", "J"),
    define("power/device_mean_w", "Power, devices, mean", "W"),
    define("power/device_peak_w", "Power, devices, peak", "W", highest=True),
    define("power/device_idle_w", "Power, devices, idle, runtime loaded", "W"),
    define("power/cap_w", "Power cap of the devices", "W"),
    define("power/node_mean_w", "Power, node, mean", "W"),
    define("clock/min_mhz", "Core clock, lowest in the window", "MHz"),
    define("clock/median_mhz", "Core clock, median in the window", "MHz"),
    define("clock/max_mhz", "Core clock, highest in the window", "MHz", highest=True),
    define("clock/limit_mhz", "Core clock, highest the device allows", "MHz"),
    define("host/disk_read_gib", "Host, read from disks in the window", "GiB"),
    define("host/disk_written_gib", "Host, written to disks in the window", "GiB"),
    define("host/network_sent_gib", "Host, sent over the network in the window", "GiB"),
    define("host/network_received_gib", "Host, received over the network in the window", "GiB"),
    define("host/others_utilisation_mean", "Host processors, taken by others, mean", "1", form="percent"),
    define("device/temperature_max_c", "Device temperature, highest", "°C", highest=True),
    define("device/utilisation_mean", "Device utilisation, mean", "1", form="percent"),
    define("overhead/fraction", "Cost of measuring", "1", "lower", form="percent"),
    define("data/skipped_train_examples", "Training examples that could not be read", "examples", form="integer"),
    define(
        "data/skipped_evaluation_examples", "Evaluation examples left out as unreadable", "examples", form="integer"
    ),
    define("run/window_s", "Measured window", "s"),
    define("run/skipped_steps", "Steps skipped by the gradient scaler", "steps", "lower", form="integer"),
    define("run/steady", "Speed was steady", "bool", form="yes_no"),
    define("run/emulated", "Emulated on the host CPU", "bool", form="yes_no"),
    define("run/publishable", "Publishable", "bool", form="yes_no"),
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
        return define(name, f"Accuracy of the engine, {metric}", "1", directions.get(quality_mode or ""))
    if not is_quality(name):
        return FIGURES[name]
    metric = name.removeprefix("quality/")
    moment = "last" if metric.endswith(LAST) else "best"
    return define(
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
        return (tr("yes") if value else tr("no")), ""
    if form == "label":
        return f"{value:.0f}", ""
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
