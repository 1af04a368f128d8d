"""What one sample costs: counted after the measurement, beside it, never inside it."""

from __future__ import annotations

from dataclasses import asdict

import torch

from models.costs.account import Account, count
from models.costs.serving_account import ServingAccount, count_served
from models.costs.shortened import count_deep
from runner.config.schema import Case
from runner.core.events import EventWriter, Name
from runner.frameworks.implementations import inferable_class, trainable_class
from runner.record.task import task_of


def tell_account(case: Case, events: EventWriter) -> None:
    """Count parameters, FLOPs and bytes of the case's model, as its task uses it, and tell them."""
    events.emit(Name.ACCOUNT, asdict(task_of(case).count(case)))


def training_account(case: Case) -> Account:
    """Of one training sample: forward and backward."""
    kind = trainable_class(case.model, case.framework.name)
    weights, autocast = case.precision.weights, case.precision.autocast
    return count_deep(case.model, lambda recipe: count(kind, recipe, weights_dtype=weights, autocast_dtype=autocast))


def serving_account(case: Case) -> ServingAccount:
    """Of one served sample: forward alone."""
    precision = case.precision
    width: int = getattr(torch, precision.autocast or precision.weights).itemsize
    kind = inferable_class(case.model, case.framework.name)
    return count_served(kind, case.model, weights_bytes=width, served=precision.served)
