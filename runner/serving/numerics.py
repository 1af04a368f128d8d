"""How far an engine's outputs lie from the reference's: errors, direction, signal to noise, per output."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from hardware.engines.graph import Tensors
from runner.record.serving_names import ERROR_POWERS

ERRORS = ("mean_abs", "max_abs", "max_rel", "cosine", "snr_db", "histogram")
"""What there is of an output only where there is something to compare."""
BINS = ("0", *(f"1e{power}" for power in ERROR_POWERS))
PIECE = 1 << 20
"""Elements that are compared at a time."""


def compare(found: Sequence[Tensors], reference: Sequence[Tensors], names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """By output: `mean_abs`, `max_abs`, `max_rel`, `cosine`, `snr_db`, `not_finite`, `elements`, `histogram`.

    Everything is computed in float64 over all batches together. `max_rel` is over elements of the reference that are
    at least a thousandth of its root mean square: below that a quotient says nothing. `snr_db` is 10 log10 of the
    reference's power over the error's; infinity, told as None, where there is no error at all.
    """
    told = {}
    for place, name in enumerate(names):
        ours = [one[place].detach().cpu() for one in found]
        theirs = [one[place].detach().cpu() for one in reference]
        counts = tuple(sum(one.numel() for one in side) for side in (ours, theirs))
        if counts[0] != counts[1]:
            raise ValueError(f"output {name} has {counts[0]} elements, the reference's has {counts[1]}")
        told[name] = _compared(_Pairs(ours, theirs))
    return told


class _Pairs:
    """Both sides of an output by pieces that caches hold, in float64: logits over a vocabulary have 10⁹ elements."""

    def __init__(self, ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> None:
        """Take the batches; where the sides cut them elsewhere, they are joined first."""
        cut = [one.numel() for one in ours] != [one.numel() for one in theirs]
        sides = [[torch.cat([one.flatten() for one in side])] if cut else side for side in (ours, theirs)]
        self._batches = list(zip(*sides, strict=True))

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Ours and theirs, piece after piece."""
        for batch in self._batches:
            pieces = [one.flatten().split(PIECE) for one in batch]
            for ours, theirs in zip(*pieces, strict=True):
                yield ours.double(), theirs.double()

    def comparable(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The same where theirs is a finite number."""
        for ours, theirs in self:
            both = theirs.isfinite()
            yield (ours, theirs) if bool(both.all()) else (ours[both], theirs[both])


def _compared(pairs: _Pairs) -> dict[str, Any]:
    # What masks a place on purpose, as -inf in logits, is no number to compare; it must be masked on both sides.
    bad = elements = compared = 0
    for ours, theirs in pairs:
        both = theirs.isfinite()
        bad += int((~ours.isfinite() & both).sum() + (ours[~both] != theirs[~both]).sum())
        elements, compared = elements + len(ours), compared + int(both.sum())
    if bad or not compared:
        return dict.fromkeys(ERRORS) | {"not_finite": bad, "elements": elements if bad else 0}
    absolute = noise = power = own = dot = largest = 0.0
    for ours, theirs in pairs.comparable():
        error = (ours - theirs).abs()
        absolute, noise = absolute + float(error.sum()), noise + float(error.square().sum())
        power, own, dot = power + float(theirs @ theirs), own + float(ours @ ours), dot + float(ours @ theirs)
        largest = max(largest, float(error.max())) if len(error) else largest
    scale = math.sqrt(power / compared)
    relative, histogram = 0.0, Counter[str]()
    for ours, theirs in pairs.comparable():
        error, size = (ours - theirs).abs(), theirs.abs()
        large = size >= 1e-3 * scale
        if scale and bool(large.any()):
            relative = max(relative, float((error[large] / size[large]).max()))
        histogram.update(_histogram(error, scale))
    norms = math.sqrt(own) * math.sqrt(power)
    return {
        "mean_abs": absolute / compared,
        "max_abs": largest,
        "max_rel": relative if scale else None,
        "cosine": dot / norms if norms else None,
        "snr_db": 10 * math.log10(power / noise) if power and noise else None,
        "exact": noise == 0,
        "zero": power == 0,
        "not_finite": 0,
        "elements": compared,
        "histogram": {name: histogram[name] for name in BINS if name in histogram},
    }


def _histogram(error: Tensor, scale: float) -> dict[str, int]:
    """Elements by the power of ten of their error; `0` are those without any."""
    relative = error / scale if scale else error
    exact = int((relative == 0).sum())
    powers = relative[relative > 0].log10().floor().clamp(ERROR_POWERS.start, ERROR_POWERS.stop - 1).long()
    counts = torch.bincount(powers - ERROR_POWERS.start, minlength=len(ERROR_POWERS)).tolist()
    return {"0": exact} | {f"1e{power}": count for power, count in zip(ERROR_POWERS, counts, strict=True) if count}


def problems(told: dict[str, dict[str, Any]], least_snr_db: float) -> list[str]:
    """A sentence for each output that is not as near to the reference as its precision allows.

    An output of the reference that is zero everywhere holds nothing to anything: that is a problem, too.
    """
    found = []
    for name, one in told.items():
        if one["elements"] and not one["not_finite"] and one["zero"]:
            found.append(f"the float32 reference of {name} is zero everywhere, so that nothing was compared")
        elif one["snr_db"] is not None and one["snr_db"] < least_snr_db:
            ratio = f"{round(one['snr_db'], 1) + 0.0:.1f} dB against the float32 reference"
            found.append(
                f"{name} has a signal-to-noise ratio of {ratio}, where no less than {least_snr_db:g} dB is allowed"
            )
    return found


def indistinct(reference: Sequence[Tensors], names: Sequence[str], least_snr_db: float) -> list[str]:
    """A sentence for each output whose answer to one row would pass for that to another.

    Where all answers are nearly the same, as under a large offset that no input moves, an engine that reads its inputs
    wrongly passes, too: the ratio is the offset's. Each row is held to the one before it.
    """
    rows = tuple(torch.cat([one[place] for one in reference]) for place in range(len(names)))
    if len(rows[0]) < 2:  # noqa: PLR2004 - one row has no other
        return []
    others = compare([tuple(one.roll(1, dims=0) for one in rows)], [rows], names)
    return [
        f"Numerics: {name} is nearly the same whatever the input (one row's answer has "
        f"{'no error' if one['snr_db'] is None else format(one['snr_db'], '.1f') + ' dB'} against another's, where "
        f"{least_snr_db:g} dB pass), so that it does not tell whether the engine reads its inputs rightly."
        for name, one in others.items()
        if one["elements"] and not one["not_finite"] and not one["zero"]
        if one["exact"] or one["snr_db"] >= least_snr_db
    ]
