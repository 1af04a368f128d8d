"""Figures of several machines: energies add up, and what one node did not measure is not known of the job."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from report_folders import NVIDIA, Folder, case

import runner.results.power
from runner.config.schema import Topology
from runner.record.run_record import NODES_FILE, read_record
from runner.record.values import Missing, Values
from runner.results.job.machines import counted_once
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


@pytest.mark.parametrize("on_host", [False, True])
@pytest.mark.parametrize(("boots", "shared"), [(("a", "b"), False), (("a", "a"), True), ((None, None), False)])
def test_the_meters_of_one_machine_are_not_added_up_for_each_node_on_it(
    tmp_path: Path, boots: tuple[str | None, ...], shared: bool, on_host: bool
) -> None:
    topology = Topology(name="cluster", nodes=2, devices=1)
    Folder(tmp_path, replace(case(vendor=replace(NVIDIA, on_host=on_host)), topology=topology))
    (tmp_path / NODES_FILE).write_text(json.dumps([{"node": node, "boot_id": boot} for node, boot in enumerate(boots)]))
    known = over_nodes([_node(30.0, 3.0, 60.0, 0.9) | {"energy/node_j": 50.0}] * 2, samples=10)
    values = counted_once(read_record(tmp_path), known)
    lost = {name for name in known if values[name] != known[name]}
    of_packages = {"energy/device_j", "energy/per_sample_j", "energy/samples_per_j", "power/device_mean_w"}
    assert lost == ({"energy/node_j", *(of_packages if on_host else ())} if shared else set())
    if shared:
        found = values["energy/node_j"]
        assert isinstance(found, Missing) and found.reason.startswith("nodes 0, 1 are one machine")


def test_the_power_of_a_job_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Folder(tmp_path, replace(case(), topology=Topology(name="cluster", nodes=2, devices=1)))
    (tmp_path / NODES_FILE).write_text(json.dumps([{"boot_id": "a"}, {"boot_id": "a"}]))
    monkeypatch.setattr(runner.results.power, "_of_node", lambda _: ({"host/disk_read_gib": 1.0}, []))
    assert isinstance(runner.results.power.power(read_record(tmp_path))[0]["host/disk_read_gib"], Missing)
