"""Megatron-core on the host's processor, for tests alone: what it asks of `torch.cuda` is answered by the host.

`install()` before `megatron` is imported. It names `cuda` as the device of small tensors, compares the types of tensors
with CUDA's, and keeps random states of CUDA devices; the products, the collectives and the optimizer are its own.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class HostForCuda(TorchFunctionMode):
    """Makes tensors for `cuda` on the host, and gives their types the names they would have."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the function as it would be on the host."""
        kwargs = dict(kwargs or {})
        if str(kwargs.get("device", "")).startswith("cuda"):
            kwargs["device"] = "cpu"
        if func is torch.Tensor.cuda:
            return args[0]
        if func is torch.Tensor.type and len(args) == 1 and not kwargs:
            return func(*args).replace("torch.", "torch.cuda.")
        return func(*args, **kwargs)


def install() -> None:
    """From here on the process takes the host for torch's CUDA device."""
    from runner.frameworks.mcore import demands

    demands.NAMESPACES.add("cpu")
    HostForCuda().__enter__()  # type: ignore[no-untyped-call]
    torch.cuda.current_device = lambda: "cpu"  # type: ignore[assignment,return-value]
    torch.cuda.synchronize = lambda device=None: None
    torch.cuda.manual_seed = lambda seed: None
    torch.cuda.get_rng_state = lambda device="cuda": torch.get_rng_state()
    from megatron.core.tensor_parallel import random

    random._set_cuda_rng_state = lambda state, device=-1, graph_safe=False: None
    random._get_cuda_rng_state = lambda device="cuda", clone=False, graph_safe=False: torch.get_rng_state()
    random.CudaRNGStatesTracker.fork = lambda self, name="": nullcontext()


if __name__ == "__main__":
    import sys
    from pathlib import Path

    install()
    import framework_run

    framework_run.main(Path(sys.argv[1]))
