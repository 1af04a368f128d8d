"""What megatron-core cannot do, or would do otherwise than asked; refused before anything is started."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hardware.base import Device
from hardware.device import load_device
from runner.config.schema import Case
from runner.core.errors import ConfigurationError, HardwareError

NAMESPACES = {"cuda"}
"""Modules of torch whose devices megatron-core knows; it names `cuda` in its own code."""
FORKS = {
    "npu": "MindSpeed (Ascend)",
    "musa": "MT-MegatronLM (Moore Threads)",
    "hpu": "Megatron-LM of HabanaAI (Intel Gaudi)",
}
"""Vendors' own versions of Megatron, by the module of torch in which they show their devices."""
OPTIMIZERS = ("adamw", "adam", "sgd")
"""Those of the recipes' that megatron-core has."""


def check_megatron(case: Case) -> None:
    """Look at what can be known of a case without torch.

    Raises:
        ConfigurationError: choices that do not go together.
        HardwareError: megatron-core does not know the vendor's devices.
    """
    for problem in (*_optimizer(case), *_split(case)):
        raise ConfigurationError(problem)
    check_devices(load_device(case.vendor, emulate=case.emulate))


def check_devices(device: Device) -> None:
    """Refuse devices that are not torch's `cuda`.

    Raises:
        HardwareError: says what there is instead.
    """
    namespace = str(getattr(device, "namespace", "cpu"))
    if namespace in NAMESPACES:
        return
    title = getattr(device, "title", device.spec.title)
    fork = f" {FORKS[namespace]} is another package, which is not measured here." if namespace in FORKS else ""
    raise HardwareError(
        f"framework=megatron wants an accelerator that PyTorch shows as torch.cuda: megatron-core names that module in "
        f"its own code, and {title} is torch.{namespace}.{fork} Choose framework=pytorch, which trains the same model "
        "on it."
    )


def _optimizer(case: Case) -> Iterator[str]:
    optimizer = case.model.training.optimizer
    if optimizer.name not in OPTIMIZERS:
        yield (
            f"model.train.optimizer.name={optimizer.name} is not done by framework=megatron, whose optimizers are: "
            f"{', '.join(OPTIMIZERS)}."
        )
    if optimizer.nesterov:
        yield "model.train.optimizer.nesterov is not done by framework=megatron: its SGD has plain momentum."
    if case.model.training.batching.by != "rows":
        yield (
            f"model.train.batching.by={case.model.training.batching.by}: framework=megatron takes sequences of one "
            "length."
        )


def _split(case: Case) -> Iterator[str]:
    """Sizes that the ranks cannot share evenly."""
    parallel, options, sizes = case.topology.parallel, _options(case), case.model.architecture
    if options.sequence_parallel and parallel.tensor == 1:
        yield (
            "framework.sequence_parallel=true shares places among the ranks of a tensor group, and "
            "topology.parallel.tensor=1. Add topology.parallel.tensor=2 or more, or leave it out."
        )
    for name, size, ranks, key in (
        ("layers", sizes.get("layers"), parallel.pipeline, "pipeline"),
        ("heads", sizes.get("heads"), parallel.tensor, "tensor"),
        ("key_value_heads", sizes.get("key_value_heads"), parallel.tensor, "tensor"),
        ("intermediate", sizes.get("intermediate"), parallel.tensor, "tensor"),
        ("vocabulary", _rows(sizes), parallel.tensor, "tensor"),
        *(
            [("sequence_length", sizes.get("sequence_length"), parallel.tensor, "tensor")]
            if options.sequence_parallel
            else []
        ),
    ):
        if isinstance(size, int) and size % ranks:
            padded = " (rows of the embedding, padding included)" if name == "vocabulary" else ""
            yield (
                f"topology.parallel.{key}={ranks} does not divide model.architecture.{name}: {size}{padded}. "
                "Choose one that does."
            )


def _rows(sizes: dict[str, Any]) -> int | None:
    """Of the embedding."""
    vocabulary, multiple = sizes.get("vocabulary"), sizes.get("vocabulary_multiple", 1)
    if not (isinstance(vocabulary, int) and isinstance(multiple, int)):
        return None
    return -(-vocabulary // multiple) * multiple


def _options(case: Case) -> Any:
    return case.framework
