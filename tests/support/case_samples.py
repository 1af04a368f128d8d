"""Cases as Hydra composes them, made by hand for tests."""

from __future__ import annotations

from typing import Any

from runner.config.schema import Case, case_from_dict

_MODEL: dict[str, Any] = {
    "name": "bert",
    "implementations": {"pytorch": "models.language.encoders.bert.BertPretraining"},
    "unit": "sequences",
    "architecture": {"layers": 2},
    "train": {
        "batch_size": 32,
        "gradient_accumulation_steps": 2,
        "optimizer": {"name": "adamw", "lr": 2e-3},
        "schedule": {"name": "constant"},
        "quality": {"targets": {"mlm_accuracy": 0.2}, "mode": "max", "every_samples": 640, "samples": 512},
        "max_train_samples": 6400,
    },
}
_VENDOR: dict[str, Any] = {
    "name": "cpu",
    "title": "Host CPU",
    "device": "hardware.vendors.cpu.Cpu",
    "visible_devices_env": None,
    "communication_backend": "gloo",
    "precisions": ("fp32", "bf16"),
    "tasks": ("train", "converge", "infer", "inspect"),
    "meters": ("host",),
}
_WARMUP = {"block_steps": 5, "blocks": 3, "tolerance": 0.05, "max_steps": 200, "max_s": 120}


def make_case(
    task: str = "train",
    *,
    measure: str = "standard",
    repeats: int = 1,
    vendor: dict[str, Any] | None = None,
    model: dict[str, Any] | None = None,
    train: dict[str, Any] | None = None,
    precision: dict[str, Any] | None = None,
    **changes: Any,
) -> Case:
    """A case of BERT on the host CPU."""
    return case_from_dict(
        {
            "task": {"name": task},
            "model": _MODEL | {"train": _MODEL["train"] | (train or {})} | (model or {}),
            "framework": {"name": "pytorch"},
            "compiler": {"name": "eager"},
            "vendor": _VENDOR | (vendor or {}),
            "precision": precision or {"name": "fp32", "weights": "float32", "autocast": None, "matmul": "ieee"},
            "topology": {"name": "single", "devices": 1},
            "data": {"name": "sample"},
            "measure": {
                "name": measure,
                "publishable": measure != "smoke",
                "warmup": _WARMUP,
                "window": {"min_s": 30, "min_steps": 50, "max_s": 600},
                "repeats": repeats,
            },
            "tracking": {"name": "none"},
        }
        | changes
    )
