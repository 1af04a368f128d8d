"""`compiler=torchao`: linear layers quantised by torchao, without calibration; eager, or compiled on top."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from hardware.base import PrecisionUnsupportedError
from hardware.engines.base import Engine
from hardware.engines.compiled import Made
from hardware.engines.graph import Graph, Placement
from hardware.engines.native.dynamo import DynamoCompiled, capture
from hardware.engines.native.inductor import no_host_compiler
from hardware.engines.native.network import NativeCompiled, Surroundings, converted
from hardware.precision.probe import check, probe

if TYPE_CHECKING:
    import torch

    from hardware.engines.native.products import Products

LEAST_SHARE = 0.5
"""Of the FLOPs of all products, which must be quantised: else the network is another precision's by its work."""
GROUP_SIZES = (32, 64, 128, 256)


class Torchao(Engine):
    """`torchao.quantization.quantize_` on every nn.Linear.

    `int8`: weights by channel, activations by row when they come. `int4`: weights alone, in groups of `group_size`.
    `fp8`: weights and activations by tensor. Everything else stays in the precision's `weights`.
    """

    precisions: ClassVar[tuple[str, ...]] = ("int8", "int4", "fp8")
    known_options: ClassVar[tuple[str, ...]] = ("compiled", "group_size")
    modules: ClassVar[tuple[str, ...]] = ("torchao",)
    packages: ClassVar[tuple[str, ...]] = ("torchao",)
    extra: ClassVar[str | None] = "torchao"

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self.compiled, self.group_size = options.get("compiled", False), options.get("group_size", 128)
        if not isinstance(self.compiled, bool):
            raise ValueError(f"compiled={self.compiled} must be true or false")
        if self.group_size not in GROUP_SIZES:
            raise ValueError(f"group_size={self.group_size} is unknown; there are {', '.join(map(str, GROUP_SIZES))}")

    def unavailable_reason(self) -> str | None:
        """What it lacks, and what torch.compile does where that is asked for."""
        return super().unavailable_reason() or (no_host_compiler() if self.compiled else None)

    def compile(self, graph: Graph, placement: Placement) -> NativeCompiled:
        """Quantise a copy on the device.

        Raises:
            PrecisionUnsupportedError: the device has no such products, or less than half of the network's are in
                linear layers that can be quantised.
        """
        from torchao.quantization import quantize_

        from hardware.engines.native.products import products_of

        surroundings, served = Surroundings(placement, graph.inputs), placement.precision.served
        config = self._config(surroundings)
        network = converted(graph.network, surroundings.device, surroundings.weights).eval()
        check(probe(network, surroundings.device, surroundings.context), placement.precision)  # of what stays as it is
        began_s = time.perf_counter()
        quantize_(network, config, filter_fn=self._takes(surroundings))
        quantised_s = time.perf_counter() - began_s
        inputs = surroundings.place(graph.inputs)
        products = products_of(lambda: surroundings.run(network, inputs))
        assert served is not None
        detail = _enough(products, served)
        if not self.compiled:
            made = Made(
                compile_s=None,
                compile_reason="the framework runs the quantised layers one by one",
                export_s=quantised_s,
                coverage_reason="nothing was compiled: the framework runs every operator",
            )
            return NativeCompiled(surroundings, network, made, evidence=products.evidence(detail=detail))
        captured = capture(network, surroundings, graph.inputs)
        found = captured.products or products
        detail = _enough(found, served)
        made = Made(compile_s=captured.made.compile_s, export_s=quantised_s, coverage=captured.made.coverage)
        captured = captured._replace(made=made)
        return DynamoCompiled(surroundings, captured, found.evidence(detail=detail), copies=False)

    def _config(self, surroundings: Surroundings) -> Any:
        """What torchao calls the precision on the device; never with its own settings of TorchInductor.

        Raises:
            PrecisionUnsupportedError: it has no kernels for it there.
        """
        chosen: dict[str | None, Callable[[Surroundings], Any]] = {"int8": _int8, "int4": self._int4, "fp8": _fp8}
        return chosen[surroundings.precision.served](surroundings)

    def _takes(self, surroundings: Surroundings) -> Callable[[Any, str], bool]:
        """Which layers its kernels multiply as they should: others fail, or are computed on the host in int32."""
        from torch import nn

        served, host = surroundings.precision.served, surroundings.device.type == "cpu"
        widths = {"int4": (self.group_size, 16), "int8": (1, 1) if host else (8, 8), "fp8": (16, 16)}
        inwards, outwards = widths[str(served)]

        def takes(layer: Any, _: str) -> bool:
            linear = isinstance(layer, nn.Linear) and type(layer).__name__ != "NonDynamicallyQuantizableLinear"
            return linear and layer.in_features % inwards == 0 and layer.out_features % outwards == 0

        return takes

    def _int4(self, surroundings: Surroundings) -> Any:
        import torch
        from torchao.quantization import Int4WeightOnlyConfig

        if surroundings.device.type == "cpu":
            return _int4_of_host()(group_size=self.group_size, set_inductor_config=False)
        if surroundings.weights != torch.bfloat16:
            raise PrecisionUnsupportedError(
                f"torchao's 4-bit products take bfloat16 activations on {surroundings.device.type}, and "
                f"precision={surroundings.precision.name} keeps {surroundings.precision.weights}: choose "
                "precision.weights=bfloat16, or another engine"
            )
        return Int4WeightOnlyConfig(
            group_size=self.group_size, int4_packing_format="tile_packed_to_4d", set_inductor_config=False
        )


def _int8(_: Surroundings) -> Any:
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig

    return Int8DynamicActivationInt8WeightConfig(set_inductor_config=False)


def _int4_of_host() -> Any:
    """Its configuration of ATen's 4-bit products on a processor, which moves between versions."""
    try:
        from torchao.prototype.quantization.int4 import PrototypeInt4WeightOnlyConfig
    except ImportError as error:
        raise PrecisionUnsupportedError(
            f"this version of torchao has no 4-bit products for the host's processor ({error}): install torchao 0.18, "
            "or choose another engine"
        ) from error
    return PrototypeInt4WeightOnlyConfig


def _fp8(surroundings: Surroundings) -> Any:
    from torchao.quantization import Float8DynamicActivationFloat8WeightConfig

    if not has_fp8(surroundings.device):
        raise PrecisionUnsupportedError(
            f"{surroundings.device.type} has no products of 8-bit floating point that torchao knows: they need an "
            "NVIDIA GPU of compute capability 8.9 (Ada, Hopper) or an AMD MI300. Choose another precision"
        )
    return Float8DynamicActivationFloat8WeightConfig(set_inductor_config=False)


def has_fp8(device: torch.device) -> bool:
    """Whether a device multiplies 8-bit floating point, by torch and torchao."""
    import torch
    from torchao import utils

    if device.type != "cuda":
        return False
    if torch.version.hip:
        return bool(utils.is_MI300() or utils.is_MI350())
    return torch.cuda.get_device_capability(device) >= (8, 9)


def _enough(products: Products, served: str) -> str:
    """The quantised share, for people.

    Raises:
        PrecisionUnsupportedError: it is less than `LEAST_SHARE`.
    """
    share = products.share(served)
    if share < LEAST_SHARE:
        raise PrecisionUnsupportedError(
            f"torchao quantises nn.Linear alone, and that is {share:.0%} of this network's FLOPs in {served}: the rest "
            "are convolutions, attention, or layers of a size that its kernels do not take. Choose an engine that "
            "quantises them, such as compiler=onnxruntime, openvino or tensorrt"
        )
    return f"{share:.1%} of the FLOPs with weights in {served}"
