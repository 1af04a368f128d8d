import csv
import io
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from report_samples import failed, report, saved

from runner.record.report import Figure, Report
from runner.tools.compare import main

STEADY = "throughput/steady"


def steady(*values: float, **changes) -> Report:
    made = report(**changes)
    made.figures[STEADY] = Figure(value=sum(values) / len(values), unit="sequences/s", repeats=values)
    return made


@pytest.fixture
def outputs(tmp_path, monkeypatch) -> Path:
    """Two runs of one case, in two precisions, and five unchanged ones."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "outputs" / "2026-11-26"
    saved(root / "10-00-00_train_bert_fp32", steady(490.0, 500.0, 510.0))
    saved(root / "11-00-00_train_bert_bf16", steady(590.0, 600.0, 610.0, precision="bf16"))
    for number in range(5):
        values = (799.0 + number / 4, 800.0, 801.0)
        saved(tmp_path / "held" / f"{number}_train_bert_tf32", steady(*values, precision="tf32", seed=number))
    return tmp_path


def told(capsys, *arguments: str, code: int = 0) -> str:
    assert main(list(arguments)) == code
    captured = capsys.readouterr()
    return captured.err if code == 2 else captured.out


def joined(text: str) -> str:
    return " ".join(text.split())


def test_two_folders_are_answered_in_the_first_line(outputs, capsys):
    text = told(capsys, "outputs/2026-11-26/10-00-00_train_bert_fp32", "outputs/2026-11-26/11-00-00_train_bert_bf16")
    assert joined(text).startswith(
        "2: bf16 is 1.20x faster than 1: fp32: Throughput, steady 600.0 against 500.0 sequences/s (95 % interval 1.15x "
        "to 1.25x; 3 and 3 repeats)."
    )
    assert "1.15x to 1.25x: better" in joined(text)


def test_runs_are_found_by_the_beginning_of_their_names(outputs, capsys):
    assert "1.20x faster" in told(capsys, "10-00", "11-00-00")
    assert "1.20x faster" in told(capsys, "train_bert_fp32", "train_bert_bf16")


def test_and_by_the_store_s_id(outputs, capsys):
    folder = outputs / "outputs/2026-11-26/10-00-00_train_bert_fp32"
    (folder / "tracking.json").write_text(json.dumps({"run_id": "0123456789abcdef"}))
    assert "1.20x faster" in told(capsys, "0123456", "11-00")


def test_an_identity_of_several_runs_is_ambiguous(outputs, capsys):
    assert "stands for 2 runs" in told(capsys, "000000", "11-00", code=2)


def test_an_unknown_run_names_the_nearest(outputs, capsys):
    error = told(capsys, "10-00-00_train_brt_fp32", "11-00", code=2)
    assert "There is no run '10-00-00_train_brt_fp32' in outputs. The nearest is" in joined(error)
    assert "10-00-00_train_bert_fp32" in error
    assert "Did you mean outputs/2026-11-26" in told(capsys, "outputs/2026-11-25", "11-00", code=2)


def test_a_whole_folder_is_compared_group_by_group(outputs, capsys):
    saved(outputs / "outputs/2026-11-26/12-00-00_train_resnet50", report(model="resnet50"))
    text = joined(told(capsys, "outputs"))
    assert "1.20x faster" in text and "Nothing to compare it with: outputs/2026-11-26/12-00-00_train_resnet50" in text


def test_unlike_runs_are_refused_unless_forced(outputs, capsys):
    saved(outputs / "outputs/t", report(scale="tiny"))
    refused = told(capsys, "10-00", "outputs/t", code=2)
    assert "scale differs (reference in" in joined(refused) and "--force" in refused
    forced = joined(told(capsys, "10-00", "outputs/t", "--force"))
    assert forced.startswith("No answer: these runs differ in scale and must not be compared.")
    assert "★" not in forced and "x)" not in forced


def test_another_architecture_is_another_work(outputs, capsys):
    changed = [{"key": "model.architecture.layers", "reference": 24, "value": 12, "allowed": False}]
    saved(outputs / "outputs/small", report(division="open", changed=changed))
    refused = joined(told(capsys, "10-00", "outputs/small", code=2))
    assert "model.architecture.layers differs (24 in outputs/2026-11-26/10-00-00_train_bert_fp32, 12 in" in refused


def test_another_load_is_another_question(outputs, capsys):
    for load in ("offline", "server"):
        made = report()
        made.case |= {"task": "infer", "load": load}
        saved(outputs / "served" / load, made)
    assert "load differs (offline in" in joined(told(capsys, "served/offline", "served/server", code=2))


def test_groups_by_vendor(outputs, capsys):
    for number, (vendor, value) in enumerate((("nvidia", 500.0), ("nvidia", 510.0), ("amd", 250.0), ("amd", 255.0))):
        saved(outputs / "many" / str(number), steady(value, vendor=vendor, chip=f"{vendor} chip"))
    text = joined(told(capsys, "many", "by=vendor"))
    assert "is 2.00x faster than 2: amd amd chip" in text and "2 and 2 repeats" in text
    assert "Joined: 2 runs of vendor=nvidia" in text
    assert "no case has this key. Nearest: vendor" in told(capsys, "many", "by=vendr", code=2)


def test_filters_ask_the_store(outputs, capsys, monkeypatch):
    asked = []

    def search(text, *, uri, root, limit, problems):
        asked.append((text, uri, root))
        return [(Path(f"x/{number}"), steady(500.0 + number, vendor=vendor)) for number, vendor in enumerate("ab")]

    monkeypatch.setattr("runner.tracking.search.search", search)
    assert "No interval" not in told(capsys, "model=bert and precision=bf16", "by=vendor", "--uri", "http://x")
    assert asked == [("model=bert and precision=bf16", "http://x", Path("outputs"))]


def test_csv_and_json_have_everything(outputs, capsys):
    rows = list(csv.DictReader(io.StringIO(told(capsys, "10-00", "11-00", "--format", "csv", "--figures", STEADY))))
    assert [row["figure"] for row in rows] == [STEADY, STEADY]
    assert (float(rows[1]["ratio"]), rows[1]["outcome"], rows[0]["ratio"]) == (1.2, "better", "")
    content = json.loads(told(capsys, "10-00", "11-00", "--format", "json"))
    assert content["answer"][0].startswith("2: bf16 is 1.20x faster")
    assert content["figures"][STEADY]["differences"][1]["ratio"] == pytest.approx(1.2)
    assert content["figures"]["energy/per_sample_j"]["values"][0]["value"] is None


def test_markdown_and_chinese(outputs, capsys):
    text = told(capsys, "10-00", "11-00", "--format", "markdown")
    assert text.startswith("**2: bf16 is 1.20x faster") and "| Throughput, steady | sequences/s | 500.0 |" in text
    assert told(capsys, "10-00", "11-00", "--lang", "zh")
    assert "there is no such language" in told(capsys, "10-00", "11-00", "--lang", "xx", code=2)


def test_nothing_is_overwritten_unasked(outputs, capsys):
    (outputs / "out.md").write_text("mine")
    assert "--overwrite" in told(capsys, "10-00", "11-00", "--out", "out.md", code=2)
    assert (outputs / "out.md").read_text() == "mine"
    assert main(["10-00", "11-00", "--out", "out.md", "--overwrite"]) == 0
    assert "1.20x faster" in (outputs / "out.md").read_text()
    assert "stands for no format" in told(capsys, "10-00", "11-00", "--out", "out.xyz", code=2)


def test_half_written_and_newer_and_changed_reports(outputs, capsys):
    path = outputs / "outputs/2026-11-26/10-00-00_train_bert_fp32/report.json"
    whole = path.read_text()
    path.write_text(whole[:200])
    assert "cannot be read" in told(capsys, "10-00", "11-00", code=2)
    path.write_text(json.dumps(json.loads(whole) | {"schema_version": 99}))
    assert "has schema 99, this version reads up to" in joined(told(capsys, "10-00", "11-00", code=2))
    path.write_text(whole.replace("500.0", "500.5"))
    assert "was changed after it was written" in joined(told(capsys, "10-00", "11-00"))


def test_an_older_schema_is_migrated(outputs, capsys):
    path = outputs / "outputs/2026-11-26/10-00-00_train_bert_fp32/report.json"
    content = json.loads(path.read_text())
    for figure in content["figures"].values():
        del figure["repeats"]
    content["figures"][STEADY]["interval"] = [490.0, 510.0]
    content["case"]["repeats"] = 3
    path.write_text(json.dumps(content | {"schema_version": 2}))
    assert "1.20x faster" in told(capsys, "10-00", "11-00")


def test_one_run_and_typing_mistakes(outputs, capsys):
    assert "nothing to compare it with" in joined(told(capsys, "10-00", code=2))
    assert "nothing to compare it with" in joined(told(capsys, "10-00", "10-00", code=2))
    assert "Nearest: throughput/steady" in told(capsys, "10-00", "11-00", "--figures", "throughput/stedy", code=2)
    assert "only a gate has this" in told(capsys, "10-00", "11-00", "--strict", code=2)


def test_a_failed_run_is_said_and_counts_for_nothing(outputs, capsys):
    saved(outputs / "outputs/f", failed())
    text = joined(told(capsys, "10-00", "outputs/f"))
    assert text.startswith("No answer: fewer than two of these runs count.") and "The loss became NaN" in text


def test_many_runs_are_rows(outputs, capsys):
    for number in range(60):
        saved(outputs / "many" / f"{number:02}", steady(500.0 + number, 501.0 + number, seed=number))
    text = told(capsys, "many")
    assert "… and 54 more." in text and "60 runs:" in text


def test_a_baseline_is_saved_listed_shown_and_held_to(outputs, capsys):
    text = told(capsys, "baseline", "save", "nightly", "held", "--no-history")
    assert "Saved baselines/nightly.json: 5 runs." in text and "800.2 sequences/s" in joined(text)
    assert "already" in told(capsys, "baseline", "save", "nightly", "held", code=2)
    assert "nightly" in told(capsys, "baseline", "list") and "train bert" in told(capsys, "baseline", "show", "nightly")
    saved(outputs / "new", steady(800.0, 800.5, 799.5, precision="tf32"))
    saved(outputs / "slow", steady(760.0, 760.5, 759.5, precision="tf32"))
    assert told(capsys, "new", "--baseline", "nightly").startswith("GATE PASSED: 1 figures of 1 cases")
    slow = told(capsys, "slow", "--baseline", "nightly", "--junit", "ci/gate.xml", "--summary", "ci/page.md", code=1)
    assert slow.startswith("GATE FAILED") and "800.2 → 760.0 sequences/s, 5.02 % worse" in joined(slow)
    root = ElementTree.parse(outputs / "ci/gate.xml").getroot()
    assert (root.get("tests"), root.get("failures")) == ("1", "1")
    (failure,) = root.iter("failure")
    assert "5.02 % worse. With 3 repeats and a noise of" in (failure.get("message") or "")
    assert (outputs / "ci/page.md").read_text().startswith("**GATE FAILED")
    assert told(capsys, "slow", "--baseline", "nightly", "--fail-below", "0.9").startswith("GATE PASSED")
    assert told(capsys, "slow", "--baseline", "baselines/nightly.json", code=1).startswith("GATE FAILED")
    content = json.loads(told(capsys, "slow", "--baseline", "nightly", "--format", "json", code=1))
    assert (content["outcome"], content["exit_code"]) == ("fail", 1)


def test_a_run_can_be_the_baseline(outputs, capsys):
    saved(outputs / "slow", steady(400.0, 400.5, 399.5))
    assert told(capsys, "slow", "--baseline", "10-00", code=1).startswith("GATE FAILED")


def test_bad_baselines(outputs, capsys):
    told(capsys, "baseline", "save", "nightly", "held", "--no-history")
    assert "Nearest: nightly" in told(capsys, "baseline", "show", "nightli", code=2)
    assert "no baseline in baselines, and no run" in joined(told(capsys, "10-00", "--baseline", "nightli", code=2))
    assert "is no name for a baseline" in told(capsys, "baseline", "save", "../x", "held", code=2)
    saved(outputs / "outputs/f", failed())
    assert "nothing can be held to it" in joined(told(capsys, "baseline", "save", "bad", "outputs/f", code=2))
    saved(outputs / "outputs/e", report(emulated=True))
    assert "is emulated" in joined(told(capsys, "baseline", "save", "bad", "outputs/e", code=2))
    path = outputs / "baselines/nightly.json"
    whole = path.read_text()
    path.write_text(whole.replace("800.0", "700.0"))
    assert "was changed after it was saved" in joined(told(capsys, "held", "--baseline", "nightly", code=2))
    path.write_text(whole.replace('"version": 1', '"version": 2'))
    assert "is a baseline of version 2" in joined(told(capsys, "held", "--baseline", "nightly", code=2))


@pytest.mark.parametrize("value", ["1.0", "0", "-1", "x", "nan", "throughput/steady=2"])
def test_limits_that_are_none(outputs, capsys, value):
    assert "is no ratio between 0 and 1" in told(capsys, "10-00", "--baseline", "10-00", "--fail-below", value, code=2)


def test_junit_replaces_only_its_own(outputs, capsys):
    saved(outputs / "new", steady(499.0, 500.0, 501.0))
    (outputs / "mine.xml").write_text("<mine/>")
    told_error = told(capsys, "new", "--baseline", "10-00", "--junit", "mine.xml", code=2)
    assert "no gate wrote" in told_error and (outputs / "mine.xml").read_text() == "<mine/>"
    for _ in range(2):
        assert main(["new", "--baseline", "10-00", "--junit", "gate.xml"]) == 0
