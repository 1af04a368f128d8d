"""The `infer:` section of a model's YAML: what a request holds, and how good the answers must be.

Pure data, no torch: the parent process validates a case with it before anything heavy is imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from models.ranges import Count
from models.training import STRICT


@dataclass(kw_only=True, slots=True)
class Generation:
    """Of models that write: the lengths of prompts and answers, in tokens."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    prompt_tokens: Count
    """Of every prompt of a request."""
    new_tokens: Count
    """Most tokens of an answer."""
    end_of_text: Annotated[int, Field(ge=0)] | None = None
    """Id of the token that ends an answer and counts as its last; None: every answer is `new_tokens` long."""
    prompt_lengths: tuple[Count, ...] = ()
    """Further prompt lengths that `load=offline` measures, each with every batch size and answer length."""
    new_lengths: tuple[Count, ...] = ()
    """Further lengths of answers that it measures."""


@dataclass(kw_only=True, slots=True)
class Inference:
    """How a model is served. Every value may differ between the two scales."""

    __pydantic_config__: ClassVar[dict[str, str]] = STRICT

    batch_size: Count
    """Rows of one request: what an engine is compiled for, and what accuracy and speed are taken at."""
    batch_sizes: tuple[Count, ...] = ()
    """Further sizes that `load=offline` measures, each compiled for itself."""
    metric: str | None = None
    """Which of the model's metrics is its accuracy; None: it has none, as a part of a pipeline."""
    mode: Literal["max", "min"] = "max"
    """Which way the metric improves."""
    samples: Count | None = None
    """Evaluation examples that accuracy is taken over, from the first on; None: all of them."""
    steps_per_sample: Count | None = None
    """Times that the network runs within one sample, as denoising steps; None: once, or token by token."""
    generation: Generation | None = None
    """None: one forward pass answers a request."""
