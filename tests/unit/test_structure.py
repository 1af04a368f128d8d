"""The house stands as drawn: imports go one way, models know no vendor, modules stay small."""

from __future__ import annotations

import ast
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path
from statistics import median

import pytest

from runner.tools.architecture import folder_graph, module_graph, packages_of

ROOT = Path(__file__).parents[2]
FORBIDDEN = {"models": {"runner", "hardware"}, "hardware": {"runner", "models"}, "runner": {"tests", "benchmarks"}}
LONGEST = 300
USUAL = 110
"""Lines of the median module, at most."""
MOST_MODULES = 14
"""Of one folder."""
LONGEST_FUNCTION = 60


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imported(path: Path) -> set[str]:
    tree = tree_of(path)
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_go_one_way(package: str) -> None:
    wrong = {str(path): bad for path in modules(package) if (bad := imported(path) & FORBIDDEN[package])}
    assert modules(package) and not wrong


def test_no_folders_import_each_other_in_a_circle() -> None:
    graph = folder_graph(module_graph(), packages_of())
    assert sum(map(len, graph.values())) > len(graph), "the imports were read"
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_no_modules_import_each_other_in_a_circle() -> None:
    TopologicalSorter(module_graph()).prepare()


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


def test_folders_stay_small_and_modules_are_about_one_idea() -> None:
    paths = [path for package in FORBIDDEN for path in modules(package) if path.name != "__init__.py"]
    folders = Counter(path.parent for path in paths)
    assert not {folder: count for folder, count in folders.items() if count > MOST_MODULES}
    assert median(len(path.read_text().splitlines()) for path in paths) <= USUAL


def test_functions_fit_on_a_screen() -> None:
    nodes = ((path, node) for package in FORBIDDEN for path in modules(package) for node in ast.walk(tree_of(path)))
    functions = ((path, node) for path, node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    lengths = {f"{path}:{node.name}": (node.end_lineno or 0) - node.lineno + 1 for path, node in functions}
    assert lengths and not {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION}


def test_two_classes_never_share_a_name() -> None:
    places: dict[str, list[str]] = {}
    for package in (*FORBIDDEN, "benchmarks"):
        for path in modules(package):
            for node in ast.walk(tree_of(path)):
                if isinstance(node, ast.ClassDef):
                    places.setdefault(node.name, []).append(str(path))
    assert not {name: found for name, found in places.items() if len(found) > 1}


def test_yaml_leaves_stay_short() -> None:
    leaves = list((ROOT / "conf").glob("*/*.yaml"))
    assert leaves
    assert not {str(leaf) for leaf in leaves if len(leaf.read_text().splitlines()) > 44}


def test_models_know_no_trainer() -> None:
    knowing = {str(path) for path in modules("models") if imported(path) & {"pytorch_lightning", "lightning"}}
    assert not knowing
