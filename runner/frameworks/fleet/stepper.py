"""The steps of a Paddle port: eager forward and backward, mixed precision, Paddle's own optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import paddle
from torch import Tensor

from hardware.base import PrecisionUnsupportedError
from hardware.precision.ladder import convolution_bits, matmul_bits
from hardware.precision.probe import check
from models.datasets.base import Batch
from models.ports.arrays import to_array, to_tensor
from models.ports.paddle.port import PaddlePort
from models.ports.port import Arrays, PortError
from models.trainable import Trainable
from runner.core.errors import ConfigurationError
from runner.core.events import Name
from runner.frameworks.fleet.optimizer import build_optimizer
from runner.frameworks.fleet.precision import MixedPrecision
from runner.frameworks.ported.recipe import treatments
from runner.frameworks.ported.stepper import PortedStepper
from runner.measure.context import Context

MASTERS = "master_weights"
"""Where Paddle's optimizers keep theirs."""


class PaddleStepper(PortedStepper):
    """Trains on one device; parameters are called in the optimizer's state as they are in the network."""

    port_kind: ClassVar[type[Any]] = PaddlePort
    port: PaddlePort

    def __init__(self, context: Context, trainable: Trainable) -> None:
        self.masters: dict[str, Any] = {}
        """Of narrow parameters, the float32 tensors that the optimizer updates."""
        super().__init__(context, trainable)
        options: Any = self.case.framework
        self.amp = MixedPrecision(self.case.precision, options.amp_level, options.initial_loss_scale)
        recipe = trainable.recipe.training
        try:
            rule = build_optimizer(recipe.optimizer, recipe.max_grad_norm, self.trained(), treatments(self.port))
        except PortError as error:
            raise ConfigurationError(f"framework=paddle model={self.case.model.name}: {error}.") from error
        self.network, self.optimizer = self.amp.decorate(self.port.network, rule)
        self.keep_masters(rule)

    def keep_masters(self, rule: Any) -> None:
        """Make the float32 masters of narrow parameters now, from weights that have not been narrow.

        Paddle makes them at the first step, from what is left of the weights then.

        Args:
            rule: Paddle's own optimizer.
        """
        narrow = {name: one for name, one in self.trained().items() if named(one.dtype) != "float32"}
        self.masters = {name: rule._create_master_weight(one) for name, one in narrow.items()}
        if narrow:
            self.set_weights(self.port.from_original())

    # --- the network ------------------------------------------------------------------------------------------

    def build_port(self, kind: type[Any]) -> PaddlePort:
        """On this rank's device, in float32."""
        port: PaddlePort = kind(self.original)
        for name, parameter in port.network.named_parameters():
            parameter.name = name
        return port

    def trained(self) -> dict[str, Any]:
        """The network's parameters by name."""
        return dict(self.port.network.named_parameters())

    def set_weights(self, weights: Mapping[str, Any]) -> None:
        """Into the network, in its types."""
        own = self.port.network.state_dict()
        if differing := weights.keys() ^ own.keys():
            raise PortError(f"weights differ by name: {sorted(differing)[:3]}")
        for name, array in weights.items():
            if list(array.shape) != list(own[name].shape):
                raise PortError(f"{name} has shape {tuple(own[name].shape)}, the original's {array.shape}")
            value = paddle.to_tensor(array)
            own[name].set_value(value.astype(own[name].dtype))
            if name in self.masters:
                self.masters[name].set_value(value.astype("float32"))

    def weights(self) -> dict[str, Any]:
        """From the device; of narrow ones their masters."""
        return {name: one.numpy() for name, one in (self.port.network.state_dict() | self.masters).items()}

    def parameter_count(self) -> int:
        """Of the network's parameters."""
        return sum(int(one.size) for one in self.port.network.parameters())

    # --- the step ---------------------------------------------------------------------------------------------

    def place(self, batch: Batch) -> Arrays:
        """Onto this rank's device."""
        tensors = {name: paddle.to_tensor(to_array(one)) for name, one in batch.items() if isinstance(one, Tensor)}
        return {**batch, **tensors}

    def take_pass(self, batch: Arrays) -> Any:
        """Forward and backward; after a step's last pass the optimizer."""
        with self.amp.cast():
            share = self.port.loss(self.network, batch)
        if self.passes > 1:
            share = share / self.passes
        self.amp.scaled(share).backward()
        if self.ends_step():
            self.finish_step()
        share = share.detach()
        self.device.submitted(share)
        return share

    def finish_step(self) -> None:
        """Update the weights with the gradients of all passes."""
        self.optimizer.set_lr(self.rates.rate())
        self.amp.step(self.optimizer)
        self.optimizer.clear_grad(set_to_zero=False)
        self.rates.step()

    @property
    def skipped(self) -> bool | None:
        """As Paddle's gradient scaler has found; None without one."""
        return self.amp.skipped

    # --- evaluation, checkpoints ------------------------------------------------------------------------------

    def judged(self, batch: Arrays) -> dict[str, tuple[Any, ...]]:
        """On the weights as they are."""
        with paddle.no_grad(), self.amp.cast():
            found = self.port.judge(self.network, batch)
        return {name: tuple(one.numpy() for one in values) for name, values in found.items()}

    def optimizer_state(self) -> dict[str, Any]:
        """Paddle's own, by its names, and the scaler's; the masters are the checkpoint's weights."""
        own = {name: one for name, one in self.optimizer.state_dict().items() if name != MASTERS}
        return {"tensors": {name: to_tensor(one.numpy()) for name, one in own.items()}, "scaler": self.amp.state()}

    def set_optimizer_state(self, state: dict[str, Any]) -> None:
        """Go on from it."""
        tensors = {name: paddle.to_tensor(to_array(one)) for name, one in state["tensors"].items()}
        self.optimizer.set_state_dict(tensors)
        self.amp.set_state(state["scaler"])

    # --- precision --------------------------------------------------------------------------------------------

    def verify_precision(self) -> None:
        """Probe, tell, and refuse what is not as asked; of narrow weights it is the masters that must be float32."""
        found = self.probe()
        self.context.events.emit(Name.PRECISION, found)
        narrow = self.amp.narrow
        if narrow is not None and narrow not in found["parameters"]:
            raise PrecisionUnsupportedError(
                f"precision={self.case.precision.name} framework.amp_level=O2 is not what really runs here: the "
                f"network's weights are {' and '.join(found['parameters'])}, none of them {narrow}."
            )
        check(found if narrow is None else found | {"parameters": found["master_weights"]}, self.case.precision)

    def probe(self) -> dict[str, Any]:
        """Types of the tensors; the type of a product within a pass; bits by multiplying on the device."""
        ones = paddle.ones([16, 16], dtype="float32")
        with paddle.no_grad(), self.amp.cast():
            product = named(paddle.matmul(ones, ones).dtype)
        trained = self.trained()

        def multiply(left: Any, right: Any) -> Any:
            return paddle.matmul(paddle.to_tensor(left), paddle.to_tensor(right)).numpy()

        def convolve(pictures: Any, kernels: Any) -> Any:
            return paddle.nn.functional.conv2d(paddle.to_tensor(pictures), paddle.to_tensor(kernels)).numpy()

        return {
            "parameters": sorted({named(one.dtype) for one in trained.values()}),
            "autocast": None if product == "float32" else product,
            "matmul_mantissa_bits": matmul_bits(multiply),
            "convolution_mantissa_bits": convolution_bits(convolve),
            "convolution_reason": None,
            "gradient_scaler": self.amp.scales(),
            "master_weights": sorted({named(one.dtype) for one in (trained | self.masters).values()}),
            "amp_level": self.amp.level,
            "probed": "types of the network's tensors, of what the optimizer updates, and of a product within a pass",
        }


def named(dtype: Any) -> str:
    """A type of Paddle's as NumPy names it."""
    return str(dtype).removeprefix("paddle.")
