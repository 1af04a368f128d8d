"""The house stands as drawn: imports go one way, models know no vendor, modules stay small."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FORBIDDEN = {"models": {"runner", "hardware"}, "hardware": {"runner", "models"}, "runner": {"tests", "benchmarks"}}
LONGEST = 300


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_go_one_way(package: str) -> None:
    wrong = {str(path): bad for path in modules(package) if (bad := imported(path) & FORBIDDEN[package])}
    assert modules(package) and not wrong


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported_modules(path: Path, known: set[str]) -> set[str]:
    """Modules of the house that a module imports anywhere in its text, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            submodules = {f"{node.module}.{alias.name}" for alias in node.names} & known
            found |= submodules or {node.module}
    return found & known


def test_no_modules_import_each_other_in_a_circle() -> None:
    paths = {module_name(path): path for package in FORBIDDEN for path in modules(package)}
    graph = {name: imported_modules(path, set(paths)) - {name} for name, path in paths.items()}
    assert sum(map(len, graph.values())) > len(paths), "the imports were read"
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize("word", ["cuda", "nvidia", "kunlunxin", "musa", "npu", "mlu", "xpu"])
def test_models_know_no_vendor(word: str) -> None:
    naming = [
        str(path)
        for path in modules("models")
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Name) and node.id == word)
        or (isinstance(node, ast.Attribute) and node.attr == word)
        or (isinstance(node, ast.Constant) and node.value == word)
    ]
    assert not naming


@pytest.mark.parametrize("package", FORBIDDEN)
def test_modules_stay_small(package: str) -> None:
    lengths = {str(path): len(path.read_text().splitlines()) for path in modules(package)}
    assert not {path: length for path, length in lengths.items() if length > LONGEST}


def test_yaml_leaves_stay_short() -> None:
    leaves = list((ROOT / "conf").glob("*/*.yaml"))
    assert leaves
    assert not {str(leaf) for leaf in leaves if len(leaf.read_text().splitlines()) > 44}


def test_models_know_no_trainer() -> None:
    knowing = {str(path) for path in modules("models") if imported(path) & {"pytorch_lightning", "lightning"}}
    assert not knowing
