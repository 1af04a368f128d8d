import re

import pytest

from runner.record.names import FIGURES, definition, number, unit_of, written
from runner.record.task import figures_for

DESIGN_SECTION_8 = """
accuracy/{reference,drop,kept,gate_passed,samples} numerics/{mean_abs,max_abs,max_rel,cosine,snr_db,passed}
infer/{samples,core_samples,input_tokens}_per_second infer/latency_{mean,p50,p90,p99}_ms infer/requests
infer/steps_per_second
infer/{offered,achieved,goodput}_per_second infer/{compile_s,export_s,compile_peak_gib,engine_mib,coverage,subgraphs}
generation/ttft_{p50,p99}_ms generation/tpot_p50_ms generation/itl_{p50,p99}_ms
generation/{tokens,prefill_tokens,decode_tokens}_per_second generation/decode_mbu compute/mbu
throughput/{steady,whole,train,core} throughput/{steady,whole,train,core}_per_device throughput/tokens_per_second
time/{e2e,launch,init,setup,compile,train,eval,ending,to_target}_s clock/{min,median,max,limit}_mhz
step/{mean,p50,p90,p99}_ms step/cv quality/{target,reached}
convergence/{samples,steps,energy_j}_to_target
compute/{parameters,flops_per_sample,achieved_flops_per_second,peak_flops_per_second,mfu,measured_peak_flops_per_second,mfu_of_measured_peak}
roofline/{throughput_samples_per_second,fraction}
memory/{device_peak_allocated,device_peak_reserved,device_peak_used,host_peak_rss}_gib
energy/{device_j,per_sample_j,node_j,samples_per_j} power/{device_mean,device_peak,device_idle,node_mean,cap}_w
host/{disk_read,disk_written,network_sent,network_received}_gib host/others_utilisation_mean
device/{temperature_max_c,utilisation_mean} overhead/fraction run/{skipped_steps,steady,emulated,publishable,window_s}
estimate/{weights,gradients,gradient_buckets,weight_copies,optimizer,weight_average,activations_per_sample,total,chip_memory}_gib
estimate/fits data/skipped_{train,evaluation}_examples
scaling/efficiency ranks/{slowest,slowest_to_median} communication/{wait_fraction,bytes_per_step,ring_bytes_per_step}
communication/{all_reduce,all_gather,reduce_scatter,broadcast,reduce,all_to_all,point_to_point}_bytes_per_step
"""


def expand(pattern: str) -> list[str]:
    before, _, rest = pattern.partition("{")
    inside, _, after = rest.partition("}")
    return [f"{before}{choice}{after}" for choice in inside.split(",")] if rest else [pattern]


def test_registry_holds_exactly_the_figures_of_the_design():
    assert set(FIGURES) == {name for pattern in DESIGN_SECTION_8.split() for name in expand(pattern)}


def test_units_written_in_names_agree_with_the_units():
    suffixes = {"_s": "s", "_ms": "ms", "_gib": "GiB", "_w": "W", "_j": "J", "_c": "°C"}
    checked = 0
    for name, known in FIGURES.items():
        ending = re.search(r"_(s|ms|gib|w|j|c)$", name)
        if ending and not name.startswith("energy/samples_per"):
            assert known.unit.split("/")[0] == suffixes[ending.group()], name
            checked += 1
    assert checked > 20


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("throughput/steady", "images/s"),
        ("throughput/core_per_device", "images/s"),
        ("throughput/tokens_per_second", "tokens/s"),
        ("roofline/throughput_samples_per_second", "images/s"),
        ("convergence/samples_to_target", "images"),
        ("energy/samples_per_j", "images/J"),
        ("quality/top1", "1"),
        ("run/steady", "bool"),
    ],
)
def test_units_follow_the_model(name, unit):
    assert unit_of(name, "images") == unit


def test_unknown_figure_has_no_unit():
    with pytest.raises(KeyError):
        unit_of("throughput/stedy", "images")


def test_tasks_have_the_figures_that_apply_to_them():
    train, converge, inspect = figures_for("train"), figures_for("converge", ["top1"]), figures_for("inspect")
    assert "quality/target" not in train
    assert "energy/per_sample_j" in train
    assert converge[:2] == ["quality/top1", "quality/top1_last"]
    assert {"quality/reached", "time/to_target_s", "convergence/energy_j_to_target"} <= set(converge)
    assert set(train) < set(converge)
    assert not any(name.startswith(("energy/", "power/", "throughput/", "step/", "run/")) for name in inspect)
    assert {"compute/parameters", "roofline/throughput_samples_per_second", "estimate/total_gib"} <= set(inspect)
    assert not any(name.startswith("estimate/") for name in converge)
    for task in ("train", "converge", "inspect"):
        names = figures_for(task, ["top1"])
        assert len(names) == len(set(names))


def test_metrics_are_ignored_where_nothing_is_evaluated():
    assert figures_for("train", ["top1"]) == figures_for("train")


@pytest.mark.parametrize(("mode", "better"), [("max", "higher"), ("min", "lower"), (None, None)])
def test_quality_improves_in_the_recipes_direction(mode, better):
    assert definition("quality/wer", quality_mode=mode).better == better


def test_best_and_last_evaluation_are_told_apart():
    assert "best" in definition("quality/wer").title
    assert "last" in definition("quality/wer_last").title


def test_directions():
    higher = {"throughput/steady", "compute/mfu", "roofline/fraction", "energy/samples_per_j", "quality/reached"}
    lower = {"time/to_target_s", "energy/per_sample_j", "step/p99_ms", "overhead/fraction", "memory/host_peak_rss_gib"}
    neither = {"run/window_s", "energy/device_j", "power/device_mean_w", "compute/parameters", "time/e2e_s"}
    assert {FIGURES[name].better for name in higher} == {"higher"}
    assert {FIGURES[name].better for name in lower} == {"lower"}
    assert {FIGURES[name].better for name in neither} == {None}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (512.345, "512.3"),
        (1024.0, "1,024"),
        (12345.678, "12,346"),
        (1234567.0, "1,234,567"),
        (9.9996, "10.00"),
        (0.0123456, "0.01235"),
        (0.00000123456, "1.235e-06"),
        (-3.14159, "-3.142"),
        (2.25, "2.250"),
    ],
)
def test_numbers_have_sensible_digits(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "unit", "form", "shown"),
    [
        (0.41234, "1", "percent", ("41.2", "%")),
        (3.12e14, "FLOP/s", "prefixed", ("312.0", "TFLOP/s")),
        (335_174_458, "parameters", "prefixed", ("335.2", "M parameters")),
        (950.0, "FLOP/sample", "prefixed", ("950.0", "FLOP/sample")),
        (12800.0, "sequences", "integer", ("12,800", "sequences")),
        (1.0, "bool", "yes_no", ("yes", "")),
        (0.0, "bool", "yes_no", ("no", "")),
        (0.7123456, "1", "number", ("0.7123", "")),
        (62.4, "ms", "number", ("62.40", "ms")),
    ],
)
def test_values_are_written_for_people(value, unit, form, shown):
    assert written(value, unit, form) == shown


def test_prefix_can_follow_another_value():
    assert written(2e11, "FLOP/s", "prefixed", like=3e12) == ("0.2000", "TFLOP/s")
