"""Whether a figure is worse than a limit, beyond the noise: pass, fail, or not to be told. Pure.

    d      = location of the new run - location of the baseline (logarithms, higher is better); the ratio is exp(d)
    error  = sqrt(M (1/k + 1/K)), M from `runner.comparison.gate.noise`, k new runs and K of the baseline
    reach  = t(1 - alpha; freedom) * error: what chance alone reaches with probability alpha

    fail       exp(d) < limit and d < -reach
    pass       reach ≤ -log(limit): a loss at the limit would have been seen, and there is none; or, with more noise,
               d - t(0.95; freedom) * error ≥ log(limit): a loss beyond the limit is ruled out all the same
    undecided  else

alpha is ALPHA for one test. At a limit of 0.97 the gate fails on losses above max(3 %, 1 - exp(-reach)), half of those
that are just so large; of a loss of 1 - exp(-(reach + t(0.9) error)) it sees nine in ten.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from runner.comparison.gate.noise import RunNoise

Outcome = Literal["pass", "fail", "undecided"]
ALPHA = 0.0025
"""Of one test: with two tests of a figure, ten unchanged runs in a row pass in 95 of 100 such rows."""
_RULED_OUT = 0.95
_MOSTLY = 0.9


@dataclass(kw_only=True, slots=True, frozen=True)
class Decision:
    """One test."""

    outcome: Outcome
    ratio: float
    """New ÷ baseline, above 1 where it got better."""
    noise: float
    """Standard deviation of one run, as a fraction."""
    freedom: float
    smallest_loss: float
    """The loss, as a fraction, above which the gate fails."""
    mostly_seen: float
    """The loss that it sees in nine of ten runs."""


def decide(difference: float, noise: RunNoise, limit: float, *, new_runs: int, baseline_runs: int) -> Decision:
    """Judge a difference of locations.

    Args:
        difference: d.
        noise: of the location of one run.
        limit: the ratio below which it is a loss, e.g. 0.97.
        new_runs: k.
        baseline_runs: K.
    """
    from scipy.special import stdtrit

    error = math.sqrt(noise.variance * (1 / new_runs + 1 / baseline_runs))
    reach, ruled_out, mostly = (
        float(stdtrit(noise.freedom, share)) * error for share in (1 - ALPHA, _RULED_OUT, _MOSTLY)
    )
    allowed = -math.log(limit)
    if difference < -allowed and difference < -reach:
        outcome: Outcome = "fail"
    elif (reach <= allowed and difference >= -allowed) or difference - ruled_out >= -allowed:
        outcome = "pass"
    else:
        outcome = "undecided"
    return Decision(
        outcome=outcome,
        ratio=math.exp(difference),
        noise=noise.relative,
        freedom=noise.freedom,
        smallest_loss=-math.expm1(-max(reach, allowed)),
        mostly_seen=-math.expm1(-(max(reach, allowed) + mostly)),
    )
