"""The leaderboard as people use it, in a real browser, from a file."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from browser import needs_chromium, opened, overflow_px
from report_samples import report
from site_samples import many, repeated, summary

from runner.record.report import Figure
from runner.views.site.page import site

pytestmark = [pytest.mark.heavy, needs_chromium]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("site"), many(3000))


def written(folder: Path, summaries: list[Any], **options: Any) -> Path:
    path = folder / "index.html"
    path.write_text(site(summaries, **({"prices": {}, "currency": "", "made": "now", "first": "en"} | options)))
    return path


def ids(path: Path) -> list[str]:
    data = re.search(r'id="data">(.*?)</script>', path.read_text(), re.DOTALL)
    assert data is not None
    return [row["id"] for row in json.loads(data.group(1))["rows"]]


def speeds(page: Any) -> list[float]:
    cells = page.locator("#results td.speed").all_inner_texts()
    return [float(cell.split()[0].replace(",", "")) for cell in cells if cell[0].isdigit()]


def test_three_thousand_results_are_there_within_two_seconds(large: Path) -> None:
    began = time.monotonic()
    with opened(large) as page:
        page.wait_for_selector("body[data-ready]", state="attached")
        loaded_ms = page.evaluate("performance.now()")
        assert "3000 of 3000" in page.locator("#count").inner_text()
        assert overflow_px(page) == 0
    assert loaded_ms < 2000, (loaded_ms, time.monotonic() - began)


def test_filters_sort_and_search_are_in_the_address(large: Path) -> None:
    with opened(large) as page:
        page.select_option("#chip", "H100-SXM5-80GB")
        page.select_option("#precision", "tf32")
        page.fill("#q", "model_05")
        page.locator("th button", has_text="Speed").click()
        count = page.locator("#count").inner_text()
        found, address = speeds(page), page.url
    # Chip 1 of 4, precision 1 of 4, model 5 of 40: the numbers that are 5 modulo 80, less those that failed.
    expected = [number for number in range(3000) if number % 80 == 5]
    done = [100.0 + number for number in expected if number % 50 != 49]
    assert count.startswith(f"{len(expected)} of")
    assert found == sorted(done, reverse=True)[: len(found)]
    with opened(large, anchor=address.partition("#")[2]) as page:
        assert speeds(page) == found
        assert page.locator("#chip").input_value() == "H100-SXM5-80GB"


def test_failed_ones_come_last_whichever_way_it_is_sorted(large: Path) -> None:
    for way in ("", "&way=worst"):
        with opened(large, anchor=f"model=model_09&sort=speed{way}") as page:
            statuses = page.locator("#results td.status span").all_inner_texts()
        # 75 rows of this model: those of odd tens ending in 9 that are 49 modulo 50.
        failed = [number for number in range(3000) if number % 40 == 9 and number % 50 == 49]
        shown = 50
        assert len(statuses) == shown
        assert statuses.count("failed") == max(0, len(failed) - (75 - shown))


def test_two_picked_results_have_the_ratio_computed_by_hand(tmp_path: Path) -> None:
    first = repeated(report(chip="A100-SXM4-80GB"), (100.0, 102.0, 104.0), (97.0, 107.0))
    second = repeated(report(chip="H100-SXM5-80GB"), (200.0, 204.0, 208.0), (194.0, 214.0))
    path = written(tmp_path, [summary(first, "a"), summary(second, "b")])
    with opened(path, anchor=f"pick={','.join(ids(path))}") as page:
        text = page.locator("#compare tr", has_text="Throughput, steady").first.inner_text()
    # Both vary by 2/102: the logarithm of the ratio by sqrt(2 * (2/102)^2 / 3), with 4 degrees of freedom (t = 2.7764).
    assert re.search(r"2\.000x \(1\.913.2\.091\)", text), text


def test_what_was_measured_once_is_said_to_be(tmp_path: Path) -> None:
    path = written(tmp_path, [summary(report(seed=seed), str(seed)) for seed in (1, 2)])
    with opened(path, anchor=f"pick={','.join(ids(path))}") as page:
        assert "chance is not ruled out" in page.locator("#compare").inner_text()


def test_unlike_results_get_no_ratio(tmp_path: Path) -> None:
    path = written(tmp_path, [summary(report(), "a"), summary(report(scale="tiny"), "b")])
    with opened(path, anchor=f"pick={','.join(ids(path))}") as page:
        text = page.locator("#compare").inner_text()
    assert "must not be compared" in text
    assert not re.search(r"\dx", text)


def test_it_reads_in_chinese_on_a_phone_and_a_message_stays_a_message(tmp_path: Path) -> None:
    attack = "<img src=x onerror=document.title='broken'>"
    path = written(tmp_path, [summary(report(model=attack, warnings=[attack]), "a")], first="zh")
    with opened(path, width=390, anchor=f"run={ids(path)[0]}", dark=True) as page:
        assert page.evaluate("document.documentElement.lang") == "zh"
        assert "稳态吞吐量" in page.locator("#detail").inner_text()
        assert page.locator("#detail img").count() == 0
        assert overflow_px(page) == 0
        assert page.title() != "broken"


def test_other_batches_and_other_units_get_no_ratio(tmp_path: Path) -> None:
    other = report(batch_size=48)
    other.figures["throughput/steady"].unit = "tokens/s"
    path = written(tmp_path, [summary(report(), "a"), summary(other, "b")])
    with opened(path, anchor=f"pick={','.join(ids(path))}") as page:
        assert "batch differs" in page.locator("#compare tr", has_text="Step time, median").inner_text()
        assert not re.search(r"\dx", page.locator("#compare tr", has_text="Throughput, steady").first.inner_text())


def test_qualities_of_several_metrics_are_sorted_apart(tmp_path: Path) -> None:
    values = [("accuracy", 0.70), ("perplexity", 20.0), ("accuracy", 0.76), ("perplexity", 18.0), ("accuracy", 0.72)]
    made = []
    for number, (metric, value) in enumerate(values):
        one = report(quality_mode="max" if metric == "accuracy" else "min", seed=number)
        one.figures = {f"quality/{metric}": Figure(value=value, unit="1")} | one.figures
        made.append(summary(one, str(number)))
    with opened(written(tmp_path, made), anchor="sort=quality") as page:
        cells = page.locator("#results td.quality").all_inner_texts()
    assert [cell.split()[0] for cell in cells] == ["0.7600", "0.7200", "0.7000", "18.00", "20.00"]
