"""`task=inspect`: runs nothing. Parameters, FLOPs, bytes and memory are counted; the chip's peaks set the limit."""

from __future__ import annotations

import shlex
from difflib import get_close_matches
from typing import Any

from runner.config.schema import Case
from runner.core.errors import ConfigurationError
from runner.core.events import Name
from runner.measure.context import Context
from runner.planning.figures import DEFINITIONS
from runner.planning.own import InspectOptions
from runner.record.run_record import RunRecord
from runner.record.stages import Stage, Stages
from runner.record.task import Task
from runner.record.values import Values


class Inspect(Task):
    """What the model costs, and what the chip could do with it at the most."""

    name = "inspect"
    options = InspectOptions
    on_device = False
    definitions = DEFINITIONS
    figures = (
        *("compute/parameters", "compute/flops_per_sample", "compute/peak_flops_per_second"),
        *("compute/measured_peak_flops_per_second", "roofline/throughput_samples_per_second", "estimate/*"),
    )
    headline = (
        *("compute/parameters", "compute/flops_per_sample", "compute/peak_flops_per_second"),
        *("roofline/throughput_samples_per_second", "estimate/weights_gib", "estimate/gradients_gib"),
        *("estimate/optimizer_gib", "estimate/activations_gib", "estimate/total_gib"),
        *("estimate/chip_memory_gib", "estimate/fits", "plan/step_time_ms"),
    )
    table_title = "Computed"
    points_title = "Layouts that fit, the best first"
    stages = Stages(first=Stage.COUNTING)
    rules = ()

    def check(self, case: Case) -> None:
        """There is nothing but the catalogue to take a chip's rates from."""
        from hardware.chips import find_chip, load_chips

        name = case.vendor.chip
        if name is None or find_chip(name) is not None:
            return
        known = [one for chip in load_chips() for one in (chip.name, *chip.aliases)]
        near = [one for one in known if name.lower() in one.lower()] or get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f" Did you mean vendor.chip={shlex.quote(near[0])}?" if near else ""
        raise ConfigurationError(f"vendor.chip={name} is not in hardware/chips.yaml, so its rates are unknown.{hint}")

    def run(self, context: Context) -> None:
        """Count the case's model on the meta device, where no weights are allocated, and plan with what it costs.

        Raises:
            ConfigurationError: the model cannot be shared out as the layout asks.
        """
        from dataclasses import asdict

        from runner.planning.plan import tell_plan

        account = asdict(self.count(context.case))
        context.events.emit(Name.ACCOUNT, account)
        if context.case.model.train:
            tell_plan(context.case, account, context.events)

    def count(self, case: Case) -> Any:
        """What training costs, or serving where the model is only served."""
        from runner.tasks.account import serving_account, training_account

        return training_account(case) if case.model.train else serving_account(case)

    def values(self, run_record: RunRecord) -> tuple[Values, list[str]]:
        """What was counted, and what follows from it for the chip."""
        from runner.planning.plan import planned_values
        from runner.record.values import Missing
        from runner.results.compute import chip_of, compute

        devices = run_record.case.topology.ranks
        no_throughput = Missing("task=inspect measures nothing")
        chip = chip_of(run_record)
        planned, notes = planned_values(run_record, chip)
        return compute(run_record, chip, no_throughput, devices) | planned, notes
