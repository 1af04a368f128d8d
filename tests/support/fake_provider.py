"""A vendor's build of ONNX Runtime: it has the provider, whose work ONNX Runtime's own does, in the host's memory."""

from __future__ import annotations

from typing import Any

import onnxruntime
import pytest

HOST = "CPUExecutionProvider"


class FakeBuild:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, provider: str) -> None:
        self.provider, self.starts, self.memory = provider, True, set[str]()
        self.asked: list[Any] = []
        self._session, self._value = onnxruntime.InferenceSession, onnxruntime.OrtValue
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [provider, HOST])
        monkeypatch.setattr(onnxruntime, "InferenceSession", self.session)
        monkeypatch.setattr(onnxruntime, "OrtValue", self)

    def session(self, path: str, settings: Any, providers: list[Any]) -> Any:
        self.asked.append(providers)
        return Session(self, self._session(path, settings, providers=[HOST]))

    def ortvalue_from_numpy(self, array: Any, memory: str, device: int) -> Any:
        self.memory.add(memory)
        return self._value.ortvalue_from_numpy(array, "cpu", device)


class Session:
    def __init__(self, build: FakeBuild, real: Any) -> None:
        self.build, self.real = build, real

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def get_providers(self) -> list[str]:
        return [self.build.provider, HOST] if self.build.starts else [HOST]

    def io_binding(self) -> Any:
        binding = self.real.io_binding()
        plain = binding.bind_output

        def bind_output(name: str, memory: str, device: int) -> None:
            self.build.memory.add(memory)
            plain(name, "cpu", device)

        binding.bind_output = bind_output
        return binding
