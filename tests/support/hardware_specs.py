"""The vendors and precisions of `conf/`, as the hardware package gets them."""

from pathlib import Path

import yaml
from pydantic import TypeAdapter

from hardware.spec import PrecisionSpec, VendorSpec

CONF = Path(__file__).parents[2] / "conf"


def vendor(name: str) -> VendorSpec:
    return TypeAdapter(VendorSpec).validate_python(yaml.safe_load((CONF / f"vendor/{name}.yaml").read_text()))


def precision(name: str) -> PrecisionSpec:
    return TypeAdapter(PrecisionSpec).validate_python(yaml.safe_load((CONF / f"precision/{name}.yaml").read_text()))
