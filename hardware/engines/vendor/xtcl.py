"""`compiler=xtcl`: XTCL, Kunlunxin's build of TVM. Not verified on hardware.

Precision is decided by XTCL_* environment variables and by a pass's configuration. FlagPerf's container sets
XTCL_USE_FP16 and XTCL_QUANTIZE_WEIGHT for everything, and so what it lists as fp32 is what it publishes as W32A16
elsewhere. Here each precision sets every switch, whatever the environment had.

Source: FlagPerf inference/inference_engine/kunlunxin/xtcl.py with its history and docker_images/kunlunxin; TVM's
documentation for keeping and loading what was compiled.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hardware.engines.base import EXISTING
from hardware.engines.graph import Graph, Placement
from hardware.engines.vendor.from_float import FromFloat, OnArrays
from hardware.engines.vendor.from_onnx import Built, EngineBuildError

if TYPE_CHECKING:
    from hardware.engines.vendor.from_float import Arrays

SWITCHES = {
    "fp32": {"XTCL_USE_FP16": "0", "XTCL_QUANTIZE_WEIGHT": "0", "XTCL_USE_NEW_ALTER_PASS": "0"},
    "fp16": {"XTCL_USE_FP16": "0", "XTCL_QUANTIZE_WEIGHT": "0", "XTCL_USE_NEW_ALTER_PASS": "1"},
    "w32a16": {"XTCL_USE_FP16": "1", "XTCL_QUANTIZE_WEIGHT": "1", "XTCL_USE_NEW_ALTER_PASS": "1"},
}
EXECUTORS = ("vm", "graph")
LIBRARY, CODE, GRAPH, WEIGHTS = "lib.so", "code.ro", "graph.json", "params.bin"
"""Files of a compiled network: code of TVM's virtual machine, or graph and weights of its graph executor."""
GRAPH_TARGET = "xpu -libs=xdnn -split-device-funcs -device-type=xpu2"


class Xtcl(FromFloat):
    """Relay from ONNX, compiled for the virtual machine or for the graph executor."""

    precisions: ClassVar[tuple[str, ...]] = tuple(SWITCHES)
    known_options: ClassVar[tuple[str, ...]] = (EXISTING, "executor", "build_config", "disabled_pass")
    modules: ClassVar[tuple[str, ...]] = ("tvm", "onnx", "onnxscript")
    packages: ClassVar[tuple[str, ...]] = ("tvm", "xtcl", "onnx", "onnxscript")
    obtained: ClassVar[str | None] = "tvm is XTCL of Kunlunxin's SDK, not the one of PyPI"
    engine_file: ClassVar[str] = "compiled"

    def __init__(self, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self.executor = str(options.get("executor", "vm"))
        if self.executor not in EXECUTORS:
            raise ValueError(f"executor={self.executor} is unknown; there are {', '.join(EXECUTORS)}")

    def unavailable_reason(self) -> str | None:
        """Also where there is a TVM without Kunlunxin's part."""
        from importlib.util import find_spec

        reason = super().unavailable_reason()
        if reason is not None:
            return reason
        found = find_spec("tvm")
        folders = (found and found.submodule_search_locations) or ()
        if not any(list(Path(folder, "contrib").glob("xpu_config*")) for folder in folders):
            return "the Python package tvm is here, but not XTCL's (it has no tvm.contrib.xpu_config)"
        return None

    def detail(self, graph: Graph, placement: Placement) -> str:
        """The switches."""
        return ", ".join(f"{name}={value}" for name, value in SWITCHES[placement.precision.name].items())

    def build(self, model: Path, graph: Graph, placement: Placement, target: Path) -> None:
        """Compile under the precision's switches."""
        import onnx
        import tvm
        from tvm import relay

        os.environ |= SWITCHES[placement.precision.name]
        shapes = dict(zip(graph.input_names, (list(one.shape) for one in graph.inputs), strict=True))
        module, params = relay.frontend.from_onnx(onnx.load(str(model)), shapes)
        config, disabled = self._config(placement.precision.name), list(self.options.get("disabled_pass") or [])
        target.mkdir()
        with tvm.transform.PassContext(opt_level=3, config=config, disabled_pass=disabled):
            if self.executor == "vm":
                host = _host_target()
                compiled = relay.backend.vm.compile(module, target=host, target_host=host, params=params)
                code, library = compiled.save()
                (target / CODE).write_bytes(code)
            else:
                described, library, params = relay.build(module, target=GRAPH_TARGET, params=params)
                (target / GRAPH).write_text(described)
                (target / WEIGHTS).write_bytes(relay.save_param_dict(params))
        library.export_library(str(target / LIBRARY))

    def load(self, built: Built, graph: Graph, placement: Placement) -> OnArrays:
        """Have TVM's runtime load it on the placement's XPU, under the precision's switches as well."""
        import tvm

        os.environ |= SWITCHES[placement.precision.name]
        device = tvm.device("xpu", placement.device.index or 0)
        needed = CODE if self.executor == "vm" else GRAPH
        if not (built.path / needed).is_file():
            raise EngineBuildError(f"{built.path} holds no {needed}: executor={self.executor} did not make it")
        library = tvm.runtime.load_module(str(built.path / LIBRARY))
        load = _virtual_machine if self.executor == "vm" else _graph_executor
        engine, set_input = load(built.path, library, device)

        def call(arrays: Arrays) -> Arrays:
            for name, array in zip(graph.input_names, arrays, strict=True):
                set_input(name, tvm.nd.array(array))
            engine.run()
            return [engine.get_output(place).numpy() for place in range(len(graph.output_names))]

        return OnArrays(built, call)

    def _config(self, precision: str) -> dict[str, Any]:
        """The passes' configuration: the case's, and for fp16 the type that every operator's output is to have."""
        from tvm.contrib import xpu_config

        config = dict(self.options.get("build_config") or {})
        if "pattern_match" in config:
            matched = xpu_config.XPUGraphMatchConfig(pattern_match=config.pop("pattern_match"))
            config["XPUFuzzyMatch"] = matched.value()
        if precision == "fp16":
            types = xpu_config.XPUOutDtypeConfig(default_precision="float16", config_last_node=True, config_map={})
            config["XPUOutDtypeConfig"] = types.value()
        return config


def _host_target() -> str:
    """LLVM for the host with the generation of XPU that the driver's simulator variable names, as XTCL reads it."""
    return f"llvm -acc=xpu{os.environ.get('XPUSIM_DEVICE_MODEL', 'KUNLUN1')[-1]}"


def _virtual_machine(folder: Path, library: Any, device: Any) -> tuple[Any, Any]:
    from tvm.runtime import vm

    executable = vm.Executable.load_exec(bytearray((folder / CODE).read_bytes()), library)
    machine = vm.VirtualMachine(executable, device)
    return machine, lambda name, array: machine.set_one_input("main", name, array)


def _graph_executor(folder: Path, library: Any, device: Any) -> tuple[Any, Any]:
    from tvm.contrib import graph_executor

    executor = graph_executor.create((folder / GRAPH).read_text(), library, device)
    executor.load_params((folder / WEIGHTS).read_bytes())
    return executor, executor.set_input
