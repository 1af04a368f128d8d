"""What an engine is given to have a network write, and what it gives back: prefill and decode, greedy.

Every answer of an engine is greedy: of the vocabulary's scores the highest, on the device.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hardware.engines.compiled import Made
from hardware.precision.evidence import Evidence

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(kw_only=True, slots=True, frozen=True)
class GenerationGraph:
    """A network that writes, in evaluation, in float32, on the host, and how much it is to write."""

    network: nn.Module
    """Has `prefill(ids, cache)` and `step(ids, position, cache)`, both to the scores of the next token (rows,
    vocabulary); they change the cache in place."""
    prompts: Tensor
    """int64 (rows, prompt tokens), real ones, on the host: rows and length are fixed to theirs."""
    new_tokens: int
    """Most tokens of an answer."""
    cache_shape: tuple[int, ...]
    """(layers, 2, rows, heads, prompt tokens + new tokens, head size)."""
    checkpoint: Path | None = None
    """Where the weights were read from, for engines that read them themselves; None: they are random."""


class Written(NamedTuple):
    """What prefill or a step gives, where the engine keeps it."""

    tokens: Any
    """The next token of each row, as `step` takes it."""
    scores: Any
    """What it was chosen by (rows, vocabulary)."""


class CompiledGeneration(ABC):
    """A network that is ready to write. The harness owns arrival and clock; this only yields tokens.

    One request at a time: the cache is the request's.
    """

    made: Made
    evidence: Evidence

    @abstractmethod
    def stream(self, prompts: Tensor, new_tokens: int) -> Iterator[Tensor]:
        """The answer to one request, from host to host: ids (rows,) on the host, each as soon as it is there.

        Whoever has enough stops asking; then nothing further is computed. At most `new_tokens` come, and never more
        than the graph's.
        """

    def synchronize(self) -> None:  # noqa: B027 -- most engines return when they are done
        """Wait until everything that was submitted is done."""

    def close(self) -> None:  # noqa: B027 -- most engines leave that to the process's end
        """Give back what the engine holds."""


class SteppedGeneration(CompiledGeneration):
    """One whose prefill and steps can be called, and so measured and compared, by themselves.

    `prefill` and `step` may return before their work is done; `fetch` and `synchronize` wait.
    """

    @abstractmethod
    def place(self, ids: Tensor) -> Any:
        """Bring ids (rows, tokens) from the host to where the engine takes them."""

    @abstractmethod
    def prefill(self, placed: Any) -> Written:
        """Forget what was written, and read the prompts."""

    @abstractmethod
    def step(self, tokens: Any) -> Written:
        """Read one further token of each row; at most the graph's `new_tokens - 1` times after a prefill."""

    @abstractmethod
    def rewind(self) -> None:
        """Go back to where the last prefill ended: its prompts stay read, what was written behind them is forgotten."""

    @abstractmethod
    def fetch(self, tensor: Any) -> Tensor:
        """Wait for tokens (rows, 1) or scores and bring them to the host."""

    def stream(self, prompts: Tensor, new_tokens: int) -> Iterator[Tensor]:
        """Prefill, then step by step."""
        written = self.prefill(self.place(prompts))
        yield self.fetch(written.tokens)[:, 0]
        for _ in range(new_tokens - 1):
            written = self.step(written.tokens)
            yield self.fetch(written.tokens)[:, 0]

    def forced(self, ids: Tensor, prompt_tokens: int) -> Tensor:
        """Scores after the prompt and after each further token, when the given tokens follow and not its own.

        Args:
            ids: int64 (rows, prompt tokens + further ones), on the host.
            prompt_tokens: the first of them, that prefill reads.

        Returns:
            (rows, 1 + further ones, vocabulary), on the host.
        """
        import torch

        scores = [self.fetch(self.prefill(self.place(ids[:, :prompt_tokens].contiguous())).scores)]
        for place in range(prompt_tokens, ids.shape[1]):
            scores.append(self.fetch(self.step(self.place(ids[:, place : place + 1].contiguous())).scores))
        return torch.stack(scores, dim=1)
