"""The declaration of a meter in docs/adding.md, with its tool played by a script."""

import re
from pathlib import Path

import pytest
from played_tool import play
from smi_cases import device

from hardware.meters.frame.smi import SmiMeter

PAGE = (Path(__file__).parents[5] / "docs/adding.md").read_text()
TABLE = (
    "id, uuid, bus, power [mW], temp [C], used [MiB]\n"
    "0, A-0, 0000:1a:00.0, 57250, 41, 512\n"
    "1, A-1, 0000:3b:00.0, 1000500, -, 0\n"
)


@pytest.mark.parametrize("pattern", ['"--query power,temp,used --csv"', "--csv"], ids=["newer", "older"])
def test_the_documented_meter_reads_its_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pattern: str) -> None:
    source = re.search(r"```python\n(# acme_bench/smi\.py\n.*?)```", PAGE, re.DOTALL)
    assert source
    made: dict[str, type[SmiMeter]] = {}
    exec(source[1], made)
    play(tmp_path, monkeypatch, "acme-smi").says((pattern, TABLE))
    meter = made["AcmeSmi"]()
    meter.open([device("0000:1a:00.0"), device("0000:3b:00.0", index=1)])
    first, second = meter.read()
    assert (first.power_w, first.temperature_c, first.memory_used_bytes, first.raw) == (57.25, 41.0, 512 << 20, None)
    assert (second.power_w, second.temperature_c, second.raw) == (None, None, "power [mW]: 1000500")
