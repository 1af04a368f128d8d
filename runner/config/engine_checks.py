"""Refuses an engine that the vendor's stack, the task or the precision does not go together with."""

from __future__ import annotations

from runner.config.known import check_workable, engine_of
from runner.config.schema import Case
from runner.config.task import Demands
from runner.core.errors import ConfigurationError, DependencyError
from runner.core.registries import ENGINES


def check_engine(case: Case, task: Demands) -> None:
    """Look at what is known of the engine without its packages, then whether they are here.

    Raises:
        ConfigurationError: choices that do not go together.
        DependencyError: the framework or the engine lacks something on this machine.
    """
    if not task.on_device:
        return
    _check_vendor(case)
    _check_training(case, task)
    _check_precision(case, task)
    try:
        check_workable(case)
    except DependencyError as error:
        if ENGINES.find(case.compiler.name).on_host:
            raise
        raise DependencyError(
            f"{error} {case.vendor.install.rstrip('.')}. To try the configuration out on the host CPU, add: "
            f"{emulation_of(case)}"
        ) from error


def emulation_of(case: Case) -> str:
    """What to add to try a case out on the host's processor; engines that do not know it leave that to eager."""
    return f"emulate=true{'' if ENGINES.find(case.compiler.name).on_host else ' compiler=eager'} scale=tiny"


def _check_vendor(case: Case) -> None:
    vendor = case.vendor
    if case.emulate and not ENGINES.find(case.compiler.name).on_host:
        raise ConfigurationError(
            f"emulate=true puts the host CPU in the place of {vendor.title}, and compiler={case.compiler.name} does "
            "not compile for it. Add compiler=eager."
        )
    if case.emulate and case.compiler.name == "eager":
        return
    if case.compiler.name not in vendor.compilers and vendor.name not in case.compiler.vendors:
        offered = ", ".join(vendor.compilers) or "none"
        raise ConfigurationError(
            f"vendor={vendor.name} does not offer compiler={case.compiler.name}. It offers: {offered}."
        )


def _check_training(case: Case, task: Demands) -> None:
    if task.trains and not ENGINES.find(case.compiler.name).trains:
        raise ConfigurationError(
            f"compiler={case.compiler.name} compiles models that are served, and task={task.name} trains one. "
            "Choose compiler=eager or compiler=inductor, or task=infer."
        )
    if task.trains and not case.precision.trains:
        raise ConfigurationError(
            f"precision={case.precision.name} is for models that are served, and task={task.name} trains one. "
            "Choose another precision, or task=infer."
        )


def _check_precision(case: Case, task: Demands) -> None:
    if not task.serves:
        return
    offered = engine_of(case.compiler).precisions
    if case.precision.name not in offered:
        raise ConfigurationError(
            f"compiler={case.compiler.name} does not serve in precision={case.precision.name}. "
            f"It serves in: {', '.join(offered)}."
        )
