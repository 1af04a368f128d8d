"""Measures speed: warm-up blocks until steady, then segments between synchronised edges.

Inside a segment nothing waits for the device, is printed, logged or read back. A step boundary is one device event;
events become numbers after the segment's closing synchronisation.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from models.datasets.base import Batch, Counts
from runner.core.events import Name
from runner.frameworks.lightning.module import TrainableModule
from runner.measure.context import Context
from runner.measure.divergence import Divergence
from runner.measure.segment import Iteration, Stretch
from runner.measure.step_records import StepRecord, StepsFile
from runner.measure.totals import Share, Totals, join_ranks
from runner.measure.window import WarmUpWatch

PlanSegment = Callable[[float, int, float], int]
"""(expected seconds per step, steps measured, seconds measured) to the steps of the next segment; 0 ends training."""

STEP_EVENTS_PER_STRETCH = 50
"""Steps of a stretch told as events; `steps.csv` holds all of them."""


class Throughput(pl.Callback):
    """Times the training loop of one rank; every rank opens and closes its stretches at the same steps."""

    def __init__(
        self, context: Context, plan_segment: PlanSegment, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._context, self._plan_segment, self._clock = context, plan_segment, clock
        self._device, self._events = context.device, context.events
        self._warmup: WarmUpWatch | None = WarmUpWatch(spec=context.case.measure.warmup)
        self._steps_file = StepsFile(context.folder / "steps.csv", rank=context.rank)
        self.totals = Totals()
        self._divergence = Divergence(block_steps=context.case.measure.warmup.block_steps)
        self._stretch: Stretch | None = None
        self._planned = 0
        self._segments: list[tuple[int, float]] = []
        self._step_s = 0.0
        self._part_began_s = self._part_base_s = 0.0
        self._evaluation_began_s: float | None = None

    # --- the two hooks that run inside the window -------------------------------------------------------------

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Mark that the batch is on the device."""
        began = time.perf_counter()
        assert self._stretch is not None and isinstance(pl_module, TrainableModule)
        self._start = self._device.event()
        self._counts: Counts = pl_module.trainable.count(batch)
        self._rate: float = trainer.optimizers[0].param_groups[0]["lr"]  # at the step's end it is the next one's
        self._start.record()
        self._stretch.own_s += time.perf_counter() - began

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Mark the end of the pass; at the last planned step, close the stretch."""
        began = time.perf_counter()
        end = self._device.event()
        end.record()
        stretch = self._stretch
        assert stretch is not None
        loss: Tensor = outputs["loss"]
        stretch.add(Iteration(self._start, end, self._counts), loss)
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            stretch.end_step(self._rate, outputs.get("skipped"))
        stretch.own_s += time.perf_counter() - began
        if stretch.steps == self._planned:
            self._close(trainer)
            self._open(trainer)

    # --- edges ------------------------------------------------------------------------------------------------

    def training_s(self) -> float:
        """Seconds of training so far, over all parts of the run."""
        return self._part_base_s + self._clock() - self._part_began_s

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin the clock of training."""
        self._device.synchronize()
        trainer.strategy.barrier()
        self._part_base_s, self._part_began_s = self.totals.training_s, self._clock()
        self._events.emit(Name.TRAIN_START, {"step": self.totals.taken, "samples": self.totals.samples})
        self._open(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the clock of the segment; the clock of training goes on."""
        if not trainer.sanity_checking:
            self._close(trainer)
        self._device.synchronize()
        self._evaluation_began_s = self._clock()

    def evaluation_s(self) -> float:
        """Seconds since the running evaluation began, the device's work included."""
        assert self._evaluation_began_s is not None
        self._device.synchronize()
        return self._clock() - self._evaluation_began_s

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Account for the evaluation and open the next stretch."""
        if trainer.sanity_checking:
            self._evaluation_began_s = None
            return
        self.totals.evaluate_s += self.evaluation_s()
        self._evaluation_began_s = None
        if not trainer.should_stop:
            self._open(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close what is open and tell the totals."""
        self._close(trainer)
        self._device.synchronize()
        self.totals.training_s = self.training_s()
        self._events.emit(Name.TRAIN_END, self.totals.as_dict())

    def _open(self, trainer: pl.Trainer) -> None:
        measured = sum(steps for steps, _ in self._segments), sum(seconds for _, seconds in self._segments)
        if self._warmup is not None:
            self._planned = self._warmup.spec.block_steps
        else:
            self._planned = self._plan_segment(self._step_s, *measured)
            if self._planned == 0:
                trainer.should_stop = True
                return
            expected_s = self._planned * self._step_s
            payload = {"segment": len(self._segments), "planned_steps": self._planned, "expected_s": expected_s}
            self._events.emit(Name.SEGMENT_BEGIN, payload)
        device = self._device.torch_device(self._context.local_rank)
        losses = torch.empty(self._planned * trainer.accumulate_grad_batches, device=device, dtype=torch.float32)
        skips = torch.zeros(self._planned, device=device, dtype=torch.float32)
        self._device.synchronize()
        if self._warmup is None:
            self._context.mark(f"segment_begin:{len(self._segments)}")
        trainer.strategy.barrier()
        opening = self._device.event()
        opening.record()
        first_step = self.totals.taken + 1
        begin_s = self._clock()
        self._stretch = Stretch(begin_s=begin_s, opening=opening, first_step=first_step, losses=losses, skips=skips)

    def _close(self, trainer: pl.Trainer) -> None:
        stretch, self._stretch = self._stretch, None
        if stretch is None or stretch.steps == 0:
            return
        self._device.synchronize()
        end_s = self._clock()
        trainer.strategy.barrier()
        if self._warmup is None:
            self._context.mark(f"segment_end:{len(self._segments)}")
        records = stretch.read_back(self._device)
        share = join_ranks(trainer, records, end_s - stretch.begin_s)
        self._add(records, share, stretch)
        self._step_s = share.seconds / len(records)
        learnt = sum(not record.skipped for record in records)
        if self._warmup is not None:
            self._end_block(len(records), skipped=learnt == 0)
        else:
            self._end_segment(stretch, share, end_s, steps=learnt)

    def _end_block(self, steps: int, *, skipped: bool) -> None:
        assert self._warmup is not None
        self._warmup.add(self._step_s, steps, skipped=skipped)
        if self._warmup.over:
            watch, self._warmup = self._warmup, None
            told = {"steady": watch.steady, "steps": watch.steps, "seconds": watch.elapsed_s, "reason": watch.reason}
            self._events.emit(Name.WARMUP_END, told)

    def _end_segment(self, stretch: Stretch, share: Share, end_s: float, *, steps: int) -> None:
        edges = {"segment": len(self._segments), "begin_s": stretch.begin_s, "end_s": end_s}
        told = {"steps": steps, "own_s": stretch.own_s, **asdict(share)}
        self._events.emit(Name.SEGMENT_END, {**edges, **told})
        self._segments.append((steps, share.seconds))

    def _add(self, records: list[StepRecord], share: Share, stretch: Stretch) -> None:
        phase = "warmup" if self._warmup is not None else "window"
        self._steps_file.append(phase, records)
        self._tell_steps(phase, records, share, stretch)
        skipped = sum(record.skipped for record in records)
        self.totals.steps += len(records) - skipped
        self.totals.skipped_steps += skipped
        self.totals.samples += share.samples
        known = self.totals.tokens is not None and share.tokens is not None
        self.totals.tokens = (self.totals.tokens or 0) + (share.tokens or 0) if known else None
        timed = self.totals.core_s is not None and share.core_s is not None
        self.totals.core_s = (self.totals.core_s or 0.0) + (share.core_s or 0.0) if timed else None
        self._divergence.look(records)

    def _tell_steps(self, phase: str, records: list[StepRecord], share: Share, stretch: Stretch) -> None:
        """Tell some of the steps as events, each at the time it happened."""
        every = math.ceil(len(records) / STEP_EVENTS_PER_STRETCH)
        clock_ms = time.time_ns() / 1e6 - self._clock() * 1e3
        learnt = sum(not record.skipped for record in records)
        per_step = share.samples / learnt if learnt else 0.0
        samples = float(self.totals.samples)
        for index, record in enumerate(records):
            samples += 0.0 if record.skipped else per_step
            if (index + 1) % every and index + 1 != len(records):
                continue
            moment_s = stretch.begin_s + record.offset_s
            told = {"phase": phase, "step": record.step, "samples": round(samples)}
            rate = per_step / record.seconds if record.seconds and not record.skipped else None
            speed = {"seconds": record.seconds, "samples_per_second": rate}
            state = {"loss": record.loss, "learning_rate": record.learning_rate, "skipped": record.skipped}
            self._events.emit(
                Name.STEP_END, {**told, **speed, **state}, at=(round(clock_ms + moment_s * 1e3), moment_s)
            )

    # --- resuming ---------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """The totals at this moment, for the checkpoint; it is written while its evaluation still runs."""
        running_s = 0.0 if self._evaluation_began_s is None else self.evaluation_s()
        evaluate_s = self.totals.evaluate_s + running_s
        return {**self.totals.as_dict(), "training_s": self.training_s(), "evaluate_s": evaluate_s}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from an earlier part's totals."""
        self.totals = Totals(**state_dict)
        self._divergence.learnt = self.totals.steps > 0
