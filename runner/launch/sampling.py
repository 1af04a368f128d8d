"""The meters of a run: started before its ranks, stopped after them; a run without them has no energy, and says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hardware.sampling.client import SamplerProcess, start_sampler
from runner.config.schema import Case
from runner.record.task import task_of

SAMPLER_S, SOON_S = 5.0, 1.0
"""How long the sampler may take to finish its files; and when somebody has asked the run to end."""
HOST_METERS = ("rapl", "host")
"""What an emulated run may read: the host it really runs on."""


def start_meters(case: Case, folder: Path, warn: Callable[[str], None]) -> SamplerProcess | None:
    """The process that reads this machine's meters into `power.csv`; None for a task that uses no device."""
    if not task_of(case).on_device:
        return None
    own = HOST_METERS if case.emulate else case.vendor.meters
    port = case.meters.prometheus_port
    try:
        return start_sampler(
            folder / "power.csv",
            (*own, *case.meters.extra),
            period_s=case.measure.sampling_period_s,
            window_s=case.measure.window.min_s,
            prometheus=None if port is None else (case.meters.prometheus_address, port),
        )
    except OSError as error:
        warn(f"No meter was read: the sampler could not be started: {error}.")
        return None


def end_sampler(sampler: SamplerProcess, warn: Callable[[str], None], *, soon: Callable[[], bool]) -> None:
    """End it; what it did not read becomes a warning. Whoever asked the run to end will not wait long for it."""
    sampler.stop(SOON_S if soon() else SAMPLER_S)
    if sampler.problem is not None:
        warn(f"The meters were not read to the end: {sampler.problem}.")
