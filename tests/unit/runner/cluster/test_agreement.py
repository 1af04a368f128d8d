"""Nodes of one job are alike, or the job is refused, or its reader is told."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from runner.cluster.agreement import disagreements

NODE: dict[str, Any] = {
    "host": "a",
    "boot_id": "1",
    "kernel": "x86_64 6.8",
    "python": "3.11.7",
    "packages": {"touchstone": "0.1.0", "torch": "2.6.0", "numpy": "2.1.0", "torch_npu": "2.6.0"},
    "source": "0123456789ab",
    "driver": "550.54",
    "cpu": "Xeon",
    "cores": 64,
    "niceness": 0,
    "memory_gib": 503.5,
    "devices": {"visible": 8, "chips": {"H100": 8}},
    "folder": "outputs",
    "free_gib": 100.0,
    "wall_time_s": 0.0,
    "clock_offset_s": 0.01,
}


def nodes(count: int = 2, **changes: Any) -> list[dict[str, Any]]:
    """So many like nodes, of which the last is changed."""
    made = [copy.deepcopy(NODE) | {"host": chr(ord("a") + number)} for number in range(count)]
    made[-1] |= changes
    return made


def packages(**changes: Any) -> dict[str, str]:
    return {name: value for name, value in (NODE["packages"] | changes).items() if value is not None}


def test_like_nodes_agree_whatever_their_names_and_times() -> None:
    found = disagreements(nodes(3, wall_time_s=5.0, boot_id="9", clock_offset_s=None), devices=8)
    assert (found.refused, found.warned) == ([], [])
    one = disagreements(nodes(1), devices=8)
    assert (one.refused, one.warned) == ([], [])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"packages": packages(torch="2.5.1")},
            "The nodes differ in torch: 2.6.0 on nodes 0, 1 (a, b); 2.5.1 on node 2 (c).",
        ),
        (
            {"packages": packages(torch_npu=None)},
            "The nodes differ in torch_npu: 2.6.0 on nodes 0, 1 (a, b); none on node 2 (c).",
        ),
        (
            {"source": "ffffffffffff"},
            "The nodes differ in Touchstone's source: 0123456789ab on nodes 0, 1 (a, b); ffffffffffff on node 2 (c).",
        ),
        ({"driver": None}, "The nodes differ in driver: 550.54 on nodes 0, 1 (a, b); none on node 2 (c)."),
        ({"python": "3.12.7"}, "The nodes differ in Python: 3.11 on nodes 0, 1 (a, b); 3.12 on node 2 (c)."),
        ({"devices": {"visible": 7, "chips": {"H100": 8}}}, "topology.devices=8, and 7 can be seen on node 2 (c)."),
        ({"free_gib": 1e-5}, "The disk that holds outputs is full on node 2 (c). Free space there."),
    ],
)
def test_what_must_agree_is_refused_and_the_node_is_named(changes: dict[str, Any], sentence: str) -> None:
    found = disagreements(nodes(3, **changes), devices=8)
    assert found.refused == [sentence]
    assert found.warned == []


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"packages": packages(numpy="2.2.0")}, "The nodes differ in numpy: 2.1.0 on node 0 (a); 2.2.0 on node 1 (b)."),
        (
            {"devices": {"visible": 8, "chips": {"A100": 4, "H100": 4}}},
            "The nodes differ in chips: 8 x H100 on node 0 (a); 4 x A100, 4 x H100 on node 1 (b).",
        ),
        ({"cores": 32}, "The nodes differ in usable cores: 64 on node 0 (a); 32 on node 1 (b)."),
        ({"memory_gib": 251.0}, "The nodes differ in memory: 504 GiB on node 0 (a); 251 GiB on node 1 (b)."),
        (
            {"niceness": 15},
            "The ranks of node 1 (b) run at niceness 15: whatever else runs there goes first. Ray starts its workers "
            "so, unless its nodes are started with RAY_worker_niceness=0.",
        ),
        ({"free_gib": 0.5}, "There is 0.50 GiB of room left for outputs on node 1 (b)."),
        (
            {"clock_offset_s": -61.24},
            "The clock of node 1 (b) is 61.2 s behind the runner's: times in its own logs are off by as much. "
            "Let the nodes keep time by NTP or chrony.",
        ),
    ],
)
def test_what_may_differ_is_a_warning(changes: dict[str, Any], sentence: str) -> None:
    found = disagreements(nodes(2, **changes), devices=8)
    assert found.refused == []
    assert found.warned == [sentence]


@pytest.mark.parametrize(
    "changes",
    [
        {"python": "3.11.9"},
        {"memory_gib": 499.0},
        {"clock_offset_s": 0.5},
        {"devices": {"visible": None, "chips": {"H100": 8}}},
    ],
)
def test_what_changes_nothing_is_not_told(changes: dict[str, Any]) -> None:
    found = disagreements(nodes(2, **changes), devices=8)
    assert (found.refused, found.warned) == ([], [])


def test_of_many_nodes_the_odd_one_is_named_and_the_others_are_counted() -> None:
    found = disagreements(nodes(512, driver="535.1", host="odd"))
    assert found.refused == ["The nodes differ in driver: 550.54 on 511 nodes; 535.1 on node 511 (odd)."]
