"""What one sample costs: counted after the measurement, beside it, never inside it."""

from __future__ import annotations

from dataclasses import asdict

from models.account import count
from runner.config.schema import Case
from runner.core.events import EventWriter, Name
from runner.frameworks.implementations import trainable_class


def tell_account(case: Case, events: EventWriter) -> None:
    """Count parameters, FLOPs and bytes of the case's model and tell them."""
    account = count(
        trainable_class(case.model, case.framework.name),
        case.model,
        weights_dtype=case.precision.weights,
        autocast_dtype=case.precision.autocast,
    )
    events.emit(Name.ACCOUNT, asdict(account))
