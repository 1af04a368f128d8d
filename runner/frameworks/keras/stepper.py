"""The passes and steps of a Keras port, its evaluation and its checkpoints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import tensorflow as tf
from torch import Tensor

from models.datasets.base import Batch
from models.ports.arrays import to_array, to_tensor
from models.ports.port import Arrays, PortError
from models.ports.tensorflow.port import TensorflowPort
from runner.core.events import Name
from runner.frameworks.keras.probing import kept_bits, product_types
from runner.frameworks.keras.step import KerasStep
from runner.frameworks.keras.tracing import TracedFunction
from runner.frameworks.ported.stepper import PortedStepper


class KerasStepper(PortedStepper):
    """Trains a `keras.Model` in place."""

    port_kind: ClassVar[type[Any]] = TensorflowPort
    port: TensorflowPort

    # --- the network ------------------------------------------------------------------------------------------

    def build_port(self, kind: type[Any]) -> TensorflowPort:
        """With the precision's policy, and what trains it."""
        precision, options = self.case.precision, self.case.framework
        self._xla = bool(getattr(options, "xla", False))
        self._skipped: Any = None
        with tf.device(self.device.own()):
            port: TensorflowPort = kind(
                self.original, weights=precision.weights, products=precision.autocast or precision.weights
            )
            self.step = KerasStep(
                port,
                passes=self.passes,
                scales=precision.loss_scaling,
                xla=self._xla,
                strategy=self.device.strategy,
                told=self._traced,
            )
        self._judge = TracedFunction(self._judged, "evaluation", xla=self._xla, told=self._traced, any_length=True)
        return port

    def set_weights(self, weights: Mapping[str, Any]) -> None:
        """Into the network's variables."""
        own = {one.path: one for one in self.port.network.variables}
        if differing := own.keys() ^ weights.keys():
            raise PortError(f"weights differ by name: {sorted(differing)[:3]}")
        for name, variable in own.items():
            if tuple(variable.shape) != weights[name].shape:
                raise PortError(f"{name} has shape {tuple(variable.shape)}, the original's {weights[name].shape}")
            variable.assign(weights[name])

    def weights(self) -> dict[str, Any]:
        """From the device; running statistics are the first rank's."""
        self._share_statistics()
        return {one.path: one.numpy() for one in self.port.network.variables}

    def parameter_count(self) -> int:
        """Of trainable variables, as Keras lists them."""
        return sum(int(tf.size(one.value)) for one in self.port.network.trainable_variables)

    def _share_statistics(self) -> None:
        """Give every rank the first one's running statistics, as PyTorch's data parallel training does.

        Each rank's own are of its own batches. They enter evaluation alone.
        """
        if self.ranks.world == 1:
            return
        own = self.port.network.non_trainable_variables
        first = self.ranks.gather([one.numpy() for one in own] if self.ranks.rank == 0 else None)[0]
        assert first is not None
        for variable, value in zip(own, first, strict=True):
            variable.assign(value)

    # --- the step ---------------------------------------------------------------------------------------------

    def place(self, batch: Batch) -> Arrays:
        """Onto this rank's device."""
        with tf.device(self.device.own()):
            placed = {name: tf.identity(to_array(one)) for name, one in batch.items() if isinstance(one, Tensor)}
        return {**batch, **placed}

    def take_pass(self, batch: Arrays) -> Any:
        """Submit a pass, or with its optimizer step the last one."""
        arrays, first = _tensors(batch), self.begins_step()
        if self.ends_step():
            share, skipped = self.step.finish(arrays, tf.constant(self.rates.rate(), tf.float32))
            self._skipped = None if self.step.scale is None else skipped
            self.rates.step()
        else:
            share = (self.step.begin if first else self.step.add)(arrays)
        self.device.submitted(share)
        return share

    def begins_step(self) -> bool:
        """Whether the next pass is the first of its step."""
        return self._passes_done == 0

    @property
    def skipped(self) -> Any:
        """Whether the last step met gradients that are not finite; None in precisions that scale no loss."""
        return self._skipped

    # --- evaluation, checkpoints ------------------------------------------------------------------------------

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """On the first rank's running statistics."""
        self._share_statistics()
        return super().evaluate(batches)

    def _judged(self, batch: Arrays) -> dict[str, tuple[Any, ...]]:
        return self.port.judge(self.port.network, batch)

    def judged(self, batch: Arrays) -> dict[str, tuple[Any, ...]]:
        """On the weights as they are."""
        return {name: tuple(one.numpy() for one in values) for name, values in self._judge(_tensors(batch)).items()}

    def optimizer_state(self) -> dict[str, Any]:
        """The variables of the rule and of the loss scale."""
        return {name: to_tensor(one.numpy()) for name, one in self.step.state.items()}

    def set_optimizer_state(self, state: dict[str, Any]) -> None:
        """Variable by variable.

        Raises:
            PortError: they are of another optimizer or precision.
        """
        own = self.step.state
        if differing := own.keys() ^ state.keys():
            raise PortError(f"the checkpoint is of another optimizer or precision: {sorted(differing)[:3]}")
        for name, variable in own.items():
            variable.assign(to_array(state[name]))

    # --- precision --------------------------------------------------------------------------------------------

    def probe(self) -> dict[str, Any]:
        """Types of the variables; of products, those in the traced step; bits by multiplying on the device."""
        batch = {
            name: tf.constant(to_array(one))
            for name, one in self.original.synthetic_batch(1).items()
            if isinstance(one, Tensor)
        }
        products = product_types(self.step.finish.graph(batch, tf.constant(0.0)))
        narrow = [name for name in products if name != "float32"]
        types = sorted({one.dtype.name for one in self.step.weights.values()})
        matmul, convolution = kept_bits(self.device.own(), xla=self._xla)
        return {
            "parameters": types,
            "autocast": "+".join(narrow) or None,
            "products": products,
            "matmul_mantissa_bits": matmul,
            "convolution_mantissa_bits": convolution,
            "convolution_reason": None,
            "gradient_scaler": self.step.scale is not None,
            "master_weights": types,
            "probed": "types of the products in the traced step, forward and backward",
        }

    def _traced(self, name: str, seconds: float) -> None:
        self.context.events.emit(Name.COMPILED, {"what": name, "seconds": seconds})


def _tensors(batch: Arrays) -> Arrays:
    return {name: one for name, one in batch.items() if tf.is_tensor(one)}
