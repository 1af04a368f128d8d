# ruff: noqa: RUF001 - Chinese punctuation is meant
"""Recorded sentences are recognised by the templates that they were made from."""

from __future__ import annotations

import time

import pytest

from runner.messages.catalogue import Catalogue, catalogue
from runner.messages.template import template

RECORDED = [
    ("no window was completed", "没有完成窗口"),
    ("the window has {} steps; {} needs {}", "窗口有 {} 步；{} 需要 {} 步"),
    ("{} of {} repeats did not finish", "共 {1} 次，{0} 次没有完成"),
    ("the run ended: {}", "运行结束：{}"),
    ("killed by signal {}", "被信号 {} 终止"),
    ("the run ended: killed by {}", "运行被 {} 杀死"),
    ("Interrupted. What was measured is kept. {}", "已中断。已测得的内容已保留。{}"),
    ("Give the command again.", "请再次执行。"),
    ("{} cannot be used here: {}.{}", "{} 在此处不能使用：{}。{}"),
    ("first line\nsecond line of {}", "第一行\n{} 的第二行"),
    ("{} refers to ${{}}, which is not there", "{} 引用了 ${{}}，它不存在"),
]


@pytest.fixture
def words() -> Catalogue:
    """A small catalogue."""
    return Catalogue({"host": "主机", "done": "完成"}, RECORDED)


def test_numbers_keep_their_places(words: Catalogue) -> None:
    assert words.recorded("the window has 12 steps; p99 needs 100") == "窗口有 12 步；p99 需要 100 步"


def test_fields_may_change_places(words: Catalogue) -> None:
    assert words.recorded("1 of 3 repeats did not finish") == "共 3 次，1 次没有完成"


def test_what_was_filled_in_is_translated_in_its_turn(words: Catalogue) -> None:
    assert words.recorded("the run ended: no window was completed") == "运行结束：没有完成窗口"


def test_the_form_with_more_words_of_its_own_is_meant(words: Catalogue) -> None:
    assert words.recorded("the run ended: killed by SIGBUS") == "运行被 SIGBUS 杀死"


def test_a_full_stop_makes_no_difference(words: Catalogue) -> None:
    assert words.recorded("no window was completed.") == "没有完成窗口。"
    assert words.recorded("Give the command again") == "请再次执行"
    assert words.recorded("Give the command again.") == "请再次执行。"


def test_a_field_at_the_end_may_be_empty(words: Catalogue) -> None:
    assert words.recorded("Interrupted. What was measured is kept.") == "已中断。已测得的内容已保留。"
    said = words.recorded("Interrupted. What was measured is kept. Give the command again.")
    assert said == "已中断。已测得的内容已保留。请再次执行。"


def test_a_full_stop_before_an_empty_field_stands_once(words: Catalogue) -> None:
    assert words.recorded("jax cannot be used here: no window was completed.") == "jax 在此处不能使用：没有完成窗口。"
    said = words.recorded("jax cannot be used here: no window was completed. Give the command again.")
    assert said == "jax 在此处不能使用：没有完成窗口。请再次执行。"


def test_parts_of_what_is_joined_are_recognised(words: Catalogue) -> None:
    assert words.recorded("host: no window was completed") == "主机：没有完成窗口"
    assert words.recorded("nvml: killed by signal 9; killed by signal 15") == "nvml：被信号 9 终止；被信号 15 终止"
    assert words.recorded("no window was completed and killed by signal 9") == "没有完成窗口，且被信号 9 终止"
    assert words.recorded("no window was completed\nGive the command again.") == "没有完成窗口\n请再次执行。"


def test_several_lines_are_one_form(words: Catalogue) -> None:
    assert words.recorded("first line\nsecond line of x") == "第一行\nx 的第二行"


def test_other_braces_are_text(words: Catalogue) -> None:
    assert words.recorded("a.b refers to ${c.d}, which is not there") == "a.b 引用了 ${c.d}，它不存在"
    assert words.recorded("killed by signal {0}") == "被信号 {0} 终止"


def test_what_nobody_knows_stays_as_it_is(words: Catalogue) -> None:
    for text in ("CUDA error: an illegal memory access", "", " ", "done.txt", "done or not", "a; b and c: d. E\nf"):
        assert words.recorded(text) == text


def test_names_inside_a_sentence_are_not_taken_for_messages(words: Catalogue) -> None:
    assert words.recorded("killed by signal host") == "被信号 host 终止"


def test_the_first_line_of_a_form_alone_is_recognised_too(words: Catalogue) -> None:
    # Tables show the first line of a reason.
    assert words.recorded("first line") == "第一行"


@pytest.mark.parametrize(
    ("form", "sentence", "fields"),
    [
        ("a {} b {} b", "a 1 b 2 b", ["1", "2"]),
        ("a {} b {} b", "a  b  b", ["", ""]),
        ("a {} b {} b", "a b b", None),
        ("{}x{}x", "axbxcx", ["a", "bxc"]),
        ("ab{}ba", "aba", None),
        ("no {}.{}", "no a.", ["a", ""]),
        ("no {}.{}{}", "no a.", ["a", "", ""]),
        ("no {}.{}", "no a. b.", ["a", " b"]),
        ("{} is {}", "what is is is", ["what", "is is"]),
    ],
)
def test_fields_are_found_wherever_there_is_a_match(form: str, sentence: str, fields: list[str] | None) -> None:
    assert template(form, "").fields(sentence) == fields


def test_thousands_of_runs_are_translated_in_a_moment() -> None:
    ours = catalogue("zh")
    texts = [f"others took {number / 100:.1f}% of its processors" for number in range(20_000)]
    texts += [f"no meter read the device: tool {number}: exit {number}, and more; of it" for number in range(20_000)]
    began = time.perf_counter()
    told = [ours.recorded(text) for text in texts]
    assert time.perf_counter() - began < 8
    assert told[100] == "其他进程占用了其处理器的 1.0%"
    assert all(one.startswith("没有采集器读取设备") for one in told[20_000:])


def test_a_long_text_that_nearly_fits_is_no_trap() -> None:
    began = time.perf_counter()
    catalogue("zh").recorded("the window has " * 3000 + "steps; " * 3000)
    assert time.perf_counter() - began < 5
