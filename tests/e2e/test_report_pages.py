"""The report's pages in the system's Chromium: charts are drawn under the policy, nothing is cut off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from plot_samples import write_evaluations, write_power, write_steps
from report_samples import failed, report, saved

from runner.tools.report import main
from runner.tools.screenshots import READY, browser_path, chromium

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(browser_path() is None, reason="there is no Chromium on this machine"),
]
WIDTHS = (1280, 390)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run with everything that is drawn, and a set with emulated, failed and hostile ones."""
    root = tmp_path_factory.mktemp("results")
    long = "a_very_long_name_without_any_blank_" * 5
    for index, precision in enumerate(("fp32", "bf16", "fp16")):
        values = {"throughput/steady": 500.0 + 250 * index}
        intervals = {"throughput/steady": (490.0 + 250 * index, 510.0 + 250 * index)}
        one = saved(
            root / "set" / f"{index}_{precision}",
            report(
                values=values,
                intervals=intervals,
                precision=precision,
                identity=str(index) * 64,
                compiler=("eager", "inductor", "torch_tensorrt")[index],
            ),
        )
        write_steps(one)
        write_power(one)
    saved(root / "set" / "3_em", report(vendor="kunlunxin", chip="P800", emulated=True))
    saved(root / "set" / "4_failed", failed(message=f"<img src=x onerror=alert(1)> {long}"))
    run = saved(
        root / "run" / long,
        report(task="converge", published=True, warnings=[f"Not steady: {long}."], chip=long, emulated=True),
    )
    write_steps(run)
    write_power(run)
    write_evaluations(run, "mlm_accuracy")
    return {"run": run, "set": root / "set"}


@pytest.fixture(params=["run", "set"])
def page_file(request: pytest.FixtureRequest, results: dict[str, Path], language: str, tmp_path: Path) -> Path:
    file = tmp_path / f"{request.param}.html"
    assert main([str(results[request.param]), "--out", str(file), "--lang", language]) == 0
    return file


@pytest.fixture(params=["en", "zh"])
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def opened_in(browser: Any, file: Path, width: int, **context: Any) -> tuple[Any, list[str]]:
    """The page, every part unfolded and drawn, and what the browser complained about or asked the network for."""
    complaints: list[str] = []
    page = browser.new_context(viewport={"width": width, "height": 800}, **context).new_page()
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(f"dialog {dialog.message}"))
    page.on("request", lambda asked: complaints.append(asked.url) if not asked.url.startswith("file:") else None)
    page.goto(file.as_uri())
    page.evaluate("() => document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    page.wait_for_function(READY, timeout=60_000)
    return page, complaints


@pytest.mark.parametrize("width", WIDTHS)
def test_charts_are_drawn_and_nothing_is_wider_than_the_window(browser, page_file, language, width):
    page, complaints = opened_in(browser, page_file, width)
    assert complaints == []
    drawn = page.evaluate("() => [...document.querySelectorAll('figure[data-chart]')].map((one) => one.dataset.drawn)")
    assert drawn and set(drawn) == {"done"}
    assert page.evaluate("() => [...document.querySelectorAll('.chart')].every((one) => one.querySelector('svg'))")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    assert page.evaluate("() => document.documentElement.lang") == {"en": "en", "zh": "zh-CN"}[language]
    page.context.close()


@pytest.mark.parametrize("language", ["en"], indirect=True)
def test_first_screen_holds_numbers_picture_and_warnings(browser, page_file):
    page, _ = opened_in(browser, page_file, WIDTHS[0])
    page.evaluate("() => document.querySelectorAll('details').forEach((one) => { one.open = false; })")
    bottom = "(name) => document.querySelector(name).getBoundingClientRect().bottom"
    shown = [".tiles", ".care"] if page_file.stem == "run" else ["table", "tbody"]
    assert all(page.evaluate(bottom, name) <= 800 for name in shown)
    assert page.evaluate("() => document.querySelector('.chart').getBoundingClientRect().top") < 520
    hidden = "() => [...document.querySelectorAll('.first .scroll')].map((one) => one.scrollWidth - one.clientWidth)"
    assert all(excess <= 0 for excess in page.evaluate(hidden)), "a column of the first screen is cut off"
    page.context.close()


@pytest.mark.parametrize("language", ["en"], indirect=True)
def test_dark_page_has_dark_paper_and_light_axis_labels(browser, page_file):
    colours = {}
    for scheme in ("light", "dark"):
        page, _ = opened_in(browser, page_file, WIDTHS[0], color_scheme=scheme)
        read = "() => [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector('.chart .role-axis-label text')).fill]"  # noqa: E501 -- one expression
        colours[scheme] = page.evaluate(read)
        page.context.close()
    assert colours["light"][0] == "rgb(255, 255, 255)"
    assert _brightness(colours["dark"][0]) < 60 and _brightness(colours["dark"][1]) > 180
    assert _brightness(colours["light"][1]) < 90


def _brightness(colour: str) -> float:
    parts = [float(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    return sum(parts) / len(parts)


@pytest.mark.parametrize("language", ["en"], indirect=True)
def test_paper_has_all_charts_whole(browser, page_file, tmp_path):
    page, _ = opened_in(browser, page_file, WIDTHS[0], color_scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert set(
        page.evaluate("() => [...document.querySelectorAll('figure')].map((one) => getComputedStyle(one).breakInside)")
    ) == {"avoid"}
    pdf = page.pdf(format="A4", print_background=True)
    assert pdf.startswith(b"%PDF-") and len(pdf) > 20_000
    page.context.close()
