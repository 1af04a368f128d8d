"""From Hydra's configuration to a typed case, and to the reference composition it is compared with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from runner import resolvers
from runner.schema import Case, case_from_dict

NOT_SECTIONS = ("hydra", "tuning")
REFERENCE_VENDOR = "cpu"
"""The vendor of a reference composition where none is named."""


def to_case(config: DictConfig) -> Case:
    """Validate a composed configuration.

    Raises:
        pydantic.ValidationError: a value has the wrong type or range; names its key.
    """
    values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(values, dict)
    return case_from_dict({str(key): value for key, value in values.items() if key not in NOT_SECTIONS})


def reference_case(choices: dict[str, Any], scale: str, search_path: Sequence[str] = ()) -> Case:
    """The same choices with no vendor tuning and no value changed.

    Args:
        choices: group to choice; without a vendor it is `REFERENCE_VENDOR`.
        scale: `reference` or `tiny`.
        search_path: further places of configuration, as `hydra.searchpath` gave them.
    """
    chosen = {"vendor": REFERENCE_VENDOR} | {group: choice for group, choice in choices.items() if "/" not in group}
    overrides = [f"{group}={choice}" for group, choice in chosen.items() if group not in NOT_SECTIONS]
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
