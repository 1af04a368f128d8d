"""Checks of `PaddleStepper` on the host, in one process: `paddle_steppers.py FOLDER` prints what each found as JSON."""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import torch
from framework_run import QUICK, context_of
from hydra import compose
from paddle_checks import as_on_a_device

from models.datasets.base import Batch
from models.ports.port import PortError
from runner.config.checks import with_devices
from runner.config.compose import composing, to_case
from runner.frameworks.fleet.stepper import PaddleStepper, named
from runner.frameworks.implementations import build_trainable

LLAMA, BERT = "model=llama1_7B", "model=bert"
BATCH = 8


@contextmanager
def stepper_of(folder: Path, name: str, *overrides: str) -> Iterator[PaddleStepper]:
    """A stepper of a tiny case, with names as the first one of a process has them."""
    own = folder / name
    (own / "events").mkdir(parents=True, exist_ok=True)
    with composing():
        chosen = ["vendor=cpu", "tracking=none", "scale=tiny", "measure=smoke", "framework=paddle", *QUICK, *overrides]
        case = with_devices(to_case(compose("config", overrides=chosen)))
    context = context_of(case, own)
    with paddle.utils.unique_name.guard():
        yield PaddleStepper(context, build_trainable(context))


def batches(stepper: PaddleStepper, count: int, *, size: int = BATCH) -> list[Batch]:
    """Random ones of the original's, some words of which are padding."""
    torch.manual_seed(11)
    found = []
    for _ in range(count):
        batch = stepper.original.synthetic_batch(size)
        batch["input_ids"][:, -3:] = 0
        if "attended" in batch:
            batch["attended"][1:, -2:] = False
        found.append(batch)
    return found


def losses(stepper: PaddleStepper, chosen: list[Batch]) -> list[float]:
    """Take a pass with each."""
    return [float(stepper.take_pass(stepper.placed(batch))) for batch in chosen]


# --- parity -----------------------------------------------------------------------------------------------------


def parity(folder: Path) -> dict[str, Any]:
    """Loss, gradients, evaluation and counts against the original's, each as its largest difference."""
    found: dict[str, Any] = {}
    for case in (LLAMA, "model=llama3_8B", BERT):
        with stepper_of(folder, f"parity_{case}", case) as stepper:
            batch, original = batches(stepper, 1)[0], stepper.original
            theirs = original.loss(batch)
            theirs.backward()  # type: ignore[no-untyped-call]
            mine = stepper.port.loss(stepper.network, stepper.place(batch))
            mine.backward()
            places = stepper.port.places()
            own = stepper.trained()
            expected_gradients: dict[str, Any] = {}
            for name, one in original.network.named_parameters():
                assert one.grad is not None, name
                expected_gradients[name] = one.grad.numpy()
            largest = max(float(np.abs(one).max()) for one in expected_gradients.values())
            gradients = {
                name: np.abs(places[name].turned_back(own[places[name].name].grad.numpy()) - one).max() / largest
                for name, one in expected_gradients.items()
            }
            worst = max(gradients, key=lambda name: gradients[name])
            with torch.no_grad():
                original.reset_metrics(torch.device("cpu"))
                original.network.eval()
                original.evaluate(batch)
                expected = {name: float(metric.compute()) for name, metric in original.metrics.items()}
            found[case] = {
                "loss": abs(float(mine) - float(theirs)),
                "gradient": float(gradients[worst]),
                "of": worst,
                "compared": len(gradients),
                "parameters": [stepper.parameter_count(), sum(one.numel() for one in original.network.parameters())],
                "expected": expected,
                "evaluated": stepper.evaluate([batch]),
            }
    return found


def exchanged(folder: Path) -> dict[str, Any]:
    """Weights to the port and back: names that differ from the original's state, and the largest difference."""
    found = {}
    for case in (LLAMA, BERT):
        with stepper_of(folder, f"exchanged_{case}", case) as stepper:
            state = stepper.original.network.state_dict()
            back = stepper.port.to_original(stepper.weights())
            found[case] = {
                "names": sorted(state.keys() ^ back.keys()),
                "difference": max(float((state[name] - one).abs().max()) for name, one in back.items()),
            }
    return found


# --- steps ------------------------------------------------------------------------------------------------------


def resumed(folder: Path) -> dict[str, Any]:
    """Losses of six steps at one go, and of the last three after a checkpoint, in a stepper of its own."""
    found = {}
    for case, rule in ((BERT, "lamb"), (LLAMA, "adamw"), (LLAMA, "sgd")):
        options = [case, f"model.train.optimizer.name={rule}"]
        if rule == "sgd":
            options += ["+model.train.optimizer.momentum=0.9", "model.train.optimizer.betas=null"]
            options += ["model.train.optimizer.eps=null"]  # torch's SGD takes neither
        path = folder / f"{rule}.ckpt"
        with stepper_of(folder, f"whole_{rule}", *options) as stepper:
            chosen = batches(stepper, 6)
            whole = losses(stepper, chosen[:3])
            stepper.save(path, {"kept": 3})
            whole += losses(stepper, chosen[3:])
        with stepper_of(folder, f"again_{rule}", *options, "seed=7") as stepper:
            before = stepper.learning_rate()
            state = stepper.load(path)
            rates = [before, stepper.learning_rate()]
            found[rule] = {"whole": whole, "again": losses(stepper, chosen[3:]), "state": state, "rates": rates}
    return found


def accumulated(folder: Path) -> dict[str, Any]:
    """A step over one batch, and over its halves in two passes: the largest difference of weights, and the losses."""
    ends, told = [], []
    for passes in (1, 2):
        option = f"model.train.gradient_accumulation_steps={passes}"
        with stepper_of(folder, f"accumulated_{passes}", LLAMA, option) as stepper:
            batch = batches(stepper, 1)[0]
            size = BATCH // passes
            tensors = {name: one for name, one in batch.items() if isinstance(one, torch.Tensor)}
            parts = [
                batch | {name: one[begin : begin + size] for name, one in tensors.items()}
                for begin in range(0, BATCH, size)
            ]
            begin = {name: array.copy() for name, array in stepper.weights().items()}
            told.append(losses(stepper, parts))
            ends.append(stepper.weights())
            steps = stepper.rates.steps
    moved = max(float(np.abs(ends[1][name] - begin[name]).max()) for name in begin)
    worst = max(float(np.abs(ends[0][name] - ends[1][name]).max()) for name in begin)
    return {"worst": worst, "moved": moved, "losses": told, "steps": steps}


def dropped(folder: Path) -> dict[str, Any]:
    """Losses of one batch with dropout, the weights left alone; evaluations of it; a pass after an evaluation."""
    with stepper_of(folder, "dropped", BERT, "model.architecture.dropout=0.5") as stepper:
        placed = stepper.place(batches(stepper, 1)[0])
        training = [float(stepper.port.loss(stepper.network, placed)) for _ in range(2)]
        evaluated = [stepper.judged(placed)["mlm_accuracy"][0].tolist() for _ in range(2)]
        inside = stepper.network.training
        training.append(float(stepper.port.loss(stepper.network, placed)))
        return {"training": training, "equal": evaluated[0] == evaluated[1], "evaluating": not inside}


def delayed(folder: Path) -> dict[str, float]:
    """What marks before and after a slow operator tell, and the host's clock after the edge."""

    class Slow(paddle.autograd.PyLayer):  # type: ignore[misc]
        """Takes a twentieth of a second each way."""

        @staticmethod
        def forward(context: Any, values: Any) -> Any:
            time.sleep(0.05)
            return values * 1.0

        @staticmethod
        def backward(context: Any, gradient: Any) -> Any:
            time.sleep(0.05)
            return gradient

    with stepper_of(folder, "delayed", LLAMA) as stepper:
        loss = stepper.port.loss
        stepper.port.loss = lambda network, batch: Slow.apply(loss(network, batch))  # type: ignore[method-assign]
        placed, device = stepper.place(batches(stepper, 1)[0]), stepper.device
        first, second = device.event(), device.event()
        began_s = time.perf_counter()
        first.record()
        stepper.take_pass(placed)
        second.record()
        device.synchronize()
        return {"device_s": device.elapsed_s(first, second), "host_s": time.perf_counter() - began_s}


# --- precision ----------------------------------------------------------------------------------------------------


def probed(folder: Path) -> dict[str, Any]:
    """What runs in float32 on the host; and where nothing casts, float16 is refused."""
    with stepper_of(folder, "probed", LLAMA) as stepper:
        stepper.verify_precision()
        found = {"fp32": stepper.probe()}
    for level in ("O1", "O2"):
        with stepper_of(folder, f"probed_{level}", LLAMA, "precision=fp16", f"framework.amp_level={level}") as stepper:
            try:
                stepper.verify_precision()
            except ValueError as error:
                found[level] = {"refused": str(error)}
    return found


def masters(folder: Path) -> dict[str, Any]:
    """O2 as on a device: narrow weights beside masters that never were narrow, kept and read as float32."""
    with stepper_of(folder, "masters", BERT, "precision=fp16") as stepper:
        original = stepper.port.from_original()
        kept = stepper.weights()
        types = sorted({named(one.dtype) for one in stepper.trained().values()})
        narrow = {name for name, one in stepper.trained().items() if named(one.dtype) == "float16"}
        rounded = stepper.trained()["bert.bert.pooler.dense.weight"].numpy().astype(np.float32)
        path = folder / "masters.ckpt"
        stepper.save(path, {})
        for one in stepper.masters.values():
            one.set_value(paddle.zeros_like(one))
        stepper.load(path)
        again = stepper.weights()
        same_object = all(
            stepper.optimizer._master_weights[one.name] is stepper.masters[name]
            for name, one in stepper.trained().items()
            if name in narrow
        )
        return {
            "types": types,
            "masters": sorted({named(one.dtype) for one in stepper.masters.values()}),
            "narrow_have_masters": narrow == stepper.masters.keys(),
            "exact": max(float(np.abs(kept[name] - original[name]).max()) for name in original),
            "loaded": max(float(np.abs(again[name] - original[name]).max()) for name in original),
            "rounding": float(np.abs(rounded - original["bert.bert.pooler.dense.weight"]).max()),
            "optimizer_has_them": same_object,
            "scaler": stepper.optimizer_state()["scaler"]["scale"],
            "skipped": stepper.skipped,
        }


# --- refusals -----------------------------------------------------------------------------------------------------


def refusals(folder: Path) -> dict[str, str]:
    """Weights of another network, optimizers and recipes that are not done."""
    found = {}
    with stepper_of(folder, "refusals", LLAMA) as stepper:
        weights = stepper.port.from_original()
        cases = {
            "missing": {name: one for name, one in weights.items() if name != "lm_head.weight"},
            "shape": weights | {"lm_head.weight": weights["lm_head.weight"][:-1]},
        }
        for name, given in cases.items():
            try:
                stepper.set_weights(given)
            except PortError as error:
                found[name] = str(error)
    for name, option in (
        ("optimizer", "model.train.optimizer.name=adafactor"),
        ("smoothing", "model.train.regularisation.label_smoothing=0.1"),
        ("decays", "+model.train.optimizer.groups=[{match: ['lm_head*'], weight_decay: 0.3}]"),
    ):
        try:
            with stepper_of(folder, name, LLAMA, option, "model.train.optimizer.betas=null"):
                pass
        except Exception as error:  # noqa: BLE001 -- its class is looked at
            found[name] = f"{type(error).__name__}: {error}"
    return found


CHECKS: tuple[Callable[[Path], Any], ...] = (
    parity,
    exchanged,
    resumed,
    accumulated,
    dropped,
    delayed,
    probed,
    refusals,
)
AS_ON_A_DEVICE: tuple[Callable[[Path], Any], ...] = (masters,)


def main(folder: Path) -> None:
    """Do every check; one that fails leaves its traceback."""
    found: dict[str, Any] = {}
    for group, prepare in ((CHECKS, None), (AS_ON_A_DEVICE, as_on_a_device)):
        if prepare is not None:
            prepare()
        for check in group:
            try:
                found[check.__name__] = check(folder)
            except Exception:  # noqa: BLE001 -- told to the test that reads it
                found[check.__name__] = {"failed": traceback.format_exc()}
    sys.stdout.write("\n" + json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
