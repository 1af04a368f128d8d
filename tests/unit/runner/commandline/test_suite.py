"""`suite=`: what it stands for, and what goes before it."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.commandline import suite
from runner.commandline.arguments import read_arguments
from runner.commandline.suite import expanded, load_suite
from runner.config.compose import composing
from runner.core import packages
from runner.core.errors import ConfigurationError

LINES = "cases: ['model=bert precision=fp16,bf16', 'model=gpt2 model.train.batch_size=2']"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A suite `own` on the search path."""
    monkeypatch.setattr(packages, "named", [tmp_path])
    path = tmp_path / "suite" / "own.yaml"
    path.parent.mkdir()
    path.write_text(f"name: own\ntitle: Our own\n{LINES}\n")
    return path


def cases(*words: str) -> list[tuple[str, ...]]:
    with composing():
        return list(expanded(read_arguments(["-m", *words])))


def test_a_suite_is_its_cases(own: Path) -> None:
    assert cases("suite=own", "scale=tiny") == [
        ("model=bert", "precision=fp16", "scale=tiny"),
        ("model=bert", "precision=bf16", "scale=tiny"),
        ("model=gpt2", "model.train.batch_size=2", "scale=tiny"),
    ]


def test_what_is_typed_goes_before_what_the_suite_says(own: Path) -> None:
    assert cases("precision=fp32", "suite=own", "seed=1,2") == [
        ("model=bert", "precision=fp32", "seed=1"),
        ("model=bert", "precision=fp32", "seed=2"),
        ("model=gpt2", "model.train.batch_size=2", "precision=fp32", "seed=1"),
        ("model=gpt2", "model.train.batch_size=2", "precision=fp32", "seed=2"),
    ]


def test_several_suites_run_one_after_another(own: Path) -> None:
    (own.parent / "other.yaml").write_text("name: other\ntitle: Other\ncases: [model=resnet50]\n")
    assert cases("suite=other,own")[0] == ("model=resnet50",) and len(cases("suite=other,own")) == 4


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: own\ntitle: t\ncases: []\n", "names no case"),
        ("name: own\ntitle: t\ncase: [model=bert]\n", "case"),
        ("name: own\ntitle: t\ncases: model=bert\n", "cases"),
        ("- a\n- b\n", "name, title and cases"),
        ("name: own\ntitle: t\ncases: [model=bert precision]\n", "precision"),
    ],
)
def test_a_wrong_file_is_named(own: Path, text: str, told: str) -> None:
    own.write_text(text)
    with pytest.raises(ConfigurationError, match=told):
        cases("suite=own")


def test_every_suite_names_models_that_there_are() -> None:
    models = set(packages.choices("model", outside=False))
    named = {
        word.partition("=")[2]
        for name in packages.choices(suite.GROUP, outside=False)
        for line in load_suite(name).lines
        for word in line.split()
        if word.startswith("model=")
    }
    assert {model for models_of_line in named for model in models_of_line.split(",")} <= models
