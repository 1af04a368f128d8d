"""A task as one object: what it asks of its case, what it runs, which figures it yields, how they are shown and judged.

`runner/tasks/<name>.py` with a subclass and `conf/task/<name>.yaml` with its options are all there is of a task; one of
an installed package is found by its entry point in `touchstone.tasks`. The parent imports these modules: what is heavy
(torch, Lightning) is imported inside `run`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Literal

from runner.config.schema import Case
from runner.config.task import Demands
from runner.core.events import Name
from runner.core.tasks import TASKS
from runner.measure.context import Context
from runner.record import names
from runner.record.names import FIGURES, LAST, Definition
from runner.record.run_record import RunRecord
from runner.record.stages import Stages
from runner.record.values import Values


class Task(Demands):
    """One thing that can be done with a case.

    Lists of figures are patterns over their names; one that begins with `!` takes out again what those before it took
    in.
    """

    figures: ClassVar[tuple[str, ...]]
    """Which figures of `runner.record.names` its report has, measured or null."""
    definitions: ClassVar[tuple[Definition, ...]] = ()
    """Figures that no other task has; its report has all of them."""
    headline: ClassVar[tuple[str, ...]]
    """Figures of the first screen."""
    only_measured: ClassVar[tuple[str, ...]] = ("throughput/tokens_per_second", f"*{LAST}")
    """Those of the first screen that are left out where they are null: what not every model has."""
    table_title: ClassVar[Literal["Measured", "Computed"]] = "Measured"
    """Over the first screen's table."""
    points_title: ClassVar[str] = "Measured beside it"
    """Over the table of points."""
    quality_target: ClassVar[bool] = False
    """Whether it has the recipe's quality target to reach."""
    measured_window: ClassVar[bool] = False
    """Whether its window is as long as `measure` asks for; else it ends by itself."""
    counts_model: ClassVar[bool] = False
    """Whether the model's parameters and FLOPs are counted after it ran, on the first rank."""
    tracking_begins: ClassVar[Name] = Name.INIT_END
    """The event from which MLflow may be imported beside the worker, which takes seconds of a core."""
    stages: ClassVar[Stages] = Stages()
    rules: ClassVar[tuple[str, ...]] = ("*",)
    """Which rules of publication apply, as patterns; those that always apply need not be named."""

    def count(self, case: Case) -> Any:
        """What one sample of the model costs, as a dataclass of plain values; of tasks with `counts_model`."""
        raise NotImplementedError(f"task={self.name} counts no model")

    @abstractmethod
    def run(self, context: Context) -> None:
        """Do it, on one rank of a worker."""

    @abstractmethod
    def values(self, run_record: RunRecord) -> tuple[Values, list[str]]:
        """Its figures from what a run told, in their units, and what a reader must know about them."""

    def metrics(self, case: Case) -> list[str]:
        """Names of the metrics by which a case's results are judged."""
        return list(case.model.train.quality.targets) if case.model.train else []

    def figure_names(self, metrics: Sequence[str] = ()) -> list[str]:
        """Names of all figures of its report.

        Args:
            metrics: names of the recipe's quality metrics; each adds its best and its last evaluation where the task
                has a quality target.
        """
        qualities = [f"quality/{metric}{suffix}" for metric in metrics for suffix in ("", LAST)]
        own = [one.name for one in self.definitions]
        shared = [name for name in FIGURES if matches(name, self.figures) and name not in own]
        return [*(qualities if self.quality_target else []), *own, *shared]

    def definition(self, name: str, *, quality_mode: str | None = None) -> Definition:
        """What a figure of its report means.

        Raises:
            KeyError: no such figure.
        """
        own = next((one for one in self.definitions if one.name == name), None)
        return own or names.definition(name, quality_mode=quality_mode)

    def unit_of(self, name: str, model_unit: str) -> str:
        """The unit of a figure of its report; `model_unit` is the recipe's, in the plural.

        Raises:
            KeyError: no such figure.
        """
        return self.definition(name).unit.format(unit=model_unit)

    def main_figures(self, case: Mapping[str, Any]) -> tuple[str, ...]:
        """The figures that matter most, the first of them how fast it is.

        A list shows the first that was measured, a page the first three.

        Args:
            case: that of a report.
        """
        return self.headline

    def on_first_screen(self, name: str) -> bool:
        """Whether a figure stands on the first screen."""
        return matches(name, self.headline)


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether the last pattern that a name fits takes it in; one that begins with `!` takes it out."""
    fitting = [pattern for pattern in patterns if fnmatchcase(name, pattern.removeprefix("!"))]
    return bool(fitting) and not fitting[-1].startswith("!")


def task_of(case: Case) -> Task:
    """The case's task."""
    task: Task = TASKS.find(case.task.name)()
    return task


def task_named(name: object) -> Task | None:
    """The task that a report names; None where this installation has none of that name."""
    try:
        task: Task = TASKS.find(str(name))()
    except ValueError:
        return None
    return task


def serves(name: object) -> bool:
    """Whether the task of this name serves a model; false where this installation has no such task."""
    found = task_named(name)
    return found is not None and found.serves


def trains(name: object) -> bool:
    """Whether the task of this name trains a model; false where this installation has no such task."""
    found = task_named(name)
    return found is not None and found.trains


def reaches_target(name: object) -> bool:
    """Whether the task of this name has a quality target; false where this installation has no such task."""
    found = task_named(name)
    return found is not None and found.quality_target


def figures_for(task: str, metrics: Sequence[str] = ()) -> list[str]:
    """Names of all figures that a report of a task has, measured or null; none where there is no such task."""
    found = task_named(task)
    return found.figure_names(metrics) if found else []


def meaning(name: str, task: object, *, quality_mode: str | None = None) -> Definition:
    """What a figure of a report means, by the name of the report's task.

    Raises:
        KeyError: neither that task nor any other has such a figure.
    """
    found = task_named(task)
    if found is None:
        return names.definition(name, quality_mode=quality_mode)
    return found.definition(name, quality_mode=quality_mode)
