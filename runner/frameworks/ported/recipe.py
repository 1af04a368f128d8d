"""What an optimizer of any framework needs of a recipe: the rate of each step, how each parameter is trained."""

from __future__ import annotations

from dataclasses import dataclass

from models.optimizers import parameter_groups
from models.ports.port import Port, PortError
from models.schedules import rate_factor
from models.training import Training


class LearningRates:
    """The rate of each optimizer step, as torch's scheduler gives it."""

    def __init__(self, training: Training, batches: int) -> None:
        """Begin before the first step.

        Args:
            training: the recipe.
            batches: of one pass, over all ranks.
        """
        self._peak, self._schedule = training.optimizer.lr, training.schedule
        self._epoch = training.steps_per_epoch(batches)
        self.steps = 0
        """Optimizer steps taken, skipped ones included, as Lightning counts them."""

    def rate(self) -> float:
        """That of the next step."""
        return self._peak * rate_factor(self._schedule, self.steps, self._epoch)

    def step(self) -> None:
        """Count a step."""
        self.steps += 1


@dataclass(frozen=True, slots=True)
class Treatment:
    """How one parameter is trained."""

    rate_ratio: float
    """Its learning rate divided by the step's."""
    weight_decay: float


def treatments(port: Port) -> dict[str, Treatment]:
    """Every trained parameter of a port by its name there, and how the recipe's groups have it trained.

    Raises:
        PortError: the recipe leaves parameters as they are, which ports do not, or treats parts of one tensor
            differently.
    """
    recipe, places = port.recipe.training.optimizer, port.places()
    named = dict(port.original.network.named_parameters())
    names = {id(parameter): name for name, parameter in named.items()}
    found: dict[str, Treatment] = {}
    for group in parameter_groups(recipe, named.items()):
        for parameter in group["params"]:
            treatment = Treatment(group["lr"] / recipe.lr, group["weight_decay"])
            place = places[names[id(parameter)]].name
            if found.setdefault(place, treatment) != treatment:
                raise PortError(
                    f"model.train.optimizer treats {names[id(parameter)]} otherwise than what {type(port).__name__} "
                    f"keeps in one tensor with it ({place})"
                )
    frozen = [name for name in named if places[name].name not in found]
    if frozen:
        raise PortError(f"model.train.optimizer leaves {frozen[0]} as it is; ports train every parameter")
    return found
