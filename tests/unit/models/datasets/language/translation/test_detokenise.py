"""Tokens back to running text; the right sides were written by hand after Moses' rules."""

from __future__ import annotations

import pytest

from models.datasets.language.translation.detokenise import detokenise

CASES = {
    "Das ist ein Haus , nicht wahr ?": "Das ist ein Haus, nicht wahr?",
    "E @-@ Mail und O @-@ Ton .": "E-Mail und O-Ton.",
    "Er sagte : &quot; Ja . &quot; Dann ging er .": 'Er sagte: "Ja." Dann ging er.',
    "( siehe oben ) kostet $ 5": "(siehe oben) kostet $5",
    "10 % von &#91; x &#93;": "10% von [x]",
    "&quot; a &quot; und &quot; b &quot;": '"a" und "b"',
    "&apos; a &apos; &quot; b &quot;": "'a' \"b\"",
    "„ Ja “ und “ nein “": "„ Ja “und“ nein “",  # only the closing German mark is one of Moses'
    "AT &amp; T &amp;lt; x": "AT & T &lt; x",
    "  zu   viele  Leerzeichen . ": "zu viele Leerzeichen.",
    "<doc>": "<doc>",
    "": "",
    ". . .": "...",
}


@pytest.mark.parametrize("tokens", CASES)
def test_words_and_marks_are_put_together(tokens: str) -> None:
    assert detokenise(tokens) == CASES[tokens]
