"""1F1B over stages whose sends wait for their receiver: every pass once, in order, and nobody waits for ever."""

from __future__ import annotations

from queue import Empty, Queue
from threading import Thread
from typing import Any

import pytest

from models.ports.paddle.parallel.schedule import Neighbours, run_passes

PATIENCE_S = 20.0


class Wire:
    """One direction between two stages; a send returns when it was received."""

    def __init__(self) -> None:
        self.sent: Queue[Any] = Queue(1)
        self.taken: Queue[None] = Queue(1)

    def send(self, value: Any) -> None:
        self.sent.put(value, timeout=PATIENCE_S)
        self.taken.get(timeout=PATIENCE_S)

    def receive(self) -> Any:
        value = self.sent.get(timeout=PATIENCE_S)
        self.taken.put(None)
        return value


class WiredNeighbours(Neighbours):
    def __init__(self, stage: int, forward: list[Wire], backward: list[Wire]) -> None:
        super().__init__(stage)
        self._in = forward[stage - 1] if stage else None
        self._out = forward[stage] if stage < len(forward) else None
        self._back_out = backward[stage - 1] if stage else None
        self._back_in = backward[stage] if stage < len(backward) else None

    def receive(self, batch: Any) -> Any:
        return None if self._in is None else self._in.receive()

    def send(self, left: Any) -> None:
        if self._out is not None:
            self._out.send(left)

    def receive_gradient(self, left: Any) -> Any:
        return None if self._back_in is None else self._back_in.receive()

    def send_gradient(self, gradient: Any) -> None:
        if self._back_out is not None:
            self._back_out.send(gradient)


def run(stages: int, passes: int) -> tuple[list[list[str]], list[int]]:
    """What each stage did, in its order, and how many passes each held at most between forward and backward."""
    forward, backward = [Wire() for _ in range(stages - 1)], [Wire() for _ in range(stages - 1)]
    done: list[list[str]] = [[] for _ in range(stages)]
    held, most, problems = [0] * stages, [0] * stages, []

    def work(stage: int) -> None:
        def ahead(entered: Any, batch: int) -> Any:
            assert entered == (None if stage == 0 else (batch, stage - 1))
            done[stage].append(f"F{batch}")
            held[stage] += 1
            most[stage] = max(most[stage], held[stage])
            return batch, stage

        def back(entered: Any, left: Any, gradient: Any) -> Any:
            assert gradient == (None if stage == stages - 1 else ("gradient", left[0]))
            done[stage].append(f"B{left[0]}")
            held[stage] -= 1
            return "gradient", left[0]

        try:
            run_passes(
                WiredNeighbours(stage, forward, backward),
                range(passes),
                ahead=stages - 1 - stage,
                forward=ahead,
                backward=back,
            )
        except (AssertionError, Empty) as error:
            problems.append(f"stage {stage}: {error!r}")

    threads = [Thread(target=work, args=(stage,), daemon=True) for stage in range(stages)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S * 2)
    assert not problems and not any(thread.is_alive() for thread in threads), problems
    return done, most


@pytest.mark.parametrize("stages", [2, 3, 4, 5])
@pytest.mark.parametrize("passes", [1, 2, 3, 4, 7, 8])
def test_every_stage_takes_every_pass_forward_and_backward_once(stages: int, passes: int) -> None:
    done, most = run(stages, passes)
    for stage in range(stages):
        assert [one for one in done[stage] if one[0] == "F"] == [f"F{number}" for number in range(passes)]
        assert [one for one in done[stage] if one[0] == "B"] == [f"B{number}" for number in range(passes)]
        assert most[stage] == min(passes, stages - stage)  # what 1F1B is for: no more are held than stages follow


def test_the_order_is_that_of_the_paper() -> None:
    done, _ = run(2, 4)
    assert done == [
        ["F0", "F1", "B0", "F2", "B1", "F3", "B2", "B3"],
        ["F0", "B0", "F1", "B1", "F2", "B2", "F3", "B3"],
    ]
