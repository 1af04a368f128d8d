"""Spreads every trained model over one rank and takes a step; prints a line of JSON of it and of the model as it is.

A process of its own: it has a process group. One rank sends nothing, but weights are as far from their modules as over
several: a block that is not run by its `forward`, or that shares a weight, shows.
"""

from __future__ import annotations

import json
import os
from typing import Any

import torch
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from zoo import MODELS, built

from models.sharding.spread import spread_model
from models.trainable import Trainable


def main() -> None:
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0", "RANK": "0", "WORLD_SIZE": "1"}
    distributed.init_process_group("gloo")
    mesh = init_device_mesh("cpu", (1, 1), mesh_dim_names=("replicate", "shard"))
    for name in MODELS:
        for products in (None, torch.bfloat16):
            told: dict[str, Any] = {"model": name, "products": str(products)}
            try:
                whole, spread = step(built(name), products), step(_spread(name, mesh, products), products)
                told |= {"whole": whole[0], "spread": spread[0], "gradients": difference(whole[1], spread[1])}
            except Exception as error:  # noqa: BLE001 -- the test tells it
                told["error"] = f"{type(error).__name__}: {error}"
            print(json.dumps(told), flush=True)  # noqa: T201


def _spread(name: str, mesh: Any, products: torch.dtype | None) -> Trainable:
    model = built(name)
    spread_model(model, model.units(), mesh, products=products, multiplying=model.multiplying)
    return model


def step(model: Trainable, products: torch.dtype | None) -> tuple[float, dict[str, Any]]:
    """Loss and gradients of one pass."""
    model.train()
    torch.manual_seed(1)
    batch = model.synthetic_batch(2)
    with torch.autocast("cpu", dtype=products, enabled=products is not None, cache_enabled=False):
        loss = model.loss(batch)
    loss.backward()  # type: ignore[no-untyped-call]
    return float(loss), {name: one.grad for name, one in model.named_parameters() if one.grad is not None}


def difference(whole: dict[str, Any], spread: dict[str, Any]) -> float:
    """Largest difference of an element ÷ the largest element of its tensor."""
    assert whole.keys() == spread.keys()
    return max(
        float((one.float() - spread[name].full_tensor().float()).abs().max() / (one.float().abs().max() + 1e-12))
        for name, one in whole.items()
    )


if __name__ == "__main__":
    main()
