"""What a MindSpore network really computes in: types of weights and products, bits that products of float32 keep."""

from __future__ import annotations

from typing import Any

from mindspore import Tensor, nn, ops

from hardware.precision.ladder import convolution_bits, matmul_bits

PRODUCTS = (nn.Conv2d, nn.Dense)
"""Cells that multiply matrices."""


def probed(network: nn.Cell, parameters: dict[str, Any], inputs: tuple[Tensor, ...], *, scales: bool) -> dict[str, Any]:
    """What `hardware.precision.probe.check` holds to what was asked for.

    Args:
        network: runs once, operator by operator, as in evaluation.
        parameters: of it, statistics included.
        inputs: that it takes.
        scales: whether the step scales its loss.
    """
    found = product_types(network, inputs)
    trained = sorted({type_name(one.dtype) for one in parameters.values() if one.requires_grad})
    types = sorted(set(found))
    return {
        "parameters": trained,
        "autocast": None if types == ["float32"] else "+".join(types) or "no products",
        "matmul_mantissa_bits": matmul_bits(_multiply),
        "convolution_mantissa_bits": convolution_bits(_convolve),
        "convolution_reason": None,
        "gradient_scaler": scales,
        "master_weights": trained,
        "probed": f"types of what {len(found)} cells that multiply gave for one sample; bits by products on the device",
    }


def product_types(network: nn.Cell, inputs: tuple[Tensor, ...]) -> list[str]:
    """Type of what each cell that multiplies gives, in the order in which they run."""
    found: list[str] = []

    def note(cell: nn.Cell, given: Any, made: Tensor) -> None:
        found.append(type_name(made.dtype))

    hooks = [cell.register_forward_hook(note) for _, cell in network.cells_and_names() if isinstance(cell, PRODUCTS)]
    try:
        network(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def type_name(dtype: Any) -> str:
    """As torch and NumPy name it: `float32`."""
    return str(dtype).lower()


def _multiply(left: Any, right: Any) -> Any:
    return ops.matmul(Tensor(left), Tensor(right)).asnumpy()


def _convolve(pictures: Any, kernels: Any) -> Any:
    return ops.conv2d(Tensor(pictures), Tensor(kernels)).asnumpy()
