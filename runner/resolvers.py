"""The two words conf/ may use beside plain values. Registered before Hydra composes."""

from __future__ import annotations

import re
from typing import Any

from omegaconf import DictConfig, OmegaConf

from runner import search_path
from runner.errors import ConfigurationError


def _scale(reference: Any, tiny: Any, *, _root_: DictConfig) -> Any:
    """`${scale:24,8}`: 24 at scale=reference, 8 at scale=tiny."""
    scale = _root_.scale
    if scale not in ("reference", "tiny"):
        raise ConfigurationError(f"scale={scale} is unknown. Choose reference or tiny.")
    return reference if scale == "reference" else tiny


def _case_name(*, _root_: DictConfig) -> str:
    """`${case_name:}`: what a run folder is called after its time."""
    parts = [_root_.task.name, _root_.model.name, _root_.scale, _root_.precision.name, _root_.vendor.name]
    # Hydra makes the folder before the names are checked: none may lead out of `run.root`.
    shown = (re.sub(r"[^A-Za-z0-9._-]", "-", str(part)) for part in parts)
    return "_".join(shown) + ("_emulated" if _root_.emulate else "")


def register() -> None:
    """Make `${scale:}` and `${case_name:}` known to OmegaConf, and to Hydra what installed packages bring."""
    search_path.register()
    OmegaConf.register_new_resolver("scale", _scale, replace=True)
    OmegaConf.register_new_resolver("case_name", _case_name, replace=True)
