"""The settings of DeepSpeed's engine that a case means."""

from __future__ import annotations

from typing import Any

from runner.config.schema import Case
from runner.frameworks.zero.demands import WEIGHTS

BUCKET = 500_000_000
"""Elements that DeepSpeed sends at once by default; a smaller model is sent in one piece, from no larger buffer."""

ALIGNED = 1024
"""Buckets are multiples of this; ZeRO wants even ones."""


def engine_settings(case: Case, *, parameters: int, pins_memory: bool) -> dict[str, Any]:
    """DeepSpeed's configuration.

    Precision is not among it: weights, gradients and what the ranks send each other are float32, and autocast is put
    around the forward pass by the vendor's own plugin, as everywhere else. DeepSpeed's `bf16` and `fp16` would keep the
    weights themselves in the narrow type.

    Args:
        case: what is trained; the optimizer and its schedule are objects, which the engine is given beside this.
        parameters: how many the model has.
        pins_memory: whether host memory is page-locked for copies to the device.
    """
    training = case.model.training
    options: Any = case.framework
    bucket = min(BUCKET, -(-parameters // ALIGNED) * ALIGNED)
    zero: dict[str, Any] = {
        "stage": options.zero_stage,
        "reduce_bucket_size": bucket,
        "allgather_bucket_size": bucket,
    }
    if options.offload == "cpu":
        place = {"device": "cpu", "pin_memory": pins_memory}
        zero["offload_optimizer"] = place
        if options.zero_stage == WEIGHTS:
            zero["offload_param"] = dict(place)
    return {
        "train_micro_batch_size_per_gpu": training.batch_size,
        "gradient_accumulation_steps": training.gradient_accumulation_steps,
        "gradient_clipping": training.max_grad_norm or 0.0,
        "zero_optimization": zero,
        # The recipe's own optimizer, wherever its state lies.
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        # Its timer waits for the device in every step.
        "timers": {"throughput": {"enabled": False}},
        "steps_per_print": None,
    }
