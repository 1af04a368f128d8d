"""`framework=paddle`: networks in paddle.nn, trained with Paddle's optimizers and its automatic mixed precision."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import PositiveFloat
from pydantic.dataclasses import dataclass

from runner.config.schema import STRICT, Case, FrameworkSpec
from runner.core.errors import ConfigurationError
from runner.frameworks.fleet.layouts import check_layout
from runner.frameworks.ported.framework import PortedFramework

if TYPE_CHECKING:
    from models.trainable import Trainable
    from runner.frameworks.stepping.stepper import Stepper

OPTIMIZERS = ("sgd", "adam", "adamw", "lamb")
"""Whose steps are PyTorch's."""


@dataclass(kw_only=True, slots=True, config=STRICT)
class PaddleOptions(FrameworkSpec):
    """`conf/framework/paddle.yaml`."""

    amp_level: Literal["O1", "O2"] = "O2"
    """How precision=fp16 and bf16 are done. O1: float32 weights, products cast. O2: narrow weights, float32 masters."""
    initial_loss_scale: PositiveFloat = 1024.0
    """Of precision=fp16: what the loss is multiplied by at first."""
    sharding_stage: Literal[1, 2] = 1
    """What `topology.parallel.fsdp` spreads over its ranks. 1: optimizer state. 2: gradients, too."""


class Paddle(PortedFramework):
    """Paddle over the vendor's devices."""

    options: ClassVar[type[FrameworkSpec]] = PaddleOptions
    runtime: ClassVar[str | None] = "hardware.runtimes.paddle:PaddleDevice"
    packages: ClassVar[tuple[str, ...]] = ("paddle",)
    precisions: ClassVar[tuple[str, ...]] = ("fp32", "tf32", "fp16", "bf16")
    parallel: ClassVar[tuple[str, ...]] = ("data", "fsdp", "tensor", "pipeline")
    pipelines: ClassVar[bool] = True

    @classmethod
    def check(cls, case: Case) -> None:
        """Refuse what Paddle would do otherwise than asked.

        Raises:
            ConfigurationError: choices that do not go together.
            HardwareError: Paddle does not know the vendor's devices.
        """
        super().check(case)
        check_layout(case)
        rule = case.model.training.optimizer.name
        if rule not in OPTIMIZERS:
            raise ConfigurationError(
                f"model.train.optimizer.name={rule} is not done by framework=paddle as PyTorch does it. These are: "
                f"{', '.join(OPTIMIZERS)}."
            )
        if case.precision.name != "fp32" and (case.emulate or case.vendor.on_host):
            raise ConfigurationError(
                f"precision={case.precision.name}: on the host's processor framework=paddle computes in float32 alone; "
                "Paddle casts on its devices. Choose precision=fp32."
            )

    def stepper(self, trainable: Trainable) -> Stepper:
        """Eager steps over the port: of one rank, of one of several, of one in a pipeline."""
        if self.context.world == 1:
            from runner.frameworks.fleet.stepper import PaddleStepper

            return PaddleStepper(self.context, trainable)
        if self.context.case.topology.parallel.pipeline == 1:
            from runner.frameworks.fleet.parallel import ParallelStepper

            return ParallelStepper(self.context, trainable)
        from runner.frameworks.fleet.pipeline_stepper import PipelineStepper

        return PipelineStepper(self.context, trainable)
