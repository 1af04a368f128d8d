"""A task that runs no model and no device: it rolls dice by a rule that can be checked by hand."""

from __future__ import annotations

from pydantic.dataclasses import dataclass

from hardware.spec import VendorSpec
from models.ranges import Count
from runner.config.schema import STRICT, TaskOptions
from runner.core.events import Name
from runner.measure.context import Context
from runner.record.names import Definition
from runner.record.run_record import RunRecord
from runner.record.stages import Stage, Stages
from runner.record.task import Task
from runner.record.values import Missing, Values


@dataclass(kw_only=True, slots=True, config=STRICT)
class DiceOptions(TaskOptions):
    rolls: Count = 4


class Dice(Task):
    name = "dice"
    options = DiceOptions
    needs_model = False
    on_device = False
    definitions = (Definition(name="dice/sum", title="Sum of the dice", unit="pips", form="integer"),)
    figures = ()
    headline = ("dice/sum",)
    table_title = "Computed"
    stages = Stages(first=Stage.COUNTING, words={Stage.COUNTING: "rolling the dice"})
    rules = ()

    def offered_by(self, vendor: VendorSpec) -> bool:
        return True

    def run(self, context: Context) -> None:
        options = context.case.task
        assert isinstance(options, DiceOptions)
        context.events.emit(Name.ACCOUNT, {"dice": [1 + number % 6 for number in range(options.rolls)]})

    def values(self, run_record: RunRecord) -> tuple[Values, list[str]]:
        told = run_record.last(Name.ACCOUNT)
        return {"dice/sum": float(sum(told["dice"])) if told else Missing("no die was rolled")}, []
