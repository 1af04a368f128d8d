"""What ZeRO would do otherwise than asked, or never end; refused before anything is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hardware.device import load_device
from runner.config.schema import SHARDED, Case
from runner.core.errors import ConfigurationError
from runner.core.tasks import TASKS
from runner.frameworks.zero.accelerators import accelerator_name

if TYPE_CHECKING:
    from models.trainable import Trainable

WEIGHTS = 3
"""The stage of ZeRO that spreads weights too; the ranks then meet in every forward and backward pass of a layer."""
BY_TENSOR = ("lamb", "adafactor")
"""Optimizers whose steps depend on which tensor a weight belongs to."""
WHOLE = "Choose framework.zero_stage=2 or less, or framework=pytorch."


def check_zero(case: Case) -> None:
    """Look at what can be known of a case without torch.

    Raises:
        ConfigurationError: choices that do not go together.
        HardwareError: DeepSpeed does not know the vendor's devices.
    """
    if not TASKS.find(case.task.name).trains:
        raise ConfigurationError(
            f"framework=deepspeed trains models, and task={case.task.name} does not. Leave framework=deepspeed out: "
            "framework=pytorch reads what it has trained."
        )
    options: Any = case.framework
    for problem in (_layout(case), _precision(case), _optimizer(case, options), _options(case, options)):
        if problem is not None:
            raise ConfigurationError(problem)
    accelerator_name(load_device(case.vendor, emulate=case.emulate))


def _layout(case: Case) -> str | None:
    asked = [name for name in SHARDED if getattr(case.topology.parallel, name) > 1]
    if not asked:
        return None
    what = ", ".join(f"topology.parallel.{name}={getattr(case.topology.parallel, name)}" for name in asked)
    return (
        f"framework=deepspeed trains data parallel, and {what} is asked for. ZeRO spreads over all ranks by itself: "
        "leave topology.parallel out and choose framework.zero_stage, which with 3 spreads the weights as fsdp does."
    )


def _precision(case: Case) -> str | None:
    if case.precision.weights == "float32":
        return None
    return (
        f"precision={case.precision.name} has weights in {case.precision.weights}, and ZeRO updates copies in float32: "
        f"that would be another precision. Choose {'bf16' if 'bf' in case.precision.name else 'fp16'}, or "
        "framework=pytorch."
    )


def _optimizer(case: Case, options: Any) -> str | None:
    name = case.model.training.optimizer.name
    if options.zero_stage == 0:
        return None
    if name == "adagrad":  # deepspeed/runtime/zero: initialize_optimizer_states
        return (
            f"model.train.optimizer.name={name}: with framework.zero_stage={options.zero_stage} DeepSpeed puts a new "
            "Adagrad in the place of the recipe's, without its groups and out of its schedule's reach. "
            "Choose framework.zero_stage=0, or framework=pytorch."
        )
    if name not in BY_TENSOR:
        return None
    return (
        f"model.train.optimizer.name={name} looks at each weight tensor as a whole, and framework.zero_stage="
        f"{options.zero_stage} hands the optimizer flat pieces of many tensors: it would be another optimizer. "
        "Choose framework.zero_stage=0, or framework=pytorch."
    )


def _options(case: Case, options: Any) -> str | None:
    if options.offload != "none" and options.zero_stage == 0:
        return "framework.offload=cpu needs framework.zero_stage=1 or more: without ZeRO there is nothing to offload."
    if options.zero_stage < WEIGHTS:
        return None
    if case.model.training.regularisation.ema_decay is not None:
        return (
            "model.train.regularisation.ema_decay averages whole weights in every step, and framework.zero_stage=3 "
            f"spreads them over the ranks. {WHOLE}"
        )
    if case.compiler.name != "eager":
        return (
            f"compiler={case.compiler.name} compiles across the places where framework.zero_stage=3 collects weights. "
            f"Choose compiler=eager. {WHOLE}"
        )
    return None


def require_equal_passes(case: Case, trainable: Trainable, *, evaluates: bool) -> None:
    """Refuse networks whose layers the ranks do not run equally often: with stage 3 each run of a layer is a meeting.

    Ranks that meet at different layers get each other's weights, or wait for ever.

    Raises:
        ConfigurationError: names what differs between the ranks.
    """
    from models.contract import Model

    options: Any = case.framework
    if options.zero_stage < WEIGHTS or case.topology.ranks == 1:
        return
    differs = None
    if type(trainable).counted_batches is not Model.counted_batches:
        differs = "leaves layers out at random, on each rank others"
    elif evaluates and trainable.evaluates_by_generating:
        differs = "is evaluated by generating, on each rank as long as its own texts take"
    if differs is not None:
        raise ConfigurationError(
            f"model={case.model.name} {differs}, and with framework.zero_stage=3 all ranks meet in every layer. {WHOLE}"
        )
