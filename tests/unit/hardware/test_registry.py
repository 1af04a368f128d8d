"""One way from a name or a dotted path to a class, and what is said where it ends."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from hardware.registry import BrokenEntryError, Registry, UnknownNameError

GROUP = "touchstone.shapes"
SHAPES = Registry(
    kind="shape",
    group=GROUP,
    base="collections.abc:Mapping",
    built_in={"ordered": "collections:OrderedDict", "gone": "collections:Gone", "odd": "collections:deque"},
)


@pytest.fixture(autouse=True)
def packages(monkeypatch: pytest.MonkeyPatch) -> None:
    points = (
        EntryPoint(name="counted", value="collections:Counter", group=GROUP),
        EntryPoint(name="ordered", value="collections:Counter", group=GROUP),
    )
    monkeypatch.setattr("hardware.registry.brought", lambda group: points if group == GROUP else ())


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("ordered", "OrderedDict"),
        ("counted", "Counter"),
        ("collections.ChainMap", "ChainMap"),
        ("collections:ChainMap", "ChainMap"),
    ],
)
def test_names_and_paths_lead_to_classes_and_ours_go_first(name: str, found: str) -> None:
    assert SHAPES.find(name).__name__ == found


def test_names_are_listed_with_and_without_packages() -> None:
    assert SHAPES.names() == ["counted", "gone", "odd", "ordered"]
    assert SHAPES.names(outside=False) == ["gone", "odd", "ordered"]


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    said = r"no shape is called orderd\. Did you mean ordered\? There are: counted, gone, odd, ordered"
    with pytest.raises(UnknownNameError, match=said):
        SHAPES.find("orderd")
    with pytest.raises(UnknownNameError, match=said):
        SHAPES.require("orderd")
    with pytest.raises(UnknownNameError, match=r"called xyz\. There are"):
        SHAPES.find("xyz")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone", "gone: collections:Gone cannot be imported: .*has no attribute"),
        ("odd", "odd: collections:deque is not a subclass of collections.abc.Mapping"),
        ("nowhere.at.All", "^nowhere.at.All cannot be imported: No module named 'nowhere'"),
        ("collections.Gone", "^collections.Gone cannot be imported: .*has no attribute"),
        ("collections.deque", "^collections.deque is not a subclass of collections.abc.Mapping"),
        ("collections.namedtuple", "is not a subclass"),
        (".OrderedDict", r"^\.OrderedDict cannot be imported"),
        ("collections.", r"^collections\. cannot be imported"),
    ],
)
def test_what_leads_nowhere_says_where_it_ends(name: str, message: str) -> None:
    with pytest.raises(BrokenEntryError, match=message):
        SHAPES.find(name)


def test_what_is_only_required_is_not_imported() -> None:
    SHAPES.require("gone")
    SHAPES.require("nowhere.at.All")
