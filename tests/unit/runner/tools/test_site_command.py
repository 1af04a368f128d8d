"""`python -m runner.site`."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from report_samples import report, saved

from runner.tools.site import main


@pytest.fixture
def results(tmp_path: Path) -> Path:
    saved(tmp_path / "outputs" / "a", report(chip="A100-SXM4-80GB"))
    return tmp_path / "outputs"


def test_it_writes_a_page_with_what_others_published(results: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "runner.site", str(results), str(tmp_path / "site")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site" / "index.html").read_text()
    assert '"origin":"measured"' in page
    assert '"origin":"published"' in page
    (count,) = re.findall(r"(\d+) results", done.stderr)
    assert page.count('"rankable":') == int(count)


def test_published_results_can_be_left_out(results: Path, tmp_path: Path) -> None:
    assert main([str(results), str(tmp_path / "site"), "--without-published"]) == 0
    assert (tmp_path / "site" / "index.html").read_text().count('"rankable":') == 1


def test_prices_make_a_column(results: Path, tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("currency: CNY\nper_device_hour: {A100-SXM4-80GB: 10}\n")
    assert main([str(results), str(tmp_path / "site"), "--prices", str(prices)]) == 0
    assert "CNY per million samples" in (tmp_path / "site" / "index.html").read_text()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("currency: USD", "no list of prices"),
        ("per_device_hour: {A100-SXM4-80GB: 0}", "above 0"),
        ("per_device_hour: {A100-SXM4-80GB: free}", "no list of prices"),
        ("a: [", "no list of prices"),
        (None, "cannot be read"),
    ],
)
def test_bad_prices_are_refused(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str | None, said: str
) -> None:
    prices = tmp_path / "prices.yaml"
    if content is not None:
        prices.write_text(content)
    assert main([str(results), str(tmp_path / "site"), "--prices", str(prices)]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "site").exists()


def test_somebody_elses_page_is_not_replaced(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "index.html"
    page.write_text("<p>mine</p>")
    assert main([str(results), str(tmp_path)]) == 2
    assert "--force" in capsys.readouterr().err
    assert page.read_text() == "<p>mine</p>"
    assert main([str(results), str(tmp_path), "--force"]) == 0
    assert main([str(results), str(tmp_path)]) == 0


@pytest.mark.parametrize(("arguments", "said"), [(["nowhere"], "nowhere"), (["outputs", "--lang", "fr"], "fr")])
def test_what_is_wrong_is_said(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main([str(tmp_path / arguments[0]), str(tmp_path / "site"), *arguments[1:]]) == 2
    assert said in capsys.readouterr().err
