"""From Hydra's configuration to a typed case, and to the reference composition it is compared with."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from runner.config import resolvers
from runner.config.schema import Case, case_from_dict
from runner.core import packages
from runner.core.errors import ConfigurationError

NOT_CHOSEN = ("hydra", "tuning")
"""Sections whose choice, where they have one, a reference composition does not take over."""
REFERENCE_VENDOR = "cpu"
"""The vendor of a reference composition where none is named."""


def to_case(config: DictConfig) -> Case:
    """Validate a composed configuration.

    Raises:
        pydantic.ValidationError: a value has the wrong type or range; names its key.
    """
    return case_from_dict(plain_values(config))


def plain_values(config: DictConfig) -> dict[str, Any]:
    """A composed case as plain values, not yet checked.

    Raises:
        omegaconf.errors.OmegaConfBaseException: a value is missing, or refers to one that is.
    """
    sections = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    values = OmegaConf.to_container(sections, resolve=True, throw_on_missing=True)
    assert isinstance(values, dict)
    values.pop("weights", None)  # a short name of `model.weights`, which refers to it
    train = (values["model"] or {}).get("train")
    if train is not None and "optimizer" not in train:  # what every model shares, and nothing of this one's
        values["model"]["train"] = None
    infer = (values["model"] or {}).get("infer")
    if infer is not None and "batch_size" not in infer:
        values["model"]["infer"] = None
    return {str(key): value for key, value in values.items()}


def compose_with_engine(overrides: Sequence[str]) -> DictConfig:
    """Compose a case together with Hydra's own section, which says where it runs.

    Raises:
        ConfigurationError: a search path leads nowhere, or a file cannot be read.
        hydra.errors.HydraException: a group, a choice or a key that there is not.
    """
    with warnings.catch_warnings(), naming_broken_files():
        warnings.filterwarnings("error", message=".* is not available", category=UserWarning)
        try:
            return compose("config", overrides=list(overrides), return_hydra_config=True)
        except UserWarning as warning:
            place = str(warning).partition("path=")[2].removesuffix(" is not available.")
            raise ConfigurationError(
                f"hydra.searchpath: there is no {place}. A folder is file:///PATH, an installed package pkg://NAME."
            ) from warning


@contextmanager
def naming_broken_files() -> Iterator[None]:
    """Say which file of configuration cannot be read, and where.

    Raises:
        ConfigurationError: one is no YAML.
    """
    try:
        yield
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{mark.name}, line {mark.line + 1}" if mark else "A file of configuration"
        raise ConfigurationError(f"{place}: this is no YAML: {error.problem or error.context}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        broken = next(filter(_is_no_text, packages.added_files()), "A file of configuration")
        raise ConfigurationError(f"{broken}: this is no text in UTF-8, as YAML is.") from error


def _is_no_text(path: Path) -> bool:
    try:
        yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError):
        return True
    return False


def reference_case(choices: dict[str, Any], scale: str, search_path: Sequence[str] = ()) -> Case:
    """The same choices with no vendor tuning and no value changed.

    Args:
        choices: group to choice; without a vendor it is `REFERENCE_VENDOR`.
        scale: `reference` or `tiny`.
        search_path: further places of configuration, as `hydra.searchpath` gave them.
    """
    chosen = {"vendor": REFERENCE_VENDOR} | {group: choice for group, choice in choices.items() if "/" not in group}
    overrides = [f"{group}={choice}" for group, choice in chosen.items() if group not in NOT_CHOSEN]
    overrides += ["data.root=null"] if choices["data"] == "dataset" else []
    overrides += [f"hydra.searchpath=[{','.join(search_path)}]"] if search_path else []
    return to_case(compose("config", overrides=[*overrides, "~tuning", f"scale={scale}"]))


def tuning_in_use(choices: Mapping[str, Any]) -> str | None:
    """The file of `conf/tuning` that a composed case took values from, `vendor/model`; None where there is none.

    Hydra names the optional choice whether its file exists or not.
    """
    chosen = choices.get("tuning")
    if not chosen or not GlobalHydra.instance().is_initialized():
        return None
    folder, _, name = str(chosen).rpartition("/")
    return str(chosen) if name in GlobalHydra.instance().config_loader().get_group_options(f"tuning/{folder}") else None


@contextmanager
def composing() -> Iterator[None]:
    """Hydra ready to compose: the command line's where there is one, else for as long as this lasts."""
    if GlobalHydra.instance().is_initialized():
        yield
        return
    resolvers.register()
    with initialize_config_module("conf", version_base="1.3"):
        yield
