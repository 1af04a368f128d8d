"""Looks at `framework=jax` from inside, many times in one start; `jax_checks.py FOLDER` prints what it found as JSON.

JAX is not imported in the process of the tests: the packages of two frameworks do not live in one.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import framework_run
import numpy as np
import torch

from hardware.base import PrecisionUnsupportedError
from hardware.precision.probe import check
from models.optimizers import build_optimizer
from models.training import Optimizer
from runner.core.events import read_events
from runner.frameworks.implementations import build_trainable, framework_of

SLEEP_S = 0.3


def stepper_of(folder: Path, *overrides: str) -> Any:
    """A stepper of the tiny case, its device connected, nothing compiled."""
    context = framework_run.context_of(framework_run.case_of(["framework=jax", "data.workers=0", *overrides]), folder)
    framework: Any = framework_of(context)
    return framework.stepper(build_trainable(context))


def train(stepper: Any, batches: Sequence[Any]) -> list[float]:
    """Losses of a step on each batch."""
    return [float(stepper.take_pass(stepper.place(batch))) for batch in batches]


def batches_of(stepper: Any, count: int, size: int, seed: int = 0) -> list[Any]:
    """Random batches."""
    torch.manual_seed(seed)
    return [stepper.original.synthetic_batch(size) for _ in range(count)]


# --- ports ----------------------------------------------------------------------------------------------------


def round_trip(folder: Path) -> dict[str, Any]:
    """Whether every weight comes back to the original as it was, under every name it has there."""
    found = {}
    for model in ("resnet50", "bert", "llama2_7b"):
        stepper = stepper_of(folder, f"model={model}")
        state = stepper.original.network.state_dict()
        back = stepper.port.to_original(stepper.weights())
        found[model] = state.keys() == back.keys() and all(torch.equal(state[name], back[name]) for name in state)
    return found


def statistics(folder: Path) -> dict[str, float]:
    """Farthest difference of ResNet's running statistics from torch's, after a pass over one batch."""
    stepper = stepper_of(folder, "model=resnet50", "model.train.optimizer.lr=1e-12")
    batch = batches_of(stepper, 1, 8)[0]
    train(stepper, [batch])
    back = stepper.port.to_original(stepper.weights())
    stepper.original.network.train()
    stepper.original.network(batch["image"])
    state = stepper.original.network.state_dict()
    return {
        kind: max(float((state[name] - back[name]).abs().max()) for name in state if name.endswith(kind))
        for kind in ("running_mean", "running_var")
    }


def judged_as_torch(folder: Path) -> dict[str, Any]:
    """Each metric by the port and by the original on the same weights and examples, the last batch a short one."""
    found = {}
    for model in ("resnet50", "bert", "llama2_7b"):
        stepper = stepper_of(folder, f"model={model}", "model.train.batch_size=8")
        batches = [*batches_of(stepper, 2, 8), *batches_of(stepper, 1, 3, seed=1)]
        if model == "bert":
            batches[0]["positions"][:, 5:] = 0  # predictions that do not count
        original = stepper.original
        original.network.eval()
        for batch in batches if model == "bert" else []:  # half of the words are those that it names
            with torch.no_grad():
                named = original.network(*original.inputs(batch))[0].argmax(dim=-1)
            batch["word_ids"] = torch.where(torch.rand(named.shape) < 0.5, named, batch["word_ids"])
        own = stepper.evaluate(batches)
        original.reset_metrics(torch.device("cpu"))
        with torch.no_grad():
            for batch in batches:
                original.evaluate(batch)
        found[model] = {name: [own[name], float(metric.compute())] for name, metric in original.metrics.items()}
    return found


def grouped(folder: Path) -> float:
    """Difference of the first loss from torch's where heads share keys and the vocabulary is padded."""
    stepper = stepper_of(
        folder,
        "model=llama2_7b",
        "model.architecture.key_value_heads=2",
        "+model.architecture.vocabulary_multiple=100",
        "+model.architecture.rope_base=500000.0",
    )
    batch = batches_of(stepper, 1, 4)[0]
    batch["targets"][:, 50:] = -100
    with torch.no_grad():
        expected = float(stepper.original.loss(batch))
    return abs(train(stepper, [batch])[0] - expected)


def dropout(folder: Path) -> dict[str, Any]:
    """Losses of one batch at a rate of 0: twice in training, by two seeds, and twice judged."""
    overrides = ["model=bert", "model.architecture.dropout=0.5", "model.train.optimizer.lr=1e-12"]
    stepper = stepper_of(folder, *overrides)
    other = stepper_of(folder, *overrides, "seed=77")
    other.set_weights(stepper.weights())
    batch = batches_of(stepper, 1, 8)[0]
    judged = [stepper.evaluate([batch])["mlm_accuracy"] for _ in range(2)]
    return {
        "losses": train(stepper, [batch, batch]),
        "again": train(other, [batch]),
        "judged": judged,
    }


# --- optimizer ------------------------------------------------------------------------------------------------

OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.01},
    "nesterov": {"name": "sgd", "lr": 0.1, "momentum": 0.9, "nesterov": True},
    "adam": {"name": "adam", "lr": 0.01, "weight_decay": 0.1},
    "adamw": {"name": "adamw", "lr": 0.01, "weight_decay": 0.1, "betas": (0.9, 0.95), "eps": 1e-6},
    "lamb": {"name": "lamb", "lr": 0.05, "weight_decay": 0.01},
}


def optimizers(folder: Path) -> dict[str, float]:
    """Farthest relative difference of the weights from torch's after six steps, gradients clipped to a norm of 2."""
    import jax
    from jax import numpy as jnp

    from runner.frameworks.ported.recipe import Treatment
    from runner.frameworks.xla.optimizer import build_rule, stepped

    found = {}
    for name, fields in OPTIMIZERS.items():
        recipe, random = Optimizer(**fields), np.random.default_rng(0)
        start = {one: random.normal(size=shape).astype("f") for one, shape in (("w", (4, 3)), ("b", (3,)))}
        weights = {one: torch.nn.Parameter(torch.tensor(array)) for one, array in start.items()}
        torch_optimizer = build_optimizer(recipe, weights.items())
        own = {one: Treatment(1.0, recipe.weight_decay if one == "w" else 0.0) for one in start}
        rule = build_rule(recipe, 2.0, own)
        params = {one: jnp.asarray(array) for one, array in start.items()}
        state = rule.init(params)
        for step in range(6):
            gradients = {one: random.normal(size=array.shape).astype("f") for one, array in start.items()}
            rate = recipe.lr * (step + 1) / 6
            for group in torch_optimizer.param_groups:
                group["lr"] = rate
            for one, parameter in weights.items():
                parameter.grad = torch.tensor(gradients[one])
            torch.nn.utils.clip_grad_norm_(weights.values(), 2.0)
            torch_optimizer.step()
            updates, state = rule.update(jax.tree.map(jnp.asarray, gradients), state, params)
            params = stepped(params, updates, np.float32(rate))
        theirs = {one: parameter.detach().numpy() for one, parameter in weights.items()}
        found[name] = max(float(np.abs(theirs[one] / np.asarray(params[one]) - 1).max()) for one in start)
    return found


def scale(folder: Path) -> list[list[float]]:
    """(value, taken) of the scale: at first, after a step that overflowed, one before it grows, and after it has."""
    from jax import numpy as jnp

    from runner.frameworks.xla.loss_scale import initial, moved

    states = [initial()]
    states.append(moved(states[-1], jnp.bool_(False)))
    states.append({"value": states[-1]["value"], "taken": jnp.int32(1998)})
    states.append(moved(states[-1], jnp.bool_(True)))
    states.append(moved(states[-1], jnp.bool_(True)))
    return [[float(one["value"]), float(one["taken"])] for one in states]


def skipping(folder: Path) -> dict[str, Any]:
    """A step in float16 whose gradients overflow, and one after it."""
    stepper = stepper_of(folder, "model=llama2_7b", "precision=fp16", "model.train.batch_size=2")
    batches = batches_of(stepper, 2, 2)
    stepper._state["scale"]["value"] = stepper._spread(np.float32(3e38))
    before = stepper.weights()
    train(stepper, batches[:1])
    overflowed = {
        "skipped": bool(stepper.skipped),
        "changed": any(not np.array_equal(before[name], one) for name, one in stepper.weights().items()),
        "scale": float(stepper._state["scale"]["value"]),
        "adam_steps": [int(one) for one in _counts(stepper)],
    }
    stepper._state["scale"]["value"] = stepper._spread(np.float32(1024))
    train(stepper, batches[1:])
    changed = any(not np.array_equal(before[name], one) for name, one in stepper.weights().items())
    taken = {"skipped": bool(stepper.skipped), "changed": changed, "adam_steps": [int(one) for one in _counts(stepper)]}
    return {"overflowed": overflowed, "taken": taken, "rate_steps": stepper.rates.steps}


def _counts(stepper: Any) -> list[Any]:
    import jax

    return [one for one in jax.tree.leaves(stepper._state["optimizer"]) if one.dtype == np.int32]


# --- checkpoints ----------------------------------------------------------------------------------------------


def resumed(folder: Path) -> dict[str, Any]:
    """Losses and weights of steps 3 and 4, uninterrupted and after a checkpoint; with dropout, in float16."""
    overrides = ["model=bert", "precision=fp16", "model.architecture.dropout=0.1", "model.train.batch_size=4"]
    overrides.append("model.train.gradient_accumulation_steps=2")
    whole = stepper_of(folder, *overrides)
    batches = batches_of(whole, 8, 4)
    train(whole, batches[:4])
    whole.save(folder / "one.ckpt", {"note": 7})
    after = train(whole, batches[4:])
    other = stepper_of(folder, *overrides)
    state = other.load(folder / "one.ckpt")
    again = train(other, batches[4:])
    weights, same = whole.weights(), other.weights()
    return {
        "state": state,
        "losses": [after, again],
        "equal": all(np.array_equal(weights[name], same[name]) for name in weights),
        "scale": [float(one._state["scale"]["taken"]) for one in (whole, other)],
    }


def donated(folder: Path) -> dict[str, Any]:
    """Whether a step gave its old weights up, and whether all that is asked for afterwards can still be read."""
    stepper = stepper_of(folder, "model=llama2_7b", "model.train.batch_size=2")
    old = dict(stepper._state["params"])
    batches = batches_of(stepper, 2, 2)
    shares = [stepper.take_pass(stepper.place(batch)) for batch in batches]
    read = [float(share) for share in shares]
    return {
        "given_up": all(one.is_deleted() for one in old.values()),
        "losses": read,
        "perplexity": stepper.evaluate(batches)["perplexity"],
        "weights": len(stepper.weights()),
    }


# --- edges and compilations -----------------------------------------------------------------------------------


def delayed(folder: Path) -> dict[str, float]:
    """Seconds of a long chain of products: by itself, of handing it over, of waiting for it, between marks around it.

    A callback that sleeps will not do: on the host JAX runs programs with one inside the call.
    """
    import jax
    from jax import numpy as jnp

    device: Any = framework_run.context_of(framework_run.case_of(["framework=jax", "model=llama2_7b"]), folder).device
    matrix = jnp.eye(512) * 0.5

    def chain(values: Any, length: Any) -> Any:
        return jax.lax.fori_loop(0, length, lambda _, one: one @ matrix + 1.0, values)

    program = jax.jit(chain).lower(matrix, 1).compile()
    length, alone = 32, 0.0
    while alone < SLEEP_S:
        length *= 2
        begun = time.perf_counter()
        jax.block_until_ready(program(matrix, length))
        alone = time.perf_counter() - begun
    start, end = device.event(), device.event()
    device.synchronize()
    begun = time.perf_counter()
    start.record()
    result = program(matrix, length)
    device.submitted(result)
    end.record()
    handed_over = time.perf_counter()
    device.synchronize()
    waited = time.perf_counter()
    jax.block_until_ready(result)
    return {
        "alone": alone,
        "handing_over": handed_over - begun,
        "waiting": waited - begun,
        "left": time.perf_counter() - waited,
        "between_marks": device.elapsed_s(start, end),
    }


def compilations(folder: Path) -> list[str]:
    """What is told of two steps of one shape, one of another, and an operation that nobody foresaw."""
    from jax import numpy as jnp

    stepper = stepper_of(folder, "model=llama2_7b")
    stepper.begin_training()
    train(stepper, [*batches_of(stepper, 2, 2), *batches_of(stepper, 1, 3)])
    jnp.arange(12345).sum().block_until_ready()
    events, _ = read_events(folder / "events" / "rank0.log")
    return [event.value["what"] for event in events if event.name == "COMPILED" and event.value["seconds"] > 0]


# --- precision ------------------------------------------------------------------------------------------------


def refused(folder: Path) -> dict[str, str]:
    """What the probe says of ports that compute in float32 where bfloat16 was asked for: everywhere, in one layer."""
    from jax import numpy as jnp

    found = {}
    stepper = stepper_of(folder, "model=llama2_7b", "precision=bf16")
    wide = stepper_of(folder, "model=llama2_7b")
    honest = stepper.probe()
    for name in ("everywhere", "one layer"):
        if name == "everywhere":
            stepper._functions.passes.port = wide.port
            stepper._functions.passes.network = wide._network
        else:
            narrow = stepper_of(folder, "model=llama2_7b", "precision=bf16")
            stepper._functions = narrow._functions
            own = narrow._functions.passes.port
            plain = own.loss

            def mixed(network: Any, batch: Any, rngs: Any = None, plain: Any = plain) -> Any:
                wide_product = jnp.ones((2, 2)) @ jnp.ones((2, 2))
                return plain(network, batch, rngs) + 0 * wide_product.sum()

            own.loss = mixed
        try:
            check(stepper.probe(), stepper.case.precision)
            found[name] = "accepted"
        except PrecisionUnsupportedError as error:
            found[name] = str(error)
    try:
        check(honest, stepper.case.precision)
        found["honest"] = "accepted"
    except PrecisionUnsupportedError as error:
        found["honest"] = str(error)
    return found


CHECKS = (
    *(round_trip, statistics, judged_as_torch, grouped, dropout, optimizers, scale, skipping, resumed, donated),
    *(delayed, compilations, refused),
)


def main(only: Sequence[str]) -> None:
    """Run the checks, each in a folder of its own."""
    found = {}
    with tempfile.TemporaryDirectory() as root:
        for one in CHECKS:
            if not only or one.__name__ in only:
                folder = Path(root) / one.__name__
                folder.mkdir()
                found[one.__name__] = one(folder)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
