"""What installed packages and search paths add is found, and what they lack is said."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_module

import hardware.packages
from hardware import chips, detect
from hardware.chips import find_chip
from runner import cli
from runner.commandline.explain import explain
from runner.config import resolvers
from runner.config.compose import to_case
from runner.config.search_path import take_search_path
from runner.core import packages
from runner.core.errors import ConfigurationError
from runner.doctor.survey import load_spec, survey, vendor_names
from runner.peaks import __main__ as peaks
from runner.verify import __main__ as verify

CHIP = """
- name: {name}
  aliases: [{alias}]
  vendor: zed
  peaks_tflops: {{fp64: null, fp32: 2.5, tf32: null, fp16: null, bf16: 5, fp8: null, int8: null}}
  memory_gib: 8
  memory_bandwidth_gb_s: 50
  tdp_w: null
  interconnect: null
  source: made up
"""
VENDOR = """
name: {name}
title: Zed
device: {name}
visible_devices_env: null
communication_backend: gloo
precisions: [fp32]
tasks: [train, inspect]
meters: [host]
"""
FILES = {
    "zed/__init__.py": "",
    "zed/device.py": "from hardware.vendors.cpu import Cpu\nDEVICE_NODES = ('dev/zed[0-9]*',)\nclass Zed(Cpu): ...\n",
    "zed/conf/vendor/zed.yaml": VENDOR.format(name="zed"),
    "zed/chips.yaml": CHIP.format(name="Zed Z1", alias="ZED Z1 PCIe")
    + CHIP.format(name="Mine", alias="H100 PCIe 80GB"),
}
POINTS = """
[touchstone.vendors]
zed = zed.device:Zed
[touchstone.conf]
zed = zed.conf
[touchstone.chips]
zed = zed:chips.yaml
"""


def forget() -> None:
    for known in (hardware.packages._all, packages._installed, chips.load_chips):
        known.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "zed"]:
        del sys.modules[name]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that a package is installed in."""
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    installed = tmp_path / "zed_bench-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: zed-bench\nVersion: 1\n")
    (installed / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    forget()
    yield tmp_path
    monkeypatch.undo()
    forget()


@pytest.fixture(autouse=True)
def no_search_path() -> Iterator[None]:
    yield
    packages.named.clear()


# --- installed packages ------------------------------------------------------------------------------------------


def test_a_vendor_of_an_installed_package_composes_without_a_search_path(site: Path) -> None:
    resolvers.register()
    with initialize_config_module("conf", version_base="1.3"):
        assert to_case(compose("config", overrides=["vendor=zed"])).vendor.title == "Zed"


def test_the_doctor_knows_it(site: Path) -> None:
    assert "zed" in vendor_names() and "nvidia" in vendor_names()
    assert load_spec("zed").title == "Zed"
    (found,) = survey(["zed"])
    assert found.usable


def test_it_is_detected_where_no_vendor_of_this_tree_is(site: Path, tmp_path: Path) -> None:
    root = tmp_path / "machine"
    (root / "dev").mkdir(parents=True)
    assert detect.detect_vendor(root) == "cpu"
    (root / "dev" / "zed0").touch()
    assert detect.detect_vendor(root) == "zed"
    assert [path.name for path in detect.device_nodes("zed", root)] == ["zed0"]
    (root / "dev" / "nvidia0").touch()
    assert detect.detect_vendor(root) == "nvidia"


def test_its_chips_are_added_and_change_none(site: Path) -> None:
    chip = find_chip("zed z1 pcie")
    assert chip is not None and chip.peaks_tflops["fp32"] == 2.5
    known = find_chip("H100 PCIe 80GB")
    assert known is not None and known.name != "Mine"


def test_it_is_among_the_choices_of_an_error(site: Path) -> None:
    error = Exception("In 'config': Could not find 'vendor/zid'")
    assert "Did you mean zed?" in explain(error)


def test_a_wheel_without_its_yaml_files_is_named(site: Path) -> None:
    (site / "zed/conf/vendor/zed.yaml").unlink()
    (site / "zed/chips.yaml").unlink()
    conf, catalogue = packages.problems()
    assert "zed/conf, the configuration of an installed package, holds no YAML file" in conf
    assert "zed-bench registers zed = zed:chips.yaml" in catalogue and "was built without it" in catalogue
    assert find_chip("Zed Z1") is None


@pytest.mark.parametrize("content", ["raise RuntimeError('no licence')", "import nowhere_at_all"])
def test_a_package_that_cannot_be_imported_hides_nothing_else(site: Path, content: str) -> None:
    (site / "zed/__init__.py").write_text(content)
    (problem,) = packages.problems()  # its chips need no import
    assert "the installed package zed-bench registers zed = zed.conf under touchstone.conf, and" in problem
    assert "nvidia" in vendor_names() and "zed" not in vendor_names()
    assert find_chip("H100 PCIe 80GB") is not None
    assert detect.detect_vendor(site / "nowhere") == "cpu"


def test_a_malformed_catalogue_is_named_and_hides_no_other_chip(site: Path) -> None:
    (site / "zed/chips.yaml").write_text("- name: Zed Z1\n  speed: high\n")
    (problem,) = packages.problems()
    assert str(site / "zed/chips.yaml") in problem
    assert find_chip("H100 PCIe 80GB") is not None and find_chip("Zed Z1") is None


# --- search paths ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("file:///nowhere/at/all", "there is no folder /nowhere/at/all"),
        ("/nowhere/at/all", "there is no folder /nowhere/at/all"),
        ("pkg://nowhere_at_all.conf", "cannot be imported"),
        ("pkg://zed.nothing", "there is no package zed.nothing"),
        ("pkg://json.decoder", "there is no package json.decoder"),
    ],
)
def test_a_search_path_that_is_absent_is_refused(site: Path, place: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        take_search_path(["vendor=cpu", f"hydra.searchpath=[{place}]"])


def test_the_command_line_refuses_an_absent_search_path(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["vendor=cpu", "task=inspect", "hydra.searchpath=[file:///nowhere/at/all]"]) == 2
    assert "Error: hydra.searchpath: there is no folder /nowhere/at/all." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (peaks, ["vendor=cpu", "hydra.searchpath=[file:///nowhere/at/all]"]),
        (verify, ["/tmp", "--searchpath", "file:///nowhere/at/all"]),
    ],
)
def test_other_commands_refuse_it_too(command: Any, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(arguments) == 2
    assert "there is no folder /nowhere/at/all" in capsys.readouterr().err


def test_an_empty_search_path_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    take_search_path([f"hydra.searchpath=[file://{tmp_path}]"])
    assert f"Warning: hydra.searchpath: {tmp_path} holds no YAML file." in capsys.readouterr().err
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("name: mine\n")
    take_search_path([f"hydra.searchpath=[file://{tmp_path}]"])
    assert capsys.readouterr().err == ""
    assert "mine" in packages.choices("model") and "mine" not in packages.choices("model", outside=False)


def test_help_lists_what_a_search_path_adds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("name: mine\n")
    assert cli.run(["--help", "vendor=cpu", f"hydra.searchpath=[file://{tmp_path}]"]) == 0
    (models,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("model: ")]
    assert "mine" in models.replace(",", " ").split() and "bert" in models
