"""What steppers of all ported frameworks share: the port with the original's weights, metrics, checkpoints."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch

from hardware.precision.probe import check
from models.datasets.base import Batch, Counts
from models.ports.arrays import to_tensor
from models.ports.port import Arrays, Port, PortError
from models.trainable import Trainable
from runner.core.errors import ConfigurationError
from runner.core.events import Name
from runner.frameworks.implementations import port_class
from runner.frameworks.ported import checkpoints
from runner.frameworks.ported.recipe import LearningRates
from runner.frameworks.stepping.stepper import Stepper
from runner.measure.context import Context
from runner.measure.ranks import join


class PortedStepper(Stepper):
    """Trains a `Port`; a framework's own adds its arrays, its step and its optimizer's state."""

    port_kind: ClassVar[type[Port]]
    """What a model's class must be."""

    def __init__(self, context: Context, trainable: Trainable) -> None:
        """Build the port and give it the original's weights.

        Raises:
            ConfigurationError: the port does not do what the recipe asks for, or is another network.
        """
        trainable.require_metrics()
        self.context, self.original, self.case = context, trainable, context.case
        self.device: Any = context.device
        """A `RuntimeDevice` of a framework that does not compute through torch."""
        self.ranks = join(context.device.communication_backend())
        self.ranks.shared = self.case.topology.parallel.shared
        self.rates = LearningRates(trainable.recipe.training, context.batches)
        self.passes = trainable.recipe.training.gradient_accumulation_steps
        kind = port_class(self.case.model, self.case.framework.name, self.port_kind)
        try:
            self.port = self.build_port(kind)
            self.set_weights(self.port.from_original())
        except PortError as error:
            raise ConfigurationError(
                f"framework={self.case.framework.name} model={self.case.model.name}: {error}."
            ) from error
        self._require_same_size()
        self._host_batch: Batch | None = None
        self._placed: Arrays = {}
        self._passes_done = 0

    @abstractmethod
    def build_port(self, kind: type[Any]) -> Any:
        """The port of the original with the types of the case's precision."""

    @abstractmethod
    def set_weights(self, weights: Mapping[str, Any]) -> None:
        """Put arrays of the host into the network; every one of its tensors is among them.

        Raises:
            PortError: names or shapes differ.
        """

    @abstractmethod
    def weights(self) -> dict[str, Any]:
        """Every tensor of the network as an array of the host, whole; every rank calls it."""

    @abstractmethod
    def parameter_count(self) -> int:
        """Trained numbers in the framework's network, whole, counted by the framework."""

    @abstractmethod
    def place(self, batch: Batch) -> Arrays:
        """A batch's tensors as arrays on the device; does not wait for it."""

    @abstractmethod
    def probe(self) -> dict[str, Any]:
        """What really runs, in the words of `hardware.precision.probe.probe`, and `probed` for how it was found out."""

    @abstractmethod
    def judged(self, batch: Arrays) -> dict[str, tuple[Any, ...]]:
        """`Port.judge` on the network as it is now; its arrays on the host."""

    @abstractmethod
    def optimizer_state(self) -> dict[str, Any]:
        """Everything beside the weights that training goes on from: tensors of torch and plain values."""

    @abstractmethod
    def set_optimizer_state(self, state: dict[str, Any]) -> None:
        """Go on from what `optimizer_state` gave."""

    def _require_same_size(self) -> None:
        """Refuse a port that has more or fewer numbers to train than its original."""
        # Shapes alone: of tied parameters, one counts, as in the framework's own count.
        expected = sum(one.numel() for one in self.original.network.parameters() if one.requires_grad)
        found = self.parameter_count()
        if found != expected:
            raise ConfigurationError(
                f"framework={self.case.framework.name} model={self.case.model.name}: the port has {found:,} "
                f"parameters, its PyTorch original {expected:,}. They are not the same network."
            )

    # --- what Stepper asks ------------------------------------------------------------------------------------

    def verify_precision(self) -> None:
        """Probe, tell, and refuse what is not as asked."""
        found = self.probe()
        self.context.events.emit(Name.PRECISION, found)
        check(found, self.case.precision)

    def begin_training(self) -> None:
        """Nothing is carried over: networks are told in each call whether they train."""

    def placed(self, batch: Batch) -> Arrays:
        """The batch on the device; the one of `data=synthetic` is placed once."""
        if batch is not self._host_batch:
            self._host_batch = batch if self.case.data.name == "synthetic" else None
            self._placed = self.place(batch)
        return self._placed

    def count(self, batch: Batch) -> Counts:
        """As the original counts."""
        return self.original.count(batch)

    def learning_rate(self) -> float:
        """That of the first group."""
        return self.rates.rate()

    def ends_step(self) -> bool:
        """Count a pass; whether it is its step's last."""
        self._passes_done = (self._passes_done + 1) % self.passes
        return self._passes_done == 0

    @property
    def skipped(self) -> Any:
        """None without a gradient scaler."""
        return None

    def evaluate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """The original's metrics, updated on the host from what the port's network gives."""
        self.original.reset_metrics(torch.device("cpu"))
        for batch in batches:
            for name, values in self.judged(self.place(batch)).items():
                self.original.metrics[name].update(*(to_tensor(value) for value in values))
        computed = {name: torch.as_tensor(metric.compute()) for name, metric in self.original.metrics.items()}
        return {name: float(value.double()) for name, value in computed.items()}

    def save(self, path: Path, state: dict[str, Any]) -> None:
        """Weights under the original's names, the optimizer's state as the framework has it."""
        own = {"state": state, "steps": self.rates.steps, "optimizer": self.optimizer_state()}
        checkpoints.save(path, self.port.to_original(self.weights()), own, self.ranks)

    def load(self, path: Path) -> dict[str, Any]:
        """Go on from what `save` kept."""
        weights, own = checkpoints.load(path)
        self.original.network.load_state_dict(weights)
        self.set_weights(self.port.from_original())
        self.set_optimizer_state(own["optimizer"])
        self.rates.steps = own["steps"]
        state: dict[str, Any] = own["state"]
        return state

    def save_weights(self, path: Path) -> None:
        """The weights in the form that `model.weights` reads, whatever framework reads them."""
        checkpoints.save(path, self.port.to_original(self.weights()), None, self.ranks)
