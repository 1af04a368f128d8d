"""Trains cases with megatron-core on the host, looking into its stepper; `megatron_checks.py FOLDER`.

Each case leaves `NAME.rankN.json`: losses, norms of gradients, perplexities, what was skipped, what the probe found,
and the losses of a second stepper that went on from the first one's checkpoint; and the whole weights it ended with,
in `NAME.ckpt`. The cases of `framework=pytorch` do the same by a bare loop of torch.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import megatron_host

if __name__ == "__main__":
    megatron_host.install()

import framework_run
import torch

from runner.core.errors import classify
from runner.core.events import Name, read_events
from runner.frameworks.implementations import build_trainable
from runner.frameworks.loaders import build_evaluation_loader, build_training_loader
from runner.frameworks.ported import checkpoints
from runner.measure.context import Context
from runner.measure.ranks import Ranks

STEPS, MORE = 3, 2
"""Optimizer steps before the checkpoint, and after it."""
HUGE = 2.0**60
"""A loss scale at which no gradient is finite."""


def main(folder: Path) -> None:
    """Look at each case of the folder."""
    rank = int(os.environ.get("RANK", "0"))
    for name, values in json.loads((folder / "cases.json").read_text()).items():
        own = folder / name
        (own / "events").mkdir(parents=True, exist_ok=True)
        try:
            case = framework_run.case_of([one for one in values["overrides"] if not one.startswith("check.")])
            context = framework_run.context_of(case, own)
            look = _bare if case.framework.name == "pytorch" else _megatron
            found = look(context, folder / f"{name}.ckpt", overflow="check.overflow" in values["overrides"])
        except Exception as error:  # noqa: BLE001 -- what it was is for the test to judge
            traceback.print_exc()
            found = {"error": f"{type(error).__name__}: {error}", "exit_code": classify(error).exit_code}
        (folder / f"{name}.rank{rank}.json").write_text(json.dumps(found))


def _batches(context: Context, trainable: Any, passes: int) -> tuple[list[list[Any]], list[Any]]:
    """So many steps' batches of this rank, and its share of the evaluation."""
    datasets = trainable.datasets(context.case.data)
    endless: Iterator[Any] = iter(build_training_loader(context, trainable, datasets))
    steps = [list(islice(endless, passes)) for _ in range(STEPS + MORE)]
    return steps, list(build_evaluation_loader(context, trainable, datasets))


def _megatron(context: Context, weights: Path, *, overflow: bool) -> dict[str, Any]:
    from runner.frameworks.mcore.optimizer import inner
    from runner.frameworks.mcore.stepper import MegatronStepper

    trainable = build_trainable(context)
    steps, evaluation = _batches(context, trainable, trainable.recipe.training.gradient_accumulation_steps)
    stepper = MegatronStepper(context, trainable)
    stepper.verify_precision()
    found: dict[str, Any] = {"parameters": stepper.parameter_count(), "evaluated": [stepper.evaluate(evaluation)]}
    stepper.begin_training()
    norms: list[float | None] = []
    step = stepper._optimizer.step

    def told() -> Any:
        taken, norm, zeros = step()
        norms.append(norm)
        return taken, norm, zeros

    stepper._optimizer.step = told
    scale = inner(stepper._optimizer).grad_scaler if overflow else None
    if scale is not None and context.rank == context.world - 1:
        scale._scale.fill_(HUGE)  # on one rank alone: the others must hear of it
    found["losses"], found["skipped"], found["rates"], found["samples"] = [], [], [], 0
    before = stepper._of_original()
    given = trainable.network.state_dict()
    found["begins"] = all(torch.equal(one, given[name]) for name, one in before.items())
    for number in range(STEPS):
        batch = stepper.next_batch(iter(steps[number]))
        found["samples"] += stepper.count(batch).samples
        found["rates"].append(stepper.learning_rate())
        found["losses"].append(float(stepper.take_pass(batch)))
        found["skipped"].append(stepper.skipped)
        if number == 0:
            after = stepper._of_original()
            found |= _against_adamw(stepper, after) if context.world == 1 and scale is None else {}
            found["moved"] = any(not torch.equal(before[name], after[name]) for name in before)
    found["norms"] = norms
    found["scale"] = float(stepper._optimizer.get_loss_scale())
    found["evaluated"].append(stepper.evaluate(evaluation))
    stepper.begin_training()
    stepper.save(context.checkpoint, {"kept": 7})
    found["after"] = [float(stepper.take_pass(stepper.next_batch(iter(one)))) for one in steps[STEPS:]]
    stepper.save_weights(weights)
    again = MegatronStepper(context, build_trainable(context))
    found["state"] = again.load(context.checkpoint)
    again.begin_training()
    found["resumed"] = [float(again.take_pass(again.next_batch(iter(one)))) for one in steps[STEPS:]]
    found["resumed_rate"] = again.learning_rate()
    events, _ = read_events(context.folder / "events" / f"rank{context.rank}.log")
    found["probe"] = next(one.value for one in events if one.name == Name.PRECISION)
    return found


def _bare(context: Context, weights: Path, *, overflow: bool) -> dict[str, Any]:
    """What a bare loop of torch does with the same batches; `overflow` is not for it."""
    assert not overflow
    model = build_trainable(context)
    passes = model.recipe.training.gradient_accumulation_steps
    steps, evaluation = _batches(context, model, passes)
    optimizer, scheduler = model.configure_optimizer(batches=1)
    found: dict[str, Any] = {"losses": [], "norms": [], "evaluated": [_evaluated(model, evaluation)]}
    found["parameters"] = sum(one.numel() for one in model.network.parameters())
    for number, step in enumerate(steps):
        losses = [model.loss(batch) for batch in step]
        (sum(losses) / passes).backward()  # type: ignore[union-attr]
        norm = torch.nn.utils.clip_grad_norm_(model.network.parameters(), model.recipe.training.max_grad_norm or 1e9)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        found["losses"].append(float(sum(losses)) / passes)
        found["norms"].append(float(norm))
        if number == STEPS - 1:
            found["evaluated"].append(_evaluated(model, evaluation))
    checkpoints.save(weights, model.network.state_dict(), None, Ranks())
    return found


def _against_adamw(stepper: Any, after: dict[str, torch.Tensor]) -> dict[str, float]:
    """How far weights after one step are from where torch's own optimizer takes them with the same gradients."""
    from runner.frameworks.mcore.weights import named_wholes

    port, twin = stepper.port, build_trainable(stepper.context)
    gradients: dict[str, torch.Tensor] = {}
    for name, parameter in named_wholes(port):  # clipped in place
        gradients |= port.wholes[name].apart(parameter.main_grad)  # type: ignore[attr-defined]
    optimizer, _ = twin.configure_optimizer(batches=1)
    named = dict(twin.network.named_parameters())
    for name, parameter in named.items():
        parameter.grad = gradients[name].clone()
    optimizer.step()
    return {
        "update": max(float((one - after[name]).abs().max()) for name, one in named.items()),
        "clipped": float(torch.stack([one.norm() for one in gradients.values()]).norm()),
    }


def _evaluated(model: Any, evaluation: list[Any]) -> dict[str, float]:
    model.reset_metrics(torch.device("cpu"))
    model.network.eval()
    with torch.no_grad():
        for batch in evaluation:
            model.evaluate(batch)
    model.network.train()
    return {name: float(metric.compute()) for name, metric in model.metrics.items()}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
