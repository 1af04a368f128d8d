"""Real data sets by name: `catalogue.yaml` beside this module, and those that installed packages bring.

Pure data, no torch: the parent process looks names up before anything heavy is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import resources
from importlib.metadata import entry_points
from pathlib import Path
from typing import ClassVar

import yaml
from pydantic import TypeAdapter, ValidationError

GROUP = "touchstone.datasets"
"""Entry points: any name to a file of this form beside a package's modules, `acme_bench:datasets.yaml`."""
CATALOGUE = Path(__file__).with_name("catalogue.yaml")


class UnknownDatasetError(ValueError):
    """No data set has this name; the message says what is near and what there is."""


@dataclass(kw_only=True, slots=True, frozen=True)
class DatasetEntry:
    """A data set that somebody else made."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    title: str
    source: str
    """What it consists of, and where it is to be had."""
    files: tuple[str, ...] = ()
    """What must be below `data.root`, as glob patterns; `a|b` where either will do. A first look, before anything
    starts."""
    evaluation_files: tuple[str, ...] | None = None
    """What of it is enough to evaluate; None: all of it."""

    @property
    def described(self) -> str:
        """Title and source in one sentence, as errors show them."""
        return f"{self.title}: {self.source}"


_ADAPTER: TypeAdapter[dict[str, DatasetEntry]] = TypeAdapter(dict[str, DatasetEntry])


def find_dataset(name: str) -> DatasetEntry:
    """The data set of a name; what packages bring is read only where this tree has none of that name.

    Raises:
        UnknownDatasetError: there is none.
    """
    found = _shipped().get(name) or _outside()[0].get(name)
    if found is None:
        known = dataset_names()
        near = get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UnknownDatasetError(f"no data set is called {name}.{hint} There are: {', '.join(known)}")
    return found


def dataset_names(*, outside: bool = True) -> list[str]:
    """Every name, those of installed packages included unless `outside` is false."""
    return sorted({*_shipped(), *(_outside()[0] if outside else ())})


def outside_problems() -> list[str]:
    """What is wrong with the catalogues of installed packages, a sentence each."""
    return list(_outside()[1])


@cache
def _shipped() -> Mapping[str, DatasetEntry]:
    return _ADAPTER.validate_python(yaml.safe_load(CATALOGUE.read_text()))


@cache
def _outside() -> tuple[Mapping[str, DatasetEntry], tuple[str, ...]]:
    found: dict[str, DatasetEntry] = {}
    problems: list[str] = []
    for point in sorted(entry_points(group=GROUP), key=lambda one: one.name):
        try:
            text = resources.files(point.module).joinpath(point.attr or "").read_text()
            found |= _ADAPTER.validate_python(yaml.safe_load(text))
        except Exception as error:  # noqa: BLE001 -- a package's own __init__ runs here
            package = point.dist.name if point.dist else "unknown"
            reason = f"{error.error_count()} values are wrong" if isinstance(error, ValidationError) else str(error)
            problems.append(
                f"the installed package {package} registers {point.name} = {point.value} under {GROUP}, and it cannot "
                f"be read: {' '.join(reason.split())}"
            )
    return found, tuple(problems)
