"""`python -m runner.tools.messages`: the catalogues are complete and sound, and are kept so."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.core.own import ROOT
from runner.messages.catalogue import path_of
from runner.messages.collect import Found, collect
from runner.tools import messages

HEAD = r"""# Words.
#
#   a word   ein Wort
msgid ""
msgstr ""
"Content-Type: text/plain; charset=utf-8\n"
"Language: zh\n"
"""
FOUND: Found = {
    ("", "{count} runs"): ["runner/a.py"],
    ("recorded", "vendor={} has no {}"): ["runner/b.py", "runner/c.py"],
}


def _entry(text: str, translation: str, context: str = "") -> str:
    return "\n" + (f'msgctxt "{context}"\n' if context else "") + f'msgid "{text}"\nmsgstr "{translation}"\n'


def _catalogue(folder: Path, *entries: str) -> Path:
    path = folder / "zh.po"
    path.write_text(HEAD + "".join(entries))
    return path


GOOD = (_entry("{count} runs", "{count} 次"), _entry("vendor={} has no {}", "vendor={} 没有 {}", "recorded"))


def test_the_chinese_catalogue_has_every_message_of_this_source_with_its_fields_and_no_other() -> None:
    found, unknown = collect(ROOT)
    assert unknown == []
    assert messages.faults(path_of("zh"), found) == []


def test_a_good_catalogue_has_no_faults(tmp_path: Path) -> None:
    assert messages.faults(_catalogue(tmp_path, *GOOD), FOUND) == []


@pytest.mark.parametrize(
    ("entries", "fault"),
    [
        (GOOD[:1], "runner/b.py: zh.po lacks: vendor={} has no {}"),
        ((_entry("{count} runs", ""), GOOD[1]), "runner/a.py: zh.po lacks: {count} runs"),
        ((_entry("{count} runs", "{number} 次"), GOOD[1]), "runner/a.py: zh.po has other fields than: {count} runs"),
        ((_entry("{count} runs", "次"), GOOD[1]), "runner/a.py: zh.po has other fields than: {count} runs"),
        (
            (GOOD[0], _entry("vendor={} has no {}", "vendor={} 没有", "recorded")),
            "runner/b.py: zh.po has other fields than: vendor={} has no {}",
        ),
        (
            (GOOD[0], _entry("vendor={} has no {}", "{1} vendor={1}", "recorded")),
            "runner/b.py: zh.po has other fields than: vendor={} has no {}",
        ),
        (
            (GOOD[0], _entry("vendor={} has no {}", "{} vendor={} 没有", "recorded")),
            "runner/b.py: zh.po has a field in the place of another: vendor={} has no {}",
        ),
        ((*GOOD, _entry("gone", "没了")), "zh.po: no longer in the source: gone"),
        # The same words in the other context are another message.
        ((GOOD[0], _entry("vendor={} has no {}", "x"), GOOD[1]), "zh.po: no longer in the source: vendor={} has no {}"),
    ],
)
def test_every_fault_is_told(tmp_path: Path, entries: tuple[str, ...], fault: str) -> None:
    assert messages.faults(_catalogue(tmp_path, *entries), FOUND) == [fault]


def test_a_number_keeps_its_unit(tmp_path: Path) -> None:
    found: Found = {("recorded", "{} GiB in {} s"): ["runner/b.py"]}
    good = _catalogue(tmp_path, _entry("{} GiB in {} s", "{1} s 内 {0} GiB", "recorded"))
    assert messages.faults(good, found) == []
    wrong = _catalogue(tmp_path, _entry("{} GiB in {} s", "{} s 内 {} GiB", "recorded"))
    assert messages.faults(wrong, found) == ["runner/b.py: zh.po has a field in the place of another: {} GiB in {} s"]


def test_fields_in_another_order_are_no_fault(tmp_path: Path) -> None:
    other = _entry("vendor={} has no {}", "没有 {1} vendor={0}", "recorded")
    assert messages.faults(_catalogue(tmp_path, GOOD[0], other), FOUND) == []


def test_writing_keeps_what_is_there_adds_what_is_new_and_removes_what_vanished(tmp_path: Path) -> None:
    path = _catalogue(tmp_path, _entry("gone", "没了"), GOOD[0])
    messages.write(path, FOUND)
    text = path.read_text()
    assert text.startswith(HEAD)
    assert "gone" not in text
    assert '#: runner/a.py\nmsgid "{count} runs"\nmsgstr "{count} 次"\n' in text
    assert '#: runner/b.py\n#: runner/c.py\nmsgctxt "recorded"\nmsgid "vendor={} has no {}"\nmsgstr ""\n' in text
    messages.write(path, FOUND)
    assert path.read_text() == text


def test_quotes_lines_and_long_texts_survive(tmp_path: Path) -> None:
    long = 'He said "no" \\ {}\nand ' + "went on and on " * 20
    found: Found = {("recorded", long): ["runner/a.py"]}
    path = _catalogue(tmp_path)
    messages.write(path, found)
    path.write_text(
        path.read_text().replace('msgstr ""\n', 'msgstr "是 {}"\n').replace('msgstr "是 {}"\n"Con', 'msgstr ""\n"Con')
    )
    assert messages.faults(path, found) == []
    messages.write(path, found)
    assert messages.faults(path, found) == []


def test_the_command_says_what_is_wrong_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _catalogue(tmp_path, *GOOD)
    monkeypatch.setattr(messages, "path_of", lambda language: path)
    monkeypatch.setattr(messages, "collect", lambda root: (FOUND, []))
    assert messages.main([]) == 0
    assert capsys.readouterr().out == "2 messages, 0 of them to be looked at\n"
    monkeypatch.setattr(
        messages, "collect", lambda root: (FOUND | {("", "new"): ["runner/d.py"]}, ["runner/e.py:1: tr(x)"])
    )
    before = path.read_text()
    assert messages.main(["--check"]) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("runner/e.py:1: tr(x): ")
    assert said[1:] == ["runner/d.py: zh.po lacks: new", "3 messages, 2 of them to be looked at"]
    assert path.read_text() == before
    assert messages.main(["--write"]) == 1
    assert 'msgid "new"' in path.read_text()
