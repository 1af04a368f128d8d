"""The settings of Hydra's launcher as each case of a sweep composes them: they must be the same for all.

Hydra takes its launcher from the command line before it composes any case, and says nothing where a case's own files
name another one (hydra issue 3231). Here that is an error.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from runner.commandline.quoting import without_secrets
from runner.core.errors import ConfigurationError

TARGET = "_target_"
BASIC_TARGET = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
OF_THE_SWEEP = {"submitit_folder": "${hydra.sweep.dir}/.submitit/%j", "name": "${hydra.job.name}"}
"""Settings that refer, as shipped, to what only the sweep knows once it has its folder."""


def launcher_settings(config: DictConfig) -> dict[str, Any]:
    """What a composed case says of the launcher, as plain values; those of `OF_THE_SWEEP` are left as they are.

    A setting may refer to the case: `hydra.launcher.gpus_per_node=${topology.devices}`.

    Raises:
        ConfigurationError: one refers to something that is not there.
    """
    section = config.hydra.launcher
    found = OmegaConf.to_container(section, resolve=False)
    assert isinstance(found, dict)
    open_ends = {key: value for key, value in OF_THE_SWEEP.items() if found.get(key) == value}
    resolved: dict[str, Any] = {}
    for key in found:
        try:
            value = found[key] if key in open_ends else section[key]
        except OmegaConfBaseException as error:
            raise ConfigurationError(f"hydra.launcher.{key!s}={found[key]!s}: {str(error).splitlines()[0]}.") from error
        resolved[str(key)] = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    return resolved


def check_own_launcher(said: str, config: DictConfig) -> None:
    """Refuse a case whose own files name a launcher, whatever the command line says of it.

    Args:
        said: what the case is composed from.
        config: it, composed without the command line's launcher.

    Raises:
        ConfigurationError: they do.
    """
    target = launcher_settings(config).get(TARGET)
    if target != BASIC_TARGET:
        raise ConfigurationError(
            f"The case {without_secrets(said)} names a launcher of Hydra's in its own files ({target}), which Hydra "
            "ignores. A sweep has one launcher for all its cases: take it out there, and give hydra/launcher=NAME on "
            "the command line."
        )


def check_one_launcher(cases: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Refuse cases that would each have their own launcher.

    Args:
        cases: what each is composed from, and its settings of the launcher.

    Raises:
        ConfigurationError: two cases differ.
    """
    for said, settings in cases:
        first = cases[0][1]
        different = sorted(key for key in {*settings, *first} if settings.get(key) != first.get(key))
        if different:
            key = different[0]
            raise ConfigurationError(
                f"hydra.launcher.{key} is {first.get(key)} for the case {without_secrets(cases[0][0])} and "
                f"{settings.get(key)} for the case {without_secrets(said)}. Hydra has one launcher for all cases of a "
                "sweep and would take one of the two without a word: make it several sweeps."
            )
