"""What a framework other than PyTorch is to the runner: a port of the case's model, trained by the stepping loop."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar

from runner.config.schema import Case
from runner.core.errors import ConfigurationError, HardwareError
from runner.frameworks.stepping.framework import SteppingFramework

if TYPE_CHECKING:
    from models.trainable import Trainable


class PortedFramework(SteppingFramework):
    """Trains the class that a model's YAML names for it, beside the PyTorch one."""

    original: ClassVar[str | None] = "pytorch"
    serves: ClassVar[bool] = False
    packages: ClassVar[tuple[str, ...]]
    """What it imports."""
    apart: ClassVar[bool] = False
    """Whether its packages do not go into one environment with the project's others."""
    precisions: ClassVar[tuple[str, ...]]
    """What it trains in; what a vendor's chips can is the vendor's to say."""
    parallel: ClassVar[tuple[str, ...]] = ("data",)
    """Dimensions of `topology.parallel` that it spreads a model over."""

    @classmethod
    def key(cls) -> str:
        """Its name in `framework=`, which is that of its extra."""
        return cls.__name__.lower()

    @classmethod
    def unavailable_reason(cls) -> str | None:
        """Its packages, by their metadata alone."""
        missing = [name for name in cls.packages if find_spec(name) is None]
        if not missing:
            return None
        key, names = cls.key(), " and ".join(missing)
        beside = "" if cls.apart else f"pip install 'touchstone[{key}]', make run EXTRAS={key}, or "
        if len(missing) == 1:
            return f"the package {names} is not installed: {beside}make environment FRAMEWORK={key}"
        return f"the packages {names} are not installed: {beside}make environment FRAMEWORK={key}"

    @classmethod
    def check(cls, case: Case) -> None:
        """Refuse what it would do otherwise than asked.

        Raises:
            ConfigurationError: choices that do not go together.
            HardwareError: it does not know the vendor's devices.
        """
        key, vendor, parallel = cls.key(), case.vendor, case.topology.parallel
        if cls.runtime is not None and key not in vendor.runtimes:
            raise HardwareError(
                f"framework={key} knows no devices of vendor={vendor.name}. {vendor.title} is reached through: "
                f"{', '.join(('pytorch', *sorted(vendor.runtimes)))}."
            )
        if case.precision.name not in cls.precisions:
            raise ConfigurationError(
                f"framework={key} does not train in precision={case.precision.name}. "
                f"It trains in: {', '.join(cls.precisions)}."
            )
        if case.compiler.name != "eager":
            raise ConfigurationError(
                f"compiler={case.compiler.name} compiles PyTorch's networks; framework={key} compiles its own. "
                "Choose compiler=eager."
            )
        for name in ("fsdp", "tensor", "pipeline"):
            if getattr(parallel, name) > 1 and name not in cls.parallel:
                raise ConfigurationError(
                    f"topology.parallel.{name}={getattr(parallel, name)}: framework={key} spreads a model over "
                    f"ranks by {', '.join(cls.parallel)} alone."
                )
        if case.model.memory_format != "contiguous":
            raise ConfigurationError(
                f"model.memory_format={case.model.memory_format} is PyTorch's; framework={key} lays tensors out as its "
                "own layers do. Leave it out."
            )

    def prepare(self, trainable: Trainable, *, evaluates: bool) -> None:
        """Say that the port is built."""
        self.context.preparing(f"building the model in {self.key()}")
