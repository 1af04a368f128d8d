"""The samplers against diffusers' schedulers, over the steps of FlagPerf and of the published pipeline."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from models.multimodal.latent_diffusion.samplers import SAMPLERS, NoiseSchedule

SCHEDULE = {"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def theirs(name: str) -> Any:
    """As FlagPerf makes its DDIM, and as `scheduler_config.json` of CompVis/stable-diffusion-v1-4 has it."""
    from diffusers import DDIMScheduler, PNDMScheduler

    if name == "ddim":
        return DDIMScheduler(**SCHEDULE, clip_sample=False, set_alpha_to_one=False)
    return PNDMScheduler(**SCHEDULE, skip_prk_steps=True, set_alpha_to_one=False, steps_offset=1)


def curved(latents: Tensor, time: int) -> Tensor:
    """Something that depends on latents and time as a prediction does: smoothly, and not in a line."""
    return torch.sin(latents * (1 + time / 1000)) + 0.1 * latents


@pytest.mark.parametrize("steps", [2, 4, 50])
@pytest.mark.parametrize("name", SAMPLERS)
def test_latents_are_diffusers(name: str, steps: int) -> None:
    scheduler, asked = theirs(name), []
    scheduler.set_timesteps(steps)
    noise = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    wanted = noise
    for time in scheduler.timesteps:
        wanted = scheduler.step(curved(wanted, int(time)), time, wanted).prev_sample

    def predict(latents: Tensor, time: int) -> Tensor:
        asked.append(time)
        return curved(latents, time)

    schedule = NoiseSchedule(timesteps=1000, first_beta=0.00085, last_beta=0.012, steps=steps)
    found = SAMPLERS[name](predict, noise, schedule)
    assert asked == scheduler.timesteps.tolist() and len(asked) == steps + (name == "plms")
    assert (found - wanted).abs().max() < 1e-4 * wanted.abs().max()
    assert (found - noise).abs().max() > 1


def test_kept_variance_is_diffusers() -> None:
    schedule = NoiseSchedule(timesteps=1000, first_beta=0.00085, last_beta=0.012, steps=50)
    assert schedule.kept == pytest.approx(theirs("ddim").alphas_cumprod.tolist(), rel=1e-4)


def test_flagperfs_timesteps() -> None:
    """Its own list: from 980 down to 0 in 50 equal steps."""
    schedule = NoiseSchedule(timesteps=1000, first_beta=0.00085, last_beta=0.012, steps=50)
    assert schedule.visited() == torch.linspace(1000 - 1000 // 50, 0, 50).int().tolist()
