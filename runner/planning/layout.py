"""One way in which the devices of a job share the work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Recomputation = Literal["none", "selective", "full"]
"""none: all that autograd keeps; full: the inputs of blocks alone; selective: beside them the outputs of every other
product and of attention, as torchtitan's policy has it."""


@dataclass(kw_only=True, slots=True, frozen=True)
class JobLayout:
    """The axes of a parallel layout, innermost last, and how a step's batch is cut."""

    pipeline: int = 1
    data: int = 1
    fsdp: int = 1
    tensor: int = 1
    micro_batch: int
    """Samples, in examples, of one pass of one group of ranks that share a batch."""
    micro_batches: int = 1
    """Passes per optimizer step."""
    recomputation: Recomputation = "none"
    sequence_parallel: bool = False
    """Whether a tensor group splits what is outside its matrices too, along the sequence (Korthikanti et al. 2022),
    and the scores along the vocabulary."""

    @property
    def devices(self) -> int:
        """Of the whole job."""
        return self.pipeline * self.replicas * self.tensor

    @property
    def replicas(self) -> int:
        """Groups of ranks with a batch of their own."""
        return self.data * self.fsdp

    @property
    def samples_per_step(self) -> int:
        """Examples of one optimizer step of the whole job."""
        return self.micro_batch * self.micro_batches * self.replicas

    @property
    def kind(self) -> str:
        """The axes that are more than one, in words."""
        axes = [name for name in ("data", "fsdp", "tensor", "pipeline") if getattr(self, name) > 1]
        return " + ".join(axes) or "one device"
