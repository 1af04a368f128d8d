"""What a framework must do to be chosen with `framework=`: train a case's model, measured.

It turns a model, its batches and a plan of measured segments into a trained model. The measuring itself is
`runner.measure`'s: a framework calls it around each step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from runner.config.schema import Case, FrameworkSpec

if TYPE_CHECKING:
    from models.trainable import Trainable
    from runner.measure.context import Context

NextSegment = Callable[[float, int, float], int]
"""(Seconds per step, steps measured so far, seconds they took) to the steps of the next segment; 0 ends training."""


@dataclass(kw_only=True, slots=True, frozen=True)
class EvaluationPlan:
    """When training stops to evaluate, in optimizer steps."""

    every_steps: int
    """Steps between two evaluations; the target and the checkpoint follow each."""
    max_steps: int
    """Training gives up after so many; a multiple of `every_steps`."""
    done_steps: int = 0
    """Steps in the case's checkpoint, to go on from; 0 evaluates before the first step."""


@dataclass(kw_only=True, slots=True, frozen=True)
class Outcome:
    """How far training to a target came."""

    reached: bool
    best: float | None
    """Best value of the metric shown first; None where nothing was evaluated."""
    steps: int
    """Optimizer steps of this part."""


class Framework(ABC):
    """Trains the model of one case in one rank. Its packages are imported inside methods: the parent asks it, too."""

    options: ClassVar[type[FrameworkSpec]] = FrameworkSpec
    """The typed form of `conf/framework/<name>.yaml`."""
    writes_in: ClassVar[str | None] = None
    """The framework whose models it trains, where a model's YAML names no class for this one; None: no other's."""

    original: ClassVar[str | None] = None
    """The framework whose implementation of a model lends data, counts, metrics and weights to this one's port of it;
    None where the model's class itself is trained."""
    runtime: ClassVar[str | None] = None
    """Dotted path of the `hardware.runtimes.runtime.RuntimeDevice` through which it computes; None: through torch."""
    serves: ClassVar[bool] = True
    """Whether `task=infer` can take a model's implementation for it."""
    pipelines: ClassVar[bool] = False
    """Whether it trains in a pipeline: `topology.parallel.pipeline`."""

    def __init__(self, context: Context) -> None:
        self.context = context

    @staticmethod
    @abstractmethod
    def unavailable_reason() -> str | None:
        """Why it cannot train on this machine; None when it can. Quick, and imports nothing heavy."""

    @classmethod  # noqa: B027 -- most refuse nothing
    def check(cls, case: Case) -> None:
        """Look at what can be known of a case without the framework's packages; called before anything is started.

        Raises:
            ConfigurationError: choices that do not go together in this framework.
            HardwareError: it does not know the vendor's devices.
        """

    @abstractmethod
    def train(self, trainable: Trainable, batches: Iterable[Any], *, next_segment: NextSegment) -> None:
        """Warm up until steady, then train the segments that `next_segment` asks for; evaluate nothing."""

    @abstractmethod
    def converge(
        self,
        trainable: Trainable,
        batches: Iterable[Any],
        evaluation: Iterable[Any],
        *,
        plan: EvaluationPlan,
        next_segment: NextSegment,
    ) -> Outcome:
        """Train until every quality target is reached, or to the end of the plan."""
