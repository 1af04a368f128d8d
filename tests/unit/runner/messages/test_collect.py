"""What counts as a message and as a recorded sentence of the source."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from runner.messages.collect import COMPOSED, FILLED_IN, collect


def _collected(root: Path, **modules: str) -> tuple[dict[tuple[str, str], list[str]], list[str]]:
    for name, source in modules.items():
        path = root.joinpath(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(source))
    found, unknown = collect(root)
    always = {("recorded", text) for text in COMPOSED | FILLED_IN}
    return {key: files for key, files in found.items() if key not in always}, unknown


def _texts(root: Path, source: str, *, context: str = "recorded") -> set[str]:
    found, _ = _collected(root, runner__results__some=source)
    return {text for where, text in found if where == context}


def test_literals_and_constants_given_to_tr_are_messages(tmp_path: Path) -> None:
    source = """
        from runner.views.words import NOTE
        TITLE = "A title"
        _HEADS = {"a_key": "First head", "b": "Second head"}
        def page(name, kind):
            for word in ("one", "two"):
                tr(word)
            ending = "done" if kind else "failed"
            return tr(TITLE), tr(_HEADS[name]), tr("yes" if kind else "no"), tr(ending), tr(NOTE), tr("{n} runs", n=1)
    """
    found, unknown = _collected(tmp_path, runner__views__page=source, runner__views__words='NOTE = "A note"\n')
    assert {text for _, text in found} == {
        *("A title", "First head", "Second head", "one", "two", "yes", "no", "done", "failed", "A note", "{n} runs"),
    }
    assert unknown == []
    assert found["", "A note"] == ["runner/views/page.py"]


def test_a_message_that_cannot_be_found_is_told(tmp_path: Path) -> None:
    source = """
        def page(text, figure, title):
            return tr(text), tr(f"{text} runs"), tr(figure.title), tr(title)
    """
    _, unknown = _collected(tmp_path, runner__views__page=source)
    assert unknown == ["runner/views/page.py:3: tr(text)", "runner/views/page.py:3: tr(f'{text} runs')"]


def test_titles_and_rules_are_messages_and_templates_where_they_are_filled_in(tmp_path: Path) -> None:
    source = """
        define("a/b", "Speed, steady", "1")
        Rule("window", f"less than {LEAST} of it", judge)
        def definition(metric, last):
            moment = "last" if last else "best"
            return define("q", f"{metric}, {moment} evaluation", "1")
    """
    assert _texts(tmp_path, source, context="") == {"Speed, steady", "window"}
    assert _texts(tmp_path, source) == {"less than {} of it", "{}, last evaluation", "{}, best evaluation"}


@pytest.mark.parametrize(
    ("source", "texts"),
    [
        ('known(value, "not told")', {"not told"}),
        ('Missing(why or "not told")', {"not told"}),
        ('known(value, f"{n} W" if n else "no power")', {"no power"}),
        ('raise DataError("the file has no rows")', {"the file has no rows"}),
        ('warnings = [f"took {100 * share:.1f} % of a core"]', {"took {} % of a core"}),
        ("say('a device' 's memory is full')", {"a devices memory is full"}),
        ('text = "the first part of " + name + " is wrong"', {"the first part of {} is wrong"}),
        ('text = "the file {name} has no rows".format(name=1)', {"the file {} has no rows"}),
        ("""text = f"there {'is one' if n else 'are none'} of {x}" """, {"there is one of {}", "there are none of {}"}),
        ("""text = f"no such place{f', near {x}' if x else ''}" """, {"no such place, near {}", "no such place"}),
        ('told = f"Repeat {number}: {text}"', {"Repeat {}: {}"}),
        # What nobody records as a sentence:
        ('"""The docstring of this module."""', set()),
        ('LOG.debug("the file %s is not there", path)', set()),
        ('text = "not there"', set()),
        ('text = "Board Serial Number"', set()),
        ('PATTERN = r"the file \\S+ is not there"', set()),
        ('re.compile("the file that is there")', set()),
        ('parser.add_argument("--x", help="what is shown of it")', set()),
        ('tr("what is shown of it")', set()),
        ('text = "one_name two_names three_names four_names"', set()),
        ('text = f"{a} {b}: {c}"', set()),
        ('db.execute("select a from files where name = ?")', set()),
        ('table = {"the key of a table": 1}', set()),
        (r'PROGRAM = "\nimport ctypes, signal\nimport acme\nacme.begin()\n"', set()),
        (r'PROGRAM = "\nfrom acme.parts import begin\nbegin(now=True)\n"', set()),
        ('text = "import the weights from another place"', {"import the weights from another place"}),
    ],
)
def test_recorded_sentences(tmp_path: Path, source: str, texts: set[str]) -> None:
    assert _texts(tmp_path, source) == texts


def test_a_local_name_is_followed_into_the_sentence(tmp_path: Path) -> None:
    source = """
        def judge(part, short):
            told = f"{part.seconds} s and {part.steps} steps"
            return _ok_if(not short, f"{told}, where more is asked for" if short else told)
    """
    assert _texts(tmp_path, source) == {"{} s and {} steps, where more is asked for", "{} s and {} steps"}


def test_too_many_choices_count_as_filled_in(tmp_path: Path) -> None:
    choice = "{'a' if x else 'b'}"
    texts = _texts(tmp_path, f'text = f"this is one of many: {choice * 8}"')
    assert 1 <= len(texts) <= 16
    assert all(text.startswith("this is one of many: ") and "{}" in text for text in texts)


def test_only_packages_that_write_reports_have_recorded_sentences(tmp_path: Path) -> None:
    found, _ = _collected(
        tmp_path,
        runner__doctor__say='text = "the machine is too busy"\n',
        hardware__meters__x='text = "the tool is not there"\n',
        models__y='text = "the weights are not there"\n',
    )
    assert {text for _, text in found} == {"the tool is not there", "the weights are not there"}


def test_what_a_vendor_asks_to_install_is_one(tmp_path: Path) -> None:
    leaf = tmp_path / "conf" / "vendor" / "acme.yaml"
    leaf.parent.mkdir(parents=True)
    leaf.write_text('name: acme\ninstall: "Install the driver: all of it."\n')
    found, _ = _collected(tmp_path)
    assert found == {("recorded", "Install the driver: all of it."): ["conf/vendor/acme.yaml"]}
