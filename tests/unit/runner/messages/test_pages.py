"""A page in Chinese has no English left but names, units, keys and commands."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from runner.comparison.result import RunResult
from runner.messages import speaking
from runner.record.report import Report
from runner.views import compare
from runner.views.page import Page, to_markdown
from runner.views.tables import page
from tests.support.report_samples import failed, report

NO_POWER = "no meter read the package; rapl: no intel-rapl package under /sys/class/powercap"
ENGLISH = re.compile(r"[A-Za-z][a-z'-]+(?:[,;:]? [A-Za-z][a-z'-]+){2,}")
"""Three words in a row."""
NAMES = re.compile(
    r"FlagPerf training/nvidia/bert-pytorch|pytorch, \w+, \w+"  # sources, names of choices
    r"|python -m [\w.]+( [\w./=-]+)*|--format csv"  # commands
)
WARNINGS = [
    "Not steady: the last 3 blocks of 5 steps still differed by more than 5% after 60 steps (12 s), when the cap of "
    "60 steps ended warm-up.",
    "Short window: 2.0 s and 30 steps, where measure=smoke asks for 10 s and 50 steps.",
    "Uneven window: a step took 13.4 ms in its slowest fifth and 4.5 ms in its fastest. The throughput is the mean "
    "over all of it; plots/throughput.png shows when it changed.",
    "Not isolated: others took 51% of the host's processors in the window, so that its figures are not those of an "
    "idle machine. `python -m runner.doctor` names who is busy; end that and measure again.",
    "Repeat 2: The device was throttled: sw_power_cap.",
    "few_samples: energy/device_j stands on 3 readings of the meter.",
]


def english(made: Page) -> list[str]:
    """The runs of three English words of a page, with the line they are in."""
    lines = to_markdown(made).replace("\\", "").splitlines()
    return [line for line in lines if ENGLISH.search(NAMES.sub("…", line))]


def _reports() -> dict[str, Report]:
    points = [
        {"batch_size": 8, "samples_per_second": 12.5, "steady": True, "parts_reason": "it was not measured by itself"}
    ]
    changed = [
        {"key": "model.layers", "reference": 24, "value": 12, "allowed": False},
        {"key": "model.train.batch_size", "reference": 24, "value": 12, "allowed": True},
    ]
    return {
        "train": report(reason=NO_POWER, published=True, warnings=WARNINGS),
        "converge": report(task="converge", reason=NO_POWER, intervals={"throughput/steady": (500.0, 520.0)}),
        "inspect": report(task="inspect", reason="task=inspect measures nothing"),
        "tiny, smoke": report(scale="tiny", measure="smoke", values={"run/publishable": 0.0}, reason=NO_POWER),
        "emulated": report(emulated=True, values={"run/publishable": 0.0, "run/steady": 0.0}, reason=NO_POWER),
        "open": report(division="open", changed=changed, reason=NO_POWER),
        "points": replace(report(reason=NO_POWER), points=points),
        "failed": failed(
            message="The loss became NaN at step 12. Lower model.train.optimizer.lr, raise "
            "model.train.schedule.warmup, or use a wider precision."
        ),
    }


def _measured(one: Report) -> Report:
    """With reasons that this version writes; the samples' own are of no version."""
    own = "the case failed before its end" if one.status == "failed" else None
    figures = {name: replace(each, reason=own) if own and each.reason else each for name, each in one.figures.items()}
    return replace(one, figures=figures)


@pytest.mark.parametrize("name", list(_reports()))
def test_a_result_is_written_in_chinese(name: str) -> None:
    with speaking("zh"):
        made = page(_measured(_reports()[name]), every_figure=True)
    assert english(made) == []
    assert len(re.findall(r"[一-鿿]", to_markdown(made))) > 50


def test_the_check_finds_english() -> None:
    made = page(_reports()["train"], every_figure=True)
    assert len(english(made)) > 20


def test_every_rule_of_publication_is_said_in_chinese() -> None:
    from runner.messages import tr, tr_recorded
    from runner.results.publication.rules import RULES

    with speaking("zh"):
        assert [rule.name for rule in RULES if not re.search("[一-鿿]", tr(rule.name))] == []
        assert [rule.asks for rule in RULES if ENGLISH.search(tr_recorded(rule.asks))] == []


def test_runs_side_by_side_are_written_in_chinese() -> None:
    first, second = report(reason=NO_POWER), report(reason=NO_POWER, seed=5, values={"throughput/steady": 400.0})
    broken = _measured(
        failed(message="The worker was killed by SIGKILL. If nobody did that, the machine may have run out of memory.")
    )
    runs = [RunResult(report=one, folder=Path(f"outputs/{index}")) for index, one in enumerate((first, second, broken))]
    with speaking("zh"):
        made = compare.page(runs)
    assert english(made) == []


def test_english_pages_stay_as_they_are() -> None:
    made = to_markdown(page(_reports()["train"], every_figure=True))
    assert not re.search("[一-鿿]", made)
    assert "Throughput, steady" in made
