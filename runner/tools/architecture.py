"""`python -m runner.tools.architecture`: the picture in docs/architecture.md, made from the imports.

Each folder of Python files is a box; an arrow says that a module of one imports a module of the other. The test of the
structure reads the same graph and refuses circles.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("runner", "models", "hardware")
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- picture:begin -->", "<!-- picture:end -->"

Graph = dict[str, set[str]]
"""Each node with the nodes it imports."""


def module_name(path: Path, root: Path = ROOT) -> str:
    """Dotted name of a module; a package's `__init__` has the package's name."""
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def imported_modules(path: Path, known: set[str]) -> set[str]:
    """Modules among `known` that a module imports anywhere in its text, also inside functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            submodules = {f"{node.module}.{alias.name}" for alias in node.names} & known
            found |= submodules or {node.module}
    return found & known


def module_graph(root: Path = ROOT) -> Graph:
    """Every module of the project with the modules of the project that it imports."""
    paths = {module_name(path, root): path for package in PACKAGES for path in (root / package).rglob("*.py")}
    return {name: imported_modules(path, set(paths)) - {name} for name, path in sorted(paths.items())}


def folder_graph(modules: Mapping[str, set[str]], packages: set[str]) -> Graph:
    """The same between folders; a module that lies directly in `runner`, `models` or `hardware` stands for itself.

    Args:
        modules: as `module_graph` gives it.
        packages: those of its names that are packages.
    """

    def folder(module: str) -> str:
        parent = module if module in packages else module.rpartition(".")[0]
        return module if parent in PACKAGES else parent

    graph: Graph = {}
    for module, imported in modules.items():
        arrows = graph.setdefault(folder(module), set())
        arrows |= {folder(target) for target in imported} - {folder(module), *PACKAGES}
    return graph


def packages_of(root: Path = ROOT) -> set[str]:
    """Dotted names of the project's packages."""
    return {module_name(path, root) for package in PACKAGES for path in (root / package).rglob("__init__.py")}


def picture(graph: Graph) -> str:
    """The folders as a Mermaid flow chart, two levels deep; single modules at the top of a package are left out."""
    boxes: dict[str, set[str]] = {}
    arrows: set[tuple[str, str]] = set()
    shown = {_box(name) for name in graph if name not in PACKAGES and not _is_module(name)}
    for name, targets in graph.items():
        box = _box(name)
        if box not in shown:
            continue
        boxes.setdefault(box.partition(".")[0], set()).add(box)
        arrows |= {(box, _box(target)) for target in targets if _box(target) in shown and _box(target) != box}
    lines = ["flowchart LR"]
    for package, members in sorted(boxes.items()):
        lines += [f"  subgraph {package}", *(f'    {_id(name)}["{name}"]' for name in sorted(members)), "  end"]
    lines += [f"  {_id(one)} --> {_id(other)}" for one, other in sorted(_reduced(arrows))]
    return "\n".join(lines)


def _reduced(arrows: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Without the arrows that a longer way says already: the picture stays readable, the order is the same."""
    targets: dict[str, set[str]] = {}
    for one, other in arrows:
        targets.setdefault(one, set()).add(other)

    def reachable(start: str, seen: set[str]) -> set[str]:
        for target in targets.get(start, set()) - seen:
            seen.add(target)
            reachable(target, seen)
        return seen

    return {
        (one, other)
        for one, other in arrows
        if not any(other in reachable(way, {way}) for way in targets[one] - {other})
    }


def _is_module(name: str) -> bool:
    return not (ROOT / Path(*name.split("."))).is_dir()


def _box(name: str) -> str:
    return ".".join(name.split(".")[:2])


def _id(name: str) -> str:
    return name.replace(".", "_")


def with_picture(text: str, drawing: str) -> str:
    """The page with the picture between its two markers."""
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n```mermaid\n{drawing}\n```\n{END}{after}"


def parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    made = argparse.ArgumentParser(prog="python -m runner.tools.architecture", description=__doc__)
    made.add_argument("--write", action="store_true", help=f"write it into {PAGE.relative_to(ROOT)}")
    return made


def main(argv: list[str] | None = None) -> int:
    """Draw the picture into the page, or print it."""
    options = parser().parse_args(argv)
    drawing = picture(folder_graph(module_graph(), packages_of()))
    if options.write:
        PAGE.write_text(with_picture(PAGE.read_text(encoding="utf-8"), drawing), encoding="utf-8")
    else:
        sys.stdout.write(drawing + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
