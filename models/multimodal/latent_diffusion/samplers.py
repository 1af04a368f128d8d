"""How noise is taken out of latents step by step: DDIM, and PLMS, the linear multistep half of PNDM.

Both go from one timestep to an earlier one by the same formula, DDIM's without noise of its own (Song et al.,
arXiv:2010.02502, equation 12 with sigma 0; Liu et al., arXiv:2202.09778, equation 9); PLMS puts a mean of the last
predictions into it. Factors are plain numbers: exported, they are constants of the graph.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

Predict = Callable[[Tensor, int], Tensor]
"""From latents and their timestep to the noise in them."""
ADAMS_BASHFORTH = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))
"""Weights of the last one to four predictions, the newest first."""
PLMS_OFFSET = 1
"""Added to PLMS' timesteps in the published pipeline."""


@dataclass(kw_only=True, slots=True, frozen=True)
class NoiseSchedule:
    """How much of a latent is noise at each timestep, and which timesteps are visited."""

    timesteps: int
    first_beta: float
    last_beta: float
    steps: int
    kept: tuple[float, ...] = field(init=False)
    """The latent's share of the variance after each timestep."""

    def __post_init__(self) -> None:
        first, last = self.first_beta**0.5, self.last_beta**0.5
        kept, share = [], 1.0
        for place in range(self.timesteps):
            share *= 1 - (first + (last - first) * place / (self.timesteps - 1)) ** 2
            kept.append(share)
        object.__setattr__(self, "kept", tuple(kept))

    @property
    def stride(self) -> int:
        """From one visited timestep to the next."""
        return self.timesteps // self.steps

    def visited(self, offset: int = 0) -> list[int]:
        """Timesteps in the order of denoising."""
        return [place * self.stride + offset for place in reversed(range(self.steps))]

    def moved(self, latents: Tensor, noise: Tensor, time: int, earlier: int) -> Tensor:
        """Latents of `time` as they are at `earlier`, or before the first timestep where that is negative."""
        now, then = self.kept[time], self.kept[max(earlier, 0)]
        scale = (then / now) ** 0.5
        moved: Tensor = scale * latents + ((1 - then) ** 0.5 - scale * (1 - now) ** 0.5) * noise
        return moved


def ddim(predict: Predict, latents: Tensor, schedule: NoiseSchedule) -> Tensor:
    """One prediction a step."""
    for time in schedule.visited():
        latents = schedule.moved(latents, predict(latents, time), time, time - schedule.stride)
    return latents


def plms(predict: Predict, latents: Tensor, schedule: NoiseSchedule) -> Tensor:
    """One prediction a step, and a second one in the first step, which is Heun's."""
    first, *others = schedule.visited(PLMS_OFFSET)
    second = first - schedule.stride
    found = [predict(latents, first)]
    ahead = predict(schedule.moved(latents, found[0], first, second), second)
    latents = schedule.moved(latents, (found[0] + ahead) / 2, first, second)
    for time in others:
        found = [predict(latents, time), *found[:3]]
        weights = ADAMS_BASHFORTH[len(found) - 1]
        noise = sum((weight * one for weight, one in zip(weights[1:], found[1:], strict=True)), weights[0] * found[0])
        latents = schedule.moved(latents, noise, time, time - schedule.stride)
    return latents


SAMPLERS: dict[str, Callable[[Predict, Tensor, NoiseSchedule], Tensor]] = {"ddim": ddim, "plms": plms}
