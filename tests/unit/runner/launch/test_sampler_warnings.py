"""A sampler that does not answer, or is not there, is told; it never ends a run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from case_samples import make_case

from hardware.base import DeviceIdentity
from hardware.sampling.client import SamplerClient
from runner.core.events import EventWriter, Name, read_events
from runner.launch import sampling
from runner.worker import main as worker

CHIP = DeviceIdentity(index=0, uuid="a", pci_bus_id=None, name="chip")


class Client:
    """A sampler that stops to answer at the mark of a name."""

    def __init__(self, until: str | None = None) -> None:
        self.until = until
        self.reason: str | None = None
        self.marks: list[str] = []

    def devices(self, identities: list[DeviceIdentity]) -> dict[str, str | None]:
        return {"tool": None, "host": None}

    def mark(self, name: str) -> float:
        self.marks.append(name)
        if name == self.until:
            self.reason = "the sampler did not answer within 5 s"
        return 7.0


def warnings(path: Path) -> list[str]:
    return [event.value["message"] for event in read_events(path)[0] if event.name == Name.WARNING]


def test_a_sampler_that_hangs_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker.time, "sleep", lambda seconds: None)
    path = tmp_path / "rank0.log"
    client: Any = Client(until="segment_begin:0")
    mark = worker._sampler_mark(client, [CHIP], EventWriter(path, rank=0))
    assert client.marks == ["idle_begin", "idle", "idle", "idle", "idle_end"]  # five readings of the rest
    assert warnings(path) == []
    assert mark("segment_begin:0") == mark("segment_end:0") == 7.0
    assert warnings(path) == ["The meters were not read to the end: the sampler did not answer within 5 s."]


def test_a_sampler_that_cannot_be_started_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise OSError("no folder for the sampler's socket")

    monkeypatch.setattr(sampling, "start_sampler", refuse)
    told: list[str] = []
    assert sampling.start_meters(make_case(emulate=True), tmp_path, told.append) is None
    (warning,) = told
    assert "the sampler could not be started: no folder for the sampler's socket" in warning


@pytest.mark.parametrize(
    ("problem", "told"), [(None, []), ("it was killed", ["The meters were not read to the end: it was killed."])]
)
def test_a_sampler_that_ended_early_is_a_warning(problem: str | None, told: list[str]) -> None:
    waited: list[float] = []
    sampler: Any = SimpleNamespace(stop=waited.append, problem=problem)
    said: list[str] = []
    sampling.end_sampler(sampler, said.append, soon=lambda: False)
    sampling.end_sampler(sampler, said.append, soon=lambda: True)
    assert waited == [sampling.SAMPLER_S, sampling.SOON_S]
    assert said == told * 2


def test_a_sampler_that_hung_up_is_named_though_the_error_has_no_text() -> None:
    class Gone:
        def send(self, request: Any) -> None:
            raise EOFError

        def close(self) -> None: ...

    client = SamplerClient(None, None)
    client._connection = Gone()  # type: ignore[assignment]
    client.mark("segment_begin:0")
    assert client.reason == "the sampler is gone: EOFError"
