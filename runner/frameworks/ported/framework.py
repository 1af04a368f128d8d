"""What a framework other than PyTorch is to the runner: a port of the case's model, trained by the stepping loop."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar

from runner.config.schema import Case
from runner.core.errors import ConfigurationError, HardwareError
from runner.frameworks.base import EvaluationPlan, Framework, NextSegment, Outcome

if TYPE_CHECKING:
    from models.trainable import Trainable
    from runner.frameworks.stepping.loop import SteppingLoop
    from runner.frameworks.stepping.stepper import Stepper


class PortedFramework(Framework):
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

    def train(self, trainable: Trainable, batches: Iterable[Any], *, next_segment: NextSegment) -> None:
        """Train until the window is complete."""
        self._loop(trainable, next_segment).train(batches)

    def converge(
        self,
        trainable: Trainable,
        batches: Iterable[Any],
        evaluation: Iterable[Any],
        *,
        plan: EvaluationPlan,
        next_segment: NextSegment,
    ) -> Outcome:
        """Train to the target, or to the end of the plan."""
        return self._loop(trainable, next_segment).converge(batches, evaluation, plan)

    def _loop(self, trainable: Trainable, next_segment: NextSegment) -> SteppingLoop:
        from runner.frameworks.stepping.loop import SteppingLoop

        self.context.preparing(f"building the model in {self.key()}")
        return SteppingLoop(self.context, self.stepper(trainable), next_segment)

    @abstractmethod
    def stepper(self, trainable: Trainable) -> Stepper:
        """What takes its steps; imports the framework.

        Args:
            trainable: the PyTorch model, on the host, with the case's initial weights.
        """
