"""Checks that need MindSpore, in one process: `mindspore_checks.py FOLDER NAMES` prints what each of them found."""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import mindspore
import numpy as np
import torch
from mindspore import Tensor, nn, ops
from mindspore_case import FOLDER, connected, context_with, stepper_of
from mindspore_port_checks import port
from mindspore_step_checks import MODES, Events, accumulation, optimizers, overflow

from hardware.base import PrecisionUnsupportedError
from hardware.precision.probe import check
from runner.core.errors import TouchstoneError
from runner.frameworks.cells.probe import product_types
from runner.frameworks.cells.programs import Programs


def delayed() -> dict[str, Any]:
    """Seconds until a call of long work returns, until the device says that it is done, and for reading it then."""
    context = context_with()
    matrix = Tensor(np.random.default_rng(0).normal(size=(1024, 1024)).astype(np.float32) / 32)

    def work(values: Tensor) -> Tensor:
        for _ in range(12):
            values = ops.matmul(values, values)
        return values

    found: dict[str, Any] = {"timed on the device": context.device.times_on_device()}
    for compiled in MODES:
        function = Programs(Events(), compiles=compiled).of("work", work)  # type: ignore[arg-type]
        function(matrix).asnumpy()
        context.device.synchronize()
        begun = time.perf_counter()
        result = function(matrix)
        called = time.perf_counter()
        context.device.synchronize()
        done = time.perf_counter()
        result.asnumpy()
        found["graph" if compiled else "pynative"] = [called - begun, done - begun, time.perf_counter() - done]
    return found


def training_and_evaluation() -> dict[str, Any]:
    """Compiled: a step after an evaluation still normalises by its batch, an evaluation by the statistics."""
    own = stepper_of("framework.mode=graph")
    torch.manual_seed(5)
    batch = {"image": torch.randn(8, 3, 32, 32) * 3 + 2, "label": torch.arange(8)}
    still = Tensor(0.0, mindspore.float32)
    placed = own.placed(batch)
    arrays = [placed["image"], placed["label"]]
    own.begin_training()
    before = float(own._step(still, *arrays)[0])
    own.evaluate([batch])
    evaluated = own._scores(placed["image"]).asnumpy()
    shares = [float(own.take_pass(placed)) for _ in range(2)]
    again = own._step(still, *arrays)
    own.port.loss_cell.set_train(False)
    return {
        "before": before,
        "after": shares[0],
        "training": [before, float(again[0])],
        "eval is not train": float(np.abs(evaluated).max()),
        "told": [value["what"] for value in _compiled()],
    }


def _compiled() -> list[dict[str, Any]]:
    lines = (FOLDER / "events" / "rank0.log").read_text().splitlines()
    told = [json.loads(line.split(" ", 1)[1]) for line in lines]
    return [one["value"] for one in told if one["event"] == "COMPILED"]


def precision() -> dict[str, Any]:
    """What the probe finds in float32 and float16, and what is refused where it is not as asked."""
    found: dict[str, Any] = {}
    for name in ("fp32", "fp16"):
        own = stepper_of(f"precision={name}")
        found[name] = own.probe()
        check(found[name], own.case.precision)
        if name == "fp16":
            for _, cell in own.port.network.cells_and_names():
                if isinstance(cell, nn.Dense):
                    cell.to_float(mindspore.float32)  # one cell that is not as the others
            try:
                own.verify_precision()
            except PrecisionUnsupportedError as error:
                found["refused"] = str(error)
        image = own.place(own.original.synthetic_batch(1))["image"]
        found[f"{name} layers"] = len(product_types(own.port.network, (image,)))
    return found


def refusals() -> dict[str, Any]:
    """What a case cannot have, and how it is said."""
    found: dict[str, Any] = {}
    for what, overrides in {
        "bf16": ["precision=bf16"],
        "vendor": ["vendor=nvidia"],
        "compiler": ["compiler=inductor"],
        "optimizer": ["model.train.optimizer.name=lamb"],
        "mixup": ["model.train.regularisation.mixup_alpha=0.2"],
    }.items():
        try:
            stepper_of(*overrides)
        except TouchstoneError as error:
            found[what] = [error.exit_code, str(error)]
    context = context_with()
    peaks = context.device.memory_peaks()
    found["peaks"] = [peaks.allocated_bytes, peaks.reserved_bytes, peaks.reason]
    try:
        context.device.set_matmul("tf32")
    except PrecisionUnsupportedError as error:
        found["tf32"] = str(error)
    found["versions"] = context.device.versions()
    own = stepper_of()
    try:
        own.set_weights({"conv1.weight": np.zeros((1, 1), np.float32)})
    except ValueError as error:
        found["weights"] = str(error)
    return found


def resumed() -> dict[str, Any]:
    """Weights after four steps, and after two steps, a checkpoint, and two more by another stepper."""
    batches = []
    for number in range(4):
        torch.manual_seed(number)
        batches.append({"image": torch.randn(8, 3, 32, 32), "label": torch.arange(8)})
    own = stepper_of("precision=fp16")
    for batch in batches[:2]:
        own.take_pass(own.place(batch))
    own.save(FOLDER / "kept.ckpt", {"session": 7})
    other = stepper_of("precision=fp16")
    for one in other.port.parameters.values():
        one.set_data(one * 0 + 0.5)
    state = other.load(FOLDER / "kept.ckpt")
    for batch in batches[2:]:
        own.take_pass(own.place(batch))
        other.take_pass(other.place(batch))
    left, right = own.weights(), other.weights()
    return {
        "state": state,
        "apart": float(max(np.abs(left[name] - right[name]).max() for name in left)),
        "moments": float(max(one.abs().max() for name, one in own.optimizer_state().items() if "moment" in name)),
        "steps": [own.rates.steps, other.rates.steps],
        "skipped": [bool(own.skipped), bool(other.skipped)],
    }


CHECKS: tuple[Callable[[], dict[str, Any]], ...] = (
    *(optimizers, accumulation, overflow, delayed, port),
    *(training_and_evaluation, precision, refusals, resumed),
)


def main() -> None:
    """Run every check; one that raises says what."""
    (FOLDER / "events").mkdir(parents=True, exist_ok=True)
    connected()
    wanted = sys.argv[2:]
    found: dict[str, Any] = {}
    for one in CHECKS:
        if wanted and one.__name__ not in wanted:
            continue
        try:
            found[one.__name__] = one()
        except Exception:  # noqa: BLE001 -- for the test to show
            found[one.__name__] = {"error": traceback.format_exc()}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
