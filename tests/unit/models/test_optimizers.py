"""Parameter groups: who gets which learning rate and weight decay."""

from __future__ import annotations

import pytest
from torch import nn

from models.optimizers import build_optimizer, parameter_groups
from models.training import Optimizer, ParameterGroup


def network() -> nn.Module:
    return nn.ModuleDict({"backbone": nn.Linear(2, 3), "head": nn.Linear(3, 1)})


def told(recipe: Optimizer) -> list[tuple[list[tuple[int, ...]], float, float]]:
    groups = parameter_groups(recipe, network().named_parameters())
    return [([tuple(p.shape) for p in group["params"]], group["lr"], group["weight_decay"]) for group in groups]


def test_vectors_are_not_decayed_unless_all_are() -> None:
    assert told(Optimizer(name="sgd", lr=0.1, weight_decay=0.5)) == [
        ([(3, 2), (1, 3)], 0.1, 0.5),
        ([(3,), (1,)], 0.1, 0.0),
    ]
    assert told(Optimizer(name="sgd", lr=0.1, weight_decay=0.5, decay="all")) == [
        ([(3, 2), (3,), (1, 3), (1,)], 0.1, 0.5)
    ]


def test_a_group_has_its_own_rate_and_decay_and_the_first_one_of_all_is_the_recipes() -> None:
    slow = ParameterGroup(match=("backbone.*",), lr_ratio=0.1, weight_decay=0.25)
    recipe = Optimizer(name="adamw", lr=0.1, weight_decay=0.5, decay="all", groups=(slow,))
    assert told(recipe) == [([(1, 3), (1,)], 0.1, 0.5), ([(3, 2), (3,)], pytest.approx(0.01), 0.25)]
    built = build_optimizer(recipe, network().named_parameters())
    assert [group["lr"] for group in built.param_groups] == pytest.approx([0.1, 0.01])


def test_a_rate_of_nothing_leaves_the_parameters_out() -> None:
    frozen = ParameterGroup(match=("backbone.*",), lr_ratio=0)
    assert told(Optimizer(name="sgd", lr=0.1, decay="all", groups=(frozen,))) == [([(1, 3), (1,)], 0.1, 0.0)]


def test_a_group_that_matches_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no parameter is called trunk"):
        told(Optimizer(name="sgd", lr=0.1, groups=(ParameterGroup(match=("trunk.*",)),)))


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "lamb", "adafactor", "rmsprop", "adagrad"])
def test_every_optimizer_takes_a_step(name: str) -> None:
    model = nn.Linear(4, 4)
    optimizer = build_optimizer(Optimizer(name=name, lr=0.1), model.named_parameters())  # type: ignore[arg-type]
    before = model.weight.detach().clone()
    model(model.weight.detach()).square().sum().backward()
    optimizer.step()
    assert not model.weight.equal(before)
