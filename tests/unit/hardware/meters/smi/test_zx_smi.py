"""Tencent's tool, played by a script that looks up its `-i`; the names of the columns are those that FlagPerf reads."""

from pathlib import Path

import pytest
from engine_tools import DATA, PlayedTool, device, opened

from hardware.meters.base import MeterUnavailableError
from hardware.meters.smi.zx_smi import ZxSmi

NAMED = (DATA / "zx_smi/named.txt").read_text()
BARE = (DATA / "zx_smi/no_units.txt").read_text()
FIRST, SECOND = device(number=0), device(number=1, index=1)


class Zx(PlayedTool):
    def answers(self, **cards: str) -> None:
        """`card0="..."` for `-i 0`; any other number is an error, and so is any other call."""
        for name, text in cards.items():
            self.script.with_name(f"{name}.txt").write_text(text)
        self.does(
            '[ "$1 $2 $3 $4 $6 $7" = "-dmon -s mp -i -c 1" ] || { echo "usage" >&2; exit 2; }\n'
            f'cat "{self.script.parent}/card$5.txt"'
        )


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Zx:
    played = Zx(tmp_path, monkeypatch, "zx-smi")
    played.answers(card0=NAMED, card1=NAMED.replace("    0     -   71     54", "    1     -   60     49"))
    return played


def test_each_card_is_asked_by_its_number(tool: Zx) -> None:
    second, first = opened(ZxSmi, [SECOND, FIRST]).read()
    assert (first.source, first.scope, first.power_w, first.temperature_c) == ("device-0", "device", 71.0, 54.0)
    assert (first.memory_used_bytes, first.energy_j, first.raw) == (4096 << 20, None, None)
    assert (second.source, second.power_w, second.temperature_c) == ("device-1", 60.0, 49.0)


def test_columns_in_another_order(tool: Zx) -> None:
    tool.answers(card0="# Mem%  MUsed  DTemp  Dev  Pwr\n# %  MiB  C  Idx  W\n  25  4096  54  0  71\n")
    reading = opened(ZxSmi, [FIRST]).read()[0]
    assert (reading.power_w, reading.temperature_c, reading.memory_used_bytes) == (71.0, 54.0, 4096 << 20)


@pytest.mark.parametrize(
    ("text", "power_w", "used"),
    [
        ("Dev Pwr(mW) DTemp MUsed(GiB)\n0 71500 54 2\n", 71.5, 2 << 30),
        ("Dev Pwr DTemp MUsed\n0 71W 54C 512MiB\n", 71.0, 512 << 20),
        ("| Dev | Pwr | DTemp | MUsed |\n| idx | mW | C | KiB |\n| 0 | 71000 | 54 | 2048 |\n", 71.0, 2048 << 10),
    ],
)
def test_units_come_from_the_heading_or_the_field(tool: Zx, text: str, power_w: float, used: int) -> None:
    tool.answers(card0=text)
    reading = opened(ZxSmi, [FIRST]).read()[0]
    assert (reading.power_w, reading.temperature_c, reading.memory_used_bytes) == (power_w, 54.0, used)


def test_memory_without_a_unit_is_not_guessed(tool: Zx) -> None:
    tool.answers(card0=BARE)
    reading = opened(ZxSmi, [FIRST]).read()[0]
    assert (reading.power_w, reading.temperature_c, reading.memory_used_bytes) == (38.0, 47.0, None)
    assert "512" in str(reading.raw)


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("   71 ", "   NA ", "power_w"),
        ("   71 ", "    0 ", "power_w"),
        ("   71 ", " 71000 ", "power_w"),
        ("    54 ", "     - ", "temperature_c"),
        ("    54 ", " 65535 ", "temperature_c"),
        ("   4096 ", "   N/A ", "memory_used_bytes"),
        ("   4096 ", "    -1 ", "memory_used_bytes"),
        ("DTemp", "GTemp", "temperature_c"),
        ("MUsed", "MFree", "memory_used_bytes"),
    ],
)
def test_what_is_not_understood_is_null_with_the_text(tool: Zx, old: str, new: str, name: str) -> None:
    meter = opened(ZxSmi, [FIRST])
    tool.answers(card0=NAMED.replace(old, new))
    reading = meter.read()[0]
    assert getattr(reading, name) is None and "Pwr" in str(reading.raw)
    others = {"power_w", "temperature_c", "memory_used_bytes"} - {name}
    assert all(getattr(reading, other) is not None for other in others)


@pytest.mark.parametrize(
    "text",
    [
        NAMED.replace("   71 ", "      "),  # a field less than names
        NAMED + "    0     -   73     54     51  1300  1600    16384   4096    25\n",  # two rows
        NAMED.replace("    0     - ", "    7     - "),  # another card's row
        NAMED.replace("MTemp", "Pwr"),  # one name twice
        "ERR\n",
    ],
)
def test_a_card_whose_row_is_not_understood_hides_no_other(tool: Zx, text: str) -> None:
    meter = opened(ZxSmi, [FIRST, SECOND])
    tool.answers(card0=text)
    bad, good = meter.read()
    assert (bad.power_w, bad.temperature_c, bad.memory_used_bytes) == (None, None, None) and bad.raw
    assert (good.power_w, good.raw) == (60.0, None)


def test_a_card_that_falls_off_the_bus(tool: Zx) -> None:
    meter = opened(ZxSmi, [FIRST, SECOND])
    tool.script.with_name("card0.txt").unlink()
    lost, alive = meter.read()
    assert (lost.power_w, alive.power_w) == (None, 60.0)
    assert "ended with 1" in str(lost.raw)
    tool.script.with_name("card1.txt").unlink()
    with pytest.raises(MeterUnavailableError, match=r"zx_smi: .* ended with 1"):
        meter.read()


def test_a_hanging_card_costs_one_timeout_and_the_rest_is_not_asked(tool: Zx) -> None:
    """Eight cards behind a driver that hangs would hold up the sampler for eight timeouts."""
    meter = opened(ZxSmi, [FIRST, SECOND], timeout_s=0.3)
    tool.does(f'echo "$5" >> "{tool.script.parent}/asked"; sleep 30')
    with pytest.raises(MeterUnavailableError, match="did not answer"):
        meter.read()
    assert tool.script.with_name("asked").read_text() == "0\n"
    tool.does(f'[ "$5" = 0 ] && cat "{tool.script.parent}/card0.txt" || sleep 30')
    alive, lost = meter.read()
    assert (alive.power_w, lost.power_w) == (71.0, None) and "did not answer" in str(lost.raw)


def test_a_card_without_a_number_is_refused(tool: Zx) -> None:
    with pytest.raises(MeterUnavailableError, match="no device has a number"):
        opened(ZxSmi, [device("0000:1a:00.0")])
    with pytest.raises(MeterUnavailableError, match="no device was named yet"):
        opened(ZxSmi, [])
