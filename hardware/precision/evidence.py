"""What an engine's compiled network really computes in, read from it, and whether that is what was asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from hardware.base import PrecisionUnsupportedError
from hardware.spec import PrecisionSpec

LEAST_SHARE = 0.5
"""Of a quantised network's products that are of the type asked for: with fewer it is a network of another type."""


@dataclass(kw_only=True, slots=True, frozen=True)
class Evidence:
    """Types of what a compiled network multiplies, and where that is known from."""

    weights: tuple[str, ...]
    """Types in which the operands of products are kept, by torch's names: float32, int8 …; sorted."""
    compute: tuple[str, ...]
    """Types in which products are computed, and `tf32`; sorted."""
    source: Literal["graph", "engine", "asked"]
    """`graph`: read from the compiled graph. `engine`: the engine says so of itself. `asked`: it was asked for, and
    nothing of the engine tells whether it is so; then the numerics alone hold it to its word."""
    detail: str = ""
    """In a few words, for people: `54 of 54 products in int8`."""
    products: Mapping[str, int] = field(default_factory=dict)
    """How many products are computed in each type, where they can be counted."""

    @classmethod
    def counted(cls, weights: Iterable[str], products: Counter[str]) -> Evidence:
        """Of a compiled graph whose products were counted, by the types of their weights and of themselves."""
        kept, computed, said = tuple(sorted(weights)), tuple(sorted(products)), in_words(products)
        return cls(weights=kept, compute=computed, source="graph", detail=said, products=dict(products))

    @classmethod
    def read(cls, kept: Mapping[str, Any]) -> Evidence:
        """What was written down as JSON, by `dataclasses.asdict` or `told`."""
        return cls(**{**kept, "weights": tuple(kept["weights"]), "compute": tuple(kept["compute"])})

    def told(self) -> dict[str, Any]:
        """For the run's events."""
        return {
            "weights": list(self.weights),
            "compute": list(self.compute),
            "source": self.source,
            "detail": self.detail,
            "products": dict(self.products),
        }


def in_words(products: Counter[str]) -> str:
    """`50 of 54 products in int8, 4 of 54 products in float32`."""
    return ", ".join(f"{count} of {products.total()} products in {name}" for name, count in products.most_common())


def expected(precision: PrecisionSpec) -> tuple[str, str]:
    """The types of weights and of products that a precision means."""
    if precision.served == "int4":
        return "int4", precision.autocast or precision.weights
    if precision.served is not None:
        return precision.served, precision.served
    return precision.weights, "tf32" if precision.matmul == "tf32" else precision.autocast or precision.weights


def check_evidence(found: Mapping[str, Any], precision: PrecisionSpec) -> None:
    """Hold what an engine's compiled network computes in to what was asked for.

    A precision is what most of the work is done in: int8 networks keep some layers in a wider type, which the evidence
    names. The type asked for must be among those found; one that is narrower than asked must not.

    Raises:
        PrecisionUnsupportedError: says what was expected and what was found.
    """
    weights, compute = expected(precision)
    wrong = [
        f"{what}: expected {wanted}, found {', '.join(types) or 'none'}"
        for what, wanted, types in (("weights", weights, found["weights"]), ("compute", compute, found["compute"]))
        if wanted not in types or any(_width(one) < _width(wanted) for one in types)
    ]
    counts = found.get("products") or {}
    share = counts.get(compute, 0) / sum(counts.values()) if counts else 1.0
    if precision.served is not None and share < LEAST_SHARE:
        wrong.append(f"only {share:.0%} of the products are {compute}, where {LEAST_SHARE:.0%} are asked for")
    if wrong:
        raise PrecisionUnsupportedError(
            f"precision={precision.name} is not what the engine computes in: {'; '.join(wrong)}. Choose the precision "
            "that does run, or another engine"
        )


def _width(dtype: str) -> float:
    """Order of types by how much they keep; bfloat16 keeps less than float16, TF32 as much with a wider range."""
    widths = {"float64": 64.0, "float32": 32.0, "tf32": 19.0, "float16": 16.0, "bfloat16": 15.0}
    return widths.get(dtype, 8.0 if "8" in dtype else 4.0)
