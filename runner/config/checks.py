"""Refuses a case that cannot be run here, before anything heavy is started."""

from __future__ import annotations

import os
import re
import socket
from dataclasses import replace
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

from hardware.detect import device_nodes, visible_count
from hardware.device import load_device
from hardware.meters.registry import meter_names
from hardware.sampling.exporter import PACKAGE
from runner.commandline.quoting import shown
from runner.config.class_path import check_class
from runner.config.complete import check_sections
from runner.config.data_checks import check_data
from runner.config.division import Division
from runner.config.kinds import check_kinds
from runner.config.known import (
    check_engine,
    check_engine_choice,
    check_framework,
    check_names,
    emulation_of,
    implementation_key,
    runtime_of,
)
from runner.config.placing import check_launcher, laid_out, ranks_here
from runner.config.schema import Case
from runner.config.task import Demands, demands_of
from runner.core.errors import ConfigurationError, DataMissingError, DependencyError, HardwareError
from runner.core.registries import MODELS
from runner.core.tasks import TASKS
from runner.interpreters.ask import answer_of

ADDRESS = re.compile(r"(databricks|uc)(:|$)|(?!file:|sqlite:)[a-z][a-z0-9+.-]*://[^/]|sqlite(\+\w+)?:///.", re.I)
"""How the address of an MLflow store begins: a server's, or a database's with its file."""
TORCH_EPS = 1e-8
"""What torch's Adam takes when a recipe gives no eps."""
SMALLEST_FLOAT16 = 2.0**-24
"""Smallest positive number of IEEE 754 binary16."""


def check(case: Case, changes: Division | None = None) -> None:
    """Look at everything that can be known without torch.

    Args:
        case: what shall run.
        changes: its differences to the reference composition, where they are known.

    Raises:
        ConfigurationError: choices that do not go together.
        HardwareError: the vendor's chip or stack is not here, or too few devices are.
        DependencyError: the framework or the compiler lacks something here.
        DataMissingError: `data.root` is no folder, or lacks what the model's data set consists of.
    """
    check_names(case)
    task = demands_of(case)
    _check_offered(case, task)
    check_sections(case)
    _check_choices(case, task)
    check_engine(case, task)
    check_framework(case, task)
    task.check(case)
    if changes is not None:
        check_kinds(changes)
    _check_implementation(case)
    _check_weights(case)
    _check_tracking(case)
    _check_numerics(case, task)
    _check_topology(case, task)
    check_launcher(case, task)
    check_data(case, task)
    _check_meters(case, task)
    _check_hardware(case, task)


def check_for_elsewhere(case: Case, changes: Division | None = None) -> None:
    """Look at what is wrong on whatever machine: for a case that others shall run.

    Raises:
        ConfigurationError: choices that do not go together.
        HardwareError: the vendor's chips cannot do the task.
    """
    check_names(case)
    task = demands_of(case)
    _check_offered(case, task)
    check_sections(case)
    _check_choices(case, task)
    if task.on_device:
        check_engine_choice(case, task)
    check_framework(case, task)
    task.check(case)
    if changes is not None:
        check_kinds(changes)
    _check_implementation(case)
    _check_tracking(case)
    _check_numerics(case, task)
    _check_layout(case, task)


def with_devices(case: Case) -> Case:
    """The case with `topology.devices=auto` replaced by the number of visible devices.

    Raises:
        ConfigurationError: `auto` on a CPU, which is one device however many ranks it can hold.
    """
    if case.topology.devices != "auto":
        return laid_out(case)
    if case.topology.nodes > 1:
        raise ConfigurationError(
            "topology.devices=auto counts the devices of this machine. Give the number of each node's, for instance "
            "topology.devices=8."
        )
    if on_host(case):
        raise ConfigurationError(
            "topology.devices=auto takes every visible device, and a CPU is only one. Give the number of ranks, "
            "for instance topology.devices=2."
        )
    found = visible_count(case.vendor.name, case.vendor.visible_devices_env)
    return laid_out(replace(case, topology=replace(case.topology, devices=max(1, found))))


def on_host(case: Case) -> bool:
    """Whether the ranks run on the host's processor."""
    return case.vendor.on_host or case.emulate


def _check_offered(case: Case, task: Demands) -> None:
    vendor = case.vendor
    if task.offered_by(vendor):
        return
    known = TASKS.names()  # a vendor from elsewhere may name one that is not
    there = [name for name in vendor.tasks if name in known]
    trains = any(TASKS.find(name).trains for name in there)
    only = "" if trains or not task.trains else f" {vendor.title} is for inference."
    raise HardwareError(
        f"vendor={vendor.name} cannot do task={task.name}.{only} It can do: {', '.join(there) or 'none'}."
    )


def _check_choices(case: Case, task: Demands) -> None:
    vendor = case.vendor
    if case.has_model:
        implementation_key(case.model, case.framework.name)
    offered = (*vendor.precisions, *(vendor.served_precisions if task.serves else ()))
    if case.precision.name not in offered:
        raise ConfigurationError(
            f"vendor={vendor.name} does not offer precision={case.precision.name} for task={task.name}. "
            f"It offers: {', '.join(offered)}."
        )


def _check_implementation(case: Case) -> None:
    """A dotted path is looked up in the module's text, another name among what installed packages registered."""
    if not case.has_model:
        return
    framework = implementation_key(case.model, case.framework.name)
    path = case.model.implementations[framework]
    if "." in path:
        check_class(f"model.implementations.{framework}", path)
        return
    try:
        MODELS.require(path)
    except ValueError as error:
        raise ConfigurationError(
            f"model.implementations.{framework}={path}: {error}. A class that is not registered is written as its "
            "dotted path, package.module.Class."
        ) from error


def _check_weights(case: Case) -> None:
    if not case.has_model:
        return
    weights = case.model.weights
    if weights != "random" and not Path(weights).expanduser().exists():
        raise DataMissingError(
            f"model.weights={shown(weights)} is not there. Give the path of a checkpoint, or model.weights=random."
        )


def _check_tracking(case: Case) -> None:
    """MLflow refuses folders, and takes what is no address for one."""
    uri = case.tracking.uri
    if uri is None or ADDRESS.match(uri):
        return
    raise ConfigurationError(
        f"tracking.uri={shown(uri)} is no address of an MLflow store. A server is http://HOST:5000, a database "
        "sqlite:////PATH/mlflow.db. Without tracking.uri, results go to mlflow.db under run.root."
    )


def _check_numerics(case: Case, task: Demands) -> None:
    """Refuse what is known to divide by zero: Adam's eps below float16's smallest number is 0 there."""
    if case.precision.weights != "float16" or case.model.train is None or not task.trains:
        return
    optimizer = case.model.train.optimizer
    if optimizer.name == "sgd":
        return
    eps = TORCH_EPS if optimizer.eps is None else optimizer.eps
    if eps < SMALLEST_FLOAT16:
        raise ConfigurationError(
            f"model.train.optimizer.eps={eps:g} is 0 in float16, the type of the weights with "
            f"precision={case.precision.name}, and {optimizer.name} divides by it. "
            "Give model.train.optimizer.eps=1e-4, or choose precision=fp16."
        )


def _check_topology(case: Case, task: Demands) -> None:
    _check_layout(case, task)
    devices = case.topology.devices
    assert isinstance(devices, int)
    cores = os.cpu_count() or 1
    if task.on_device and on_host(case) and devices > cores:
        raise ConfigurationError(
            f"topology.devices={devices} ranks on a host CPU with {cores} cores. Choose at most {cores}."
        )


def _check_layout(case: Case, task: Demands) -> None:
    topology = case.topology
    devices, nodes = topology.devices, topology.nodes
    if topology.name == "single" and devices != 1:
        raise ConfigurationError(f"topology=single has one device, not {devices}. Choose topology=node.")
    if topology.name != "cluster" and nodes != 1:
        raise ConfigurationError(f"topology={topology.name} is one machine, not {nodes}. Choose topology=cluster.")


def _check_meters(case: Case, task: Demands) -> None:
    asked = case.meters
    known = meter_names()
    for name in asked.extra:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise ConfigurationError(f"meters.extra: no meter is called {name}.{hint} There are: {', '.join(known)}.")
    if asked.prometheus_port is None or not task.on_device:
        return
    if find_spec(PACKAGE) is None:
        raise DependencyError(
            f"meters.prometheus_port needs the Python package {PACKAGE}: pip install 'touchstone[prometheus]'."
        )
    try:
        with socket.create_server((asked.prometheus_address, asked.prometheus_port)):
            pass
    except OSError as error:
        raise ConfigurationError(
            f"meters.prometheus_port={asked.prometheus_port} cannot be listened on at {asked.prometheus_address}: "
            f"{error.strerror}. Choose another port."
        ) from error


def _check_hardware(case: Case, task: Demands) -> None:
    try:
        runtime = runtime_of(case) if task.on_device else None
        device = load_device(case.vendor, emulate=case.emulate, runtime=runtime)
    except ValueError as error:
        raise ConfigurationError(f"vendor={case.vendor.name}: {error}") from error
    if not task.on_device or not ranks_here(case):
        return
    answer = answer_of(case)
    reason = device.unavailable_reason() if answer is None else answer.device
    if reason is not None:
        raise HardwareError(
            f"vendor={case.vendor.name} is not available on this machine: {reason.rstrip('.')}. "
            f"{case.vendor.install.rstrip('.')}. "
            f"To try the configuration out on the host CPU, add: {emulation_of(case)}"
        )
    check_enough(case)


def check_enough(case: Case) -> None:
    """Refuse more ranks than devices are visible, where that can be counted without the vendor's stack."""
    devices, variable = case.topology.devices, case.vendor.visible_devices_env
    assert isinstance(devices, int)
    listed = os.environ.get(variable) if variable else None
    # A render node is a card, which may show itself as several devices.
    cards = any(node.name.startswith("renderD") for node in device_nodes(case.vendor.name))
    if on_host(case) or (listed is None and cards):
        return
    visible = visible_count(case.vendor.name, variable)
    if (visible == 0 and listed is None) or devices <= visible:
        return
    seen = f"{variable}={listed} shows {visible}" if listed is not None else f"there are {visible}"
    raise HardwareError(
        f"topology.devices={devices}, but {seen} of {case.vendor.title} here. Give topology.devices={visible} or less."
    )
