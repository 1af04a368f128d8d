"""What a result was measured on: versions, host, devices. Found by the worker, told as one event."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import psutil

from hardware.base import Device, DeviceIdentity
from hardware.packages import installed_version
from hardware.stacks.host import cpu_name
from runner.core.redact import without_secrets
from runner.interpreters.choose import environment_name
from runner.interpreters.distributions import distributions_of

PACKAGES = (
    "touchstone",
    "torch",
    "torchvision",
    "pytorch-lightning",
    "torchmetrics",
    "transformers",
    "numpy",
    "mlflow",
)
"""Of every case; those of its framework come to them."""
VARIABLES = (
    *("OMP_", "KMP_", "GOMP_", "MKL_", "DNNL_", "ONEDNN_", "OPENBLAS_"),
    *("TORCH_", "TORCHINDUCTOR_", "PYTORCH_", "TRITON_", "GLOO_"),
    *("FLAGS_", "PADDLE_", "JAX_", "XLA_", "LIBTPU_", "KERAS_", "NVTE_", "MS_"),
    *("TF_CUDNN_", "TF_DETERMINISTIC_", "TF_DISABLE_", "TF_ENABLE_", "TF_FORCE_", "TF_GPU_", "TF_NUM_", "TF_XLA_"),
    *("LD_PRELOAD", "MALLOC_", "GLIBC_TUNABLES"),
)
"""How the names of the variables begin that steer every vendor's host side: threads, libraries of products, compilers,
frameworks, allocators. A vendor's YAML adds those of its stack. Others are not told: they may hold secrets."""


def environment(device: Device, ranks: int, framework: str = "pytorch") -> dict[str, Any]:
    """Everything a reader needs to know about where a case ran. Call after `device.connect()`.

    Args:
        device: the vendor's.
        ranks: of this node; only their devices are told, the node's others had no part in it.
        framework: as in `framework=`; versions of its packages are told, those of others had no part in it either.
    """
    import torch

    names = (*distributions_of(framework), *PACKAGES)  # first what computes
    host = {
        "cpu": cpu_name(),
        "cores_physical": psutil.cpu_count(logical=False),
        "cores_logical": psutil.cpu_count(),
        "cores_usable": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else psutil.cpu_count(),
        "memory_gib": psutil.virtual_memory().total / 2**30,
        "system": platform.platform(),
    }
    return {
        "python": platform.python_version(),
        "interpreter": environment_name(),
        "packages": {name: found for name in names if (found := installed_version(name))},
        "stack": device.versions(),
        "devices": [_described(device, identity) for identity in device.own_identities(ranks)],
        "host": host,
        "threads_per_rank": torch.get_num_threads(),
        "variables": variables(os.environ, (*VARIABLES, *device.spec.environment)),
    }


def _described(device: Device, identity: DeviceIdentity) -> dict[str, Any]:
    """Which device it is and how it is set: limits and modes that stay as they are over a run."""
    settings = device.settings(identity)
    return asdict(identity) | {"settings": None if settings is None else asdict(settings)}


def variables(values: Mapping[str, str], beginnings: tuple[str, ...]) -> dict[str, str]:
    """Those whose name has one of the beginnings and is not that of a secret, by name."""
    return without_secrets({name: values[name] for name in sorted(values) if name.startswith(beginnings)})
