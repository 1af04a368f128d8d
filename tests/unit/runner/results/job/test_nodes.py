"""Figures of several machines: energies add up, and what one node did not measure is not known of the job."""

from __future__ import annotations

from runner.record.values import Missing, Values
from runner.results.job.nodes import of_node, over_nodes


def _node(joules: float, watts: float, temperature: float, use: float, peak: float = 100.0) -> Values:
    return {
        "energy/device_j": joules,
        "energy/per_sample_j": joules / 100,
        "energy/samples_per_j": 100 / joules,
        "power/device_mean_w": watts,
        "power/device_peak_w": peak,
        "device/temperature_max_c": temperature,
        "device/utilisation_mean": use,
    }


def test_energy_is_the_sum_over_nodes_and_per_sample_of_the_whole_job() -> None:
    found = over_nodes([_node(3000.0, 300.0, 60.0, 0.9), _node(1000.0, 100.0, 70.0, 0.5)], samples=200)
    assert found["energy/device_j"] == 4000.0 and found["power/device_mean_w"] == 400.0
    assert found["energy/per_sample_j"] == 20.0 and found["energy/samples_per_j"] == 0.05
    assert found["device/temperature_max_c"] == 70.0 and found["device/utilisation_mean"] == 0.7
    peak = found["power/device_peak_w"]
    assert isinstance(peak, Missing) and "not of one moment" in peak.reason


def test_a_node_without_a_meter_leaves_the_job_without_its_energy() -> None:
    blind = _node(1.0, 1.0, 1.0, 1.0) | dict.fromkeys(("energy/device_j", "power/device_mean_w"), Missing("no meter"))
    found = over_nodes([_node(3000.0, 300.0, 60.0, 0.9), blind], samples=200)
    for name in ("energy/device_j", "power/device_mean_w", "energy/per_sample_j", "energy/samples_per_j"):
        value = found[name]
        assert isinstance(value, Missing) and value.reason == "on node 1: no meter"


def test_what_no_node_has_needs_no_node_named() -> None:
    found = over_nodes([{"host/x": Missing("none")}, {"host/x": Missing("none")}], samples=1)
    assert found["host/x"] == Missing("none")


def test_one_node_stays_as_it_is() -> None:
    values = _node(3000.0, 300.0, 60.0, 0.9)
    assert over_nodes([values], samples=1) is values
    assert of_node(0, ["a"], 1) == ["a"] and of_node(1, ["a"], 2) == ["Node 1: a"]
