"""The bar while results are read."""

from __future__ import annotations

import io
from typing import Any

import pytest

from runner.views import waiting as module
from runner.views.page import screen
from runner.views.waiting import waiting


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    stream = io.StringIO()
    monkeypatch.setattr(module, "screen", lambda file: screen(stream, terminal=True))
    return stream


def test_nothing_is_written_where_nobody_looks(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "AFTER_S", -1.0)
    with waiting("Reading results") as progress:
        progress(1, 2)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_sees_it_when_it_takes_a_while(written: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    with waiting("Reading results") as progress:
        progress(1, 2)
    assert written.getvalue() == "", "it was quick"
    monkeypatch.setattr(module, "AFTER_S", -1.0)
    with waiting("Reading results") as progress:
        progress(7, 20)
    assert "Reading results" in written.getvalue() and "7/20" in written.getvalue()


def test_it_ends_with_what_it_waits_for(written: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AFTER_S", -1.0)
    with pytest.raises(KeyboardInterrupt), waiting("Reading results") as progress:
        progress(7, 20)
        raise KeyboardInterrupt
    assert "\x1b[?25h" in written.getvalue(), "the cursor is back"
