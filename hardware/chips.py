"""The catalogue of chips (`chips.yaml`): dense peak rates, memory, links and power, each with its source.

A name is found by exact match alone. A search for parts of names would take `GH100 [H20]` for an H100, whose peak is
seven times as high.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, ClassVar

import yaml
from pydantic import TypeAdapter, ValidationError

from hardware.packages import CHIPS, BrokenPackageError, brought, place
from hardware.spec import STRICT

CATALOGUE = Path(__file__).with_name("chips.yaml")
COMPUTE = ("fp64", "fp32", "tf32", "fp16", "bf16", "fp8", "int8")
"""Keys of peak rates."""

_ADD = """\
The catalogue hardware/chips.yaml has no chip named {name!r}, so figures relative to its peak stay null.
To add it, append an entry with the dense peaks of its data sheet (null where it states none), or, if it is there under
another name, add this one to its aliases. A package of your own brings chips through an entry point (docs/adding.md).

- name: {name}
  aliases: []
  vendor: …
  peaks_tflops: {{{peaks}}}
  memory_gib: null
  memory_bandwidth_gb_s: null
  tdp_w: null
  interconnect: null
  link_gb_s: null
  source: document and year
"""


class CatalogueError(ValueError):
    """The catalogue is malformed; says which entry and why."""


@dataclass(kw_only=True, slots=True, frozen=True)
class Chip:
    """One chip or board as one device shows it; what its source does not state is None."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    name: str
    aliases: tuple[str, ...]
    """Exact names by which drivers print it."""
    vendor: str
    peaks_tflops: dict[str, float | None]
    """10^12 operations per second, dense, multiply-add = 2, accumulated in float32; one value for each of COMPUTE.

    fp32 is IEEE single precision, never TF32; fp64 is the highest rate of matrix products in that type."""
    memory_gib: float | None
    """Nominal capacity, by the data sheet's number."""
    memory_bandwidth_gb_s: float | None
    """10^9 bytes per second."""
    tdp_w: float | None
    interconnect: str | None
    """Link between chips, both directions together unless it says otherwise."""
    link_gb_s: float | None = field(default=None)
    """10^9 bytes per second that one device sends at the most over all its links inside a node: ONE direction."""
    source: str
    sparse_peaks_tflops: dict[str, float] = field(default_factory=dict)
    """What the source states for sparse operands, never used as a peak: with 2:4 structured sparsity unless `notes` say
    otherwise; for some of COMPUTE."""
    notes: str = field(default="")
    """Conflicts between sources, and what was left out for which reason."""

    def __post_init__(self) -> None:
        if set(self.peaks_tflops) != set(COMPUTE):
            raise ValueError(f"{self.name}: peaks_tflops needs exactly the keys {', '.join(COMPUTE)}")
        if not set(self.sparse_peaks_tflops) <= set(COMPUTE):
            raise ValueError(f"{self.name}: sparse_peaks_tflops has no keys but {', '.join(COMPUTE)}")
        for compute, sparse in self.sparse_peaks_tflops.items():
            if not sparse > (self.peaks_tflops[compute] or 0):
                raise ValueError(f"{self.name}: sparse {compute} of {sparse} is not above the dense peak")
        scalars = (self.memory_gib, self.memory_bandwidth_gb_s, self.tdp_w, self.link_gb_s)
        if any(value is not None and not value > 0 for value in (*self.peaks_tflops.values(), *scalars)):
            raise ValueError(f"{self.name}: figures are positive; what is not known is null")
        if not (self.name.strip() and self.source.strip()):
            raise ValueError(f"{self.name or 'an entry'}: name and source must not be empty")


class _UniqueKeys(yaml.SafeLoader):
    """YAML keeps the last of two equal keys without a word; a peak rate written twice must not pass."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        if len(keys) != len(set(keys)):
            raise yaml.constructor.ConstructorError(None, None, f"a key stands twice among {keys}", node.start_mark)
        return super().construct_mapping(node, deep=deep)


_ADAPTER: TypeAdapter[tuple[Chip, ...]] = TypeAdapter(tuple[Chip, ...])


@cache
def load_chips(path: Path = CATALOGUE) -> tuple[Chip, ...]:
    """All chips of a catalogue.

    Raises:
        CatalogueError: an unknown or missing key, a wrong type, no source, or a name that two entries claim.
    """
    try:
        chips = _ADAPTER.validate_python(yaml.load(path.read_text(), Loader=_UniqueKeys))
    except (ValidationError, yaml.YAMLError) as error:
        raise CatalogueError(f"{path.name}: {error}") from error
    claims = Counter(name for chip in chips for name in {_key(one) for one in (chip.name, *chip.aliases)})
    twice = sorted(name for name, times in claims.items() if times > 1)
    if twice:
        raise CatalogueError(f"{path.name}: claimed by two chips: {', '.join(twice)}")
    return chips


def find_chip(name: str) -> Chip | None:
    """The chip whose name or alias is `name`, up to case and white space; None when there is none.

    This tree's catalogue goes before those of installed packages: none of them changes a peak that stands here.
    """
    return _find(name, load_chips()) or _find(name, _outside())


def _find(name: str, chips: Iterable[Chip]) -> Chip | None:
    wanted = _key(name)
    return next((chip for chip in chips if wanted in map(_key, (chip.name, *chip.aliases))), None)


def _outside() -> list[Chip]:
    """The chips of installed packages; a catalogue that is malformed has none (`outside_problems` says so)."""
    found: list[Chip] = []
    for point in brought(CHIPS):
        with suppress(CatalogueError, BrokenPackageError):
            found += _of_package(point)
    return found


def _of_package(point: EntryPoint) -> tuple[Chip, ...]:
    path = place(point)
    try:
        return load_chips(path)
    except (CatalogueError, OSError) as error:
        raise CatalogueError(f"the chips of an installed package, {path}, cannot be read: {error}") from error


def outside_problems() -> list[str]:
    """What is wrong with the catalogues of installed packages, a sentence each."""
    problems: list[str] = []
    for point in brought(CHIPS):
        try:
            _of_package(point)
        except (CatalogueError, BrokenPackageError) as error:
            problems.append(" ".join(str(error).split()))
    return problems


def peak_flops(chip: Chip, compute: str) -> float | None:
    """Dense peak in operations per second; None when no source states it.

    Args:
        chip: the chip.
        compute: `PrecisionSpec.compute`, one of COMPUTE.
    """
    peak = chip.peaks_tflops[compute]
    return None if peak is None else peak * 1e12


def how_to_add(name: str) -> str:
    """What to do about a chip that the catalogue does not have."""
    return _ADD.format(name=name, peaks=", ".join(f"{key}: null" for key in COMPUTE))


def _key(name: str) -> str:
    return " ".join(name.split()).casefold()
