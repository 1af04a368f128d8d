"""How a case's model is sharded: the layout of its ranks, and what cannot be."""

from __future__ import annotations

from hardware.layout import MeshLayout
from models.contract import Model
from models.trainable import Trainable
from runner.config.schema import Case, Topology
from runner.core.errors import ConfigurationError

STEPPING = ("sgd", "adam", "adamw", "rmsprop", "adagrad", "lamb")
"""Optimizers whose step on parts of tensors is that on whole ones; Adafactor's means over rows and columns are not."""


def layout_of(topology: Topology) -> MeshLayout:
    """The axes of the mesh, from `topology.parallel`."""
    parallel = topology.parallel
    spread = parallel.fsdp * parallel.tensor
    return MeshLayout(replicate=topology.ranks // spread, shard=parallel.fsdp, tensor=parallel.tensor)


def check_sharding(case: Case, trainable: Trainable) -> None:
    """Refuse what cannot be sharded, or would not train as it does on one device.

    Raises:
        ConfigurationError: says what, and what to choose.
    """
    layout = layout_of(case.topology)
    if not layout.sharded:
        return
    where = f"model={case.model.name} with topology.parallel {case.topology.layout}"
    training = case.model.training
    if training.optimizer.name not in STEPPING:
        raise ConfigurationError(
            f"{where}: {training.optimizer.name} does not step on parts of tensors. Sharded models are trained by "
            f"{', '.join(STEPPING)}: choose model.train.optimizer.name, or data parallel (leave topology.parallel out)."
        )
    if case.compiler.name != "eager":
        raise ConfigurationError(
            f"{where}: compiler={case.compiler.name} compiles the network as a whole, and a sharded one comes together "
            "block by block. Choose compiler=eager."
        )
    tables = [name for name, module in trainable.network.named_modules() if getattr(module, "sparse", False) is True]
    if tables:
        raise ConfigurationError(
            f"{where}: the gradients of {tables[0]} are sparse, and FSDP2 adds up dense ones alone. Train it data "
            "parallel (leave topology.parallel out)."
        )
    taken_apart = type(trainable).prepare_tensor is not Model.prepare_tensor
    if layout.tensor > 1 and taken_apart and training.regularisation.ema_decay is not None:
        raise ConfigurationError(
            f"{where}: model.train.regularisation.ema_decay numbers the averaged weights, and this model's layers are "
            "taken apart to be split. Choose topology.parallel.fsdp in its place."
        )
    if layout.tensor > 1:
        _check_plan(where, trainable, layout.tensor)


def _check_plan(where: str, trainable: Trainable, ranks: int) -> None:
    plan = trainable.tensor_plan()
    if plan is None:
        raise ConfigurationError(
            f"{where}: the model's file does not say how its matrices are split (Model.tensor_plan). "
            f"These models' do: {', '.join(_with_plans())}. Choose topology.parallel.fsdp in its place."
        )
    wrong = {what: size for what, size in plan.divides.items() if size % ranks}
    if wrong:
        told = ", ".join(f"{size} {what}" for what, size in wrong.items())
        fits = ", ".join(map(str, plan.fitting)) or "no number above 1"
        raise ConfigurationError(
            f"{where}: {told} cannot be shared out evenly by {ranks} ranks. What fits this model: "
            f"topology.parallel.tensor={fits}."
        )


def _with_plans() -> list[str]:
    """Models of this tree whose file has a plan, by the classes that their YAMLs name."""
    import re

    from hardware.child import ROOT
    from runner.core.registries import MODELS

    named = []
    for path in sorted((ROOT / "conf" / "model").glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        found = re.search(r"pytorch: ([\w.]+)", text)
        try:
            kind = MODELS.find(found[1]) if found and "\ntrain:" in text else Model
        except (ValueError, ImportError):
            continue  # a package that the model needs is not here
        if kind.tensor_plan is not Model.tensor_plan:
            named.append(path.stem)
    return named
