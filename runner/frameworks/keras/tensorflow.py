"""`framework=tensorflow`: Keras 3 models, trained by a traced function."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic.dataclasses import dataclass

from runner.config.schema import STRICT, FrameworkSpec
from runner.frameworks.ported.framework import PortedFramework

if TYPE_CHECKING:
    from models.trainable import Trainable
    from runner.frameworks.stepping.stepper import Stepper


@dataclass(kw_only=True, slots=True, config=STRICT)
class TensorflowOptions(FrameworkSpec):
    """`conf/framework/tensorflow.yaml`."""

    xla: bool = False
    """Whether XLA compiles the step; of several ranks, what each computes by itself."""


class Tensorflow(PortedFramework):
    """Keras over the vendor's devices."""

    options: ClassVar[type[FrameworkSpec]] = TensorflowOptions
    runtime: ClassVar[str | None] = "hardware.runtimes.tensorflow:TensorflowDevice"
    packages: ClassVar[tuple[str, ...]] = ("tensorflow", "keras")
    precisions: ClassVar[tuple[str, ...]] = ("fp32", "tf32", "fp16", "bf16")

    def stepper(self, trainable: Trainable) -> Stepper:
        """A traced step over the port."""
        from runner.frameworks.keras.stepper import KerasStepper

        return KerasStepper(self.context, trainable)
