"""What the tasks that train have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from runner.config.schema import Case
from runner.record.run_record import RunRecord
from runner.record.task import Task
from runner.record.values import Values

if TYPE_CHECKING:
    from models.costs.account import Account


class TrainingTask(Task):
    """Trains a model, warms up and measures speed, memory and energy over a window."""

    section = "train"
    trains = True
    counts_model = True
    figures: ClassVar[tuple[str, ...]] = (
        *("throughput/*", "compute/*", "roofline/*", "time/e2e_s", "time/launch_s", "time/init_s", "time/setup_s"),
        *("time/compile_s", "time/train_s", "time/ending_s", "step/*"),
        *("memory/*", "energy/*", "power/*", "clock/*", "host/*", "device/*", "overhead/*", "run/*", "data/*"),
        *("scaling/*", "ranks/*", "communication/*"),
    )
    headline: ClassVar[tuple[str, ...]] = (
        *("throughput/steady", "roofline/throughput_samples_per_second", "memory/device_peak_allocated_gib"),
        *("memory/host_peak_rss_gib", "energy/per_sample_j", "power/device_mean_w", "run/window_s", "run/steady"),
    )

    def main_figures(self, case: Mapping[str, Any]) -> tuple[str, ...]:
        """Speed, how much of the chip that is, and what a sample costs in energy; of a model of tokens, those too."""
        return (
            *("throughput/steady", "compute/mfu", "energy/per_sample_j", "throughput/tokens_per_second"),
            *("memory/device_peak_allocated_gib", "step/p50_ms", "memory/host_peak_rss_gib"),
        )

    def count(self, case: Case) -> Account:
        """Forward and backward."""
        from runner.tasks.account import training_account

        return training_account(case)

    def values(self, run_record: RunRecord) -> tuple[Values, list[str]]:
        """Speed, times, FLOPs, energy and memory; of several ranks, what they are to each other."""
        from runner.results.parallel.figures import job_figures
        from runner.results.training import training

        values, notes = training(run_record)
        job, job_notes = job_figures(run_record, values["throughput/steady"])
        return values | job, [*notes, *job_notes]
