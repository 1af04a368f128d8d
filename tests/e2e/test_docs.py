"""The example of docs/adding.md runs as it is written there, and its events carry the keys of docs/results.md."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from runner.core.events import Name, event_files, read_events

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"```(?:yaml|python|toml)\n# (\S+)\n(.*?)```", re.S)
COMMAND = re.compile(r"^    python -m runner (task=train model=line .*)$", re.M)
ROW = re.compile(r"^\| `([A-Z_]+)` \|[^|]*\|([^|]*)\|$", re.M)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the example is installed in, as `pip install --target` would."""
    source, root = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    files = dict(BLOCK.findall((DOCS / "adding.md").read_text()))
    for name, content in {**files, "acme_bench/__init__.py": "", "acme_bench/conf/__init__.py": ""}.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(content)
    if importlib.util.find_spec("hatchling"):
        build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(root)]
        subprocess.run(build, cwd=source, check=True, capture_output=True)
        (wheel,) = root.glob("*.whl")
        zipfile.ZipFile(wheel).extractall(root)
    else:
        lay_out(source, root)
    return root


def lay_out(source: Path, root: Path) -> None:
    """What hatchling's wheel of the example holds, where hatchling is not at hand: all files of the package.

    It takes the folder with the project's name, and leaves out nothing below it.
    """
    project = tomllib.loads((source / "pyproject.toml").read_text())
    assert project["build-system"]["build-backend"] == "hatchling.build"
    project = project["project"]
    shutil.copytree(source / project["name"].replace("-", "_"), root / project["name"].replace("-", "_"))
    installed = root / "acme_bench-0.1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 0.1\n")
    groups = project["entry-points"].items()
    lines = [f"[{group}]\n" + "\n".join(f"{name} = {to}" for name, to in points.items()) for group, points in groups]
    (installed / "entry_points.txt").write_text("\n\n".join(lines) + "\n")


def command(package: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a module where the example is installed."""
    path = os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        env=os.environ | {"PYTHONPATH": path, "ACME_SYSFS": str(package / "sysfs")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(package: Path) -> Path:
    """The run folder of the documented command."""
    (package / "sysfs" / "ACME-0").mkdir(parents=True)
    (package / "sysfs" / "ACME-0" / "power_mw").write_text("25000\n")
    (arguments,) = COMMAND.findall((DOCS / "adding.md").read_text())
    done = command(package, "runner", *shlex.split(arguments), f"run.root={package / 'out'}", "tracking=none")
    assert done.returncode == 0, done.stdout
    (run,) = (package / "out").glob("*/*/report.json")
    return run.parent


def test_the_documented_model_vendor_and_meter_give_a_result(folder: Path) -> None:
    report = json.loads((folder / "report.json").read_text())
    figures = {name: figure["value"] for name, figure in report["figures"].items()}
    assert (report["status"], report["case"]["chip"]) == ("done", "Acme A1")
    assert report["environment"]["stack"]["acme_driver"] == "1.0"
    assert (report["case"]["framework"], report["case"]["compiler"]) == ("acme_torch", "acme_graph")
    events, _ = read_events(folder / "events" / "rank0.log")
    prepared = [event.value["what"] for event in events if event.name == Name.PREPARE]
    assert "switching Acme's kernels on" in prepared, "the package's framework trained it"
    assert report["division"] == {"name": "closed", "changed": []}
    assert figures["compute/parameters"] == 5
    assert figures["compute/flops_per_sample"] == 2 * 4 * 2
    assert figures["power/device_mean_w"] == pytest.approx(25, rel=0.01)
    assert figures["energy/per_sample_j"] == pytest.approx(25 / figures["throughput/steady"], rel=0.01)
    assert figures["compute/peak_flops_per_second"] == 0.5e12, "fp32 of the package's own chips.yaml"
    assert figures["compute/mfu"] == pytest.approx(16 * figures["throughput/steady"] / 0.5e12)


def test_everything_lists_what_the_package_brings(package: Path) -> None:
    told = command(package, "runner", "--help", "vendor=acme").stdout
    assert re.search(r"^model: .*\bline\b", told, re.M) and re.search(r"^vendor: acme\b", told, re.M), told
    assert re.search(r"^compiler: .*\bacme_graph\b", told, re.M) and re.search(r"^framework: acme_torch\b", told, re.M)
    told = command(package, "runner.support").stdout
    assert "| `acme` | Acme accelerator |" in told and "| `line` | points | Points |" in told
    assert "| `compiler=acme_graph` | Acme's graph compiler | usable here |" in told
    assert "| `framework=acme_torch` | PyTorch with Acme's kernels | usable here |" in told
    assert "| `dataset: acme_points` | Points | read by `model=line` |" in told
    done = command(package, "runner.doctor", "acme", "--json")
    assert done.returncode == 0, done.stdout
    told = json.loads(done.stdout)
    (vendor,) = told["vendors"]
    assert told["choices"]["compiler=acme_graph"] is None and told["choices"]["framework=acme_torch"] is None
    assert vendor["details"]["devices"][0]["chip"] == "Acme A1" and vendor["meters"] == ["acme_power", "host"]
    case = ("model=line", "vendor=acme", "scale=tiny", "tracking=none", f"run.root={package / 'refused'}")
    done = command(package, "runner", *case, "compiler=acme_graph", "compiler.options.level=3")
    assert done.returncode == 4 and "acme_graph cannot be used here: it has only the levels 1 and 2" in done.stdout
    done = command(package, "runner", *case, "data=dataset", f"data.root={package}")
    assert done.returncode == 5 and "lacks points.pt. model=line reads Points: points.pt, made by" in done.stdout
    done = command(package, "runner", "model=lime", "vendor=acme", "task=inspect")
    assert done.returncode == 2 and "Did you mean line" in done.stdout


def documented_events() -> dict[str, set[str]]:
    return {name: set(re.findall(r"`([^`]+)`", keys)) for name, keys in ROW.findall((DOCS / "results.md").read_text())}


def test_every_event_is_documented() -> None:
    assert set(documented_events()) == {name.value for name in Name}


def test_events_carry_exactly_the_documented_keys(folder: Path) -> None:
    documented = documented_events() | {"LAUNCH_TRAINING": set()}
    documented["FINISHED"].discard("final_<metric>")
    paths = [*event_files(folder), folder / "events" / "parent.log"]
    told = [event for path in paths for event in read_events(path)[0]]
    names = {event.name for event in told}
    assert names >= {"SUBMIT_INFO", "PRECISION", "ACCOUNT", "STEP_END", "SEGMENT_END", "TRAIN_END", "FINISHED"}
    assert {(event.name, *sorted(event.value)) for event in told} == {
        (name, *sorted(documented[name])) for name in names
    }
