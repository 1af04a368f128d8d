"""The tasks there are, by name. A task's class is imported only when it is asked for."""

from __future__ import annotations

from pathlib import Path

import conf
from hardware.registry import Registry

_CHOICES = Path(conf.__file__).parent / "task"


def _class_name(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


TASKS = Registry(
    kind="task",
    group="touchstone.tasks",
    built_in={
        path.stem: f"runner.tasks.{path.stem}:{_class_name(path.stem)}" for path in sorted(_CHOICES.glob("*.yaml"))
    },
    base="runner.record.task:Task",
)
"""Of this tree, each file of `conf/task` is one: its class, `Name`, stands in `runner/tasks/<name>.py`."""
