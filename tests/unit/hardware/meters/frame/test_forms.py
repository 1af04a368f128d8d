"""The forms of tools' outputs, and what a declaration makes of their fields."""

import re

import pytest

from hardware.meters.frame.fields import ABSENT, is_absent
from hardware.meters.frame.figures import (
    TWICE,
    Field,
    Layout,
    MeterFigure,
    energy,
    memory,
    power,
    temperature,
    utilisation,
)
from hardware.meters.frame.forms import Csv, Json, Sections, Xml
from hardware.meters.frame.row import SmiRow


def texts(rows):
    return [{name: field.text for name, field in row.items()} for row in rows]


def test_csv_by_its_header_after_remarks():
    text = "Warning: x, y\nID, Power [W], Memory Used (MiB)\n0, 57, 5\n1, 58\n"
    (row,) = Csv(header=frozenset({"id", "power"})).rows(text)
    assert {name: (field.text, field.unit) for name, field in row.items()} == {
        "id": ("0", ""),
        "power": ("57", "w"),
        "memory used": ("5", "mib"),
    }
    assert Csv(header=frozenset({"serial"})).rows(text) == []


def test_two_columns_of_one_name_tell_nothing():
    rows = Csv(header=frozenset({"id"})).rows("id, power [W], power [mW]\n0, 57, 60\n")
    assert texts(rows) == [{"id": "0", "power": TWICE}]
    assert texts(Csv(header=frozenset({"id"})).rows("id, power, power\n0, 57, 60\n")) == [{"id": "0"}]


def test_json_by_paths():
    text = '{"GPU": [{"Power ": {"Draw ": "57W", "Draw  ": "9W", "Limit": 100}, "On": true, "List": [1]}]}'
    assert texts(Json(devices="GPU").rows(text)) == [{"Power/Draw": TWICE, "Power/Limit": "100"}]
    assert texts(Json(devices="GPU").rows('{"GPU": [{"A": 1, "A": 2, "B": 3.5}]}')) == [{"A": TWICE, "B": "3.5"}]
    for other in ("", "[]", '{"GPU": {}}', '{"GPU": [null]}', '{"GPU": [{}'):
        assert Json(devices="GPU").rows(other) == []


def test_xml_by_paths():
    text = "noise<log><gpu id='a'><p>57 W</p><t><c>1</c><c>2</c></t><x>rm <y></x></gpu></log>"
    form = Xml(device="gpu", leave_out=re.compile("<x>.*</x>"))
    assert texts(form.rows(text)) == [{"@id": "a", "p": "57 W", "t/c": TWICE}]
    assert Xml(device="gpu").rows(text) == []


def test_sections_by_the_line_that_begins_each():
    text = "Driver : 1\nGPU 0\n  A\n    Used : 5 MiB\n  B :\n    Used : 6 MiB\n    Used : 7 MiB\nGPU 1\n  T : 12:30\n"
    assert texts(Sections(begins=re.compile(r"GPU (?P<n>\d)")).rows(text)) == [
        {"@n": "0", "A/Used": "5 MiB", "B/Used": TWICE},
        {"@n": "1", "T": "12:30"},
    ]
    assert Sections(begins=re.compile("GPU")).rows("Used : 5") == []


@pytest.mark.parametrize("word", sorted([*ABSENT, "N/A (Secondary die)", " [N/A] ", "UNKNOWN"]))
def test_one_set_of_words_for_absence(word):
    assert is_absent(word)


@pytest.mark.parametrize("word", ["0", "ERR", "[Unknown Error]", "nan", "n/ax", "[N/A]-17", TWICE])
def test_other_words_are_doubted(word):
    assert not is_absent(word)


@pytest.mark.parametrize(
    ("figure", "field", "value", "doubts"),
    [
        (power("P"), Field(text="57 W"), 57.0, []),
        (power("P"), Field(text="57", unit="kw"), None, ["P 57"]),  # more than any card draws
        (power("P"), Field(text="57250", unit="mw"), 57.25, []),
        (power("P"), Field(text="57", unit="dbm"), None, ["P 57"]),
        (power("P", bare=1.0), Field(text="57"), 57.0, []),
        (power("P"), Field(text="57", title="P [?]:"), None, ["P [?]: 57"]),
        (power("P"), Field(text="0 W"), None, ["P 0 W"]),
        (power("P", zero_is_absent=True), Field(text="0 W"), None, []),
        (power("P"), Field(text="N/A"), None, []),
        (power("P", needed=True), Field(text="N/A"), None, ["P N/A"]),
        (energy("P"), Field(text="0 J"), None, []),
        (energy("P"), Field(text="2 Wh"), 7200.0, []),
        (temperature("P"), Field(text="-41 C"), None, ["P -41 C"]),
        (utilisation("P"), Field(text="101 %"), None, ["P 101 %"]),
        (memory("P"), Field(text="2 GiB"), 2.0**31, []),
    ],
)
def test_a_figure(figure: MeterFigure, field: Field, value: float | None, doubts: list[str]) -> None:
    found: list[str] = []
    assert (figure.read({"P": field}, found), found) == (value, doubts)


def test_the_first_name_that_tells_something_counts():
    figure, doubts = power("new", "old"), []
    assert figure.read({"new": Field(text="-"), "old": Field(text="57 W")}, doubts) == 57.0
    assert figure.read({"new": Field(text="x"), "old": Field(text="57 W")}, doubts) is None, "it is there, and odd"
    assert figure.read({}, doubts) is None
    assert doubts == ["new x"]


def test_a_field_that_stands_twice_is_a_doubt_and_names_nothing():
    layout = Layout(pci_bus_id=("Bus",), uuid=("Serial",), power_w=power("P"))
    fields = {name: Field(text=TWICE) for name in ("Bus", "Serial", "P")}
    assert layout.row(fields) == SmiRow(raw=f"P {TWICE}")


def test_an_address_is_taken_whole_or_not_at_all():
    layout = Layout(pci_bus_id=("Bus",))
    assert layout.row({"Bus": Field(text="ERR 0000:1a:00.0")}) == SmiRow(raw="no PCI address: ERR 0000:1a:00.0")


def test_a_layout_makes_a_row():
    layout = Layout(
        index=("N",), pci_bus_id=("Bus",), uuid=("Serial",), power_w=power("P"), memory_used_bytes=memory("M")
    )
    fields = {"N": Field(text="3"), "Bus": Field(text="00000000:1A:00.0"), "Serial": Field(text="N/A")}
    told = fields | {"P": Field(text="57 W"), "M": Field(text="1.5 KiB")}
    assert layout.row(told) == SmiRow(index=3, pci_bus_id="0000:1a:00.0", power_w=57.0, memory_used_bytes=1536)
    assert layout.row(fields | {"Bus": Field(text="ERR")}).raw == "no PCI address: ERR"
    odd = told | {"P": Field(text="57 V")}
    assert layout.row(odd, ["seen"]).raw == "seen; P 57 V"
    whole = Layout(power_w=power("P"), whole_text=True)
    assert (whole.row(told).raw, whole.row({"P": Field(text="?"), "N": Field(text="3")}).raw) == (None, "P ?; N 3")
    assert layout.names() == ["Bus", "Serial", "N", "P", "M"]
