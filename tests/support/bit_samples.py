"""A file in the form of google-research/big_transfer's BiT-M-R*.npz."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Shapes = dict[str, tuple[int, ...]]


def bit_shapes(*, layers: list[int], channels: list[int], width: int, classes: int = 21843) -> Shapes:
    """Names and shapes of the published files' tensors; kernels are [height, width, in, out].

    Args:
        layers: blocks per stage.
        channels: of each stage before the factor.
        width: factor of all channels.
        classes: outputs of the head.
    """
    incoming = 64 * width
    shapes: Shapes = {"root_block/standardized_conv2d/kernel": (7, 7, 3, incoming)}
    for stage, (blocks, size) in enumerate(zip(layers, channels, strict=True), start=1):
        outgoing, middle = size * width, size * width // 4
        for block in range(1, blocks + 1):
            unit = f"block{stage}/unit{block:02d}"
            for part, (edge, before, after) in {
                "a": (1, incoming, middle),
                "b": (3, middle, middle),
                "c": (1, middle, outgoing),
            }.items():
                shapes |= {f"{unit}/{part}/group_norm/{one}": (before,) for one in ("gamma", "beta")}
                shapes[f"{unit}/{part}/standardized_conv2d/kernel"] = (edge, edge, before, after)
            if block == 1:
                shapes[f"{unit}/a/proj/standardized_conv2d/kernel"] = (1, 1, incoming, outgoing)
            incoming = outgoing
    shapes |= {f"group_norm/{one}": (incoming,) for one in ("gamma", "beta")}
    shapes |= {"head/conv2d/kernel": (1, 1, incoming, classes), "head/conv2d/bias": (classes,)}
    return {f"resnet/{name}": shape for name, shape in shapes.items()}


def bit_arrays(shapes: Shapes) -> dict[str, Array]:
    """Random tensors of these shapes."""
    random = np.random.default_rng(0)
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def write_bit(path: Path, arrays: dict[str, Array]) -> Path:
    """The file itself."""
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path
