"""A node says what it is in a moment, and imports no stack for it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest

from runner.cluster.facts import boot_id, node_facts, source_digest
from runner.doctor.survey import load_spec

ROOT = Path(__file__).parents[4]


def test_facts_are_plain_values_with_versions_and_room(tmp_path: Path) -> None:
    before_s = time.time()
    facts = node_facts(load_spec("cpu"), tmp_path / "not" / "there")
    assert json.loads(json.dumps(facts)) == facts
    assert facts["packages"]["torch"] == version("torch")
    assert facts["devices"] == {"visible": None, "chips": None}, "a host's processor is not counted"
    assert facts["free_gib"] > 0
    assert before_s <= facts["wall_time_s"] <= time.time()
    assert facts["boot_id"] == boot_id()


def test_facts_import_no_stack() -> None:
    code = (
        "import sys; from pathlib import Path; from runner.cluster.facts import node_facts; "
        "from runner.doctor.survey import load_spec; node_facts(load_spec('nvidia'), Path('.')); "
        "print([name for name in ('torch', 'pytorch_lightning', 'mlflow', 'ray') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


def test_visible_devices_are_counted_and_none_is_a_number_when_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert node_facts(load_spec("nvidia"), Path())["devices"]["visible"] == 2
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert node_facts(load_spec("nvidia"), Path())["devices"]["visible"] == 0


def test_a_vendor_whose_class_is_broken_still_has_facts() -> None:
    broken = replace(load_spec("nvidia"), device="no.such.Class")
    facts = node_facts(broken, Path())
    assert facts["driver"] is None
    assert facts["devices"]["chips"] is None


def test_the_digest_changes_with_one_byte_of_code_and_with_nothing_else(tmp_path: Path) -> None:
    def written(name: str, **files: str) -> str:
        for path, text in files.items():
            file = tmp_path / name / path.replace("__", "/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return source_digest(tmp_path / name)

    first = written("one", **{"runner__a.py": "x = 1", "conf__b.yaml": "c: 1"})
    assert first == written("two", **{"runner__a.py": "x = 1", "conf__b.yaml": "c: 1", "runner__a.pyc": "?"})
    assert first != written("three", **{"runner__a.py": "x = 2", "conf__b.yaml": "c: 1"})
    assert first != written("four", **{"runner__a.py": "x = 1", "conf__b.yaml": "c: 2"})
    assert len(first) == 12
    assert source_digest() == source_digest()


def test_no_boot_id_outside_linux(tmp_path: Path) -> None:
    assert boot_id(tmp_path) is None
