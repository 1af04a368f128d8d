"""The tables of models by framework and of vendors by framework, with how far each combination is verified."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from runner.config.known import implementation_key
from runner.config.schema import Case
from runner.core.errors import ConfigurationError, HardwareError
from runner.core.registries import FRAMEWORKS
from runner.core.tasks import TASKS
from runner.tools.supported.coverage import state
from runner.tools.supported.evidence import PYTORCH, Index

STATES = ("measured", "emulated")
"""The evidence there can be, the stronger first; vendors without any are not named."""
CasesOf = Callable[[str], list[Case]]
"""The choices of a group, as cases."""


def names() -> list[str]:
    """The frameworks of this tree, PyTorch first."""
    return sorted(FRAMEWORKS.names(outside=False), key=lambda name: (name != PYTORCH, name))


def framework_head() -> tuple[str, ...]:
    """The head of `framework_rows`."""
    return ("`model=`", *(f"`{name}`" for name in names()))


def framework_rows(index: Index, cases_of: CasesOf) -> Iterator[tuple[str, ...]]:
    """A row for each model that can be trained: by whom each framework's form of it is verified, and where."""
    vendors = [case.vendor.name for case in cases_of("vendor")]
    for case in cases_of("model"):
        if case.model.train is None:
            continue
        cells = (_evidence(index, case, framework, vendors) for framework in names())
        yield (f"`{case.model.name}`", *cells)


def _evidence(index: Index, case: Case, framework: str, vendors: list[str]) -> str:
    """`measured: cpu; emulated: metax`, or that it is not verified; empty where the model is not written for it."""
    try:
        implementation_key(case.model, framework)
    except ConfigurationError:
        return ""
    found: dict[str, list[str]] = {}
    for vendor in vendors:
        found.setdefault(state(index, case.model.name, framework, vendor), []).append(vendor)
    told = [f"{kind}: {', '.join(found[kind])}" for kind in STATES if kind in found]
    return "; ".join(told) or "not verified"


def device_head() -> tuple[str, ...]:
    """The head of `device_rows`."""
    return ("`vendor=`", *(f"`{name}`" for name in names()))


def device_rows(cases_of: CasesOf) -> Iterator[tuple[str, ...]]:
    """A row for each vendor that trains: what each framework calls its devices, or that it knows none."""
    frameworks = {case.framework.name: case.framework for case in cases_of("framework")}
    models = cases_of("model")
    for case in cases_of("vendor"):
        if not any(TASKS.find(name).trains for name in case.vendor.tasks):
            continue
        told = (
            _device(replace(_written_for(models, name), vendor=case.vendor, framework=frameworks[name]))
            for name in names()
        )
        yield (f"`{case.vendor.name}`", *told)


def _written_for(models: list[Case], framework: str) -> Case:
    """A model that the framework trains; any will do."""
    return next(one for one in models if one.model.train is not None and _is_written(one, framework))


def _is_written(case: Case, framework: str) -> bool:
    try:
        return bool(implementation_key(case.model, framework))
    except ConfigurationError:
        return False


def _device(case: Case) -> str:
    """The type of device; empty where the framework knows none of the vendor's."""
    framework = FRAMEWORKS.find(case.framework.name)
    try:
        framework.check(case)
    except HardwareError:
        return ""
    except ConfigurationError:
        pass  # of this model, not of the vendor
    if framework.runtime is None:
        return "torch"
    return "host" if case.vendor.on_host else case.vendor.runtimes[case.framework.name]
