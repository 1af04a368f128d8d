"""What a task asks of its case: all that the parent must know of it before anything runs."""

from __future__ import annotations

from abc import ABC
from typing import ClassVar

from hardware.spec import VendorSpec
from runner.config.schema import Case, TaskOptions
from runner.core.tasks import TASKS


class Demands(ABC):
    """What a task asks of its case."""

    name: ClassVar[str]
    """As on the command line: `task=NAME`."""
    options: ClassVar[type[TaskOptions]] = TaskOptions
    """The typed form of `conf/task/<name>.yaml`."""
    needs_model: ClassVar[bool] = True
    """Whether it runs a model; without, its cases have `model: None`."""
    section: ClassVar[str | None] = None
    """Which section of a model's YAML it needs: `train`; None where the model alone is enough."""
    on_device: ClassVar[bool] = True
    """Whether it runs anything on a device, with its meters."""
    trains: ClassVar[bool] = False
    """Whether it trains a model; the engine and the precision must be made for that."""
    serves: ClassVar[bool] = False
    """Whether it serves a model to requests; `load` and the engines that only serve belong to it."""

    def offered_by(self, vendor: VendorSpec) -> bool:
        """Whether a vendor's stack can do it: its YAML lists it under `tasks`."""
        return self.name in vendor.tasks

    def check(self, case: Case) -> None:  # noqa: B027 -- most tasks ask for nothing more
        """Look at what can be known of a case without torch.

        Raises:
            ConfigurationError: choices that do not go together in this task.
        """


def demands_of(case: Case) -> Demands:
    """What the case's task asks of it."""
    demands: Demands = TASKS.find(case.task.name)()
    return demands
