"""The typed forms of `conf/vendor/*.yaml` and `conf/precision/*.yaml`. Pure data, no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

STRICT: dict[str, str] = {"extra": "forbid"}
"""pydantic reads this: a key that is not a field is an error."""

DType = Literal["float32", "float16", "bfloat16"]


@dataclass(kw_only=True, slots=True)
class PrecisionSpec:
    """What a precision means; the worker's probe holds the run to it."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    name: str
    weights: DType
    """Type of the parameters the optimizer updates."""
    autocast: DType | None
    """Type that autocast computes matrix products in; None: no autocast."""
    matmul: Literal["ieee", "tf32"]
    """How products of float32 matrices are computed."""
    loss_scaling: bool = False
    """Whether a gradient scaler guards against underflow."""
    trains: bool = True
    """Whether a network can be trained in it; others are for networks that are served."""
    served: Literal["int8", "int4", "fp8"] | None = None
    """Type that a network is quantised to before it is served: weights and activations of products (int8, fp8), or
    weights alone (int4). None: it is served in the types above."""
    least_snr_db: float = 20.0
    """Signal-to-noise ratio of every output against the float32 reference, below which the numerics fail."""

    @property
    def compute(self) -> str:
        """Key of the chip catalogue's peak rates this precision is limited by: fp32, tf32, fp16, bf16, int8 or fp8."""
        if self.served in ("int8", "fp8"):
            return self.served
        if self.matmul == "tf32":
            return "tf32"
        return {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}[self.autocast or self.weights]


@dataclass(kw_only=True, slots=True)
class VendorSpec:
    """One vendor's stack: how its devices are reached, and what they can do."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    name: str
    title: str
    device: str
    """Dotted path of the `Device` class."""
    visible_devices_env: str | None
    """Environment variable that limits which devices a process sees."""
    communication_backend: str
    """torch.distributed's name of it."""
    precisions: tuple[str, ...]
    """What its stack trains and serves in."""
    tasks: tuple[str, ...]
    meters: tuple[str, ...]
    """Names under `hardware/meters`, in the order they are tried."""
    served_precisions: tuple[str, ...] = ()
    """What its engines serve in besides: integers, 8-bit floating point, mixes that nothing is trained in."""
    on_host: bool = False
    """Whether the device is the host's own processor: ranks share its cores, its packages' power is the device's."""
    compilers: tuple[str, ...] = ("eager", "inductor")
    """What can compile for it; a stack that ignores a compiler silently does not list it."""
    runtimes: dict[str, str] = field(default_factory=dict)
    """What frameworks other than PyTorch call its devices: `{paddle: xpu}`; without an entry they do not know it."""
    chip: str | None = None
    """Catalogue name of the chip when it should not be read from the device (`task=inspect` without one)."""
    environment: tuple[str, ...] = ()
    """How the names of the environment variables begin that steer this stack; those that are set go into the result."""
    container_options: str = ""
    """What a container needs to see the devices."""
    pod_resource: str | None = None
    """What the vendor's device plugin calls one device in Kubernetes; None where nothing public says it."""
    ray_resource: str | None = None
    """What Ray calls one device; None where Ray does not know the vendor."""
    install: str = ""
    """What to do when the stack is missing; shown to the user."""
