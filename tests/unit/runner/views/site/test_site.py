"""The leaderboard: its rows, and the page that holds them."""

import base64
import hashlib
import json
import re
from typing import Any

import pytest
from report_samples import failed, report
from site_samples import many, repeated, summary

from runner.results.index.summary import Summary
from runner.views.site.page import site
from runner.views.site.rows import Row, rows_of


def row(one: Summary, prices: dict[str, float] | None = None) -> Row:
    (made,) = rows_of([one], prices or {}).rows
    return made


def page_of(*summaries: Summary, **options: Any) -> str:
    return site(list(summaries), **({"prices": {}, "currency": "USD", "made": "now", "first": "en"} | options))


def embedded(page: str) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found.group(1))


def test_a_row_has_the_tasks_main_figure_with_its_interval() -> None:
    made = row(summary(repeated(report(), (500.0, 510.0, 520.0), (485.0, 535.0)), started_ms=1_790_000_000_000))
    speed = made["speed"]
    assert (speed["name"], speed["value"], speed["text"], speed["unit"]) == (
        *("throughput/steady", pytest.approx(510.0), "510.0"),
        "sequences/s",
    )
    assert (speed["low"], speed["high"], speed["range"]) == (485.0, 535.0, ["485.0", "535.0"])
    assert (speed["n"], speed["deviation"]) == (3, pytest.approx(10.0))
    assert made["date"] == "2026-09-21"


def test_the_deviation_of_a_report_without_its_repeats_follows_from_the_interval() -> None:
    one = report(intervals={"throughput/steady": (490.0, 530.0)}, repeats=3)
    speed = row(summary(one))["speed"]
    # Half the width is t(0.975, 2) = 4.3027 standard errors; times the root of 3.
    assert (speed["n"], speed["deviation"]) == (3, pytest.approx(20.0 / 4.30265 * 3**0.5, rel=1e-4))


def test_a_highest_value_of_repeats_has_no_deviation() -> None:
    one = report()
    one.figures["memory/host_peak_rss_gib"].repeats = (2.0, 2.25)
    memory = next(made for made in row(summary(one))["figures"] if made["name"] == "memory/host_peak_rss_gib")
    assert (memory["n"], memory["deviation"]) == (2, None)


def test_a_null_keeps_its_reason_and_no_number() -> None:
    one = report(reason="no meter was read")
    made = rows_of([summary(one)], {})
    energy = made.rows[0]["energy"]
    assert energy["value"] is None
    assert list(made.reasons.known)[energy["reason"]] == "no meter was read"


def test_cost_counts_every_device_of_the_job() -> None:
    one = summary(report(devices=8, chip="A100-SXM4-80GB"))
    # 512.345 sequences a second: a million take 1951.81 s, of eight devices at 2 an hour each.
    assert row(one, {"A100-SXM4-80GB": 2.0})["cost"]["value"] == pytest.approx(1e6 / 512.345 / 3600 * 16)
    assert row(one, {"H100-SXM5-80GB": 2.0})["cost"]["value"] is None
    assert row(summary(failed(chip="A100-SXM4-80GB")), {"A100-SXM4-80GB": 2.0})["cost"]["value"] is None


@pytest.mark.parametrize(
    ("one", "rankable", "marks"),
    [
        (report(), True, ["publishable"]),
        (report(emulated=True, values={"run/emulated": 1.0}), False, ["emulated"]),
        (report(division="open", values={"run/publishable": 0.0}), True, ["open"]),
        (failed(), False, []),
    ],
)
def test_what_is_ranked_and_how_it_is_marked(one: Any, rankable: bool, marks: list[str]) -> None:
    made = row(summary(one))
    assert (made["rankable"], [mark["name"] for mark in made["marks"]]) == (rankable, marks)


def test_imported_results_are_marked_and_of_no_division() -> None:
    one = report()
    one.imported = {"format": "flagperf", "version": "1", "file": "rank0.log", "sha256": "0"}
    made = row(summary(one))
    assert (made["origin"], made["division"]) == ("imported", None)
    assert [mark["name"] for mark in made["marks"]] == ["imported"]


def test_unlike_cases_are_of_different_groups() -> None:
    groups = {
        row(summary(report(**about)))["group"]
        for about in ({}, {"scale": "tiny"}, {"model": "gpt2"}, {"data": "dataset"}, {"emulated": True})
    }
    assert len(groups) == 5
    assert row(summary(report(precision="bf16", chip="H100")))["group"] == row(summary(report()))["group"]


def test_only_the_pages_own_script_may_run() -> None:
    page = page_of(summary(report()))
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script.group(1).encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page
    assert "default-src 'none'" in page
    assert not re.findall(r"""(?:src|href)=["'](?!#)""", page)


def test_nothing_in_a_result_ends_the_data() -> None:
    attack = "</script><script>alert(1)</script><!--\u2028"
    page = page_of(summary(failed(message=attack, model=attack), attack))
    assert page.count("</script>") == 2
    (made,) = embedded(page)["rows"]
    assert made["model"] == attack


def test_both_languages_are_inside() -> None:
    words = embedded(page_of(summary(report())))["words"]
    assert words["en"].keys() == words["zh"].keys()
    assert words["titles"]["en"][0] == "Throughput, steady"
    assert words["titles"]["zh"][0] == "稳态吞吐量"
    assert (words["en"]["other_language"], words["zh"]["other_language"]) == ("中文", "English")


def test_three_thousand_results_make_a_page_of_a_few_megabytes() -> None:
    page = page_of(*many(3000))
    assert len(embedded(page)["rows"]) == 3000
    assert len(page) < 12e6
