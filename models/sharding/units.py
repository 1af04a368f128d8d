"""The blocks of a network: what sharded training gathers at once, one after the other."""

from __future__ import annotations

from collections import Counter

from torch import nn


def lists_of_blocks(network: nn.Module) -> list[nn.ModuleList]:
    """The outermost lists of modules; their members are the blocks."""
    lists: list[nn.ModuleList] = []
    inside: set[nn.Module] = set()
    for module in network.modules():
        if isinstance(module, nn.ModuleList) and module not in inside:
            lists.append(module)
            inside |= set(module.modules())
    return lists


def blocks_of(network: nn.Module) -> list[nn.Module]:
    """Blocks that are run and have parameters, all of them their own.

    One with a parameter that is used outside it too, as tied weights are, cannot be gathered by itself.
    """
    users = Counter(id(parameter) for module in network.modules() for parameter in module._parameters.values())
    blocks = dict.fromkeys(block for blocks in lists_of_blocks(network) for block in blocks)
    return [block for block in blocks if type(block).forward is not nn.Module.forward and _is_apart(block, users)]


def _is_apart(block: nn.Module, users: Counter[int]) -> bool:
    within = Counter(
        id(parameter)
        for module in block.modules()
        for parameter in module._parameters.values()
        if parameter is not None
    )
    return len(within) > 0 and all(users[key] == count for key, count in within.items())
