"""`framework=jax`: flax.nnx modules, trained by a step that XLA compiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from runner.config.schema import Case
from runner.core.errors import ConfigurationError
from runner.frameworks.ported.framework import PortedFramework

if TYPE_CHECKING:
    from models.trainable import Trainable
    from runner.frameworks.stepping.stepper import Stepper


class Jax(PortedFramework):
    """XLA over the vendor's devices."""

    runtime: ClassVar[str | None] = "hardware.runtimes.jax:JaxDevice"
    packages: ClassVar[tuple[str, ...]] = ("jax", "flax", "optax")
    precisions: ClassVar[tuple[str, ...]] = ("fp32", "tf32", "fp16", "bf16", "bf16_true")

    parallel: ClassVar[tuple[str, ...]] = ("data", "fsdp", "tensor")

    @classmethod
    def check(cls, case: Case) -> None:
        """As of every ported framework, and what does not go together here.

        Raises:
            ConfigurationError: weights spread in two ways at once.
            HardwareError: JAX does not know the vendor's devices.
        """
        super().check(case)
        parallel = case.topology.parallel
        if parallel.fsdp > 1 and parallel.tensor > 1:
            raise ConfigurationError(
                f"topology.parallel.fsdp={parallel.fsdp} and tensor={parallel.tensor}: framework=jax spreads weights "
                "in one of the two ways, for in both it would gather whole matrices. Leave one of them out."
            )

    def stepper(self, trainable: Trainable) -> Stepper:
        """A compiled step over the port."""
        from runner.frameworks.xla.stepper import JaxStepper

        return JaxStepper(self.context, trainable)
