"""A network that writes in PyTorch: its cache on the device, its next token chosen there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hardware.engines.compiled import Made
from hardware.engines.generation import GenerationGraph, SteppedGeneration, Written
from hardware.engines.native.network import Placed, waiting_for
from hardware.engines.native.products import products_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from hardware.engines.graph import Placement


class NativeGeneration(SteppedGeneration):
    """Runs prefill and steps of torch without gradients, each as it is or compiled."""

    def __init__(
        self,
        graph: GenerationGraph,
        placement: Placement,
        made: Made,
        *,
        compiled: Callable[[Callable[..., Any]], Callable[..., Any]] = lambda call: call,
    ) -> None:
        """Copy the network to the device and lay the cache there.

        Args:
            graph: what is to write.
            placement: where and how.
            made: what compiling took.
            compiled: turns prefill and step into what is run.

        Raises:
            PrecisionUnsupportedError: the precision needs quantising, which torch alone does not do.
        """
        import torch

        self._placed = Placed(graph, placement)
        self.made = made
        self._wait = waiting_for(placement.device)
        kept = self._placed.precision.autocast or self._placed.precision.weights
        self._cache = torch.zeros(graph.cache_shape, dtype=getattr(torch, kept), device=placement.device)
        self._position = torch.zeros(1, dtype=torch.int64, device=placement.device)
        self._prompt_tokens = 0
        torch._dynamo.mark_static_address(self._cache)
        network: Any = self._placed.network
        prompts = self.place(graph.prompts)
        self.evidence = self._placed.evidence(
            products_of(lambda: self._run(greedy(network.prefill), prompts, self._cache))
        )
        self._prefill, self._step = compiled(greedy(network.prefill)), compiled(greedy(network.step))

    def place(self, ids: Tensor) -> Tensor:
        """Copy to the device."""
        return ids.to(self._placed.device, non_blocking=True)

    def prefill(self, placed: Tensor) -> Written:
        """Submit the forward pass over the prompts; what the cache holds behind them is masked."""
        written, self._prompt_tokens = self._run(self._prefill, placed, self._cache), placed.shape[1]
        self.rewind()
        return written

    def step(self, tokens: Tensor) -> Written:
        """Submit the forward pass over one token of each row."""
        written = self._run(self._step, tokens, self._position, self._cache)
        self._position += 1
        return written

    def rewind(self) -> None:
        """Set the place of the next token; what the cache holds from there on is masked."""
        self._position.fill_(self._prompt_tokens)

    def fetch(self, tensor: Tensor) -> Tensor:
        """Copy to the host; the copy waits."""
        return tensor.cpu()

    def synchronize(self) -> None:
        """Wait for the device."""
        self._wait()

    def _run(self, call: Callable[..., Any], *inputs: Tensor) -> Written:
        import torch

        with torch.inference_mode(), self._placed.context():
            return Written(*call(*inputs))


def greedy(scores_of: Callable[..., torch.Tensor]) -> Callable[..., tuple[torch.Tensor, torch.Tensor]]:
    """A call that gives scores (rows, vocabulary), with the highest one's place (rows, 1) before them."""

    def chosen(*inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scores = scores_of(*inputs)
        return scores.argmax(dim=-1, keepdim=True), scores

    return chosen


def run_through(written: NativeGeneration, graph: GenerationGraph) -> None:
    """Have it compile what it compiles at the first prefill and the first step, and wait for it."""
    for _ in written.stream(graph.prompts, min(2, graph.new_tokens)):
        pass
    written.synchronize()
