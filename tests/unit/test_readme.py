"""README and docs tell the truth: commands compose, files exist, tables hold what conf/ says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml
from hydra import compose
from zoo import MODELS, SERVED, model_class

from runner.acceptance import __main__ as acceptance
from runner.cli import TOOLS, with_vendor
from runner.commandline.arguments import read_arguments
from runner.commandline.suite import expanded
from runner.config.checks import check
from runner.config.compose import to_case
from runner.config.schema import Case
from runner.core.errors import BY_NAME, DependencyError
from runner.doctor import __main__ as doctor
from runner.manifests import command as manifests
from runner.node import __main__ as node
from runner.peaks import __main__ as peaks
from runner.suites import command as suites
from runner.tools import architecture, importing, messages, report, screenshots, site, support, sync
from runner.tools.comparing import arguments as comparing
from runner.tuning import command as tuning
from runner.verify import __main__ as verify

pytestmark = pytest.mark.usefixtures("hydra")

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = {path.name: path.read_text() for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]}
TEXT = re.sub(r" *\\\n *", " ", "\n".join(PAGES.values()))
COMMANDS = sorted(set(re.findall(r"^ {4}python -m (runner[^\n#]*)|`python -m (runner[^`]*)`", TEXT, re.M)))
SPOKEN = [next(filter(None, command)).strip() for command in COMMANDS]
RUNS = [command for command in SPOKEN if command.startswith("runner ") and "--" not in command and "…" not in command]
TOOL_RUNS = [command for command in SPOKEN if command.startswith("runner.")]
PARSERS = {
    "runner.report": report._parser,
    "runner.compare": comparing.comparing,
    "runner.compare baseline": comparing.saving,
    "runner.import": importing._parser,
    "runner.site": site._parser,
    "runner.tools.messages": messages._parser,
    "runner.tools.screenshots": screenshots._parser,
    "runner.sync": sync._parser,
    "runner.support": support.parser,
    "runner.tools.architecture": architecture.parser,
    "runner.peaks": peaks.parser,
    "runner.doctor": doctor.parser,
    "runner.verify": verify.parser,
    "runner.suite": suites._parser,
    "runner.acceptance": acceptance._parser,
    "runner.tune": tuning._parser,
    "runner.node": node.parser,
    "runner.manifest": manifests.parser,
}
NEEDED = (
    "task=converge model=bert scale=tiny",
    "task=train model=resnet50 scale=tiny precision=bf16",
    "-m task=train model=bert,resnet50,gpt2 precision=fp32,bf16 scale=tiny",
    "model=gpt2 scale=tiny topology=node topology.devices=2",
    "task=inspect model=llama2_7b vendor=nvidia vendor.chip=A100-SXM4-80GB",
    "model=bert vendor=kunlunxin precision=fp16 emulate=true scale=tiny",
)


def cases(command: str) -> list[Case]:
    """Every case of a command."""
    read = read_arguments(shlex.split(command)[1:])
    words = list(expanded(read)) if read.sweep else [tuple(read.overrides)]
    return [to_case(compose("config", overrides=with_vendor(list(one)))) for one in words]


def own(command: str) -> bool:
    """Whether a command needs configuration that only its reader has."""
    return "searchpath" in command or "vendor=acme" in command


@pytest.mark.parametrize("command", [command for command in RUNS if not own(command)])
def test_every_command_composes_and_is_not_refused(command: str) -> None:
    for case in cases(command):
        if case.vendor.name == "cpu" and case.data.name != "dataset" and case.topology.devices == 1:
            try:
                check(case)
            except DependencyError:  # no environment of one framework that has all of them
                assert case.framework.name != "pytorch"


def test_readme_has_the_commands_it_must_have() -> None:
    assert {f"runner {arguments}" for arguments in NEEDED} <= set(RUNS)
    assert "make run\nmake test\nmake ui" in README


def test_commands_of_the_readers_own_name_files_of_the_example() -> None:
    assert any(own(command) for command in RUNS)
    page = PAGES["adding.md"]
    named = set(re.findall(r'= "acme_bench[.:]([\w.]+)', page))
    assert named == {
        *("conf", "device", "meter", "smi", "chips.yaml", "line", "engine", "framework", "datasets.yaml"),
    }
    files = (
        *("conf/model/line.yaml", "conf/vendor/acme.yaml", "conf/compiler/acme_graph.yaml"),
        *("conf/framework/acme_torch.yaml", "device.py", "meter.py", "smi.py", "chips.yaml", "datasets.yaml"),
        *("line.py", "engine.py", "framework.py"),
    )
    assert all(f"# acme_bench/{name}" in page for name in files)


@pytest.mark.parametrize("command", TOOL_RUNS)
def test_arguments_of_the_tools_parse(command: str) -> None:
    module, *arguments = shlex.split(command)
    if arguments[:1] == ["baseline"]:
        module, arguments = f"{module} baseline", arguments[1:]
    PARSERS[module]().parse_args(arguments)


def test_touchstone_has_the_subcommands_that_are_named() -> None:
    named = set(re.findall(r"`touchstone (\w+)", README))
    assert named and named <= set(TOOLS)


def test_every_make_target_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"^make (?:VENV=\S+ )?(\w+)$|`make (\w+)`", TEXT, re.M))
    words = {next(filter(None, pair)) for pair in named}
    assert {"run", "test", "ui"} <= words <= targets


def linked(page: str, text: str) -> set[Path]:
    """Files a page names: linked ones from where it stands, quoted ones from the root."""
    folder = ROOT if page == "README.md" else ROOT / "docs"
    links = {folder / link for link in re.findall(r"\]\((?!http)([^)#]+)\)", text)}
    quoted = re.findall(r"`((?:conf|docs|hardware|models|runner|benchmarks|tests)/[\w./-]*)`", text)
    return links | {ROOT / name for name in quoted}


@pytest.mark.parametrize("page", PAGES)
def test_every_file_named_exists(page: str) -> None:
    missing = {str(path.relative_to(ROOT)) for path in linked(page, PAGES[page]) if not path.exists()}
    assert not missing - {"benchmarks/results"}


def test_readme_is_short() -> None:
    assert len(README.splitlines()) < 200


def test_exit_codes_are_those_of_the_errors() -> None:
    header = next(line for line in README.splitlines() if line.startswith("| 0 | 2 |"))
    codes = {int(cell) for cell in header.strip("| ").split("|")}
    assert codes == {0, *(kind.exit_code for kind in BY_NAME.values())}


def test_the_table_of_measures_is_that_of_conf() -> None:
    rows = {
        cells[0]: cells[1:]
        for line in PAGES["measurement.md"].splitlines()
        if len(cells := [cell.strip() for cell in line.strip("|").split("|")]) == 8
    }
    for path in sorted((ROOT / "conf" / "measure").glob("*.yaml")):
        values = yaml.safe_load(path.read_text())
        warmup, window = values["warmup"], values["window"]
        assert rows[values["name"]] == [
            f"{warmup['blocks']} x {warmup['block_steps']}",
            f"{warmup['tolerance']:g}",
            f"{warmup['max_steps']} steps, {warmup['max_s']} s",
            f"{window['min_s']} s, {window['min_steps']} steps",
            f"{window['max_s']} s",
            str(values["repeats"]),
            "yes" if values["publishable"] else "no",
        ]


def test_the_table_of_groups_is_that_of_conf() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| ((?:`\w+` ?)+) \|", PAGES["configuration.md"], re.M))
    for group, named in rows.items():
        choices = set(support.choices(group))
        assert set(named.replace("`", "").split()) == choices, group
    assert {"task", "precision", "measure"} <= set(rows)


def test_every_model_has_its_data_described() -> None:
    """By a row of its own, or a decoder or classifier in that of all; by a section, which several may share."""
    page = PAGES["data.md"]
    sections = {name for heads in re.findall(r"^### ([^:\n]+):", page, re.M) for name in heads.split(", ")}
    rows = {name for cell in re.findall(r"^\| (`[^|]+) \|", page, re.M) for name in re.findall(r"`([\w.]+)`", cell)}
    shared = {"TextDecoder", "Classifier"}
    for model in {*MODELS, *SERVED}:
        bases = {base.__name__ for base in model_class(model).__mro__}
        assert model in sections, model
        assert model in rows or bases & shared, model
