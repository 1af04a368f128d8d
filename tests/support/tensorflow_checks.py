"""Checks that need TensorFlow, in a process of their own: `tensorflow_checks.py GROUP` prints their results as JSON."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"
if find_spec("triton") is not None:  # before TensorFlow, as the device imports it
    import_module("triton._C.libtriton")

from tensorflow_graph_checks import probed, traces, waited
from tensorflow_port_checks import refused, same_network, sizes, there_and_back, types
from tensorflow_step_checks import accumulated, left_out, momentum_of_another_rate, rules, scale_rule, strategy
from tensorflow_stepper_checks import stepper

GROUPS: dict[str, tuple[Callable[[], Any], ...]] = {
    "port": (same_network, sizes, there_and_back, types, refused),
    "step": (rules, momentum_of_another_rate, scale_rule, left_out, accumulated, traces, probed),
    "device": (waited,),
    "stepper": (stepper,),
    "strategy": (strategy,),
}


def main(group: str) -> None:
    """Every check of a group, also after one that failed."""
    found: dict[str, Any] = {}
    for check in GROUPS[group]:
        try:
            found[check.__name__] = check()
        except Exception:  # noqa: BLE001 -- what it was is for the test to show
            found[check.__name__] = {"error": traceback.format_exc()[-3000:]}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
