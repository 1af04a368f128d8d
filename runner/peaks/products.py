"""Dense products of square matrices, one type at a time.

Operands are random: multiplying ones or zeros toggles fewer transistors and lets the chip clock higher than real data
would. An operation is an addition or a multiplication: 2 n^3 for matrices of order n. What was computed is compared
with the host's float64 at the very size that is timed, so that a wrong or a coarser product is never a peak.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from hardware.base import PrecisionUnsupportedError
from hardware.precision.probe import MANTISSA_BITS, probe
from hardware.spec import PrecisionSpec
from runner.measure.ranks import UnmeasurableError, first_line
from runner.peaks.measure import Bench, Work
from runner.peaks.sizes import sweep
from runner.record.peaks.peak_figures import TERA, Peak, product, unit

if TYPE_CHECKING:
    import torch

SIZES = (256, 512, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384)
"""Orders of the matrices; libraries' best kernels are not always those of the powers of two."""
ALWAYS_TRIED = ("fp64", "fp8", "int8")
"""Measured wherever torch has the product: the engine has no precision of training for them."""
_SAMPLES = 8
"""Rows and columns of the result that are compared with the host's."""


@dataclass(kw_only=True, slots=True, frozen=True)
class Kind:
    """How one type is multiplied."""

    dtypes: tuple[str, ...]
    """torch's names of the operands' type, tried in this order."""
    result: str
    tolerance: float
    """Largest root-mean-square error of an element, relative to the root of the sum of its squared products.

    Rounding alone stays far below it; the next coarser type does not (for fp32 and tf32: TF32's and bfloat16's operand
    rounding of 3e-4 and 2e-3)."""


KINDS = {
    "fp64": Kind(dtypes=("float64",), result="float64", tolerance=1e-12),
    "fp32": Kind(dtypes=("float32",), result="float32", tolerance=1e-4),
    "tf32": Kind(dtypes=("float32",), result="float32", tolerance=1e-3),
    "fp16": Kind(dtypes=("float16",), result="float16", tolerance=2e-2),
    "bf16": Kind(dtypes=("bfloat16",), result="bfloat16", tolerance=2e-2),
    # The second one is what chips of AMD's CDNA 3 multiply (PyTorch documentation, torch.dtype).
    "fp8": Kind(dtypes=("float8_e4m3fn", "float8_e4m3fnuz"), result="bfloat16", tolerance=5e-2),
    "int8": Kind(dtypes=("int8",), result="int32", tolerance=0.0),
}


def measure_product(compute: str, precision: PrecisionSpec | None, bench: Bench) -> dict[str, Peak]:
    """The figure of one type.

    Args:
        compute: key of the chip catalogue's peak rates.
        precision: one of the vendor's precisions that computes in it; null where it offers none.
        bench: where.

    Raises:
        UnmeasurableError: not offered, not verified, or without a product in this torch on this device.
    """
    if precision is None and compute not in ALWAYS_TRIED:
        raise UnmeasurableError(f"the vendor offers no precision that computes in {compute}")
    conditions = bench.ranks.attempt(partial(_set_mode, compute, precision, bench))
    kind, dtype = KINDS[compute], bench.ranks.attempt(partial(_dtype, compute, bench))

    def prepare(size: int) -> Work:
        multiply, error = _prepare(compute, dtype, size, bench)
        if not error <= kind.tolerance:
            raise UnmeasurableError(f"the product of order {size} is wrong here: relative error {error:.2g}")
        return Work(call=multiply, amount=operations(size))

    best = sweep(SIZES, operations, lambda size: bench.ranks.attempt(partial(prepare, size)), bench)
    timed = best.measure(bench)
    conditions |= {"operands": dtype, "result": kind.result, "size": best.size} | best.conditions(timed, scale=TERA)
    name = product(compute)
    return {name: timed.peak(unit(name), scale=TERA, conditions=conditions)}


def operations(size: int) -> float:
    """Of the product of two square matrices of this order, a multiply-add being two."""
    return 2.0 * size**3


def _set_mode(compute: str, precision: PrecisionSpec | None, bench: Bench) -> dict[str, Any]:
    """Have float32 multiplied as the type says, and see that it is."""
    from torch import nn

    mode = "tf32" if compute == "tf32" else "ieee"
    require_chip = getattr(bench.device, "require_chip", None)
    if precision is not None and require_chip is not None:
        require_chip(precision)
    bench.device.set_matmul(mode)
    if compute not in ("fp32", "tf32"):
        return {}
    kept = probe(nn.Identity(), bench.torch_device, nullcontext)["matmul_mantissa_bits"]
    if kept != MANTISSA_BITS[mode]:
        raise PrecisionUnsupportedError(
            f"products of float32 keep {kept} bits here, and {compute} keeps {MANTISSA_BITS[mode]}"
        )
    return {"matmul_mantissa_bits": kept}


def _dtype(compute: str, bench: Bench) -> str:
    """The first of the kind's types that torch can multiply on this device."""
    problems: list[str] = []
    for name in KINDS[compute].dtypes:
        try:
            _prepare(compute, name, SIZES[0], bench)
        except (RuntimeError, NotImplementedError, TypeError, AttributeError, ValueError) as error:
            problems.append(f"{name}: {first_line(error)}")
        else:
            return name
    raise UnmeasurableError(f"torch has no product of this type on this device ({'; '.join(problems)})")


def _prepare(compute: str, dtype: str, size: int, bench: Bench) -> tuple[Callable[[], object], float]:
    """The product as something to call, and the error of what it computed."""
    first, second = operands(dtype, size, bench.torch_device)
    multiply = multiplication(compute, first, second)
    result = multiply()
    bench.device.synchronize()
    if str(result.dtype) != f"torch.{KINDS[compute].result}":
        raise UnmeasurableError(f"the product is {result.dtype}, not {KINDS[compute].result}")
    return multiply, relative_error(first, second, result)


def operands(dtype: str, size: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Two random square matrices; of 8 bits, the second lies by columns, as the libraries' 8-bit kernels take it."""
    import torch

    kind: torch.dtype = getattr(torch, dtype)
    if kind == torch.int8:
        first, second = (torch.randint(-127, 128, (size, size), dtype=kind, device=device) for _ in range(2))
    else:
        wide = torch.float64 if kind == torch.float64 else torch.float32
        first, second = (torch.randn(size, size, dtype=wide, device=device).to(kind) for _ in range(2))
    return first, second.t() if kind.itemsize == 1 else second


def multiplication(compute: str, first: torch.Tensor, second: torch.Tensor) -> Callable[[], torch.Tensor]:
    """The product of two matrices in one type, into memory that is there already where torch allows it."""
    import torch

    size, device = len(first), first.device
    if compute == "fp8":
        one = torch.ones((), device=device)

        def scaled() -> torch.Tensor:
            # Without fast accumulation: the catalogue's rates are those of sums in float32.
            return torch._scaled_mm(first, second, one, one, out_dtype=torch.bfloat16, use_fast_accum=False)

        return scaled
    result = torch.empty(size, size, dtype=getattr(torch, KINDS[compute].result), device=device)
    if compute == "int8":
        return lambda: torch._int_mm(first, second, out=result)
    return lambda: torch.mm(first, second, out=result)


def relative_error(first: torch.Tensor, second: torch.Tensor, result: torch.Tensor) -> float:
    """Root-mean-square error of elements from all over `result`, against float64 on the host (`Kind.tolerance`)."""
    step = max(1, len(first) // _SAMPLES)
    rows = first[::step].cpu().double()
    columns = second[:, ::step].cpu().double()
    expected, scale = rows @ columns, rows.square() @ columns.square()
    error = result[::step, ::step].cpu().double() - expected
    return float((error.square().mean() / scale.mean()).sqrt())
