"""What the layers of this folder call the tensors of torch's layers."""

from __future__ import annotations

from models.ports.weights import AS_IS, KERNEL, TRANSPOSED, Dialect

KERAS: Dialect = {
    "Conv2d": {"weight": ("kernel", KERNEL), "bias": ("bias", AS_IS)},
    "Linear": {"weight": ("kernel", TRANSPOSED), "bias": ("bias", AS_IS)},
    "BatchNorm2d": {
        "weight": ("gamma", AS_IS),
        "bias": ("beta", AS_IS),
        "running_mean": ("moving_mean", AS_IS),
        "running_var": ("moving_variance", AS_IS),
    },
}
