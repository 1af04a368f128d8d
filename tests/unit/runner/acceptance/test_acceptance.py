"""Acceptance: who is named and why, with devices that are made up, and the command around it."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runner.acceptance.__main__ import main
from runner.acceptance.judge import Limits, judge
from runner.acceptance.plan import AcceptancePlan, make_acceptance_plan
from runner.acceptance.readings import BurnedIn, Round, device_of, load_subjects, read_rounds, save_subjects
from runner.core.errors import ConfigurationError

GEMM, MEMORY, STEADY = "peak/matmul_bf16_tflops", "peak/memory_copy_gb_s", "throughput/steady"
CHIP = "A100-SXM4-40GB"
SHEET = {GEMM: 312.0, MEMORY: 1555.0}


def device(label: int, *, speed: float = 1.0, node: str = "n1", rounds: int = 3, **changes: Any) -> BurnedIn:
    """A device that reaches `speed` times what a good one does, give or take a little of its own."""
    own = speed * (1 + 0.002 * (label % 3 - 1))
    plain: dict[str, Any] = {
        "figures": {GEMM: [250.0 * own] * rounds, MEMORY: [1300.0 * own] * rounds, STEADY: [2000.0 * own] * rounds},
        "units": {GEMM: "TFLOP/s", MEMORY: "GB/s", STEADY: "images/s"},
        "sheet": SHEET,
        "chip": CHIP,
        "rounds": rounds,
    }
    return BurnedIn(kind="device", node=node, label=str(label), **(plain | changes))


def found(subjects: list[BurnedIn], limits: Limits | None = None) -> dict[str, list[str]]:
    """Kinds of findings by the subject's label."""
    made = judge(subjects, limits)
    return {one.subject.label: [finding.kind for finding in one.findings] for one in made.verdicts}


def test_a_slow_device_of_eight_is_named_and_ranked_last() -> None:
    made = judge([device(label, speed=0.9 if label == 5 else 1.0) for label in range(8)])
    failing = [one for one in made.verdicts if not one.accepted]
    assert [one.subject.label for one in failing] == ["5"] and not made.accepted
    assert [finding.kind for finding in failing[0].findings] == ["straggler"] * 3
    assert failing[0].rank == 8 and sorted(one.rank or 0 for one in made.verdicts) == list(range(1, 9))
    gemm = next(figure for figure in failing[0].figures if figure.name == GEMM)
    others = [250.0 * (1 + 0.002 * (label % 3 - 1)) for label in range(8) if label != 5]
    middle = statistics.median(others)
    spread = 1.4826 * statistics.median(abs(one - middle) for one in others)
    value = 250.0 * 0.9 * 1.002
    assert gemm.deviation == pytest.approx(value / middle - 1) and gemm.z == pytest.approx((value - middle) / spread)
    assert gemm.fraction == pytest.approx(value / 312.0)


def test_eight_alike_are_accepted() -> None:
    made = judge([device(label) for label in range(8)])
    assert made.accepted and not any(one.findings for one in made.verdicts) and not made.not_judged


@pytest.mark.parametrize(("speed", "kinds"), [(0.96, []), (0.94, ["straggler"] * 3), (1.04, []), (1.1, ["faster"] * 3)])
def test_where_the_limit_lies(speed: float, kinds: list[str]) -> None:
    assert found([device(label, speed=speed if label == 1 else 1.0) for label in range(8)])["1"] == kinds


def test_a_fleet_that_varies_that_much_has_no_straggler() -> None:
    speeds = (1.0, 0.8, 1.12, 0.9, 1.1, 0.85, 1.15, 0.88)
    assert not any(found([device(label, speed=speed) for label, speed in enumerate(speeds)]).values())


def test_of_two_devices_the_slower_is_named_only_where_no_round_of_it_was_as_fast() -> None:
    fast, slow = device(0), device(1, speed=0.9)
    assert found([fast, slow]) == {"0": ["faster"] * 3, "1": ["straggler"] * 3}
    noisy = replace(
        slow, figures={name: [values[0], values[0], values[0] * 1.2] for name, values in slow.figures.items()}
    )
    assert found([fast, noisy]) == {"0": [], "1": []}


def test_of_two_devices_two_rounds_tell_nothing() -> None:
    made = judge([device(0, rounds=2), device(1, speed=0.7, rounds=2)], Limits(least_compute=0.4, least_memory=0.4))
    assert made.accepted and not any(one.findings for one in made.verdicts)
    assert any("fewer than 3 rounds" in text for text in made.not_judged)


def test_one_device_is_judged_by_its_data_sheet_alone() -> None:
    made = judge([device(0)])
    assert made.accepted and made.not_judged == ["n1 device 0 has no other device of its chip to be compared with"]
    assert found([device(0, speed=0.6)]) == {"0": ["below data sheet", "below data sheet"]}  # 48 % and 50 %
    assert found([device(0, speed=0.6)], Limits(least_compute=0.4, least_memory=0.4)) == {"0": []}


def test_more_than_the_data_sheet_is_no_fraction_and_is_said() -> None:
    made = judge([device(0, speed=1.3)])
    kinds = [finding.kind for finding in made.verdicts[0].findings]
    assert kinds == ["beyond data sheet", "beyond data sheet"] and made.accepted
    assert [figure.fraction for figure in made.verdicts[0].figures] == [None, None, None]


def test_an_unknown_chip_is_not_judged_by_a_data_sheet() -> None:
    made = judge(
        [device(label, chip="X", sheet={}, no_data_sheet="chips.yaml has no chip named 'X'\nadd") for label in (0, 1)]
    )
    assert made.accepted and made.not_judged == ["X against its data sheet: chips.yaml has no chip named 'X'"]


def test_a_device_that_failed_or_lacks_a_figure_is_not_accepted() -> None:
    lacking = device(2)
    del lacking.figures[STEADY]
    kinds = found([device(0), device(1, failures=["round 1: training ended with OutOfMemoryError"]), lacking])
    assert kinds == {"0": [], "1": ["failed"], "2": ["missing"]}


def test_fading_and_throttling_are_named_and_do_not_fail() -> None:
    fading = device(0, figures={GEMM: [250.0, 250.0, 240.0, 240.0, 230.0, 230.0]}, throttled_by=["thermal"])
    made = judge([fading])
    assert made.accepted
    assert [finding.text for finding in made.verdicts[0].findings] == [
        "the device was throttled: thermal",
        f"{GEMM} fell by 8.0% from the first third of its rounds to the last",
    ]


def test_devices_of_other_chips_are_not_compared() -> None:
    kinds = found(
        [
            device(0),
            device(1),
            device(2, chip="H100-SXM5-80GB", speed=1.2, sheet={}),
            device(3, chip="H100-SXM5-80GB", speed=1.2, sheet={}),
        ]
    )
    assert not any(kinds.values())


def test_a_slow_link_is_named() -> None:
    links = [
        BurnedIn(
            kind="link",
            node="n1",
            label=f"{one}->{(one + 1) % 8}",
            figures={"p2p": [50.0 if one == 3 else 100.0 + one]},
        )
        for one in range(8)
    ]
    assert {label for label, kinds in found(links).items() if kinds} == {"3->4"}


def test_nothing_at_all_is_not_accepted() -> None:
    assert not judge([]).accepted
    assert not judge([device_of("n1", 0, [])]).accepted


def test_rounds_are_read_back_and_half_a_line_is_left_out(tmp_path: Path) -> None:
    rounds = [
        Round(number=1, seconds=9.0, figures={GEMM: 250.0}, chip=CHIP, temperature_max_c=60.0),
        Round(number=2, seconds=9.0, figures={GEMM: 240.0}, failures=["training ended"], exit_code=6),
    ]
    for one in rounds:
        one.append(tmp_path)
    with (tmp_path / "rounds.jsonl").open("a") as file:
        file.write('{"number": 3, ')
    read = read_rounds(tmp_path)
    assert read == rounds
    made = device_of("n1", 4, read)
    assert made.figures == {GEMM: [250.0, 240.0]} and made.failures == ["round 2: training ended"]
    assert (made.exit_code, made.temperature_max_c, made.chip) == (6, 60.0, CHIP)


def burning(subjects: list[BurnedIn]) -> Callable[..., list[BurnedIn]]:
    return lambda plan, folder, say: [say("round 1"), *subjects][1:]  # type: ignore[func-returns-value]


WORDS = ["vendor=cpu", "tracking=none", "--minutes", "1"]


def test_the_command_with_eight_devices_of_which_one_is_slow(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subjects = [device(label, speed=0.85 if label == 6 else 1.0) for label in range(8)]
    assert main([*WORDS, f"run.root={tmp_path}"], burn=burning(subjects)) == 8
    shown = capsys.readouterr().out
    assert "NOT ACCEPTED: n1 device 6" in shown and "below the others' median" in shown
    (folder,) = (tmp_path / "burn_in").iterdir()
    result = json.loads((folder / "result.json").read_text())
    assert result["accepted"] is False and result["ecc"] is None and len(result["verdicts"]) == 8
    assert "NOT ACCEPTED" in (folder / "result.md").read_text() and load_subjects(folder) == subjects


def test_interrupted_it_judges_what_there_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def burn(plan: AcceptancePlan, folder: Path, say: Callable[[str], None]) -> list[BurnedIn]:
        (folder / "device0").mkdir()
        Round(number=1, seconds=1.0, figures={GEMM: 250.0}).append(folder / "device0")
        raise KeyboardInterrupt

    assert main([*WORDS, f"run.root={tmp_path}"], burn=burn) == 130
    assert "Interrupted" in capsys.readouterr().err


def test_where_nothing_was_measured_the_cause_is_the_exit_code(tmp_path: Path) -> None:
    broken = BurnedIn(kind="device", node="n1", label="0", failures=["round 1: no driver"], exit_code=3)
    assert main([*WORDS, f"run.root={tmp_path}"], burn=burning([broken])) == 3


def test_a_fleet_is_judged_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for node, speed in (("n1", 1.0), ("n2", 1.0), ("n3", 0.8), ("n4", 1.0)):
        (tmp_path / node).mkdir()
        save_subjects(tmp_path / node, [device(label, node=node, speed=speed) for label in range(2)])
    folders = [str(tmp_path / f"n{number}") for number in range(1, 5)]
    assert main(["--fleet", *folders, "--out", str(tmp_path / "out"), "--json"]) == 8
    made = json.loads(capsys.readouterr().out)
    assert {one["subject"]["node"] for one in made["verdicts"] if not one["accepted"]} == {"n3"}
    assert (tmp_path / "out" / "result.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["vendor=cpu", "--minutes", "0"], "must be positive"),
        (["vendor=nvidia", "emulate=true"], "emulate=true puts the host CPU"),
        (["vendor=cpu", "topology.devices=999"], "topology.devices=999"),
        (["vendor=cpu", "task=infer"], "is a training"),
        (["vendor=cpu", "model=nothing"], "nothing"),
        (["--fleet", "nowhere"], "cannot be read"),
        (["vendor=cpu", "--fleet", "nowhere"], "measures nothing"),
    ],
)
def test_bad_input(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = [] if "--fleet" in arguments else [f"run.root={tmp_path}"]
    assert main([*root, *arguments], burn=burning([])) == 2
    assert said in capsys.readouterr().err


def test_a_host_of_two_devices_trains_tiny_and_measures_what_it_has() -> None:
    plan = make_acceptance_plan(["vendor=cpu", "topology.devices=2", "tracking=none"], minutes=1)
    assert plan.devices == 2 and plan.training.scale == "tiny" and plan.training.tracking.name == "none"
    assert plan.training.topology.devices == 1 and plan.single.devices == 1
    assert plan.single.only[:2] == ("peak/matmul_fp32_tflops", "peak/memory_copy_gb_s")
    assert plan.together is not None and plan.together.devices == 2
    with pytest.raises(ConfigurationError):
        make_acceptance_plan(["vendor=cpu", "-m"], minutes=1)
