import io
import itertools
from pathlib import Path
from typing import Any

import pytest
from case_samples import make_case
from report_samples import failed, report

from hardware.precision.cpu_features import has_float16
from runner.console.console import Console
from runner.console.progress import duration
from runner.console.sweep_table import show_sweep
from runner.core.events import Event

FOLDER = Path("outputs/run")


class Stage:
    """A console with a clock that moves only when it is told to."""

    def __init__(self, task: str = "train", *, terminal: bool = False, **case: Any) -> None:
        self.now_s = 100.0
        self.out = io.StringIO()
        self.console = Console(make_case(task, **case), terminal=terminal, file=self.out, clock=lambda: self.now_s)
        if terminal:
            self.console._screen.width = 100

    def start(self, *, detected: bool = False) -> "Stage":
        self.console.start(FOLDER, detected)
        return self

    def wait(self, seconds: float, tick_s: float = 0.25) -> None:
        for _ in range(round(seconds / tick_s)):
            self.now_s += tick_s
            self.console.tick()

    def tell(self, name: str, rank: int = 0, **value: Any) -> None:
        self.console.on_event(Event(name=name, value=value, rank=rank, time_ms=0, monotonic_s=self.now_s))

    def step(self, step: int, loss: float = 5.5) -> None:
        told = {"step": step, "samples": 64 * step, "seconds": 1.0, "samples_per_second": 64.0, "loss": loss}
        self.tell("STEP_END", phase="window", learning_rate=1e-3, **told)

    def warm(self, **quality: float) -> None:
        self.tell("INIT_START")
        self.tell("INIT_END", seconds=1.0)
        if quality:
            self.tell("INIT_EVALUATION", step=0, samples=0, quality=quality, seconds=1.0, reached=False)
        self.tell("TRAIN_START", step=0, samples=0)
        self.wait(10)
        self.step(10)
        self.tell("WARMUP_END", steady=True, steps=10, seconds=10.0, reason="")

    @property
    def text(self) -> str:
        return self.out.getvalue()

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.text.splitlines()]

    def stamped(self) -> list[str]:
        return [line[12:] for line in self.lines if line.startswith("[")]


def test_header_says_what_runs():
    text = Stage().start(detected=True).text
    assert "model      bert, scale=reference, batch 32 per device and pass, 2 passes per step" in text
    assert "precision  fp32: float32 weights, computed in float32" in text
    assert "vendor     cpu, Host CPU (found on this machine" in text
    assert "topology   single, 1 device" in text
    assert "data       sample" in text
    assert "measure    standard: at least 30 s and 50 steps" in text
    assert f"folder     {FOLDER}" in text
    for mark in ("EMULATED", "TINY", "NOT PUBLISHABLE", "target "):
        assert mark not in text


def test_header_names_chip_precision_and_repeats():
    mixed = {"name": "bf16", "weights": "float32", "autocast": "bfloat16", "matmul": "ieee"}
    text = (
        Stage(precision=mixed, repeats=3, vendor={"chip": "A100"}, topology={"name": "node", "devices": 8}).start().text
    )
    assert "bf16: float32 weights, computed in bfloat16" in text
    assert "3 times in fresh processes" in text
    assert "cpu, Host CPU, A100\n" in text
    assert "node, 8 devices" in text


def test_header_marks():
    text = Stage("converge", emulate=True, scale="tiny", measure="smoke").start().text
    assert "EMULATED" in text
    assert "TINY" in text
    assert "NOT PUBLISHABLE: measured too briefly (measure=smoke)" in text
    assert "target     mlm_accuracy ≥ 0.2 within 6,400 examples" in text


def test_lower_is_better_targets_are_written_so():
    quality = {"targets": {"wer": 0.3}, "mode": "min", "every_samples": 10}
    assert "wer ≤ 0.3" in Stage("converge", train={"quality": quality}).start().text


def test_plain_lines_follow_the_stages_of_train():
    stage = Stage().start()
    stage.warm()
    stage.tell("SEGMENT_BEGIN", segment=0, planned_steps=30, expected_s=30.0)
    stage.wait(30)
    stage.tell("SEGMENT_END", segment=0, seconds=30.0, samples=1920, tokens=None, steps=30)
    stage.tell("TRAIN_END")
    assert stage.stamped() == [
        "starting worker",
        "preparing: connecting the device",
        "preparing: loading the framework",
        "warming up",
        "warming up, step 10, loss 5.500, 64.00 sequences/s",
        "steady after 10 steps of warm-up",
        "measuring",
        "measuring, 33%, 20 s left, 30 steps, read back when they are done",
        "measuring, 67%, 10 s left, 30 steps, read back when they are done",
        "measuring, 99%, about to end, 30 steps, read back when they are done",
        "counting FLOPs",
    ]


def test_plain_lines_are_sparse():
    stage = Stage().start()
    stage.warm()
    before = len(stage.lines)
    stage.tell("SEGMENT_BEGIN", segment=0, planned_steps=3000, expected_s=600.0)
    stage.wait(600)
    assert 50 <= len(stage.lines) - before <= 61


def test_many_events_at_once_make_no_lines():
    stage = Stage().start()
    stage.warm()
    before = len(stage.lines)
    for step in range(11, 511):
        stage.step(step)
    assert len(stage.lines) == before


def test_second_segment_goes_on_from_the_first():
    stage = Stage().start()
    stage.warm()
    for expected_s in (30.0, 10.0):
        stage.tell("SEGMENT_BEGIN", segment=0, planned_steps=30, expected_s=expected_s)
        stage.wait(expected_s)
        stage.tell("SEGMENT_END", segment=0, seconds=expected_s, samples=1920, tokens=None, steps=30)
    stage.tell("SEGMENT_BEGIN", segment=2, planned_steps=30, expected_s=40.0)
    stage.wait(20)
    assert "measuring, 75%, 20 s left, 30 steps, read back when they are done" in stage.stamped()


def test_unsteady_warm_up_says_why():
    stage = Stage().start()
    stage.tell("WARMUP_END", steady=False, steps=200, seconds=120.0, reason="blocks differed by 12 %")
    assert "NOT steady after 200 steps of warm-up: blocks differed by 12 %" in stage.stamped()


def converging() -> Stage:
    stage = Stage("converge").start()
    stage.warm(mlm_accuracy=0.01)
    return stage


def test_converge_follows_budget_and_speed():
    stage = converging()  # 10 of 100 steps in 10 s
    stage.tell("SEGMENT_BEGIN", segment=0, planned_steps=10, expected_s=10.0)
    stage.wait(10)  # 10 more steps, as planned
    line = stage.stamped()[-1]
    assert line.startswith("training, 20%, at most 80 s left, step 10, loss 5.500, 64.00 sequences/s")
    assert line.endswith("mlm_accuracy 0.01000 of 0.2")


def test_silence_after_a_segment_is_an_evaluation():
    stage = converging()
    stage.tell("SEGMENT_BEGIN", segment=0, planned_steps=10, expected_s=10.0)
    stage.wait(9)
    stage.tell("SEGMENT_END", segment=0, seconds=10.0, samples=640, tokens=None, steps=10)
    stage.tell("SEGMENT_BEGIN", segment=1, planned_steps=10, expected_s=10.0)
    stage.wait(5)
    assert "evaluating" not in stage.stamped()
    stage.tell("SEGMENT_END", segment=1, seconds=10.0, samples=640, tokens=None, steps=10)
    stage.wait(5)
    stage.tell("EVALUATE", step=30, samples=1920, quality={"mlm_accuracy": 0.21}, seconds=5.0, reached=True)
    stage.tell("TRAIN_END")
    stage.wait(5)
    told = stage.stamped()
    assert told[told.index("evaluating") + 1 :] == [
        "evaluation at step 30, 1,920 sequences: mlm_accuracy 0.2100 (target reached)",
        "counting FLOPs",
    ]


def test_evaluation_below_the_target_names_it():
    stage = converging()
    stage.tell("EVALUATE", step=10, samples=640, quality={"mlm_accuracy": 0.1, "f1": None}, seconds=1.0, reached=False)
    line = "evaluation at step 10, 640 sequences: mlm_accuracy 0.1000, f1 not a number (target mlm_accuracy ≥ 0.2)"
    assert line in stage.stamped()


def test_resumed_run_counts_its_own_speed_only():
    stage = Stage("converge").start()
    stage.tell("INIT_START")
    stage.tell("RESUMED", step=50, samples=3200)
    stage.tell("TRAIN_START", step=50, samples=3200)
    stage.wait(10)
    stage.step(60)
    stage.tell("WARMUP_END", steady=True, steps=10, seconds=10.0, reason="")
    stage.wait(10)
    assert "continues from step 50 of an earlier part" in stage.stamped()
    assert stage.stamped()[-1].startswith("training, 60%, at most 80 s left, step 60")  # 10 steps in 20 s


def test_inspect_has_no_training_stages():
    stage = Stage("inspect").start()
    stage.tell("INIT_START")
    stage.tell("INIT_END", seconds=1.0)
    assert stage.stamped() == ["starting worker", "preparing: connecting the device", "counting FLOPs"]
    assert "measure " not in stage.text


def test_devices_are_named_once():
    stage = Stage().start()
    stage.tell("ENVIRONMENT", devices=[{"name": "A100"}, {"name": "A100"}])
    assert "device: A100" in stage.stamped()


def test_other_ranks_do_not_move_the_display():
    stage = Stage().start()
    stage.tell("TRAIN_START", rank=1, step=0, samples=0)
    assert stage.stamped() == ["starting worker"]


def test_repeats_start_afresh_and_are_counted():
    stage = Stage(repeats=2).start()
    stage.warm()
    stage.tell("TRAIN_END")
    stage.warm()
    told = stage.stamped()
    assert told.index("repeat 1 of 2") < told.index("counting FLOPs") < told.index("repeat 2 of 2")
    assert told.count("steady after 10 steps of warm-up") == 2


def test_warnings_are_said_once_whichever_rank_tells_them():
    stage = Stage().start()
    for rank in range(4):
        stage.tell("WARNING", rank=rank, message="[x] the meter stopped")
    assert stage.text.count("Warning: [x] the meter stopped") == 1


ERROR = {"class": "DivergedError", "message": "The loss became NaN at step 12.", "exit_code": 7}


def test_error_is_one_paragraph_and_not_repeated_by_the_result():
    stage = Stage().start()
    for rank in range(2):
        stage.tell("ERROR", rank=rank, **ERROR)
    assert "DivergedError (exit 7). The loss is no longer a finite number." in stage.lines
    stage.console.finish(failed(), FOLDER)
    assert stage.text.count("The loss became NaN at step 12.") == 1
    assert "FAILED (exit 7, DivergedError)" in stage.lines
    assert "Traceback" not in stage.text


def test_worker_that_has_failed_is_ending():
    stage = converging()
    stage.tell("ERROR", rank=1, **ERROR)
    stage.wait(11)
    assert stage.stamped()[-1] == "ending worker"


def test_what_is_prepared_is_said():
    stage = Stage().start()
    stage.tell("INIT_START")
    stage.tell("INIT_END", seconds=1.0)
    for what in ("building the model", "reading the data"):
        stage.tell("PREPARE", what=what)
        stage.wait(59)
    assert stage.stamped() == [
        "starting worker",
        "preparing: connecting the device",
        "preparing: loading the framework",
        "preparing: building the model",
        "preparing: reading the data",
    ]
    stage.wait(1)
    assert stage.stamped()[-2:] == ["preparing: reading the data"] * 2, "still alive, once a minute"


def test_a_terminal_says_what_is_prepared():
    stage = Stage(terminal=True).start()
    stage.tell("INIT_START")
    stage.tell("PREPARE", what="reading the data")
    stage.wait(1)
    assert "reading the data" in stage.text


def test_header_names_the_tuning_file_in_use():
    stage = Stage()
    stage.console.start(FOLDER, False, tuning="nvidia/resnet50")
    assert "tuning     conf/tuning/nvidia/resnet50.yaml" in stage.text
    assert "tuning " not in Stage().start().text


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ("flags : fpu avx512f avx512_bf16", True),
        ("flags : avx512_fp16", False),
        ("Features : asimdhp", False),
        ("", False),
    ],
)
@pytest.mark.parametrize("name", ["fp16", "fp32"])
def test_float16_on_a_processor_without_it_is_said_to_be_slow(monkeypatch, tmp_path, flags, says, name):
    (tmp_path / "cpuinfo").write_text(f"processor : 0\n{flags}\n")
    monkeypatch.setattr("runner.console.header.has_float16", lambda: has_float16(tmp_path / "cpuinfo"))
    precision = {
        "name": name,
        "weights": "float32",
        "autocast": "float16" if name == "fp16" else None,
        "matmul": "ieee",
    }
    text = Stage(precision=precision, vendor={"on_host": True}).start().text
    assert ("SLOW: this processor has no float16 arithmetic" in text) == (says and name == "fp16")
    assert "SLOW" not in Stage(precision=precision, vendor={"on_host": False}).start().text, "a chip is not the host"


def test_counting_ends_with_the_account():
    stage = Stage("inspect").start()
    stage.tell("INIT_END", seconds=1.0)
    stage.tell("ACCOUNT", parameters=1)
    assert stage.stamped()[-2:] == ["counting FLOPs", "ending worker"]


def test_error_that_no_worker_told_is_in_the_result():
    stage = Stage().start()
    stage.console.finish(failed(message="vendor=nvidia is not available."), FOLDER)
    assert "vendor=nvidia is not available." in stage.lines


TRACEBACK = "Traceback (most recent call last):\n  somewhere\n"
LOG = f"noise\n{TRACEBACK}Error: 1\n{TRACEBACK}Error: 2\n"


@pytest.mark.parametrize("debug", [True, False])
def test_traceback_only_when_debugging(tmp_path, debug):
    (tmp_path / "worker.log").write_text(LOG)
    stage = Stage(debug=debug).start()
    stage.console.finish(failed(), tmp_path)
    assert ("Error: 2" in stage.text) == debug
    assert "Error: 1" not in stage.text


def test_finish_shows_the_result_and_where_it_lies():
    stage = Stage().start()
    stage.console.finish(report(), FOLDER)
    assert any(line.startswith("Throughput, steady") and "512.3" in line for line in stage.lines)
    assert stage.lines[-2:] == [f"Run folder   {FOLDER}", f"All figures  python -m runner.report {FOLDER}"]


def test_terminal_shows_a_bar_and_cleans_up():
    stage = Stage(terminal=True).start()
    stage.warm()
    stage.tell("SEGMENT_BEGIN", segment=0, planned_steps=30, expected_s=30.0)
    stage.wait(15)
    assert "measuring" in stage.text
    assert "15 s left" in stage.text
    assert stage.text.count("\x1b[?25l") == 1
    stage.console.finish(report(), FOLDER)
    assert stage.text.count("\x1b[?25h") == 1
    stage.console.stop()


def test_terminal_is_drawn_at_most_four_times_a_second(monkeypatch):
    stage = Stage(terminal=True).start()
    drawn = []
    monkeypatch.setattr(stage.console, "_draw", lambda bar, snapshot: drawn.append(stage.now_s))
    for step in range(1000):
        stage.now_s += 0.01
        stage.step(step)
        stage.console.tick()
    assert 30 <= len(drawn) <= 40
    assert min(later - earlier for earlier, later in itertools.pairwise(drawn)) >= 0.25 - 1e-9


def test_skip_says_where_the_result_is():
    stage = Stage()
    stage.console.skip(FOLDER)
    assert f"is done already (resume=true): {FOLDER}" in stage.text


def test_sweep_shows_how_each_case_ended_and_where_they_are_compared(tmp_path):
    reports = {
        tmp_path / "0_fp32": report(values={"throughput/steady": 500.0}),
        tmp_path / "1_bf16": report(values={"throughput/steady": 750.0}, precision="bf16"),
        tmp_path / "2_tiny": failed(scale="tiny"),
    }
    out = io.StringIO()
    show_sweep(tmp_path, reports, file=out)
    shown = [" ".join(line.split()) for line in out.getvalue().splitlines()]
    assert "Sweep: 2 of 3 cases done" in shown
    assert "2_tiny failed (exit 7, DivergedError) - -" in shown
    assert "1_bf16 done 750.0 sequences/s -" in shown
    assert shown[-2] == f"Which is faster, and how sure that is: python -m runner.compare {tmp_path}"
    assert shown[-1] == f"Show this again: python -m runner.report {tmp_path}"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (42, "42 s"), (99, "99 s"), (100, "2 min"), (720, "12 min"), (12600, "3.5 h")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text
