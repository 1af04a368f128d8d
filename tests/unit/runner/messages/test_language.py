# ruff: noqa: RUF001 - Chinese punctuation is meant
"""Which language is written, and how a message gets into it."""

from __future__ import annotations

import pytest

from runner.messages import chosen, language, speaking, tr, tr_recorded


def test_english_is_what_is_written_where_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TOUCHSTONE_LANG", raising=False)
    assert chosen(None) == "en"
    assert language() == "en"
    assert tr("{count} devices", count=8) == "8 devices"
    assert tr_recorded("warm-up did not end") == "warm-up did not end"


def test_the_variable_chooses_and_an_argument_goes_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOUCHSTONE_LANG", "zh")
    assert chosen(None) == "zh"
    assert chosen("en") == "en"
    monkeypatch.setenv("TOUCHSTONE_LANG", "")
    assert chosen(None) == "en"


@pytest.mark.parametrize("name", ["fr", "ZH", "zh_CN", ""])
def test_an_unknown_language_names_those_there_are(name: str) -> None:
    with pytest.raises(ValueError, match=rf"--lang={name}: .* Choose one of: en, zh\."):
        chosen(name)


def test_an_unknown_language_of_the_variable_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOUCHSTONE_LANG", "klingon")
    with pytest.raises(ValueError, match="TOUCHSTONE_LANG=klingon"):
        chosen(None)


def test_a_language_holds_inside_its_block_alone_and_after_an_error() -> None:
    with pytest.raises(RuntimeError), speaking("zh"):
        with speaking("en"):
            assert tr("Warnings") == "Warnings"
        assert tr("Warnings") == "警告"
        raise RuntimeError
    assert tr("Warnings") == "Warnings"


def test_values_are_filled_in_after_translation_and_never_translated() -> None:
    with speaking("zh"):
        assert tr("target {goal}: reached", goal="≥ 0.2") == "目标 ≥ 0.2：已达到"
        assert tr("{count} runs", count="{count}") == "{count} 次运行"


def test_braces_of_a_message_without_values_stay() -> None:
    with speaking("zh"):
        assert tr("no such message {x}") == "no such message {x}"


def test_a_figures_title_that_is_made_of_parts_is_translated() -> None:
    with speaking("zh"):
        assert tr("Throughput, steady") == "稳态吞吐量"
        assert tr("mlm_accuracy, best evaluation") == "mlm_accuracy，最佳评估"
        assert tr("Accuracy of the engine, top1") == "引擎的准确率，top1"
