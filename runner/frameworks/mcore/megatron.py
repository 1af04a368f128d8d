"""`framework=megatron`: GPTModel of megatron-core, tensor, pipeline and data parallel, trained by its own optimizer."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar

from pydantic.dataclasses import dataclass

from runner.config.schema import STRICT, Case, FrameworkSpec
from runner.frameworks.mcore.demands import check_megatron
from runner.frameworks.ported.framework import PortedFramework

if TYPE_CHECKING:
    from models.trainable import Trainable
    from runner.frameworks.stepping.stepper import Stepper


@dataclass(kw_only=True, slots=True, config=STRICT)
class MegatronOptions(FrameworkSpec):
    """`conf/framework/megatron.yaml`."""

    sequence_parallel: bool = False
    """Whether the ranks of a tensor group share the places of normalisations, dropout and residuals."""
    distributed_optimizer: bool = True
    """Whether optimizer state and float32 weights are spread over the data parallel ranks."""
    activation_checkpointing: bool = False
    """Keep the inputs of each layer and compute the layer again in the backward pass."""


class Megatron(PortedFramework):
    """Megatron-core over the vendor's torch: its devices are torch's, its ranks torch.distributed's."""

    options: ClassVar[type[FrameworkSpec]] = MegatronOptions
    packages: ClassVar[tuple[str, ...]] = ("megatron", "megatron.core")
    precisions: ClassVar[tuple[str, ...]] = ("fp32", "tf32", "fp16", "bf16")
    parallel: ClassVar[tuple[str, ...]] = ("data", "tensor", "pipeline")
    pipelines: ClassVar[bool] = True

    @classmethod
    def unavailable_reason(cls) -> str | None:
        """Its package, or a checkout of it; others are below the same name."""
        if all(find_spec(name) is not None for name in cls.packages):
            return None
        extra = cls.key()
        return (
            f"the package megatron-core is not installed: pip install 'touchstone[{extra}]', or make run EXTRAS={extra}"
        )

    @classmethod
    def check(cls, case: Case) -> None:
        """Refuse what megatron-core cannot do, or would do otherwise than asked.

        Raises:
            ConfigurationError: choices that do not go together.
            HardwareError: it does not know the vendor's devices.
        """
        super().check(case)
        check_megatron(case)

    def stepper(self, trainable: Trainable) -> Stepper:
        """Its pipeline schedule over the port."""
        from runner.frameworks.mcore.stepper import MegatronStepper

        return MegatronStepper(self.context, trainable)
