"""The typed form of `conf/model/*.yaml`: what a model is, and how it is trained and served.

Pure data, no torch: the parent process validates a case with it before anything heavy is imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from models.datasets.catalogue import find_dataset
from models.inference import Inference
from models.ranges import check_architecture
from models.training import STRICT, Training

__all__ = ["STRICT", "Recipe"]


@dataclass(kw_only=True, slots=True)
class Recipe:
    """One model: what it is, and a section for each kind of task it can be used in."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    name: str
    implementations: dict[str, str]
    """Framework name to the dotted path of the model's class."""
    unit: str
    """What throughput counts, in the plural: sequences, images, mel frames …"""
    architecture: dict[str, Any]
    memory_format: Literal["contiguous", "channels_last"] = "contiguous"
    weights: str = "random"
    """`random`, or the path of a checkpoint (see `models.weights`)."""
    initial_weights: str | None = None
    """What the published case starts from, and where it is to be had; None: from random weights."""
    dataset: str | None = None
    """Name of the real data set (see `models.datasets.catalogue`); None: there is none, `data=dataset` is refused."""
    train: Training | None = None
    """None: the model is not trained here."""
    infer: Inference | None = None
    """None: the model is not served here."""

    def __post_init__(self) -> None:
        check_architecture(self.architecture)

    @property
    def data_source(self) -> str:
        """What the real data set is and where it is to be had; empty where there is none.

        Raises:
            UnknownDatasetError: no data set has this name.
        """
        return "" if self.dataset is None else find_dataset(self.dataset).described

    @property
    def training(self) -> Training:
        """The `train` section.

        Raises:
            ValueError: the model has none.
        """
        if self.train is None:
            raise ValueError(f"model={self.name} has no train: section; it cannot be trained")
        return self.train

    @property
    def inference(self) -> Inference:
        """The `infer` section.

        Raises:
            ValueError: the model has none.
        """
        if self.infer is None:
            raise ValueError(f"model={self.name} has no infer: section; it cannot be served")
        return self.infer
