from pathlib import Path

import pytest
from report_samples import failed, report

from runner.comparison.gate.baseline import Baseline, of_runs
from runner.comparison.gate.cases import GateLimits, gate
from runner.comparison.gate.finding import GateFinding, GateResult
from runner.comparison.gate.kinds import kind_of, same_kind
from runner.comparison.gate.measured import history, measured
from runner.comparison.result import RunResult
from runner.core.errors import ConfigurationError
from runner.record.report import Figure, Report

STEADY = "throughput/steady"


def run(made: Report, name: str) -> RunResult:
    return RunResult(report=made, folder=Path(name))


def steady(*values: float, others: float = 0.0, **changes) -> Report:
    made = report(**changes)
    made.figures[STEADY] = Figure(value=sum(values) / len(values), unit="sequences/s", repeats=values)
    made.figures["host/others_utilisation_mean"] = Figure(value=others, unit="1", repeats=(others,) * len(values))
    return made


def baseline(*reports: Report) -> Baseline:
    return of_runs([run(made, f"base/{index}") for index, made in enumerate(reports)], None, "nightly")


FIVE = [steady(499.0 + shift, 500.0 + shift, 501.0 + shift) for shift in (-1, -0.5, 0, 0.5, 1)]


def judged(*new: Report, held: Baseline | None = None, **limits) -> GateResult:
    runs = [run(made, f"new/{index}") for index, made in enumerate(new)]
    return gate(runs, held or baseline(*FIVE), GateLimits(**limits))


def test_earlier_runs_of_a_baseline_from_before_nodes_and_layouts_count() -> None:
    kind = kind_of(steady(500.0, nodes=1, layout="data"))
    assert same_kind(tuple(pair for pair in kind if pair[0] not in ("nodes", "layout")), kind)
    assert not same_kind(kind_of(steady(500.0, nodes=2, layout="data")), kind)


def single(result: GateResult, figure: str = STEADY) -> GateFinding:
    (found,) = [one for case in result.cases for one in case.findings if one.figure == figure]
    return found


def test_an_unchanged_run_passes_and_the_noise_is_told():
    result = judged(steady(499.5, 500.5, 500.0))
    assert (result.outcome, result.exit_code(strict=True)) == ("pass", 0)
    found = single(result)
    assert found.values.startswith("500.0 → 500.0 sequences/s, 0.000")
    assert found.text.startswith("With 3 repeats and a noise of 0.") and "fails on losses above 3.0 %" in found.text


def test_a_loss_of_five_percent_fails():
    result = judged(steady(474.0, 475.0, 476.0))
    assert (result.outcome, result.exit_code(strict=False)) == ("fail", 1)
    assert single(result).values == "500.0 → 475.0 sequences/s, 5.00 % worse"


def test_a_loss_that_is_allowed_passes():
    assert judged(steady(489.0, 490.0, 491.0)).outcome == "pass"
    assert judged(steady(489.0, 490.0, 491.0), ratio=0.99).outcome == "fail"
    assert judged(steady(474.0, 475.0, 476.0), single={"throughput/*": 0.9}).outcome == "pass"


def test_lower_is_better_is_turned():
    fast = baseline(*(report(values={"step/p50_ms": value}) for value in (10.0, 10.01, 9.99)))
    assert judged(report(values={"step/p50_ms": 10.6}), held=fast, figures=("step/p50_ms",)).outcome == "fail"
    assert judged(report(values={"step/p50_ms": 9.4}), held=fast, figures=("step/p50_ms",)).outcome == "pass"


def test_too_much_noise_is_undecided_and_fails_only_where_that_is_asked():
    noisy = [steady(400.0, 500.0, 600.0), steady(450.0, 500.0, 550.0)]
    result = judged(steady(380.0, 475.0, 570.0), held=baseline(*noisy))
    assert result.outcome == "undecided"
    assert (result.exit_code(strict=False), result.exit_code(strict=True)) == (0, 1)
    assert "only losses above" in single(result).text and "3.0 % are asked for" in single(result).text


def test_without_repeats_nothing_is_known():
    result = judged(steady(475.0), held=baseline(steady(500.0)))
    assert result.outcome == "undecided" and "measure.repeats=3" in single(result).text


def with_steps(folder: Path, made: Report, *milliseconds: float) -> RunResult:
    """A run folder with three repeats; every tenth step takes `milliseconds`, the others are disturbed."""
    for number, fastest in enumerate(milliseconds, 1):
        part = folder / "repeats" / str(number)
        part.mkdir(parents=True)
        (part / "run.yaml").write_text("")
        rows = [f"0,{step},window,{(fastest if step % 10 == 0 else 3 * fastest) / 1e3},,32,,1.0" for step in range(40)]
        text = "\n".join(["rank,step,phase,seconds,core_seconds,samples,tokens,loss", *rows]) + "\n"
        (part / "steps.csv").write_text(text)
    return RunResult(report=made, folder=folder)


NOISY = (300.0, 500.0, 700.0)


def disturbed(tmp_path: Path, new: tuple[float, ...], others: float = 0.4) -> GateResult:
    held = of_runs(
        [
            with_steps(tmp_path / f"base{index}", steady(*NOISY, others=0.4), 10.0, 10.02, 9.97 + index / 100)
            for index in range(5)
        ],
        None,
    )
    return gate([with_steps(tmp_path / "new", steady(*NOISY, others=others), *new)], held, GateLimits())


def test_where_the_mean_is_hidden_the_fastest_steps_decide(tmp_path):
    result = disturbed(tmp_path, (10.55, 10.53, 10.51))
    assert result.outcome == "fail"
    assert "(hidden by noise); Step time, fastest tenth 10.00 → 10.53 ms, 5.00 % worse" in single(result).values
    assert "The undisturbed part decides: With 3 repeats and a noise of" in single(result).text


def test_and_pass_what_is_unchanged(tmp_path):
    assert disturbed(tmp_path, (10.01, 10.03, 9.99)).outcome == "pass"


def test_a_run_that_never_had_the_processor_is_not_failed(tmp_path):
    result = disturbed(tmp_path, (20.0, 21.0, 22.0), others=0.7)
    assert result.outcome == "undecided" and "others took more than 55 %" in single(result).text


def test_a_loss_beside_more_disturbance_than_was_ever_seen_is_undecided():
    assert judged(steady(474.0, 475.0, 476.0, others=0.3)).outcome == "undecided"
    assert judged(steady(474.0, 475.0, 476.0, others=0.04)).outcome == "fail"
    assert judged(steady(499.0, 500.0, 501.0, others=0.3)).outcome == "pass", "a pass stays a pass"


def test_one_disturbed_repeat_of_a_baseline_excuses_no_run_that_was_disturbed_throughout():
    """As measured: a baseline with one such repeat in fifteen, and an unchanged run that had half the processor."""
    held = [
        shares(steady(455.0, 460.0, 465.0), 0.37, 0.50, 0.50),
        shares(steady(430.0, 455.0, 450.0), 0.44, 0.0, 0.02),
        shares(steady(280.0, 430.0, 470.0), 0.68, 0.53, 0.11),
        shares(steady(450.0, 462.0, 463.0), 0.50, 0.05, 0.01),
        shares(steady(463.0, 455.0, 465.0), 0.0, 0.0, 0.0),
    ]
    assert judged(shares(steady(250.0, 240.0, 248.0), 0.78, 0.73, 0.67), held=baseline(*held)).outcome == "undecided"
    assert judged(shares(steady(200.0, 190.0, 195.0), 0.1, 0.1, 0.1), held=baseline(*held)).outcome == "fail"


def shares(made: Report, *others: float) -> Report:
    made.figures["host/others_utilisation_mean"] = Figure(value=sum(others) / len(others), unit="1", repeats=others)
    return made


def converged(quality: float, reached: float = 1.0, **figures) -> Report:
    made = report(task="converge", values={"quality/mlm_accuracy": quality, "quality/reached": reached})
    made.figures |= figures
    return made


def test_a_loss_of_quality_is_not_excused_by_noise():
    held = baseline(*(converged(value) for value in (0.2312, 0.2312, 0.2312)))
    assert single(judged(converged(0.2312), held=held), "quality/mlm_accuracy").outcome == "pass"
    found = single(judged(converged(0.2311), held=held), "quality/mlm_accuracy")
    assert found.outcome == "fail" and "no noise excuses it" in found.text


def test_a_quality_inside_the_interval_of_its_repeats_passes():
    spread = Figure(value=0.2310, unit="1", interval=(0.22, 0.24), repeats=(0.226, 0.231, 0.236))
    found = single(judged(converged(0.2310, **{"quality/mlm_accuracy": spread}), held=baseline(converged(0.2312))),
                   "quality/mlm_accuracy")  # fmt: skip
    assert found.outcome == "pass"


def test_a_target_that_is_no_longer_reached_fails():
    result = judged(converged(0.2312, reached=0.0), held=baseline(converged(0.2312)))
    assert single(result, "quality/reached").outcome == "fail"


def test_a_missing_figure_a_failed_run_and_a_missing_case_fail():
    missing = judged(report(without=(STEADY,), reason="no window was completed"))
    assert single(missing).outcome == "fail" and "no window was completed" in single(missing).text
    broken = judged(failed())
    assert broken.outcome == "fail" and "exit 7" in broken.cases[0].findings[0].text
    two = baseline(*FIVE, steady(900.0, 901.0, precision="bf16"))
    lacking = judged(steady(499.5, 500.5, 500.0), held=two)
    assert lacking.outcome == "fail" and lacking.cases[1].findings[0].text == "There is no new run of this case."


def test_another_unit_fails():
    other = steady(499.0, 500.0, 501.0)
    other.figures[STEADY] = Figure(value=500.0, unit="tokens/s")
    assert "different units: sequences/s, tokens/s" in single(judged(other)).text


def test_further_cases_and_other_batches_and_machines_are_said():
    new = steady(499.0, 500.0, 501.0, batch_size=48)
    new.environment = {"host": {"cpu": "Other", "cores_logical": 4, "memory_gib": 15.7}}
    result = judged(new, steady(1.0, precision="tf32"))
    assert result.further == ["train bert reference tf32 nvidia eager"]
    assert any("batch_size is 48; the baseline has 24." in text for text in result.cases[0].warnings)
    assert any("Another machine: Other, 4 cores, 16 GiB" in text for text in result.cases[0].warnings)


def test_runs_of_another_scale_are_refused():
    with pytest.raises(ConfigurationError, match=r"differs in scale \(tiny, the baseline has reference\)"):
        judged(steady(500.0, 501.0, scale="tiny"))


@pytest.mark.parametrize(
    ("figures", "told"),
    [(("throughput/stedy",), "Nearest: throughput/steady"), (("run/window_s",), "neither more nor less")],
)
def test_figures_that_nothing_can_be_held_to_are_refused(figures, told):
    with pytest.raises(ConfigurationError, match=told):
        judged(steady(500.0, 501.0), figures=figures)


def test_older_reports_tell_their_repeats_by_the_interval():
    made = report(repeats=3, intervals={STEADY: (490.0, 510.0)}, values={STEADY: 500.0})
    values = measured(run(made, "x")).values[STEADY]
    assert sum(values) / 3 == pytest.approx(500.0) and len(values) == 3
    assert max(values) - 500 == pytest.approx(4.02559, abs=1e-4)


def test_history_is_of_the_same_kind_and_machine(tmp_path):
    def saved(name: str, made: Report) -> RunResult:
        (tmp_path / name).mkdir()
        made.save(tmp_path / name / "report.json")
        return RunResult(report=made, folder=tmp_path / name)

    own = saved("own", steady(500.0, 501.0))
    saved("like", steady(502.0, 503.0, seed=7))
    saved("other", steady(502.0, 503.0, precision="bf16"))
    saved("broken", failed())
    elsewhere = steady(502.0, 504.0)
    elsewhere.environment = {"host": {"cpu": "Other"}}
    saved("elsewhere", elsewhere)
    (found,) = history([own], tmp_path)
    assert found.values[STEADY] == (502.0, 503.0)
