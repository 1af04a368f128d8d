import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from hardware.bus.pci import find_pci, normal_pci, pci_address, pci_address_of_node
from hardware.meters.frame.fields import (
    BYTES,
    CELSIUS,
    JOULES,
    MEGAHERTZ,
    PERCENT,
    WATTS,
    boxed_lines,
    csv_rows,
    quantity,
    within,
)


@pytest.mark.parametrize(
    ("text", "units", "value"),
    [
        ("57W", WATTS, 57.0),
        (" 57.25 W ", WATTS, 57.25),
        ("86125 mW", WATTS, 86.125),
        ("0.5kW", WATTS, 500.0),
        ("31C", CELSIUS, 31.0),
        ("31 ℃", CELSIUS, 31.0),
        ("-4 °C", CELSIUS, -4.0),
        ("12 %", PERCENT, 0.12),
        ("40536MiB", BYTES, 40536 * 2.0**20),
        ("2GiB", BYTES, 2.0**31),
        ("1.2e3 MHz", MEGAHERTZ, 1200.0),
        ("1.5GHz", MEGAHERTZ, 1500.0),
        ("2 Wh", JOULES, 7200.0),
        ("0W", WATTS, 0.0),
    ],
)
def test_a_number_with_its_unit(text: str, units: dict[str, float], value: float) -> None:
    assert quantity(text, units) == pytest.approx(value)


@pytest.mark.parametrize(
    "text", [None, "", "NA", "N/A", "-", "[Not Supported]", "57", "57 C", "57 W x", "0x39 W", "inf W", "nan W", "1,5 W"]
)
def test_anything_else_is_null(text: str | None) -> None:
    assert quantity(text, WATTS) is None


def test_a_bare_number_has_the_unit_of_its_header() -> None:
    assert quantity("57", WATTS, bare=0.001) == pytest.approx(0.057)
    assert quantity("57 W", WATTS, bare=0.001) == 57.0, "a unit beside the number says more than the header"
    assert quantity("57 C", WATTS, bare=1.0) is None
    assert quantity("9" * 400, WATTS, bare=1.0) is None, "more than a float holds"


def test_a_unit_of_two_meanings_is_none() -> None:
    assert quantity("40536 MB", BYTES) is None, "10^6 for some tools, 2^20 for others"


def test_within_keeps_what_is_possible() -> None:
    assert within(40.0, 0.0, 150.0) == 40.0
    assert within(0.0, 0.0, 150.0) == 0.0
    assert within(65535.0, 0.0, 150.0) is None
    assert within(None, 0.0, 150.0) is None


def test_rows_with_commas_by_the_names_in_the_header() -> None:
    text = 'index, name, power [W]\n0, "A, B", 57.1\n1, C\n2, D, 58.2\n'
    assert csv_rows(text) == [
        {"index": "0", "name": "A, B", "power [W]": "57.1"},
        {"index": "2", "name": "D", "power [W]": "58.2"},
    ]
    assert csv_rows("") == []


def test_cells_and_words_of_a_drawn_table() -> None:
    text = "+---+---+\n| NPU  Name | Power(W) |\n+===+===+\n| 0  910B  |  |\nno table | here\n"
    assert list(boxed_lines(text)) == [[["NPU", "Name"], ["Power(W)"]], [["0", "910B"], []]]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("GPU 00000000:2A:00.0 on", "0000:2a:00.0"),
        ("bus=1a:00.0;", "0000:1a:00.0"),
        ("0001:9d:00.1", "0001:9d:00.1"),
        ("at 12:30:45", None),
        ("2a:00.9", None),
        ("aa:bb:cc:dd:2a:00.0", None),
        ("", None),
    ],
)
def test_an_address_inside_a_text(text: str, found: str | None) -> None:
    assert find_pci(text) == found


def test_an_address_alone() -> None:
    assert normal_pci(" 00000000:2A:00.0 ") == "0000:2a:00.0"
    assert normal_pci("0000:2a:00.0 x") is None
    assert normal_pci("NA") is None


def test_an_address_in_torchs_properties() -> None:
    known = SimpleNamespace(pci_domain_id=1, pci_bus_id=0x9D, pci_device_id=2)
    assert pci_address(known) == "0001:9d:02.0"
    assert pci_address(SimpleNamespace(pci_domain_id=0, pci_bus_id=0, pci_device_id=0)) is None
    assert pci_address(SimpleNamespace(pci_bus_id="0000:9d:00.0")) is None
    assert pci_address(None) is None


def test_an_address_of_a_device_node(tmp_path: Path) -> None:
    null = Path("/dev/null").stat().st_rdev
    link = tmp_path / f"dev/char/{os.major(null)}:{os.minor(null)}"
    (tmp_path / "devices/0000:9d:00.0").mkdir(parents=True)
    assert pci_address_of_node(Path("/dev/null"), tmp_path) is None
    link.mkdir(parents=True)
    (link / "device").symlink_to(tmp_path / "devices/0000:9d:00.0")
    assert pci_address_of_node(Path("/dev/null"), tmp_path) == "0000:9d:00.0"
    assert pci_address_of_node(tmp_path / "nowhere", tmp_path) is None
    (tmp_path / "davinci0").touch()
    assert pci_address_of_node(tmp_path / "davinci0", tmp_path) is None, "not a device"
