"""Two ranks whose first weight is whole and whose second is split; one of them alone meets an infinite gradient.

What each ends with is printed: whether the scaler skipped, and its new scale. With `alone` nobody asks the others.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor

from hardware.stacks.sharded import greatest_over_ranks

distributed.init_process_group("gloo")
mesh = init_device_mesh("cpu", (2,))
weights: list[Any] = [
    nn.Parameter(distribute_tensor(torch.ones(4), mesh, [place])) for place in (Replicate(), Shard(0))
]
optimizer = torch.optim.SGD(weights, lr=1.0)
scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
scaler.scale(torch.ones(()))
for weight in weights:
    local = torch.ones_like(weight.to_local())
    if isinstance(weight.placements[0], Shard) and distributed.get_rank() == 1:
        local[0] = float("inf")
    weight.grad = DTensor.from_local(local, mesh, weight.placements)
scaler.unscale_(optimizer)
if "alone" not in sys.argv:
    greatest_over_ranks(scaler)
scaler.step(optimizer)
scaler.update()
moved = not torch.equal(weights[0].to_local(), torch.ones(4))
sys.stdout.write(f"rank {distributed.get_rank()} moved {moved} scale {scaler.get_scale()}\n")
distributed.destroy_process_group()
