from __future__ import annotations

from pathlib import Path

import pytest
from plot_samples import WARMUP, write_evaluations, write_power, write_steps
from tracking_samples import make_case, make_report

from runner.record.series import read_power, read_steps
from runner.views import plots
from runner.views.plots import draw_plots

PNG = b"\x89PNG\r\n\x1a\n"


def make_folder(root: Path, *overrides: str) -> Path:
    folder = root / "run"
    folder.mkdir(parents=True)
    make_case(root, *overrides).save(folder / "run.yaml")
    return folder


def test_steps_are_joined_over_ranks(tmp_path: Path) -> None:
    write_steps(tmp_path, steps=50, ranks=2)
    steps = read_steps(tmp_path / "steps.csv")
    assert [step.step for step in steps] == list(range(1, 51))
    assert {step.samples for step in steps} == {64}
    assert [step.phase for step in steps] == ["warmup"] * WARMUP + ["window"] * 10
    alone = tmp_path / "alone"
    alone.mkdir()
    write_steps(alone, steps=50, ranks=1)
    singles = read_steps(alone / "steps.csv")
    assert all(both.seconds == pytest.approx(one.seconds + 0.001) for both, one in zip(steps, singles, strict=True))


def test_a_torn_line_and_missing_losses(tmp_path: Path) -> None:
    rows = "0,1,train,0.5,0.4,8,,nan\n0,2,train,0.5,0.4,8,,1.5\n0,3,train,0.5,0.4,8,,\n0,4,train,0.5,0.4,8,,1"
    (tmp_path / "steps.csv").write_text(f"rank,step,phase,seconds,core_seconds,samples,tokens,loss\n{rows}")
    steps = read_steps(tmp_path / "steps.csv")
    assert [(step.step, step.loss) for step in steps] == [(1, None), (2, 1.5), (3, None)]


def test_a_repeated_step_counts_as_it_went_the_last_time(tmp_path: Path) -> None:
    rows = "0,1,train,0.5,0.4,8,,3\n0,2,train,0.5,0.4,8,,2\n0,2,train,0.7,0.4,8,,1\n"
    (tmp_path / "steps.csv").write_text(f"rank,step,phase,seconds,core_seconds,samples,tokens,loss\n{rows}")
    assert [(step.step, step.seconds) for step in read_steps(tmp_path / "steps.csv")] == [(1, 0.5), (2, 0.7)]


def test_power_from_watts_and_from_a_counter(tmp_path: Path) -> None:
    write_power(tmp_path)
    (device, package), marks = read_power(tmp_path / "power.csv")
    assert device.label == "device: GPU-5f2c (nvml)" and len(device.power_w) == 400
    assert package.label == "package: package-0 (rapl), from its energy counter"
    assert 340 < len(package.power_w) < 399, "each wrap of the counter leaves a gap"
    assert min(package.power_w) == pytest.approx(60, abs=1e-6) and max(package.power_w) < 146
    assert marks["segment_begin:1"] == 114.0


def test_everything_is_drawn(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    write_steps(folder)
    write_evaluations(folder, "mlm_accuracy")
    write_power(folder)
    paths = draw_plots(folder, make_report(folder))
    assert [path.name for path in paths] == ["loss.png", "throughput.png", "quality.png", "power.png"]
    assert all(path.parent == folder / "plots" and path.read_bytes().startswith(PNG) for path in paths)


def test_no_plot_without_data(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    (folder / "power.csv").write_text("another,table\n")
    (folder / "steps.csv").write_text("rank,step,phase,seconds,core_seconds,samples,tokens,loss\n")
    assert draw_plots(folder, make_report(folder)) == []
    assert not (folder / "plots").exists()


def test_repeats_are_drawn_each(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    for number in (1, 2):
        part = folder / "repeats" / str(number)
        part.mkdir(parents=True)
        make_case(tmp_path).save(part / "run.yaml")
        write_steps(part, steps=60, ranks=1)
    names = [path.name for path in draw_plots(folder, make_report(folder))]
    assert names == ["loss_repeat1.png", "throughput_repeat1.png", "loss_repeat2.png", "throughput_repeat2.png"]


def test_the_throughput_drawn_is_the_jobs(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    write_steps(folder)
    report = make_report(folder, speed=1234.5)
    axes = plots._throughput(read_steps(folder / "steps.csv"), report, "sequences").axes[0]
    each, mean, steady = axes.lines
    step = read_steps(folder / "steps.csv")[-1]
    assert each.get_ydata()[-1] == pytest.approx(64 / step.seconds)
    assert mean.get_ydata()[-1] == pytest.approx(64 / 0.051, rel=0.02)
    assert steady.get_ydata()[0] == 1234.5
    assert axes.get_ylabel() == "throughput (sequences/s)"
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == ["each step", "moving mean", "steady: 1,234 sequences/s", "warm-up", "measured window"]


def test_loss_time_and_target_are_labelled(tmp_path: Path) -> None:
    case = make_case(tmp_path)
    write_evaluations(tmp_path, "mlm_accuracy", count=3)
    figure = plots._quality(plots.read_events(tmp_path / "events" / "rank0.log")[0], case)
    over_samples, over_time = figure.axes
    assert list(over_samples.lines[0].get_xdata()) == [0, 3200, 6400, 9600]
    assert list(over_time.lines[0].get_xdata()) == [0.0, 3.0, 6.0, 9.0]
    assert list(over_samples.lines[1].get_ydata()) == [case.model.training.quality.targets["mlm_accuracy"]] * 2
    assert over_samples.get_xlabel() == "training samples (sequences)"


@pytest.mark.parametrize("emulated", [True, False])
def test_emulated_is_written_across(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, emulated: bool) -> None:
    folder = make_folder(tmp_path, f"emulate={str(emulated).lower()}")
    write_steps(folder, steps=60)
    drawn: list[list[str]] = []
    from matplotlib.figure import Figure

    monkeypatch.setattr(
        Figure, "savefig", lambda self, *_, **__: drawn.append([text.get_text() for text in self.texts])
    )
    draw_plots(folder, make_report(folder))
    assert drawn
    assert all(("EMULATED" in texts) == emulated for texts in drawn)
    assert all(texts[0] == make_case(tmp_path, f"emulate={str(emulated).lower()}").name for texts in drawn)
