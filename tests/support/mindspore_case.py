"""The tiny ResNet in MindSpore's hands, on the one device that a process of MindSpore takes."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from framework_run import case_of, context_of

from runner.frameworks.cells.stepper import MindsporeStepper
from runner.frameworks.implementations import build_trainable

FOLDER = Path(sys.argv[1])
"""Where the process keeps its events and checkpoints."""


@cache
def connected() -> Any:
    """The one context of this process: MindSpore takes a device once, before anything is computed."""
    return context_of(case_of(["model=resnet50", "framework=mindspore"]), FOLDER)


def context_with(*overrides: str) -> Any:
    """The context of another case on the same device."""
    return replace(connected(), case=case_of(["model=resnet50", "framework=mindspore", *overrides]))


def stepper_of(*overrides: str) -> MindsporeStepper:
    """Of the tiny ResNet, operator by operator unless told otherwise."""
    context = context_with("model.train.batch_size=8", "framework.mode=pynative", *overrides)
    context.device.seed(1)
    return MindsporeStepper(context, build_trainable(context))
