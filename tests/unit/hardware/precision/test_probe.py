from contextlib import nullcontext

import pytest
import torch
from hardware_specs import precision
from torch import nn
from torch.overrides import TorchFunctionMode

from hardware.base import PrecisionUnsupportedError
from hardware.precision.probe import check, probe

CPU = torch.device("cpu")


def rounded(tensor: torch.Tensor, bits: int) -> torch.Tensor:
    """float32 with `bits` bits behind the point, ties to even, by the classic addition trick on the integer form."""
    drop = 23 - bits
    raw = tensor.contiguous().view(torch.int32)
    odd = (raw >> drop) & 1
    return ((raw + ((1 << (drop - 1)) - 1) + odd) & ~((1 << drop) - 1)).view(torch.float32)


class ReducedProducts(TorchFunctionMode):
    """A device whose products of float32 keep fewer bits of one operand, as a vendor's library might."""

    def __init__(self, bits: int, *, operand: int = 0, matmul: bool = True, convolution: bool = False) -> None:
        super().__init__()
        self.bits, self.operand = bits, operand
        self.reduced = {torch.matmul} if matmul else set()
        self.reduced |= {torch.nn.functional.conv2d} if convolution else set()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in self.reduced and args[0].dtype == torch.float32 and not torch.is_autocast_enabled("cpu"):
            operands = list(args)
            operands[self.operand] = rounded(operands[self.operand], self.bits)
            args = tuple(operands)
        return func(*args, **(kwargs or {}))


def test_rounding_helper_is_bfloat16() -> None:
    values = torch.randn(1000)
    assert torch.equal(rounded(values, 7), values.to(torch.bfloat16).float())


def test_this_cpu_multiplies_in_ieee() -> None:
    found = probe(nn.Linear(2, 2), CPU, nullcontext)
    assert found == {
        "parameters": ["float32"],
        "autocast": None,
        "matmul_mantissa_bits": 23,
        "convolution_mantissa_bits": 23,
        "convolution_reason": None,
        "gradient_scaler": None,
        "master_weights": None,
    }
    check(found, precision("fp32"))


@pytest.mark.parametrize("mode", ["medium", "high"])
def test_reduced_cpu_modes_are_found_or_have_no_effect(mode: str) -> None:
    """Chips with bfloat16 matrix units do use them in these modes; then 7 bits (or 10) must be reported, never 23."""
    torch.set_float32_matmul_precision(mode)
    try:
        found = probe(nn.Linear(2, 2), CPU, nullcontext)
        values = 1 + torch.exp2(-(torch.arange(1024) % 23 + 1).float())
        exact = torch.equal((torch.diag(values) @ torch.eye(1024)).diagonal(), values)
    finally:
        torch.set_float32_matmul_precision("highest")
    assert (found["matmul_mantissa_bits"] == 23) is exact


@pytest.mark.parametrize("bits", [7, 10, 15, 22])
@pytest.mark.parametrize("operand", [0, 1])
def test_bits_are_measured_whichever_operand_loses_them(bits: int, operand: int) -> None:
    with ReducedProducts(bits, operand=operand):
        found = probe(nn.Linear(2, 2), CPU, nullcontext)
    assert found["matmul_mantissa_bits"] == bits
    assert found["convolution_mantissa_bits"] == 23
    with pytest.raises(PrecisionUnsupportedError, match=f"matmul_mantissa_bits: expected 23, found {bits}"):
        check(found, precision("fp32"))


def test_tf32_is_ten_bits_and_no_more() -> None:
    with ReducedProducts(10, convolution=True):
        found = probe(nn.Linear(2, 2), CPU, nullcontext)
    check(found, precision("tf32"))
    found["convolution_mantissa_bits"] = 23
    check(found, precision("tf32"))
    found["matmul_mantissa_bits"] = 23
    with pytest.raises(PrecisionUnsupportedError, match="expected 10, found 23"):
        check(found, precision("tf32"))


def test_convolutions_in_tf32_are_not_fp32() -> None:
    with ReducedProducts(10, operand=1, matmul=False, convolution=True):
        found = probe(nn.Linear(2, 2), CPU, nullcontext)
    assert (found["matmul_mantissa_bits"], found["convolution_mantissa_bits"]) == (23, 10)
    with pytest.raises(PrecisionUnsupportedError, match="convolution_mantissa_bits: expected 23, found 10"):
        check(found, precision("fp32"))


def test_products_that_are_not_numbers_keep_no_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "matmul", lambda a, b: torch.full_like(a, torch.nan))
    assert probe(nn.Linear(2, 2), CPU, nullcontext)["matmul_mantissa_bits"] == 0


def test_missing_convolution_is_null_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object) -> torch.Tensor:
        raise NotImplementedError("no such kernel")

    monkeypatch.setattr(torch.nn.functional, "conv2d", fail)
    found = probe(nn.Linear(2, 2), CPU, nullcontext)
    assert found["convolution_mantissa_bits"] is None and "no such kernel" in found["convolution_reason"]
    check(found, precision("fp32"))


def test_bits_are_measured_outside_autocast() -> None:
    found = probe(nn.Linear(2, 2), CPU, lambda: torch.autocast("cpu", dtype=torch.bfloat16))
    assert (found["autocast"], found["matmul_mantissa_bits"]) == ("bfloat16", 23)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert probe(nn.Linear(2, 2), CPU, nullcontext)["matmul_mantissa_bits"] == 23


def test_mixed_parameters_are_listed_and_refused() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).half(), nn.Embedding(2, 2))
    module.register_parameter("whole", nn.Parameter(torch.ones(1, dtype=torch.int64), requires_grad=False))
    found = probe(module, CPU, nullcontext)
    assert found["parameters"] == ["float16", "float32"]
    with pytest.raises(PrecisionUnsupportedError, match=r"parameters: expected \['float32'\]"):
        check(found, precision("fp32"))


def test_master_weights_and_scaler_are_held_to_the_promise() -> None:
    module = nn.Linear(2, 2)
    copies = [nn.Parameter(weight.detach().half()) for weight in module.parameters()]

    class Plugin:
        scaler = torch.amp.GradScaler("cpu")

    optimizers = [torch.optim.SGD(copies, lr=0.1)]
    found = probe(module, CPU, nullcontext, plugin=Plugin(), optimizers=optimizers)
    assert (found["gradient_scaler"], found["master_weights"]) == (True, ["float16"])
    with pytest.raises(PrecisionUnsupportedError) as raised:
        check(found, precision("fp32"))
    message = str(raised.value)
    assert "gradient_scaler: expected False, found True" in message
    assert "master_weights: expected ['float32'], found ['float16']" in message


NARROW = {
    "parameters": ["bfloat16"],
    "autocast": None,
    "matmul_mantissa_bits": 23,
    "convolution_mantissa_bits": 23,
    "convolution_reason": None,
    "gradient_scaler": False,
    "master_weights": ["float32"],
    "products": ["bfloat16"],
}
"""What is found of a framework that multiplies narrow copies of its float32 weights."""


def test_narrow_copies_of_wide_weights_are_mixed_precision() -> None:
    check(NARROW, precision("bf16"))
    check({**NARROW, "parameters": ["float16"], "products": ["float16"], "gradient_scaler": True}, precision("fp16"))


@pytest.mark.parametrize(
    ("asked", "changed", "told"),
    [
        ("bf16", {"master_weights": ["bfloat16"]}, "master_weights: expected"),
        ("bf16", {"master_weights": None}, "parameters: expected"),
        ("bf16", {"products": ["bfloat16", "float32"]}, "products: expected"),
        ("bf16", {"parameters": ["bfloat16", "float32"]}, "parameters: expected"),
        ("bf16", {"autocast": "bfloat16"}, "autocast: expected None"),
        ("fp16", {}, "parameters: expected"),
        ("bf16_true", {}, "master_weights: expected"),
        ("fp32", {"parameters": ["float32"]}, "products: expected"),
    ],
)
def test_narrow_copies_pass_for_nothing_else(asked: str, changed: dict[str, object], told: str) -> None:
    with pytest.raises(PrecisionUnsupportedError) as refused:
        check({**NARROW, **changed}, precision(asked))
    assert told in str(refused.value)
