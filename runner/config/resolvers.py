"""The words conf/ may use beside plain values. Registered before Hydra composes."""

from __future__ import annotations

import re
from typing import Any

from omegaconf import DictConfig, OmegaConf

from runner.commandline.catalogue import group_lines
from runner.config import search_path
from runner.config.schema import case_name
from runner.core.errors import ConfigurationError
from runner.core.registries import FRAMEWORKS

SCALES = ("reference", "tiny")


def _scale(*values: Any, _root_: DictConfig) -> Any:
    """`${scale:24,8}`: 24 at scale=reference, 8 at scale=tiny."""
    if len(values) != len(SCALES):
        raise ConfigurationError(f"${{scale:REFERENCE,TINY}} takes two values, and was given {len(values)}.")
    reference, tiny = values
    scale = _root_.scale
    if scale not in SCALES:
        raise ConfigurationError(f"scale={scale} is unknown. Choose reference or tiny.")
    chosen = reference if scale == "reference" else tiny
    # OmegaConf writes an interpolation's result back (`--cfg job --resolve`) only where it is a node or a plain value.
    return OmegaConf.create(chosen) if isinstance(chosen, list | dict) else chosen


def _in_pytorch(*values: Any, _root_: DictConfig) -> Any:
    """`${in_pytorch:a,b}`: a where PyTorch's own network is trained or served, b where a port of it in another is."""
    if len(values) != 2:  # noqa: PLR2004 -- with it, and without
        raise ConfigurationError(f"${{in_pytorch:WITH,WITHOUT}} takes two values, and was given {len(values)}.")
    name = _root_.framework.name
    ported = name in FRAMEWORKS.names() and FRAMEWORKS.find(name).original is not None
    return values[ported]


def _case_name(*, _root_: DictConfig) -> str:
    """`${case_name:}`: what a run folder is called after its time."""
    # Hydra makes the folder before the names are checked: none may lead out of `run.root`.
    return re.sub(r"[^A-Za-z0-9._-]", "-", case_name(_root_))


def register() -> None:
    """Make the words known to OmegaConf, and to Hydra what installed packages bring."""
    search_path.register()
    OmegaConf.register_new_resolver("scale", _scale, replace=True)
    OmegaConf.register_new_resolver("in_pytorch", _in_pytorch, replace=True)
    OmegaConf.register_new_resolver("group_lines", group_lines, replace=True)
    OmegaConf.register_new_resolver("case_name", _case_name, replace=True)
