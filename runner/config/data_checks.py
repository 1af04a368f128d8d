"""Refuses data that is not there, before anything heavy is started."""

from __future__ import annotations

from pathlib import Path

from models.datasets.catalogue import find_dataset
from runner.config.schema import Case
from runner.config.task import Demands
from runner.core.errors import ConfigurationError, DataMissingError


def check_data(case: Case, task: Demands) -> None:
    """Look whether the data that a case asks for is there, as far as that is known without reading it.

    Raises:
        ConfigurationError: options that do not go together.
        DataMissingError: `data.root` is no folder, or lacks what the model's data set consists of.
    """
    data = case.data
    if data.name == "dataset":
        if case.model.dataset is None:
            raise ConfigurationError(f"model={case.model.name} has no real data set. Choose data=sample.")
        if data.root is None or not Path(data.root).expanduser().is_dir():
            raise DataMissingError(
                f"data.root={data.root} is not a folder. Give the folder that holds {case.model.data_source}."
            )
        if task.on_device:
            _check_layout(Path(data.root).expanduser(), case, task)
        if data.on_error == "skip" and task.trains and case.model.training.batching.by == "streams":
            raise ConfigurationError(
                f"model={case.model.name} reads one text on and on, and data.on_error=skip would leave holes in it. "
                "Mend the data, or leave data.on_error out."
            )
        return
    if data.on_error == "skip":
        raise ConfigurationError("data.on_error=skip belongs to data=dataset: other data has nothing that is damaged.")
    if data.root is not None:
        raise ConfigurationError(
            f"data.root has no effect with data={data.name}. Choose data=dataset, or leave data.root out."
        )


def _check_layout(root: Path, case: Case, task: Demands) -> None:
    """A first look: whether anything of what the data set consists of is there; the worker reads it."""
    assert case.model.dataset is not None
    entry = find_dataset(case.model.dataset)
    scored = entry.files if entry.evaluation_files is None else entry.evaluation_files
    missing = [one for one in (entry.files if task.trains else scored) if not _is_there(root, one)]
    if missing:
        raise DataMissingError(
            f"data.root={root} lacks {', '.join(one.replace('|', ' or ') for one in missing)}. "
            f"model={case.model.name} reads {case.model.data_source}; docs/data.md shows the layout."
        )


def _is_there(root: Path, needed: str) -> bool:
    """Whether one of the patterns, `a|b`, matches something below `root`; a folder that may not be read does not."""
    try:
        return any(next(root.glob(pattern), None) is not None for pattern in needed.split("|"))
    except OSError:
        return False
