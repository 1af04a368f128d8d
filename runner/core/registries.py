"""Where the names of choices lead. Strings alone: nothing is imported until it is asked for.

What `conf/` offers of a group has a module of the same name in or below the folder of its kind, and in it a class of
the same name: `conf/framework/pytorch.yaml` is done by `runner.frameworks.lightning.pytorch.Pytorch`.
"""

from __future__ import annotations

from hardware.child import ROOT
from hardware.packages import ENGINES as ENGINE_POINTS
from hardware.packages import FRAMEWORKS as FRAMEWORK_POINTS
from hardware.packages import LAUNCHERS as LAUNCHER_POINTS
from hardware.packages import MODELS as MODEL_POINTS
from hardware.registry import Registry
from runner.core import packages


def shipped(group: str, package: str) -> dict[str, str]:
    """The choices that `conf/` has of a group, each to the class of its name in a module below a package."""
    root = ROOT.joinpath(*package.split("."))
    modules = {path.stem: ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in root.rglob("*.py")}
    names = packages.choices(group, outside=False)
    return {name: f"{modules.get(name, f'{package}.{name}')}:{name.title().replace('_', '')}" for name in names}


FRAMEWORKS = Registry(
    kind="framework",
    group=FRAMEWORK_POINTS,
    base="runner.frameworks.base:Framework",
    built_in=shipped("framework", "runner.frameworks"),
)
ENGINES = Registry(
    kind="compiler",
    group=ENGINE_POINTS,
    base="hardware.engines.base:Engine",
    built_in=shipped("compiler", "hardware.engines"),
)
LAUNCHERS = Registry(
    kind="launcher",
    group=LAUNCHER_POINTS,
    base="runner.launchers.base:Launcher",
    built_in=shipped("launcher", "runner.launchers"),
)
"""How ranks come to their nodes."""
MODELS = Registry(kind="model's class", group=MODEL_POINTS, base="models.contract:Model")
"""Classes of installed packages by name; those of this tree are named by their dotted paths."""
