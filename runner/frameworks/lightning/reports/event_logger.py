"""The Trainer's logger: what modules and callbacks log becomes events."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from pytorch_lightning.loggers import Logger

from runner.core.events import EventWriter, Name


class EventLogger(Logger):
    """Turns `self.log(...)` of any module into METRICS events; quality has its own event and is left out."""

    def __init__(self, events: EventWriter) -> None:
        super().__init__()
        self._events = events

    @property
    def name(self) -> str:
        """Logger's name, required by Lightning."""
        return "events"

    @property
    def version(self) -> str:
        """Logger's version, required by Lightning."""
        return ""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Emit what is not told elsewhere."""
        told = {name: value for name, value in metrics.items() if name != "epoch" and not name.startswith("quality/")}
        if told:
            self._events.emit(Name.METRICS, {"step": step, "metrics": told})

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Hyper-parameters are in run.yaml already."""
