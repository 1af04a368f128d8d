"""Frameworks, compilers and data sets, those of installed packages included: what there is, and what works here."""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from models.datasets.catalogue import dataset_names, find_dataset
from runner.config.known import workable
from runner.core import packages

Row = tuple[str, str, str]


def choice_rows() -> list[Row]:
    """What is written, what it is, and whether it works here or who uses it."""
    return [*_frameworks_and_compilers(), *_datasets()]


def _frameworks_and_compilers() -> Iterator[Row]:
    for choice, missing in workable().items():
        group, _, name = choice.partition("=")
        path = packages.leaf(group, name)
        first = "" if path is None else path.read_text().partition("\n")[0]
        what = first.removeprefix("# ").rstrip(".") if first.startswith("# ") else ""
        yield f"`{choice}`", what, "usable here" if missing is None else f"not usable here: {missing}"


def _datasets() -> Iterator[Row]:
    users: dict[str, list[str]] = {}
    for model in packages.choices("model"):
        path = packages.leaf("model", model)
        named = None if path is None else yaml.safe_load(path.read_text()).get("dataset")
        if isinstance(named, str):
            users.setdefault(named, []).append(f"`model={model}`")
    for name in dataset_names():
        yield f"`dataset: {name}`", find_dataset(name).title, f"read by {', '.join(users.get(name, ['no model']))}"
