"""A task is its own file and its YAML: nothing else of the runner knows any task by name."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from case_samples import make_case
from pydantic import ValidationError

import hardware.packages
from runner.config.checks import check
from runner.config.plan import added_model
from runner.config.schema import NO_MODEL, Case, case_from_dict
from runner.core.errors import ConfigurationError
from runner.core.tasks import TASKS
from runner.record.names import FIGURES
from runner.record.task import figures_for, matches, task_named

ROOT = Path(__file__).parents[4]


@pytest.fixture
def dice(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package brings the task of `tests/support/dice.py`."""
    point = EntryPoint(name="dice", value="dice:Dice", group="touchstone.tasks")
    monkeypatch.setattr(hardware.packages, "_all", lambda: {"touchstone.tasks": (point,)})
    yield


def dice_case(**task: object) -> Case:
    values = make_case("inspect").to_dict()
    return case_from_dict(values | {"task": {"name": "dice", **task}, "model": None})


def compared(tree: ast.AST) -> Iterator[str]:
    """Text constants that a module compares something with, those inside tuples and sets included."""
    for node in ast.walk(tree):
        sides = [node.left, *node.comparators] if isinstance(node, ast.Compare) else []
        sides += [node.value] if isinstance(node, ast.MatchValue) else []
        for side in sides:
            parts = side.elts if isinstance(side, ast.Tuple | ast.List | ast.Set) else [side]
            yield from (one.value for one in parts if isinstance(one, ast.Constant) and isinstance(one.value, str))


def test_comparisons_are_found() -> None:
    tree = ast.parse('a.name == "one"\n"two" in b\nc not in ("three", 4)\nmatch d:\n    case "five": pass')
    assert sorted(compared(tree)) == ["five", "one", "three", "two"]


def test_nothing_outside_the_tasks_compares_with_a_tasks_name() -> None:
    names = set(TASKS.names(outside=False))
    assert names == {"train", "converge", "infer", "inspect"}
    paths = [path for path in (ROOT / "runner").rglob("*.py") if path.parent != ROOT / "runner" / "tasks"]
    found = {str(path): bad for path in paths if (bad := set(compared(ast.parse(path.read_text()))) & names)}
    assert len(paths) > 50 and not found


@pytest.mark.parametrize("name", ["train", "converge", "infer", "inspect"])
def test_every_pattern_of_a_task_names_a_figure(name: str) -> None:
    task = task_named(name)
    assert task is not None and task.name == name
    names = task.figure_names(["top1"])
    for pattern in (*task.figures, *task.headline):
        assert any(matches(figure, [pattern.removeprefix("!")]) for figure in names), pattern
    assert {figure for figure in FIGURES if task.on_first_screen(figure)} <= set(names)


def test_the_last_pattern_that_fits_decides() -> None:
    patterns = ("quality/*", "!quality/target")
    assert matches("quality/top1", patterns)
    assert not matches("quality/target", patterns) and not matches("time/e2e_s", patterns)


def test_options_belong_to_one_task() -> None:
    converge = make_case("converge").to_dict()
    assert converge["task"] == {"name": "converge", "segment_s": 10.0}
    assert case_from_dict(converge | {"task": {"name": "converge", "segment_s": 3}}).to_dict()["task"]["segment_s"] == 3
    with pytest.raises(ValidationError, match=r"task\.segment_s"):
        case_from_dict(converge | {"task": {"name": "train", "segment_s": 3}})
    with pytest.raises(ValidationError, match=r"no task is called convrge\. Did you mean converge\?"):
        case_from_dict(converge | {"task": {"name": "convrge"}})


@pytest.mark.parametrize(
    ("task", "needed"), [("train", "train"), ("converge", "train"), ("infer", "infer"), ("inspect", "train or infer")]
)
def test_a_model_without_the_section_is_refused(task: str, needed: str) -> None:
    case = make_case(task)
    with pytest.raises(ConfigurationError, match=f"has no section {needed}:, and task={task} needs it") as caught:
        check(replace(case, model=replace(case.model, train=None, infer=None)))
    assert caught.value.exit_code == 2


def test_a_task_of_a_package_has_its_own_options_and_figures(dice: None) -> None:
    case = dice_case(rolls=7)
    assert case.name == "dice_reference_fp32_cpu" and not case.has_model and case.model is NO_MODEL
    assert case.to_dict()["task"] == {"name": "dice", "rolls": 7} and case.to_dict()["model"] is None
    assert case_from_dict(case.to_dict()) == case
    assert figures_for("dice", ["top1"]) == ["dice/sum"]
    assert "dice/sum" not in figures_for("train")
    check(case)
    with pytest.raises(ValidationError, match=r"task\.rolls"):
        dice_case(rolls=0)


def test_only_a_task_that_runs_no_model_goes_without_one(dice: None) -> None:
    values = make_case("train").to_dict()
    with pytest.raises(ValidationError, match="task=train needs a model"):
        case_from_dict(values | {"model": None})
    with pytest.raises(ValidationError, match="task=dice runs no model: leave model=bert out"):
        case_from_dict(values | {"task": {"name": "dice"}})
    assert added_model(["task=dice", "vendor=cpu"]) == ["model=none"]
    assert added_model(["task=dice", "model=bert"]) == [] == added_model(["task=train"]) == added_model(["task=nope"])


def test_what_a_report_of_an_unknown_task_holds_is_not_guessed() -> None:
    assert task_named("dice") is None and task_named(None) is None and figures_for("dice") == []


def test_the_tasks_import_nothing_heavy() -> None:
    code = (
        "import sys\nfrom runner.core.tasks import TASKS\n[TASKS.find(name) for name in TASKS.names()]\n"
        "print([name for name in ('torch', 'pytorch_lightning', 'mlflow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"
