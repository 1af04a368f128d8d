"""Two real ranks of torchrun over gloo, one of them slowed down: the slow one is named, whichever it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import two_ranks

from runner.core.events import Name
from runner.record.run_record import read_record
from runner.record.values import Values
from runner.results.parallel.communication import communication
from runner.results.parallel.ranks import ranks

pytestmark = pytest.mark.heavy


def trained(folder: Path, **options: Any) -> tuple[Values, list[str], dict[str, int]]:
    counts = two_ranks.run(folder, **options)
    record = read_record(folder)
    values, notes = ranks(record)
    return values | communication(record), notes, counts


@pytest.mark.parametrize("slow", [0, 1])
@pytest.mark.parametrize(
    "options",
    [
        {"where": "forward"},
        {"where": "forward", "buffers": True},
        {"where": "data"},
        {"where": "data", "buffers": True},
        {"where": "backward"},
        {"where": "forward", "accumulate": 2},
    ],
    ids=["forward", "forward, with buffers", "data", "data, with buffers", "backward", "accumulated"],
)
def test_the_slow_rank_is_named(tmp_path: Path, slow: int, options: dict[str, Any]) -> None:
    """It sleeps once more as long as each rank works: about twice the other's own work, less what both do beside."""
    values, notes, _ = trained(tmp_path, slow=slow, **options)
    assert values["ranks/slowest"] == slow
    ratio, waiting = values["ranks/slowest_to_median"], values["communication/wait_fraction"]
    assert isinstance(ratio, float) and 1.5 < ratio < 2.1
    assert len(notes) == 1 and notes[0].startswith(f"Rank {slow} (device {slow}) is the slowest: {ratio:.2f}x")
    # The fast one waits for about half of a step, the slow one hardly: a quarter on average.
    assert isinstance(waiting, float) and 0.12 < waiting < 0.45


def test_payload_and_buffers_of_a_real_step(tmp_path: Path) -> None:
    """A layer of 4 + 1 parameters behind a norm of 4 + 4, whose buffers are 4 + 4 values and a count of 8 bytes."""
    values, _, counts = trained(tmp_path, buffers=True)
    assert counts["parameters"] == 13
    assert values["communication/all_reduce_bytes_per_step"] == 4 * 13
    assert values["communication/broadcast_bytes_per_step"] == 4 * 8 + 8
    assert values["communication/bytes_per_step"] == 4 * 13 + 4 * 8 + 8
    assert values["communication/ring_bytes_per_step"] == 2 * 0.5 * 4 * 13 + 40


def test_nothing_is_read_or_waited_for_per_step(tmp_path: Path) -> None:
    """Of several ranks, too: so many reads, waits and meetings, however many steps the window has."""
    counted = []
    for steps in (10, 60):
        folder = tmp_path / str(steps)
        folder.mkdir()
        counted.append(trained(folder, min_steps=steps)[2])
        (segment,) = read_record(folder).all(Name.SEGMENT_END)
        assert segment.value["steps"] == steps
    assert counted[0] == counted[1]
    assert counted[0]["item"] == counted[0]["__bool__"] == counted[0]["broadcast"] == 0
