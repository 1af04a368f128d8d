"""What MindSpore calls the tensors of torch's layers; their axes are torch's."""

from __future__ import annotations

from models.ports.weights import AS_IS, Dialect

MINDSPORE: Dialect = {
    "Conv2d": {"weight": ("weight", AS_IS), "bias": ("bias", AS_IS)},
    "Linear": {"weight": ("weight", AS_IS), "bias": ("bias", AS_IS)},
    "BatchNorm2d": {
        "weight": ("gamma", AS_IS),
        "bias": ("beta", AS_IS),
        "running_mean": ("moving_mean", AS_IS),
        "running_var": ("moving_variance", AS_IS),
    },
}
