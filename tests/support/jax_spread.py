"""Steps of four ranks of `framework=jax` as four devices of one process; prints how they differ from one rank's.

One rank that takes the same four batches as the passes of one step learns the same: its gradients are their mean, too.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

RANKS = 4
os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={RANKS}"

import framework_run  # noqa: E402
import jax  # noqa: E402 -- reads the variable
import numpy as np  # noqa: E402
import torch  # noqa: E402
from jax.sharding import NamedSharding  # noqa: E402
from jax.sharding import PartitionSpec as Spec  # noqa: E402

from runner.config.schema import Parallel, Topology  # noqa: E402
from runner.core.errors import ConfigurationError  # noqa: E402
from runner.frameworks.implementations import build_trainable  # noqa: E402
from runner.frameworks.xla.layout import BATCH, SpreadLayout  # noqa: E402
from runner.frameworks.xla.stepper import JaxStepper  # noqa: E402

STEPS = 3


class AllRanks(SpreadLayout):
    """Takes the batches of all ranks at once, and gives what all of them have."""

    def batch(self, arrays: Any) -> dict[str, Any]:
        """Arrays with a first axis over the ranks' batches."""
        sharding = NamedSharding(self.mesh, Spec(BATCH))
        return {name: jax.device_put(array, sharding) for name, array in arrays.items()}


class SpreadStepper(JaxStepper):
    """Of all ranks."""

    parallel: Parallel

    def build_port(self, kind: type[Any]) -> Any:
        """Over the process's own devices."""
        port = super().build_port(kind)
        topology = Topology(name="node", devices=RANKS, parallel=self.parallel)
        self._layout = AllRanks(self.device.own(), topology, port)
        return port


def stepper_of(folder: Path, kind: type[JaxStepper], overrides: Sequence[str]) -> JaxStepper:
    """A stepper of the tiny case."""
    context = framework_run.context_of(framework_run.case_of(["framework=jax", *overrides]), folder)
    return kind(context, build_trainable(context))


def compared(folder: Path, overrides: Sequence[str], **parallel: int) -> dict[str, Any]:
    """Farthest difference of losses, weights and statistics after three steps, and how many weights are spread."""
    batches = RANKS // parallel.get("tensor", 1)
    accumulate = f"model.train.gradient_accumulation_steps={batches}"
    one = stepper_of(folder, JaxStepper, [*overrides, accumulate])
    kind = type("Spread", (SpreadStepper,), {"parallel": Parallel(**parallel)})
    all_ranks = stepper_of(folder, kind, overrides)
    torch.manual_seed(3)
    furthest = 0.0
    for _ in range(STEPS):
        given = [one.original.synthetic_batch(2) for _ in range(batches)]
        for batch in given if "positions" in given[0] else []:
            batch["positions"][:, int(torch.randint(1, 9, ())) :] = 0  # ranks count different numbers of words
        expected = [float(one.take_pass(one.place(batch))) * batches for batch in given]
        together = stacked(given)
        found = np.asarray(all_ranks.take_pass(all_ranks.place(together)))
        furthest = max(furthest, float(np.abs(found / expected - 1).max()))
    left, right = one.weights(), all_ranks.weights()
    spread = [name for name, array in all_ranks._state["params"].items() if not array.is_fully_replicated]
    optimizer = [leaf for leaf in jax.tree.leaves(all_ranks._state["optimizer"]) if not leaf.is_fully_replicated]
    return {
        "losses": furthest,
        "weights": max(float(np.abs(left[name] - right[name]).max()) for name in one._network.params),
        "rest": max((float(np.abs(left[name] - right[name]).max()) for name in one._network.rest), default=0.0),
        "spread": len(spread),
        "optimizer_spread": len(optimizer),
    }


def stacked(batches: Sequence[Any]) -> dict[str, Any]:
    """The batches of all ranks, their tensors along a first axis."""
    names = [name for name, value in batches[0].items() if isinstance(value, torch.Tensor)]
    return {name: torch.stack([batch[name] for batch in batches]) for name in names}


def first_statistics(folder: Path) -> float:
    """Farthest difference of the running statistics of four ranks from those of the first rank's batch alone."""
    overrides = ["model=resnet50", "model.train.optimizer.lr=1e-12"]
    one = stepper_of(folder, JaxStepper, overrides)
    kind = type("Spread", (SpreadStepper,), {"parallel": Parallel()})
    all_ranks = stepper_of(folder, kind, overrides)
    torch.manual_seed(3)
    given = [one.original.synthetic_batch(4) for _ in range(RANKS)]
    one.take_pass(one.place(given[0]))
    all_ranks.take_pass(all_ranks.place(stacked(given)))
    left, right = one.weights(), all_ranks.weights()
    return max(float(np.abs(left[name] - right[name]).max()) for name in one._network.rest)


def dropped(folder: Path) -> list[float]:
    """Losses of four ranks with one batch, each with dropout of its own."""
    kind = type("Spread", (SpreadStepper,), {"parallel": Parallel()})
    stepper = stepper_of(folder, kind, ["model=bert", "model.architecture.dropout=0.5"])
    batch = stepper.original.synthetic_batch(2)
    return [float(one) for one in np.asarray(stepper.take_pass(stepper.place(stacked([batch] * RANKS))))]


def counted(folder: Path) -> list[int]:
    """Samples that a rank counts of its own batch of 5 images and of 3 texts, whose arrays lie over four ranks."""

    class OfFour(SpreadLayout):
        """Places as if each of four ranks had brought the same batch."""

        def __init__(self) -> None:
            """Needs no mesh."""

        def batch(self, arrays: Any) -> dict[str, Any]:
            """With the axis over the ranks."""
            return {name: jax.device_put(np.stack([array] * RANKS)) for name, array in arrays.items()}

    found = []
    for model, rows in (("resnet50", 5), ("llama2_7b", 3)):
        stepper = stepper_of(folder, JaxStepper, [f"model={model}"])
        stepper._layout = OfFour()
        found.append(stepper.count(stepper.placed(stepper.original.synthetic_batch(rows))).samples)
    return found


def indivisible(folder: Path) -> str:
    """What is said of four tensor ranks for BERT's two heads."""
    kind = type("Spread", (SpreadStepper,), {"parallel": Parallel(tensor=RANKS)})
    try:
        stepper_of(folder, kind, ["model=bert"])
    except ConfigurationError as error:
        return str(error)
    return "accepted"


def main() -> None:
    """Compare every layout."""
    sgd = ["model.train.optimizer.name=sgd", "model.train.optimizer.lr=0.1", "model.train.optimizer.betas=null"]
    sgd += ["model.train.optimizer.eps=null", "model.train.schedule.warmup=0"]
    llama, bert = ["model=llama2_7b", *sgd], ["model=bert", *sgd]
    lamb = ["model=bert", "model.train.optimizer.name=lamb"]
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        found = {
            "data": compared(folder, bert),
            "fsdp": compared(folder, bert, fsdp=4),
            "fsdp, norms of whole tensors": compared(folder, lamb, fsdp=4),
            "data and fsdp": compared(folder, llama, fsdp=2),
            "tensor": compared(folder, llama, tensor=4),
            "data and tensor": compared(folder, bert, tensor=2),
            "first_statistics": first_statistics(folder),
            "dropped": dropped(folder),
            "counted": counted(folder),
            "indivisible": indivisible(folder),
        }
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
