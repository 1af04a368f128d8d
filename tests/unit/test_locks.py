"""Every framework's extra has a lock, which agrees with requirements.lock; make installs from these alone."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from runner.core import packages
from runner.interpreters.distributions import DISTRIBUTIONS

ROOT = Path(__file__).parents[2]
BASE = ROOT / "requirements.lock"
FRAMEWORKS = sorted(path.stem for path in (ROOT / "locks").glob("*.lock"))
TOGETHER = sorted(str(re.search(r"^TOGETHER := (.*)$", (ROOT / "Makefile").read_text(), re.M)[1]).split())  # type: ignore[index]
"""Those that go into one environment."""
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
PIN = re.compile(r"([A-Za-z0-9._-]+)==([^ ;]+)(?: ; (.*?))? \\$", re.M)
ADDRESS = re.compile(r"https?:|file:|git\+|@ |^-|index-url|find-links", re.M)
"""What would name a server or a folder."""


def pins(lock: Path) -> dict[str, set[str]]:
    """Versions by distribution; one for each fork of the resolution."""
    found: dict[str, set[str]] = {}
    for match in filter(None, map(PIN.match, lock.read_text().splitlines())):
        found.setdefault(match[1], set()).add(match[2])
    return found


def name_of(requirement: str) -> str:
    return re.split(r"[><=;\[ ]", requirement, maxsplit=1)[0]


def test_every_framework_with_an_extra_of_its_own_has_a_lock() -> None:
    known = set(packages.choices("framework", outside=False))
    assert {"paddle", "tensorflow", "jax", "megatron"} <= set(FRAMEWORKS) <= known & set(EXTRAS)
    assert known - set(FRAMEWORKS) == {"pytorch", "deepspeed"}, "both are in requirements.lock"


def test_a_framework_that_does_not_agree_is_left_out_of_the_common_environment() -> None:
    base = pins(BASE)
    for name in set(FRAMEWORKS) - set(TOGETHER):
        found = pins(ROOT / "locks" / f"{name}.lock")
        assert any(one in base and not versions <= base[one] for one, versions in found.items()), f"{name} agrees"


@pytest.mark.parametrize("lock", [BASE, *sorted((ROOT / "locks").glob("*.lock"))], ids=lambda one: str(one.stem))
def test_a_lock_names_no_server_and_every_pin_has_its_hashes(lock: Path) -> None:
    text = lock.read_text()
    assert not ADDRESS.findall(re.sub(r"^ +# .*$", "", text, flags=re.M))
    entries = re.split(r"^(?=\S)", text, flags=re.M)[1:]
    assert len(entries) > 100
    assert all(PIN.match(entry) and "--hash=sha256:" in entry for entry in entries)


@pytest.mark.parametrize("name", TOGETHER)
def test_a_frameworks_lock_holds_its_extra_and_changes_no_other_pin(name: str) -> None:
    found, base = pins(ROOT / "locks" / f"{name}.lock"), pins(BASE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    wanted = {name_of(one).lower() for one in [*EXTRAS[name], *project]}
    assert wanted <= {one.lower() for one in found}, "alone it makes a whole environment"
    assert {one for one in EXTRAS[name] if name_of(one) in DISTRIBUTIONS[name]}, "results tell its version"
    changed = {
        one: (versions, base[one]) for one, versions in found.items() if one in base and not versions <= base[one]
    }
    assert not changed, "adding it to .venv would change what is there"


def test_frameworks_agree_with_each_other() -> None:
    together: dict[str, set[str]] = {}
    for name in TOGETHER:
        for one, versions in pins(ROOT / "locks" / f"{name}.lock").items():
            together.setdefault(one, set()).update(versions)
    base = pins(BASE)
    assert not {one: versions for one, versions in together.items() if one not in base and len(versions) > 1}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What make looks at, with the environment in place and its locks older than that."""
    if shutil.which("make") is None:
        pytest.skip("no make")
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "locks", tmp_path / "locks")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".uv" / "bin").mkdir(parents=True)
    for name in (".uv/bin/uv", ".venv/.touchstone-locked"):
        (tmp_path / name).touch()
    return tmp_path


def make(tree: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """What make would do."""
    command = ["make", "-n", "-C", str(tree), "UV=.uv/bin/uv", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def installed(told: str) -> list[str]:
    """Locks that something is installed from."""
    return re.findall(r"^\.uv/bin/uv pip (?:install|sync) .*?(?:locks/)?(\w+)\.lock", told, re.M)


def test_a_plain_run_installs_no_framework(tree: Path) -> None:
    assert installed(make(tree, "run").stdout) == []
    (tree / ".venv" / ".touchstone-locked").unlink()
    assert installed(make(tree, "run").stdout) == ["requirements"]


def test_extras_are_added_once_each_from_their_own_lock(tree: Path) -> None:
    assert installed(make(tree, "run", "EXTRAS=jax paddle").stdout) == ["jax", "paddle"]
    (tree / ".venv" / ".touchstone-extra-jax").touch()
    assert installed(make(tree, "run", "EXTRAS=jax paddle").stdout) == ["paddle"]


def test_a_new_base_brings_the_extras_anew(tree: Path) -> None:
    (tree / ".venv" / ".touchstone-extra-jax").touch()
    (tree / ".venv" / ".touchstone-locked").unlink()
    assert installed(make(tree, "run", "EXTRAS=jax").stdout) == ["requirements", "jax"], "a sync takes them away"


def test_the_tests_bring_every_framework_and_an_adopted_environment_none(tree: Path) -> None:
    assert sorted(installed(make(tree, "test").stdout)) == TOGETHER
    assert installed(make(tree, "test", "VENV=/opt/vendor").stdout) == []


def test_an_environment_of_its_own_is_made_from_its_lock_alone(tree: Path) -> None:
    told = make(tree, "environment", "FRAMEWORK=jax").stdout
    assert installed(told) == ["jax"] and "-p .venv-jax/bin/python" in told
    assert "--no-deps -e ." in told and " .venv/" not in told.replace("'.venv/bin/python'", "")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "EXTRAS=jx"], "There is no locks/jx.lock. Frameworks with a lock of their own: paddle"),
        (["environment", "FRAMEWORK=jx"], "There is no locks/jx.lock"),
        (["run", "EXTRAS=jax", "VENV=/opt/vendor"], "Nothing is installed into /opt/vendor"),
    ],
)
def test_what_make_cannot_do_is_said(tree: Path, words: list[str], told: str) -> None:
    done = make(tree, *words)
    assert done.returncode == 2 and told in done.stderr


def test_ci_keeps_what_was_downloaded_for_these_locks() -> None:
    steps = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]["test"]["steps"]
    (cache,) = [step["with"] for step in steps if step.get("uses", "").startswith("actions/cache")]
    assert "hashFiles('requirements.lock', 'locks/*.lock')" in cache["key"]
