"""The typed form of `conf/data/*.yaml`. Pure data, no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from models.datasets.cache import home_folder
from models.ranges import Workers
from models.training import STRICT

CACHE = "~/.cache/touchstone"


@dataclass(kw_only=True, slots=True)
class DataSpec:
    """The typed form of `conf/data/*.yaml`."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    name: Literal["sample", "synthetic", "dataset"]
    root: str | None = None
    """Folder of the real data set (`data=dataset` only)."""
    workers: Workers = 0
    """Data-loader processes per rank."""
    on_error: Literal["fail", "skip"] = "fail"
    """What an example that cannot be read does: ends the run, or is left out and counted."""
    cache: str = CACHE
    """Where prepared samples and trained tokenizers are kept between runs; empty, as an empty variable is: `CACHE`."""

    @property
    def cache_path(self) -> Path:
        """The cache folder; whoever keeps something there makes it."""
        return home_folder(self.cache or CACHE)
