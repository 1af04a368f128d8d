"""What a case lacks in this interpreter: asked by a parent that runs in another, in JSON on standard input.

Imports no framework: they are looked for alone.
"""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from typing import Any

from pydantic import TypeAdapter

from hardware.device import load_device
from hardware.packages import installed_version
from hardware.spec import VendorSpec
from runner.config.known import engine_of
from runner.config.schema import Compiler
from runner.core.registries import FRAMEWORKS
from runner.interpreters.distributions import distributions_of

NEEDED = ("torch", "torchmetrics", "psutil", "numpy")
"""What a rank needs in whatever framework: the original, its metrics, and the measuring core."""


def answers(question: dict[str, Any]) -> dict[str, Any]:
    """What is missing for a case, by who needs it; None: nothing.

    Args:
        question: `framework` by name; of a case `compiler` and `vendor` as it has them, `emulate`, `has_model`.
    """
    framework = FRAMEWORKS.find(question["framework"])
    absent = [name for name in NEEDED if find_spec(name) is None]
    own = f"the engine's own packages {', '.join(absent)} are not installed" if absent else None
    names = distributions_of(question["framework"])
    return {
        "framework": own or framework.unavailable_reason(),
        "compiler": _compiler(question["compiler"]) if "compiler" in question else None,
        "device": _device(question, framework.runtime) if "vendor" in question else None,
        "packages": {name: found for name in names if (found := installed_version(name))},
    }


def _compiler(values: dict[str, Any]) -> str | None:
    return engine_of(TypeAdapter(Compiler).validate_python(values)).unavailable_reason()


def _device(question: dict[str, Any], runtime: str | None) -> str | None:
    vendor = TypeAdapter(VendorSpec).validate_python(question["vendor"])
    runtime = runtime if question["has_model"] else None
    return load_device(vendor, emulate=question["emulate"], runtime=runtime).unavailable_reason()


def main() -> int:
    """Answer one question."""
    sys.stdout.write(json.dumps(answers(json.load(sys.stdin))) + "\n")
    return 0
