"""`framework=mindspore`: MindSpore's cells, trained by a step that is one graph, or run operator by operator."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic.dataclasses import dataclass

from runner.config.schema import STRICT, Case, FrameworkSpec
from runner.core.errors import ConfigurationError
from runner.frameworks.ported.framework import PortedFramework

if TYPE_CHECKING:
    from models.trainable import Trainable
    from runner.frameworks.stepping.stepper import Stepper

NUMPY = 1
"""Major version of NumPy that MindSpore's wheels up to 2.10 are built for; with 2, some operators end in an error."""


@dataclass(kw_only=True, slots=True, config=STRICT)
class MindsporeOptions(FrameworkSpec):
    """`conf/framework/mindspore.yaml`."""

    mode: Literal["graph", "pynative"] = "graph"
    """`graph`: a step is one compiled program; `pynative`: operators are submitted one by one."""


class Mindspore(PortedFramework):
    """MindSpore over Ascend's devices and the host's processor."""

    options: ClassVar[type[FrameworkSpec]] = MindsporeOptions
    runtime: ClassVar[str | None] = "hardware.runtimes.mindspore:MindsporeDevice"
    packages: ClassVar[tuple[str, ...]] = ("mindspore",)
    apart: ClassVar[bool] = True
    precisions: ClassVar[tuple[str, ...]] = ("fp32", "fp16", "bf16")

    @classmethod
    def unavailable_reason(cls) -> str | None:
        """Its package, and the NumPy beside it."""
        return super().unavailable_reason() or _numpy_reason()

    @classmethod
    def check(cls, case: Case) -> None:
        """Refuse what it would do otherwise than asked, or not at all.

        Raises:
            ConfigurationError: choices that do not go together.
            HardwareError: it does not know the vendor's devices.
        """
        super().check(case)
        if case.precision.name == "bf16" and (case.vendor.on_host or case.emulate):
            raise ConfigurationError(
                "MindSpore's operators for the host's processor know no bfloat16: framework=mindspore precision=bf16 "
                "runs on Ascend alone. Choose precision=fp32 or fp16."
            )

    def stepper(self, trainable: Trainable) -> Stepper:
        """A step over the port's cells."""
        from runner.frameworks.cells.stepper import MindsporeStepper

        return MindsporeStepper(self.context, trainable)


def _numpy_reason() -> str | None:
    try:
        numpy = version("numpy")
    except PackageNotFoundError:
        return None
    if int(numpy.split(".")[0]) <= NUMPY:
        return None
    return (
        f"MindSpore is built for NumPy {NUMPY}, and numpy {numpy} is installed: it needs an environment of its own, "
        "make environment FRAMEWORK=mindspore"
    )
