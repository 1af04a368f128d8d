"""From what Hydra composed to a checked case, its folder and its run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from runner.division import division
from runner.folder import claim, find_earlier, is_done, remove_if_empty
from runner.schema import Case, case_from_dict

NOT_SECTIONS = ("hydra", "tuning")
REFERENCE_VENDOR = "cpu"
"""A vendor without tuning: what it composes to is the reference composition."""


def to_case(config: DictConfig) -> Case:
    """Validate a composed configuration.

    Raises:
        pydantic.ValidationError: a value has the wrong type or range; names its key.
    """
    values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(values, dict)
    return case_from_dict({str(key): value for key, value in values.items() if key not in NOT_SECTIONS})


def reference_case(choices: dict[str, Any], scale: str) -> Case:
    """The same choices with no vendor tuning and no value changed."""
    groups = ("task", "model", "framework", "compiler", "precision", "topology", "data", "measure", "tracking")
    overrides = [f"{group}={choices[group]}" for group in groups]
    root = ["data.root=null"] if choices["data"] == "dataset" else []
    return to_case(compose("config", overrides=[*overrides, *root, f"vendor={REFERENCE_VENDOR}", f"scale={scale}"]))


def run_composed(config: DictConfig, *, vendor_detected: bool) -> tuple[int, bool]:
    """Run one composed case; returns its exit code and whether it belongs to a sweep."""
    hydra = HydraConfig.get()
    is_sweep = hydra.mode == RunMode.MULTIRUN
    case, folder, choices = to_case(config), Path(hydra.runtime.output_dir), dict(hydra.runtime.choices)
    return run_case(case, folder, choices, is_sweep=is_sweep, vendor_detected=vendor_detected), is_sweep


def run_case(case: Case, wanted: Path, choices: dict[str, Any], *, is_sweep: bool, vendor_detected: bool) -> int:
    """Claim a folder, or find the earlier one that `resume=true` asks for, and run the case in it."""
    from runner.console import Console
    from runner.engine import Engine

    console = Console(case)
    folder = find_earlier(case, Path(case.run.root)) if case.resume else None
    if folder is not None:
        remove_if_empty(wanted)
        if is_done(folder):
            console.skip(folder)
            return 0
    else:
        folder = claim(case, wanted)
    console.start(folder, vendor_detected=vendor_detected)
    changes = division(case, reference_case(choices, case.scale))
    return Engine(case=case, folder=folder, division=changes, console=console, forked=is_sweep).run()
