"""Where a run is, from its events and a clock. Pure: prints nothing, reads no clock of its own.

While a segment is measured the worker is silent on purpose; progress then follows the time that the segment was
expected to take.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from runner.config.schema import Case
from runner.core.events import Event, Name
from runner.messages import tr, tr_recorded
from runner.record.names import number
from runner.record.stages import Stage, Stages
from runner.record.task import task_of

EVALUATION_GAP_S = 0.4
"""Training to a budget: silence after a segment that means an evaluation, because the next segment begins at once."""


@dataclass(kw_only=True, slots=True, frozen=True)
class Snapshot:
    """One moment of a run."""

    stage: Stage
    words: str
    """The stage as the task says it."""
    fraction: float | None
    """Of the window or of the budget done, 0..1; None where nobody knows."""
    left: str
    """How long it will take; empty where nobody knows."""
    detail: str
    """Step, loss, speed, quality; what is being prepared."""


@dataclass(kw_only=True, slots=True)
class Progress:
    """Follows one worker. Only the first rank's events move it, and errors of any."""

    case: Case
    _stages: Stages = field(init=False)
    stage: Stage = Stage.STARTING
    _preparing: str = ""
    _step: int | None = None
    _speed: float | None = None
    _loss: float | None = None
    _quality: float | None = None
    _training_began: tuple[float, int] | None = None
    """Monotonic seconds and step when training began, or was continued."""
    _segment_began_s: float | None = None
    _segment_s: float = 0.0
    _planned: int = 0
    _measured_s: float = 0.0
    _segment_ended_s: float | None = None

    def __post_init__(self) -> None:
        self._stages = task_of(self.case).stages

    def update(self, event: Event) -> None:
        """Take one event of the first rank in."""
        value = event.value
        if event.name == Name.INIT_END:
            self.stage = self._stages.first
            self._preparing = tr("loading the framework")
        elif event.name == Name.INIT_START:
            self.stage, self._preparing = Stage.PREPARING, tr("connecting the device")
        elif event.name == Name.PREPARE:
            self.stage, self._preparing = Stage.PREPARING, str(value.get("what"))
        elif event.name == Name.TRAIN_START:
            self.stage = Stage.WARMING_UP
            self._training_began = (event.monotonic_s, value.get("step") or 0)
        elif event.name == Name.STEP_END:
            self._take_step(event)
        elif event.name == Name.WARMUP_END:
            self.stage = self._working
        elif event.name == Name.SEGMENT_BEGIN:
            self.stage = self._working
            self._segment_began_s, self._segment_ended_s = event.monotonic_s, None
            self._segment_s = value.get("expected_s") or 0.0
            self._planned = value.get("planned_steps") or 0
        elif event.name == Name.SEGMENT_END:
            self._segment_began_s, self._segment_ended_s = None, event.monotonic_s
            self._measured_s += value.get("seconds") or 0.0
        elif event.name in (Name.EVALUATE, Name.INIT_EVALUATION):
            self._take_evaluation(event)
        elif event.name == Name.TRAIN_END:
            self.stage, self._segment_ended_s = Stage.COUNTING, None
        elif event.name in (Name.ACCOUNT, Name.ERROR):
            self.stage, self._segment_ended_s = Stage.ENDING, None

    def at(self, now_s: float) -> Snapshot:
        """The state at a moment of the monotonic clock."""
        if self._segment_ended_s is not None and now_s - self._segment_ended_s > EVALUATION_GAP_S:
            self.stage = Stage.EVALUATING if self._stages.follows == "budget" else self.stage
        if self.stage is Stage.MEASURING:
            fraction, left = self._window(now_s)
        elif self.stage in (Stage.TRAINING, Stage.EVALUATING) and self._stages.follows == "budget":
            fraction, left = self._budget(now_s)
        else:
            fraction, left = None, ""
        return Snapshot(
            stage=self.stage, words=self._stages.say(self.stage), fraction=fraction, left=left, detail=self._detail()
        )

    @property
    def _working(self) -> Stage:
        return self._stages.working

    def _take_step(self, event: Event) -> None:
        value = event.value
        self._step = value.get("step", self._step)
        self._speed = value.get("samples_per_second") or self._speed
        self._loss = value.get("loss")

    def _take_evaluation(self, event: Event) -> None:
        self._segment_ended_s = None
        train = self.case.model.train
        self._quality = (event.value.get("quality") or {}).get(train.quality.metric) if train else None
        if event.name == Name.EVALUATE and not event.value.get("reached"):
            self.stage = self._working

    def _window(self, now_s: float) -> tuple[float | None, str]:
        if self._segment_began_s is None:
            return None, ""
        elapsed_s = now_s - self._segment_began_s
        total_s = self._measured_s + self._segment_s
        if total_s <= 0:
            return None, ""
        # A segment that takes longer than expected waits just short of its end.
        fraction = min(0.99, (self._measured_s + elapsed_s) / total_s)
        left_s = self._segment_s - elapsed_s
        return fraction, tr("{time} left", time=duration(left_s)) if left_s > 0 else tr("about to end")

    def _budget(self, now_s: float) -> tuple[float | None, str]:
        budget = self._budget_steps()
        steps = float(self._step or 0)
        if self._segment_began_s is not None and self._segment_s > 0:
            steps += self._planned * min(1.0, (now_s - self._segment_began_s) / self._segment_s)
        left = ""
        if self._training_began is not None:
            began_s, began_steps = self._training_began
            if steps > began_steps and now_s > began_s:
                speed = (steps - began_steps) / (now_s - began_s)
                left = tr("at most {time} left", time=duration(max(0.0, budget - steps) / speed))
        return min(1.0, steps / budget), left

    def _budget_steps(self) -> float:
        """Optimizer steps of the whole budget; the budget counts examples, which steps hold equally many of."""
        model = self.case.model
        per_step = model.training.samples_per_step(self.case.topology.batches)
        return model.training.max_train_samples / per_step

    def _detail(self) -> str:
        if self.stage is Stage.MEASURING:
            planned = f"{self._planned:,}"
            return tr("{steps} steps, read back when they are done", steps=planned) if self._planned else ""
        if self.stage is Stage.PREPARING:
            return tr_recorded(self._preparing)
        if self.stage in (Stage.STARTING, Stage.COUNTING, Stage.ENDING):
            return ""
        parts = [tr("step {step}", step=f"{self._step:,}")] if self._step is not None else []
        parts += [tr("loss {value}", value=number(self._loss))] if self._loss is not None else []
        parts += [f"{number(self._speed)} {self.case.model.unit}/s"] if self._speed is not None else []
        if self._quality is not None:
            quality = self.case.model.training.quality
            told, goal = f"{quality.metric} {number(self._quality)}", f"{quality.targets[quality.metric]:g}"
            parts.append(tr("{quality} of {goal}", quality=told, goal=goal))
        return ", ".join(parts)


def duration(seconds: float) -> str:
    """A length of time as people say it: `42 s`, `12 min`, `3.5 h`."""
    if seconds < 100:  # noqa: PLR2004
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"  # noqa: PLR2004
