"""`framework=deepspeed`: PyTorch models, trained by DeepSpeed's engine (ZeRO), without Lightning.

Lightning's own DeepSpeed strategy refuses to run without a GPU; the engine itself runs on every device DeepSpeed knows.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic.dataclasses import dataclass

from runner.config.schema import STRICT, Case, FrameworkSpec
from runner.frameworks.stepping.framework import SteppingFramework
from runner.frameworks.zero.demands import check_zero, require_equal_passes

if TYPE_CHECKING:
    from models.trainable import Trainable
    from runner.frameworks.stepping.stepper import Stepper


@dataclass(kw_only=True, slots=True, config=STRICT)
class DeepspeedOptions(FrameworkSpec):
    """`conf/framework/deepspeed.yaml`."""

    zero_stage: Literal[0, 1, 2, 3] = 3
    """What is spread over the ranks: nothing, optimizer state, gradients too, weights too."""
    offload: Literal["none", "cpu"] = "none"
    """`cpu`: optimizer state, and with stage 3 the weights, lie in the host's memory between their uses."""
    activation_checkpointing: bool = False
    """Keep the inputs of each block and compute the block again in the backward pass."""

    @property
    def layout(self) -> str | None:
        """What ZeRO spreads over all ranks."""
        return f"zero {self.zero_stage}" if self.zero_stage else None


class Deepspeed(SteppingFramework):
    """DeepSpeed's engine over the vendor's devices; ZeRO spreads over all ranks."""

    options: ClassVar[type[FrameworkSpec]] = DeepspeedOptions
    writes_in: ClassVar[str | None] = "pytorch"

    @staticmethod
    def unavailable_reason() -> str | None:
        """Its package, by the metadata alone."""
        if find_spec("deepspeed") is not None:
            return None
        return "the package deepspeed is not installed: pip install 'touchstone[deepspeed]'"

    @classmethod
    def check(cls, case: Case) -> None:
        """Refuse what ZeRO would do otherwise than asked.

        Raises:
            ConfigurationError: choices that do not go together.
            HardwareError: DeepSpeed does not know the vendor's devices.
        """
        check_zero(case)

    def prepare(self, trainable: Trainable, *, evaluates: bool) -> None:
        """Refuse networks whose layers the ranks would not run equally often.

        Raises:
            ConfigurationError: names what differs between the ranks.
        """
        require_equal_passes(self.context.case, trainable, evaluates=evaluates)
        self.context.preparing("starting DeepSpeed's engine")

    def stepper(self, trainable: Trainable) -> Stepper:
        """The engine over the model."""
        from runner.frameworks.zero.stepper import EngineStepper

        return EngineStepper(self.context, trainable)
