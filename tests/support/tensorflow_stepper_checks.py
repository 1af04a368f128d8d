"""Checks of TensorFlow's stepper: it goes on where it was, evaluates, and probes its precision."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from framework_run import case_of, context_of
from hardware_specs import precision

from hardware.precision.probe import check
from runner.core.events import read_events
from runner.frameworks.implementations import build_trainable
from runner.frameworks.keras.stepper import KerasStepper


def stepper() -> Any:
    """A resumed part goes on as the one that was not cut; evaluations with a short last batch change nothing."""
    folder = Path(tempfile.mkdtemp())
    (folder / "events").mkdir()
    chosen = ["model=resnet50", "framework=tensorflow", "precision=fp16", "data=synthetic"]
    context = context_of(case_of(chosen), folder)

    def begun() -> Any:
        return KerasStepper(context, build_trainable(context))

    def train(one: Any, steps: int) -> list[float]:
        return [float(one.take_pass(one.placed(batch))) for _ in range(steps)]

    cut = begun()
    torch.manual_seed(3)
    batch = cut.original.synthetic_batch(8)
    torch.manual_seed(4)
    evaluated = [cut.original.synthetic_batch(size) for size in (8, 8, 3)]
    train(cut, 3)
    before = cut.weights()
    quality = cut.evaluate(evaluated)
    unchanged = all(np.array_equal(one, cut.weights()[name]) for name, one in before.items())
    cut.save(folder / "last.ckpt", {"best": 0.5})
    resumed = begun()
    state = resumed.load(folder / "last.ckpt")
    resumed_before = all(np.array_equal(one, resumed.weights()[name]) for name, one in before.items())
    losses = [train(cut, 3), train(resumed, 3)]
    ends = [cut.weights(), resumed.weights()]
    kept = [{name: one.numpy() for name, one in stepper.step.state.items()} for stepper in (cut, resumed)]
    network = resumed.original.network.eval()
    network.load_state_dict(resumed.port.to_original(before))
    with torch.no_grad(), torch.autocast("cpu", torch.float16):
        right = [(network(one["image"]).argmax(1) == one["label"]).float() for one in evaluated]
    told, _ = read_events(folder / "events/rank0.log")
    return {
        "state": state,
        "resumed": resumed_before,
        "losses": losses,
        "weights": all(np.array_equal(ends[0][name], ends[1][name]) for name in ends[0]),
        "optimizer": all(np.array_equal(kept[0][name], kept[1][name]) for name in kept[0]),
        "scale": float(kept[0]["scale/value"]),
        "steps": [cut.rates.steps, resumed.rates.steps],
        "unchanged": unchanged,
        "top1": [quality["top1"], float(torch.cat(right).mean())],
        "mismatch": _mismatch(cut, "bf16"),
        "match": _mismatch(cut, "fp16"),
        "traces": [event.value["what"] for event in told if event.name == "COMPILED"],
    }


def _mismatch(stepper: Any, asked: str) -> str:
    """What the probe says when another precision had been asked for."""
    try:
        check(stepper.probe(), precision(asked))
    except ValueError as error:
        return str(error)
    return ""
