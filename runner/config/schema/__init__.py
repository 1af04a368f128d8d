"""The typed form of a case. Pure validation: no torch, no files, no network, no environment.

The sections of a model, a vendor, a precision and data are defined where they are used (`models`, `hardware`);
this package adds the engine's own and joins them.
"""

from runner.config.schema.case import NAME, NOT_DECIDING, Case, case_from_dict, case_name, load_case, place_name
from runner.config.schema.measuring import (
    Fairness,
    Measure,
    Meters,
    RunOptions,
    Tracking,
    TuningOptions,
    WarmUp,
    WindowSpec,
)
from runner.config.schema.sections import NO_MODEL, STRICT, Compiler, FrameworkSpec, TaskOptions
from runner.config.schema.topology import SHARDED, LauncherSpec, Parallel, Topology

__all__ = [
    "NAME",
    "NOT_DECIDING",
    "NO_MODEL",
    "SHARDED",
    "STRICT",
    "Case",
    "Compiler",
    "Fairness",
    "FrameworkSpec",
    "LauncherSpec",
    "Measure",
    "Meters",
    "Parallel",
    "RunOptions",
    "TaskOptions",
    "Topology",
    "Tracking",
    "TuningOptions",
    "WarmUp",
    "WindowSpec",
    "case_from_dict",
    "case_name",
    "load_case",
    "place_name",
]
