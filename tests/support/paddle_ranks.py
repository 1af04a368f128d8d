"""What one rank of several does with Paddle: `paddle_ranks.py FOLDER`, cases in `cases.json`, started by torchrun.

Each case leaves `rankN.json` in its folder: whole weights at the beginning, quality, losses of four steps, and of two
steps more after the optimizer's state was saved, by the same stepper and by a fresh one that went on from the file.
The case `groups` checks what ranks send each other, with numbers that can be checked by hand.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from framework_run import case_of, context_of

from hardware.child import environment_of_child, python
from runner.core.errors import classify
from runner.frameworks.implementations import build_trainable, framework_of
from runner.frameworks.loaders import build_evaluation_loader, build_training_loader

STEPS = 4
AFTER = 2
GROUPS = "groups"


def run_ranks(folder: Path, cases: Mapping[str, Sequence[str]], *, ranks: int) -> dict[str, list[dict[str, Any]]]:
    """What each rank told of each case."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cases.json").write_text(json.dumps({name: list(overrides) for name, overrides in cases.items()}))
    own = [sys.executable, "-P", str(Path(__file__).resolve()), str(folder)]
    launch = python("torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}", "--no-python")
    environment = environment_of_child({"OMP_NUM_THREADS": "1"})
    environment["PYTHONPATH"] = os.pathsep.join([environment["PYTHONPATH"], str(Path(__file__).resolve().parent)])
    with (folder / "output.log").open("wb") as output:
        subprocess.run(
            [*launch, *own] if ranks > 1 else own,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=600,
            check=False,
        )
    log = (folder / "output.log").read_text()
    told: dict[str, list[dict[str, Any]]] = {}
    for name in cases:
        paths = [folder / name / f"rank{rank}.json" for rank in range(ranks)]
        assert all(path.is_file() for path in paths), (name, log[-3000:])
        told[name] = [json.loads(path.read_text()) for path in paths]
    return told


def _taken(stepper: Any, batches: Iterator[Any], steps: int) -> tuple[list[float], int]:
    """Losses of so many steps, as the training loop takes them, and the samples counted."""
    losses, samples = [], 0
    for _ in range(steps):
        loss = 0.0
        for _ in range(stepper.passes_per_step or stepper.passes):
            batch = stepper.next_batch(batches)
            samples += stepper.count(batch).samples
            loss += float(stepper.take_pass(batch))
        losses.append(loss)
    return losses, samples


def _trained(folder: Path, overrides: Sequence[str]) -> dict[str, Any]:
    case = case_of(overrides)
    context = context_of(case, folder)
    trainable = build_trainable(context)
    datasets = trainable.datasets(case.data)
    stepper: Any = framework_of(context).stepper(trainable)  # type: ignore[attr-defined]
    whole, expected = stepper.weights(), stepper.port.from_original()
    evaluation = build_evaluation_loader(context, trainable, datasets)
    batches = iter(build_training_loader(context, trainable, datasets))
    told: dict[str, Any] = {
        "same_weights": whole.keys() == expected.keys()
        and all(np.array_equal(whole[name], expected[name]) for name in whole),
        "parameters": stepper.parameter_count(),
        "before": stepper.evaluate(evaluation),
        "learning_rate": stepper.learning_rate(),
    }
    told["losses"], told["samples"] = _taken(stepper, batches, STEPS)
    told["quality"] = stepper.evaluate(evaluation)
    path = folder / "last.ckpt"
    stepper.save(path, {"steps": STEPS})
    kept = [next(batches) for _ in range(AFTER * stepper.passes)]
    told["after"], _ = _taken(stepper, iter(kept), AFTER)
    trainable.network.load_state_dict({name: one * 0 for name, one in trainable.network.state_dict().items()})
    stepper.set_weights(stepper.port.from_original())
    told["state"] = stepper.load(path)
    told["resumed"], _ = _taken(stepper, iter(kept), AFTER)
    told["norm"] = float(sum(float((one.astype(np.float64) ** 2).sum()) for one in stepper.weights().values()) ** 0.5)
    if getattr(stepper, "decoder", None) is not None:
        own = stepper.port.network.state_dict()
        whole = [name for name in own if stepper.decoder.slice_of(name).axis is None]
        told["on_both"] = {name: own[name].flatten().tolist()[:8] for name in whole}
    return told


def _groups(folder: Path) -> dict[str, Any]:
    """Two ranks: sums, cross entropy over shares of a vocabulary, the norm of all gradients, skipping together."""
    import paddle

    from models.ports.paddle.parallel import host_collectives as host
    from runner.frameworks.fleet.clipping import WholeNormClip
    from runner.frameworks.fleet.exchange import owners
    from runner.frameworks.fleet.parallel import ParallelStepper

    context = context_of(case_of(["model=gpt3_345m", "framework=paddle", *_two("tensor")]), folder)
    from runner.frameworks.fleet.ranks import start_fleet
    from runner.measure.ranks import join

    fleet, rank = start_fleet(context, join("gloo")), context.rank
    group = fleet.tensor
    told: dict[str, Any] = {"half": host.all_reduce(paddle.full([3], 1.5 + rank, "float16"), group).tolist()}

    entering = paddle.to_tensor([1.0, 2.0], stop_gradient=False)
    left = host.summed(host.identity(entering, group) * (rank + 1.0), group=group)
    left.sum().backward()
    told |= {"sum": left.tolist(), "sum_gradient": entering.grad.tolist()}

    scores = np.linspace(-1, 2, 24, dtype=np.float32).reshape(3, 8)
    own = paddle.to_tensor(scores[:, rank * 4 : rank * 4 + 4], stop_gradient=False)
    found = host.cross_entropy(own, paddle.to_tensor([[1], [6], [-100]]), group=group)
    found.sum().backward()
    told |= {"entropy": found.flatten().tolist(), "entropy_gradient": own.grad.tolist()}

    table = paddle.to_tensor(np.arange(8, dtype=np.float32).reshape(4, 2) + 8 * rank, stop_gradient=False)
    rows = host.summed(host.looked_up(table, paddle.to_tensor([0, 5, 5]), start_index=4 * rank), group=group)
    rows.sum().backward()
    told |= {"rows": rows.tolist(), "rows_gradient": table.grad.tolist()}

    def parameter(name: str, *, cut: bool) -> Any:
        return SimpleNamespace(name=name, is_distributed=cut)

    cut = (parameter("cut", cut=True), paddle.to_tensor([3.0 + rank]))
    whole = (parameter("whole", cut=False), paddle.to_tensor([12.0]))
    alone = SimpleNamespace(tensor=None, sharding=None, pipe=None)
    spread: dict[str, Any] = {
        name: SimpleNamespace(**{**vars(alone), name: group}) for name in ("tensor", "sharding", "pipe")
    }
    elsewhere = "whole" if rank == 1 else None
    told["norms"] = {
        "tensor": float(WholeNormClip(1.0, spread["tensor"]).norm([cut, whole])),
        "sharding": float(WholeNormClip(1.0, spread["sharding"]).norm([cut])),
        "pipe": float(WholeNormClip(1.0, spread["pipe"], counted_elsewhere=elsewhere).norm([cut, whole])),
    }
    WholeNormClip(6.5, spread["tensor"])([cut, whole])
    told["clipped"] = [cut[1].tolist(), whole[1].tolist()]

    sizes = {name: SimpleNamespace(size=size) for name, size in (("a", 1), ("b", 6), ("c", 3), ("d", 4))}
    told["owners"] = owners(sizes, 2)
    told["places"] = {kind: _place(kind) for kind in ("gpu", "xpu", "iluvatar_gpu")}

    scaler = SimpleNamespace(
        _found_inf=paddle.to_tensor([rank == 1]), is_enable=lambda: True, unscale_=lambda optimizer: None
    )
    ParallelStepper._agree_on_skipping(SimpleNamespace(amp=SimpleNamespace(scaler=scaler), optimizer=None))  # type: ignore[arg-type]
    told["skipped"] = bool(scaler._found_inf)
    return told


def _place(kind: str) -> dict[str, str]:
    """What the fourth rank of a node with such devices tells Paddle."""
    from runner.frameworks.fleet.ranks import _tell_place
    from runner.measure.ranks import Ranks

    before = dict(os.environ)
    os.environ.pop("PADDLE_DISTRI_BACKEND", None)
    device = SimpleNamespace(kind=kind, on_host=False)
    context: Any = SimpleNamespace(rank=0, local_rank=3, world=1, device=device)
    try:
        _tell_place(context, Ranks())
        names = ("FLAGS_selected", "PADDLE_DISTRI", "PADDLE_XCCL", "PADDLE_TRAINER_ID", "PADDLE_TRAINERS_NUM")
        return {name: value for name, value in os.environ.items() if name.startswith(names)}
    finally:
        os.environ.clear()
        os.environ.update(before)


def _two(axis: str) -> list[str]:
    return ["topology=node", "topology.devices=2", f"topology.parallel.{axis}=2"]


def main(folder: Path) -> None:
    """Each case of the folder."""
    rank = int(os.environ.get("RANK", "0"))
    for name, overrides in json.loads((folder / "cases.json").read_text()).items():
        own = folder / name
        (own / "events").mkdir(parents=True, exist_ok=True)
        try:
            told = _groups(own) if name == GROUPS else _trained(own, overrides)
        except Exception as error:  # noqa: BLE001 -- what it was is for the test to judge
            traceback.print_exc()
            cause = classify(error)
            told = {"error": str(cause), "exit_code": cause.exit_code}
        (own / f"rank{rank}.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
