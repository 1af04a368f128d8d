"""Binds the names of the engine's packages to its own folder.

`python -m` searches the working directory first: a `models.py` or `conf/` that lies there would be taken for ours.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path

PACKAGES = ("conf", "hardware", "models")
"""The engine's packages beside `runner`."""
ROOT = Path(__file__).resolve().parents[2]


def claim_names() -> None:
    """Import the engine's top packages from the folder that this one came from.

    Raises:
        ImportError: one of the names was imported from elsewhere before, or is missing there.
    """
    for name in PACKAGES:
        if name not in sys.modules:
            _import(name)
        origin = getattr(sys.modules[name], "__file__", None)
        if origin is None or Path(origin).resolve().parents[1] != ROOT:
            raise ImportError(
                f"The package {name} was imported from {origin}, and Touchstone's own lies in {ROOT / name}. "
                "Another package has this name: take it out of PYTHONPATH, or start Touchstone in an environment "
                "without it.",
                name=name,
            )


def _import(name: str) -> None:
    spec = PathFinder.find_spec(name, [str(ROOT)])
    if spec is None or spec.loader is None:
        raise ImportError(f"Touchstone's installation in {ROOT} lacks its package {name}. Install it anew.", name=name)
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
