"""Counts a deep model by a shallow one: every further layer costs as much as the one before it, or all are counted."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import fields, replace

from models.costs.account import Account
from models.costs.units import Units
from models.recipe import Recipe

DEEP = 24
"""Layers from which on it is worth it: 126 of Llama 3.1 405B take 8 s in full, and 0.7 s so."""
FEW = 4


def count_deep(recipe: Recipe, counted: Callable[[Recipe], Account]) -> Account:
    """The account of a model, from two shallow ones where they differ by one block exactly.

    Args:
        recipe: whose `architecture.layers` says how many blocks there are; without it the model is counted in full.
        counted: counts a recipe.
    """
    layers = recipe.architecture.get("layers")
    if not isinstance(layers, int) or layers < DEEP:
        return counted(recipe)
    less, more = (counted(_with_layers(recipe, few)) for few in (FEW, FEW + 1))
    units = _deeper(less.units, more.units, layers - FEW - 1)
    if units is None:
        return counted(recipe)
    values = {
        one.name: getattr(more, one.name) + (layers - FEW - 1) * (getattr(more, one.name) - getattr(less, one.name))
        for one in fields(Account)
        if one.name != "units"
    }
    return Account(**values, units=units)


def _with_layers(recipe: Recipe, layers: int) -> Recipe:
    changed = deepcopy(recipe)
    changed.architecture["layers"] = layers
    return changed


def _deeper(less: Units, more: Units, further: int) -> Units | None:
    """The parts with so many further blocks; None where the two do not differ by one block of the last kind alone."""
    if not (less.in_line and more.in_line and less.blocks and more.blocks):
        return None
    last = less.blocks[-1]
    grown = replace(less, blocks=(*less.blocks[:-1], replace(last, count=last.count + 1)))
    counts = (sum(one.count for one in units.blocks) for units in (less, more))
    if grown != more or tuple(counts) != (FEW, FEW + 1):
        return None
    return replace(more, blocks=(*more.blocks[:-1], replace(last, count=last.count + 1 + further)))
