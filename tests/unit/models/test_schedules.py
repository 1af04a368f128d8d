"""Learning rates at chosen steps, worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from models.schedules import rate_factor
from models.training import Schedule


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({"name": "constant"}, {0: 1, 1000: 1}),
        ({"name": "constant", "warmup": 4}, {0: 0.25, 3: 1, 4: 1}),
        ({"name": "constant", "warmup": 4, "warmup_ratio": 0.2}, {0: 0.4, 1: 0.6, 3: 1, 4: 1}),
        ({"name": "linear", "warmup": 2, "total": 10, "final_ratio": 0.2}, {1: 1, 2: 1, 6: 0.6, 10: 0.2, 99: 0.2}),
        ({"name": "cosine", "total": 8}, {0: 1, 2: 0.853553, 4: 0.5, 8: 0}),
        ({"name": "polynomial", "total": 10, "power": 2}, {0: 1, 5: 0.25, 10: 0}),
        ({"name": "inverse_sqrt", "warmup": 4}, {0: 0.25, 3: 1, 15: 0.5, 63: 0.25}),
        ({"name": "multistep", "milestones": [3, 5], "gammas": [0.1, 0.01]}, {2: 1, 3: 0.1, 4: 0.1, 5: 0.01}),
        ({"name": "step", "every": 3, "gamma": 0.5}, {0: 1, 2: 1, 3: 0.5, 6: 0.25}),
        ({"name": "exponential", "every": 2, "gamma": 0.25}, {0: 1, 1: 0.5, 2: 0.25}),
    ],
)
def test_factor_of_the_peak_rate(schedule: dict[str, Any], expected: dict[int, float]) -> None:
    found = {step: rate_factor(Schedule(**schedule), step) for step in expected}
    assert found == pytest.approx(expected, abs=1e-6)


def test_epochs_are_as_long_as_the_global_batch_makes_them() -> None:
    schedule = Schedule(name="step", unit="epochs", warmup=1, every=2, gamma=0.1)
    assert [rate_factor(schedule, step, 2.5) for step in (0, 1, 2, 4, 5, 9, 10)] == pytest.approx(
        [0.4, 0.8, 1.0, 1.0, 0.1, 0.1, 0.01]
    )


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"name": "linear"}, "total is needed"),
        ({"name": "step", "every": 3}, "gamma is needed"),
        ({"name": "inverse_sqrt"}, "warmup is needed"),
        ({"name": "multistep", "milestones": (3,), "gammas": ()}, "as many gammas"),
        ({"name": "multistep", "milestones": (3, 3), "gammas": (1, 1)}, "must rise"),
    ],
)
def test_a_schedule_that_lacks_something_is_refused(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Schedule(**wrong)
