"""What a JAX step really computes in: types of its arrays and of its products, bits kept by products of float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax import numpy as jnp

from hardware.precision.ladder import convolution_bits, matmul_bits

PRODUCTS = ("dot_general", "conv_general_dilated")


def probed(
    loss: Callable[..., Any], params: dict[str, Any], arguments: tuple[Any, ...], *, weights: str, scales: bool, on: Any
) -> dict[str, Any]:
    """What `hardware.precision.probe.check` holds to what was asked for.

    Args:
        loss: of parameters and other arguments; it is traced, not run.
        params: the trained arrays.
        arguments: the other ones, or their shapes.
        weights: type that parameters should have; products of that type are no autocast.
        scales: whether the step scales its loss.
        on: the device.
    """
    traced = jax.make_jaxpr(loss)(params, *arguments)
    products = sorted(product_types(traced.jaxpr))
    floating = sorted({str(one.dtype) for one in params.values() if jnp.issubdtype(one.dtype, jnp.floating)})

    def multiply(left: Any, right: Any) -> Any:
        return jnp.matmul(jax.device_put(left, on), jax.device_put(right, on))

    def convolve(pictures: Any, kernels: Any) -> Any:
        return jax.lax.conv(jax.device_put(pictures, on), jax.device_put(kernels, on), (1, 1), "VALID")

    return {
        "parameters": floating,
        "autocast": None if products == [weights] else "+".join(products) or "no products",
        "matmul_mantissa_bits": matmul_bits(multiply),
        "convolution_mantissa_bits": convolution_bits(convolve),
        "convolution_reason": None,
        "gradient_scaler": scales,
        "master_weights": floating,
        "probed": "types of all products in the traced loss; bits by products on the device",
    }


def product_types(jaxpr: Any) -> set[str]:
    """Types of what a traced function multiplies as matrices and convolves, in whatever it calls as well."""
    found: set[str] = set()
    for equation in jaxpr.eqns:
        if equation.primitive.name in PRODUCTS:
            found |= {str(operand.aval.dtype) for operand in equation.invars}
        for value in equation.params.values():
            for part in value if isinstance(value, list | tuple) else [value]:
                inner = getattr(part, "jaxpr", part)
                if hasattr(inner, "eqns"):
                    found |= product_types(inner)
    return found
