"""docs/models.md names every optimizer, schedule and kind of batch, and its examples are valid."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent
from typing import Any, get_args, get_type_hints

import pytest
import yaml
from pydantic import TypeAdapter
from torch import nn

from models.optimizers import build_optimizer, parameter_groups
from models.schedules import rate_factor
from models.training import Batching, Optimizer, Regularisation, Schedule, Training

PAGE = (Path(__file__).parents[3] / "docs/models.md").read_text()
EXAMPLES = [dedent(block) for block in re.findall(r"(?:^    .*\n)+", PAGE, re.M)]


def rows(head: str) -> dict[str, list[str]]:
    """The rows of the table whose first column is headed so, by their first cell."""
    lines = PAGE[PAGE.index(f"| `{head}` |") :].splitlines()
    table = lines[2 : next((i for i, line in enumerate(lines) if not line.startswith("|")), len(lines))]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return {first.strip("`"): rest for first, *rest in cells}


def names(kind: Any, field: str) -> set[str]:
    return set(get_args(get_type_hints(kind)[field]))


@pytest.mark.parametrize(
    ("head", "known"),
    [
        ("optimizer.name", names(Optimizer, "name")),
        ("schedule.name", names(Schedule, "name")),
        ("batching.by", names(Batching, "by")),
        ("regularisation.", set(get_type_hints(Regularisation)) - {"__pydantic_config__"}),
    ],
)
def test_each_table_names_exactly_what_there_is(head: str, known: set[str]) -> None:
    assert set(rows(head)) == known


def test_the_options_of_each_optimizer_are_those_it_takes() -> None:
    """Each is built with every option that its row names."""
    values: dict[str, Any] = {"momentum": 0.9, "nesterov": True, "alpha": 0.9, "betas": [0.9, 0.99], "eps": 1e-6}
    for name, (_, options) in rows("optimizer.name").items():
        given = {option: values[option] for option in re.findall(r"`(\w+)`", options)}
        recipe = TypeAdapter(Optimizer).validate_python({"name": name, "lr": 0.1, **given})
        (group,) = build_optimizer(recipe, nn.Linear(2, 1, bias=False).named_parameters()).param_groups
        assert group["lr"] == 0.1
        assert {option: group[option] for option in given} == {
            option: tuple(value) if option == "betas" else value for option, value in given.items()
        }


def test_what_each_schedule_needs_is_what_is_refused_without_it() -> None:
    values = {"total": 10, "warmup": 2, "every": 3, "gamma": 0.5}
    for name, (_, needs) in rows("schedule.name").items():
        needed = re.findall(r"`(\w+)`", needs)
        whole = {"name": name, **{one: values[one] for one in needed}}
        assert 0 <= rate_factor(TypeAdapter(Schedule).validate_python(whole), 20) <= 1
        for one in needed:
            with pytest.raises(ValueError, match=rf"schedule\.{one} is needed"):
                TypeAdapter(Schedule).validate_python({key: value for key, value in whole.items() if key != one})


def test_the_examples_are_valid() -> None:
    section, groups = EXAMPLES
    section = re.sub(r"\$\{scale:(\w+),\w+\}", r"\1", section)
    training = TypeAdapter(Training).validate_python(yaml.safe_load(section)["train"])
    assert training.max_train_samples == 90 * training.epoch_samples
    recipe = TypeAdapter(Optimizer).validate_python(yaml.safe_load(groups)["optimizer"])
    network = nn.ModuleDict({"backbone": nn.Linear(1, 1), "stem": nn.Linear(1, 1), "head": nn.Linear(1, 1)})
    network["text"] = nn.ModuleDict({"embedding": nn.Embedding(1, 1)})
    found = {group["lr"]: group["weight_decay"] for group in parameter_groups(recipe, network.named_parameters())}
    assert found.keys() == {1.0e-4, 1.0e-5} and len(recipe.groups) == 3
