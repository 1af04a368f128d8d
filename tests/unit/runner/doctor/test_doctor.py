"""The doctor says what is here and what is missing, and no driver can hurt it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pynvml
import pytest

from hardware.base import Device, DeviceCondition, DeviceIdentity, DeviceProcess, unknown_condition
from hardware.meters.base import Meter, MeterUnavailableError, Reading
from hardware.meters.nvml.condition import nvml_condition, nvml_devices, nvml_settings
from hardware.stacks.host import host_condition
from hardware.vendors.cpu import Cpu
from runner.core.errors import ConfigurationError
from runner.doctor import __main__ as command
from runner.doctor.details import Inquiry, nodes_as_devices, try_meter
from runner.doctor.findings import Details, VendorFinding
from runner.doctor.inquire import inquire
from runner.doctor.survey import load_spec, survey, vendor_names

ROOT = Path(__file__).parents[4]
HEAVY = ("torch", "lightning", "pytorch_lightning", "mlflow", "transformers", "hydra")
GPU = DeviceIdentity(index=0, uuid="GPU-aaaa", pci_bus_id="0000:1a:00.0", name="NVIDIA H200", driver_index=0)


# --- the quick look -------------------------------------------------------------------------------------------------

QUICK = f"""
import sys, time
from runner.doctor.__main__ import main
from runner.doctor.survey import survey, vendor_names
names = vendor_names()  # the one place that must know what installed packages bring, and reads their entry points
touched = []
def hook(event, arguments):
    if event in ("subprocess.Popen", "os.posix_spawn", "os.fork", "os.system"):
        touched.append(event)
    if event == "open" and str(arguments[0]).endswith("entry_points.txt"):
        touched.append(str(arguments[0]))
sys.addaudithook(hook)
began = time.process_time()
found = survey(names)
took = time.process_time() - began
print(len(found), took / began, [name for name in {HEAVY!r} if name in sys.modules] + touched)
"""


def test_the_quick_look_imports_and_starts_nothing_and_costs_less_than_its_own_start() -> None:
    ended = subprocess.run([sys.executable, "-c", QUICK], cwd=ROOT, capture_output=True, text=True, check=True)
    count, share, touched = ended.stdout.split(maxsplit=2)
    assert int(count) == len(vendor_names()) > 0
    assert touched.strip() == "[]"
    assert float(share) < 1, "the start of the interpreter and the doctor's imports are the measure"


SHIPPED_ALONE = """
import sys
from hardware.chips import find_chip
from hardware.device import load_device
from runner.doctor.survey import load_spec, survey
touched = []
def hook(event, arguments):
    if event == "open" and str(arguments[0]).endswith("entry_points.txt"):
        touched.append(str(arguments[0]))
sys.addaudithook(hook)
load_device(load_spec("nvidia")), survey(["nvidia"]), find_chip("H100 PCIe 80GB")
print(len(touched))
find_chip("no such chip"), find_chip("nor this one")
print(len(touched) == len(set(touched)))
"""


def test_entry_points_are_read_only_where_something_is_not_in_this_tree_and_only_once() -> None:
    ended = subprocess.run([sys.executable, "-c", SHIPPED_ALONE], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["0", "True"]


def test_every_vendor_is_found_or_has_a_reason_and_something_to_do() -> None:
    names = [name for name in vendor_names() if name in ("cpu", "nvidia", "kunlunxin")]
    for one in survey(names):
        assert one.usable is (one.missing is None) is (one.todo is None)
        assert one.found or one.missing
        assert one.meters and one.precisions and "torch" in one.packages


LEAF = """
name: mine
title: My chip
device: {device}
visible_devices_env: null
communication_backend: gloo
precisions: [fp32]
tasks: [train]
meters: [host]
install: Buy one.
"""


@pytest.mark.parametrize(
    ("device", "missing"),
    [
        ("hardware.vendors.nowhere.Nothing", "hardware.vendors.nowhere.Nothing cannot be imported: No module named"),
        ("hardware.vendors.cpu.Nothing", "has no attribute 'Nothing'"),
        ("hardware.vendors.cpu.os", "not a subclass"),
    ],
)
def test_a_vendor_whose_class_is_missing_is_not_usable(tmp_path: Path, device: str, missing: str) -> None:
    (tmp_path / "mine.yaml").write_text(LEAF.format(device=device))
    (one,) = survey(["mine"], tmp_path)
    assert not one.usable and not one.found
    assert missing in str(one.missing) and one.todo == "Buy one."


def test_a_leaf_that_is_not_valid_hides_no_other_vendor(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("name: [")
    (tmp_path / "worse.yaml").write_text("name: worse\nspeed: high\n")
    (tmp_path / "mine.yaml").write_text(LEAF.format(device="hardware.vendors.cpu.Cpu"))
    bad, mine, worse = survey(["bad", "mine", "worse"], tmp_path)
    assert mine.usable and not bad.usable and not worse.usable
    assert "bad.yaml is not a vendor's leaf" in str(bad.missing) and "speed" in str(worse.missing)


def test_an_unknown_vendor_is_refused_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigurationError, match="Did you mean nvidia"):
        survey(["nvidea"])
    assert command.main(["nvidea"]) == 2
    assert "Did you mean nvidia?" in capsys.readouterr().err


# --- the command ----------------------------------------------------------------------------------------------------


def found(name: str = "good", *, usable: bool = True, here: bool = True) -> VendorFinding:
    missing = None if usable else "no driver"
    return VendorFinding(
        name=name, title=f"{name} chip", found=here, usable=usable, missing=missing, todo=missing and f"Install {name}."
    )


def details(problem: str | None = None) -> Details:
    inquiry = Inquiry(device=Fine(), file=Path("unused"), found=Details(problem=problem))
    finding = inquiry._finding(GPU, CONDITION)
    return Details(devices=[finding], meters=[try_meter("host", [])], versions={"driver": "1.2"}, problem=problem)


CONDITION = DeviceCondition(
    isolated=False,
    processes=(DeviceProcess(pid=7, name="train.py", memory_bytes=3 << 30),),
    power_limit_w=650.0,
    facts={"driver": "550.54"},
    reasons={"clocks_locked": "nobody tells"},
)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """A machine with one good vendor, one without its stack, and one that is not here; and who was asked."""
    asked: list[tuple[str, bool]] = []
    vendors = {
        one.name: one for one in (found(), found("half", usable=False), found("absent", usable=False, here=False))
    }

    def ask(name: str, *, deep: bool) -> Details:
        asked.append((name, deep))
        return details()

    monkeypatch.setattr(command, "vendor_names", lambda: sorted(vendors))
    monkeypatch.setattr(command, "survey", lambda names: [vendors[name] for name in names])
    monkeypatch.setattr(command, "inquire", ask)
    return asked


@pytest.mark.parametrize(
    ("arguments", "code"),
    [([], 0), (["good"], 0), (["half"], 3), (["absent"], 3), (["good", "absent"], 3), (["good", "good"], 0)],
)
def test_the_exit_code_is_about_the_vendors_that_were_named(
    machine: list[Any], arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(arguments) == code
    told = capsys.readouterr().out
    for name in arguments or ("good", "half", "absent"):
        assert f"{name} chip" in told


def test_only_drivers_of_devices_that_are_here_are_asked(machine: list[tuple[str, bool]]) -> None:
    command.main([])
    assert machine == [("good", False), ("half", False)]
    machine.clear()
    command.main(["--deep"])
    assert machine == [("good", True), ("half", False)], "a stack that is not there cannot be started"


def test_the_page_says_what_matters(machine: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    command.main(["good", "absent"])
    told = capsys.readouterr().out
    assert "\x1b" not in told and all(line == line.rstrip() for line in told.splitlines())
    words = " ".join(told.split())
    for text in ("GPU-aaaa", "0000:1a:00.0", "650 W", "H200 SXM 141GB", "driver 550.54", "driver 1.2"):
        assert text in words
    assert "not isolated: train.py (pid 7, 3072 MiB)" in words
    assert "clocks locked not known: nobody tells" in words
    assert "Not usable: no driver." in words and "To do: Install absent." in words


def test_a_stack_that_does_not_start_is_not_usable(machine: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "inquire", lambda name, *, deep: details("it is built without CUDA"))
    assert command.main(["good"]) == 0
    assert command.main(["good", "--deep"]) == 3


def test_json_is_one_document_with_stable_keys(machine: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) == {
        *("deep", "detected", "host", "vendors", "choices", "cluster", "exit_code", "schema_version"),
    }
    assert (told["schema_version"], told["exit_code"], told["deep"]) == (1, 0, False)
    assert told["choices"]["framework=pytorch"] is None and "compiler=inductor" in told["choices"]
    good = next(one for one in told["vendors"] if one["name"] == "good")
    assert set(good) == {
        *("name", "title", "found", "usable", "missing", "todo", "nodes", "packages", "precisions", "compilers"),
        *("tasks", "meters", "container_options", "details"),
    }
    assert set(good["details"]) == {"devices", "meters", "versions", "problem"}
    (device,) = good["details"]["devices"]
    assert set(device) == {"identity", "chip", "chip_reason", "condition"}
    assert set(device["identity"]) == {
        *("index", "uuid", "pci_bus_id", "name", "driver_index", "memory_bytes", "partition"),
    }
    wanted = {"isolated", "processes", "power_limit_w", "clocks_locked", "facts", "reasons"}
    assert set(device["condition"]) == wanted
    (meter,) = good["details"]["meters"]
    assert set(meter) == {"name", "available", "reason", "period_s", "read_s", "read_cpu_s", "sources", "tells"}
    assert next(one for one in told["vendors"] if one["name"] == "absent")["details"] is None


def test_the_real_machine_is_examined(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["cpu", "--json"]) == 0
    (cpu,) = json.loads(capsys.readouterr().out)["vendors"]
    assert cpu["details"]["problem"] is None and cpu["details"]["versions"] == {}
    (device,) = cpu["details"]["devices"]
    assert device["identity"]["name"] and isinstance(device["condition"]["isolated"], bool)
    meters = {meter["name"]: meter for meter in cpu["details"]["meters"]}
    assert (
        meters["host"]["available"] and meters["host"]["read_s"] > 0 and "memory_used_bytes" in meters["host"]["tells"]
    )


# --- the process that asks ------------------------------------------------------------------------------------------

WRITE = """
import json, os, sys, time
def write(stage, **found):
    with open(sys.argv[2], "w") as file:
        json.dump({"stage": stage, "found": {"versions": {"driver": "9"}, **found}}, file)
"""
BEHAVIOUR = {
    "hangs": ("time.sleep(60)", "did not answer within 1 s and was ended while starting the stack"),
    "crashes": ("os.abort()", "was killed by SIGABRT while starting the stack"),
    "exits": ("sys.exit('libdriver.so: wrong version')", "ended with status 1 while starting the stack: libdriver.so"),
    "hangs_with_child": (
        "import subprocess; subprocess.run(['sleep', '60'])",
        "did not answer within 1 s and was ended while starting the stack",
    ),
}


def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> str:
    (tmp_path / "driver.py").write_text(WRITE + code)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    return "driver"


@pytest.mark.parametrize("how", BEHAVIOUR)
def test_whatever_a_driver_does_the_doctor_lives_and_keeps_what_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    code, told = BEHAVIOUR[how]
    name = module(tmp_path, monkeypatch, f"write('starting the stack')\n{code}")
    children = {process.pid for process in psutil.Process().children(recursive=True)}
    answer = inquire("cpu", deep=False, limit_s=1.0, module=name)
    assert answer.versions == {"driver": "9"}
    assert answer.problem is not None and told in answer.problem
    assert {process.pid for process in psutil.Process().children(recursive=True)} <= children


@pytest.mark.parametrize("code", ["", "open(sys.argv[2], 'w').write('{')", "open(sys.argv[2], 'w').write('[]')"])
def test_a_process_that_says_nothing_to_be_understood_found_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    answer = inquire("cpu", deep=False, limit_s=20, module=module(tmp_path, monkeypatch, code))
    assert answer == Details(problem="the process that asks its driver said nothing that can be understood")


def test_a_problem_of_its_own_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = module(tmp_path, monkeypatch, "write('x', problem='no licence'); sys.exit(3)")
    answer = inquire("cpu", deep=True, limit_s=20, module=name)
    assert answer.problem == "no licence; the process that asks its driver ended with status 3 while x"


# --- what it asks ---------------------------------------------------------------------------------------------------


class Fine(Cpu):
    """A device with a list, a condition and a stack, each of which can be made to fail."""

    def __init__(self, **failing: Exception) -> None:
        super().__init__(load_spec("cpu"))
        self.failing = failing

    def _maybe(self, name: str) -> None:
        if name in self.failing:
            raise self.failing[name]

    def listed(self) -> list[DeviceIdentity]:
        self._maybe("listed")
        return [GPU]

    def condition(self, identity: DeviceIdentity) -> DeviceCondition:
        self._maybe("condition")
        return CONDITION if identity == GPU else unknown_condition("asked late")

    def connect(self) -> None:
        self._maybe("connect")

    def identities(self) -> list[DeviceIdentity]:
        self._maybe("identities")
        renamed = {"index": 0, "name": "NVIDIA H100 80GB HBM3", "uuid": "GPU-aaaa", "pci_bus_id": None}
        return [DeviceIdentity(**renamed), DeviceIdentity(index=1, uuid="GPU-bbbb", pci_bus_id=None, name="Unheard of")]

    def versions(self) -> dict[str, str]:
        return {"runtime": "12"}


def inquiry(tmp_path: Path, device: Device) -> Inquiry:
    return Inquiry(device=device, file=tmp_path / "found.json", found=Details())


def test_the_stack_knows_the_devices_best_and_their_condition_is_from_before_it(tmp_path: Path) -> None:
    asked = inquiry(tmp_path, Fine())
    asked.listed()
    (listed,) = asked.found.devices
    assert (listed.chip, listed.condition) == ("H200 SXM 141GB", CONDITION)
    asked.stack()
    first, second = asked.found.devices
    assert first.identity.name == "NVIDIA H100 80GB HBM3" and first.condition is CONDITION
    assert second.chip is None and "'Unheard of'" in str(second.chip_reason)
    assert second.condition.reasons["isolated"] == "asked late"
    assert asked.found.versions == {"runtime": "12"}
    assert json.loads((tmp_path / "found.json").read_text())["stage"] == "asking the stack for its devices"


def test_a_condition_that_cannot_be_asked_is_null_with_the_reason(tmp_path: Path) -> None:
    asked = inquiry(tmp_path, Fine(condition=RuntimeError("no permission")))
    asked.listed()
    condition = asked.found.devices[0].condition
    assert condition.isolated is None and condition.reasons["power_limit_w"] == "RuntimeError: no permission"


def test_each_stage_goes_on_after_another_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from runner.doctor import details as module

    broken = Fine(listed=OSError("nothing there"), connect=RuntimeError("it is built without CUDA"))
    monkeypatch.setattr(module, "load_device", lambda spec: broken)
    assert module.main(["cpu", str(tmp_path / "found.json"), "--deep"]) == 0
    written = json.loads((tmp_path / "found.json").read_text())
    assert written["stage"] == "" and written["found"]["problem"] == "nothing there; it is built without CUDA"
    assert "host" in {meter["name"] for meter in written["found"]["meters"] if meter["available"]}


def test_a_vendor_that_says_nothing_has_reasons_for_everything() -> None:
    device = Fine()
    assert Device.listed(device) is None
    condition = Device.condition(device, GPU)
    assert condition.processes is None and set(condition.reasons) == {
        *("isolated", "processes", "power_limit_w", "clocks_locked"),
    }
    with pytest.raises(AssertionError):
        DeviceCondition(isolated=True, reasons={})


def test_nodes_stand_for_devices_where_nothing_lists_them(tmp_path: Path) -> None:
    for path in ("dev/nvidia0", "dev/nvidia1", "dev/nvidiactl"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()
    first, second = nodes_as_devices("nvidia", "GPU", tmp_path)
    assert (first.driver_index, second.driver_index, second.index, second.pci_bus_id) == (0, 1, 1, None)
    (tmp_path / "proc/driver/nvidia/gpus/0000:3b:00.0").mkdir(parents=True)
    (one,) = nodes_as_devices("nvidia", "GPU", tmp_path)
    assert (one.pci_bus_id, one.driver_index, one.name) == ("0000:3b:00.0", None, "GPU"), (
        "nodes of one device count once"
    )
    assert nodes_as_devices("cpu", "CPU", tmp_path) == []


class Watch(Meter):
    """A meter that takes a known time, or fails in a known way."""

    name = "watch"
    period_s = 0.5

    def __init__(self, failing: str = "", error: Exception | None = None) -> None:
        self.failing, self.error = failing, error or MeterUnavailableError("watch: gone")
        self.reads, self.closed = 0, 0

    def _maybe(self, name: str) -> None:
        if name == self.failing:
            raise self.error

    def open(self, devices: Sequence[DeviceIdentity]) -> None:
        self._maybe("open")

    def read(self) -> list[Reading]:
        self._maybe("read")
        self.reads += 1
        power = Reading(source="GPU-a", scope="device", power_w=3.0, raw="x")
        return [power, Reading(source="GPU-b", scope="device", throttle="")]

    def processes_cpu_s(self) -> float:
        return 2.0 * self.reads

    def close(self) -> None:
        self.closed += 1


def test_a_meter_is_tried_and_its_cost_measured() -> None:
    meter = Watch()
    tried = try_meter("watch", [GPU], make=lambda name: meter, reads=4)
    assert tried.available and tried.period_s == 0.5 and meter.reads == 4 and meter.closed == 1
    assert tried.read_cpu_s == pytest.approx(2.0, abs=0.1), "its own tools are counted"
    assert tried.read_s is not None and 0 <= tried.read_s < 1
    assert (tried.sources, tried.tells) == (["GPU-a", "GPU-b"], ["power_w", "throttle"])


@pytest.mark.parametrize("failing", ["open", "read"])
@pytest.mark.parametrize(
    ("error", "reason"),
    [(None, "watch: gone"), (KeyError("power"), "KeyError: 'power'"), (OSError("bus"), "OSError: bus")],
)
def test_a_meter_that_fails_has_a_reason_and_is_let_go_of(failing: str, error: Exception | None, reason: str) -> None:
    meter = Watch(failing, error)
    tried = try_meter("watch", [GPU], make=lambda name: meter)
    assert (tried.available, tried.reason, tried.read_s, meter.closed) == (False, reason, None, 1)


def test_a_meter_that_does_not_exist_has_a_reason() -> None:
    tried = try_meter("nothing", [])
    assert not tried.available and "no meter is called nothing" in str(tried.reason)


# --- the host's condition -------------------------------------------------------------------------------------------


def sys_tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / "sys" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return root


def cores(governor: str, low: str, high: str) -> dict[str, str]:
    names = {"scaling_governor": governor, "scaling_min_freq": low, "scaling_max_freq": high}
    return {
        f"devices/system/cpu/cpu{core}/cpufreq/{name}": value
        for core in (0, 1)
        for name, value in names.items()
        if value
    }


BOOST, NO_TURBO = "devices/system/cpu/cpufreq/boost", "devices/system/cpu/intel_pstate/no_turbo"


@pytest.mark.parametrize(
    ("files", "locked", "facts"),
    [
        (cores("performance", "2000", "2000") | {BOOST: "0"}, True, {"governor": "performance", "boost": "off"}),
        (cores("performance", "2000", "2000") | {NO_TURBO: "1"}, True, {"governor": "performance", "boost": "off"}),
        (cores("performance", "2000", "2000") | {BOOST: "1"}, False, {"governor": "performance", "boost": "on"}),
        (cores("powersave", "800", "3000") | {NO_TURBO: "0"}, False, {"governor": "powersave", "boost": "on"}),
        (cores("schedutil", "800", "3000"), False, {"governor": "schedutil"}),
        (cores("schedutil", "800", ""), None, {"governor": "schedutil"}),
        ({BOOST: "what"}, None, {}),
        ({}, None, {}),
    ],
)
def test_governor_boost_and_clocks_of_the_host(
    tmp_path: Path, files: dict[str, str], locked: bool | None, facts: dict[str, str]
) -> None:
    condition = host_condition(sys_tree(tmp_path, files), moment_s=0.01)
    assert condition.clocks_locked is locked
    assert ("clocks_locked" in condition.reasons) is (locked is None)
    assert {name: value for name, value in condition.facts.items() if "share" not in name} == facts


def package(number: int, limit_uw: str) -> dict[str, str]:
    zone = f"class/powercap/intel-rapl:{number}"
    limits = {"constraint_0_name": "long_term", "constraint_0_power_limit_uw": limit_uw}
    short = {"constraint_1_name": "short_term", "constraint_1_power_limit_uw": "999000000"}
    return {f"{zone}/{name}": text for name, text in ({"name": f"package-{number}"} | limits | short).items()}


@pytest.mark.parametrize(
    ("files", "watts"),
    [
        (package(0, "150000000"), 150.0),
        (package(0, "150000000") | package(1, "150000000"), 300.0),
        (package(0, "150000000") | package(1, "?"), None),
        (package(0, "150000000") | {"class/powercap/intel-rapl:1/name": "package-1"}, None),
        ({"class/powercap/intel-rapl:0/name": "psys"}, None),
        ({}, None),
    ],
)
def test_power_limit_of_the_packages(tmp_path: Path, files: dict[str, str], watts: float | None) -> None:
    condition = host_condition(sys_tree(tmp_path, files), moment_s=0.01)
    assert condition.power_limit_w == watts and ("power_limit_w" in condition.reasons) is (watts is None)


def busy(monkeypatch: pytest.MonkeyPatch, share: float, others: dict[int, tuple[str, float]]) -> None:
    """A machine of 4 cores that is busy to `share`; other processes take so many seconds each between two looks."""
    looks = iter(range(2))

    def process_iter(_attributes: list[str]) -> list[SimpleNamespace]:
        look = next(looks)
        return [
            SimpleNamespace(
                pid=pid, info={"name": name, "cpu_times": SimpleNamespace(user=10 + look * seconds, system=0.0)}
            )
            for pid, (name, seconds) in others.items()
        ]

    monkeypatch.setattr("psutil.cpu_percent", lambda interval: 100 * share)
    monkeypatch.setattr("psutil.cpu_count", lambda: 4)
    monkeypatch.setattr("psutil.process_iter", process_iter)
    ticks = iter((100.0, 102.0))
    monkeypatch.setattr(
        "hardware.stacks.host.time", SimpleNamespace(monotonic=lambda: next(ticks), process_time=lambda: 5.0)
    )


def test_others_on_the_processors_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    busy(monkeypatch, 0.6, {1: ("idle", 0.0), 2: ("make", 3.0), 3: ("train", 1.0), os.getpid(): ("me", 2.0)})
    condition = host_condition(tmp_path)
    assert condition.isolated is False and condition.facts["others' share of the processors"] == "60.0%"
    assert condition.processes == (
        DeviceProcess(pid=2, name="make", cores=1.5),
        DeviceProcess(pid=3, name="train", cores=0.5),
    )


def test_a_quiet_machine_is_a_runs_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    busy(monkeypatch, 0.02, {2: ("cron", 0.01)})
    condition = host_condition(tmp_path)
    assert condition.isolated is True and condition.processes == ()


def test_a_machine_that_does_not_tell_its_times(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(_attributes: list[str]) -> None:
        raise psutil.AccessDenied(1)

    monkeypatch.setattr("psutil.process_iter", refuse)
    condition = host_condition(tmp_path, moment_s=0.01)
    assert condition.isolated is None and "times are not told" in condition.reasons["isolated"]


# --- NVIDIA's condition ---------------------------------------------------------------------------------------------


class Driver:
    """NVML of one H200; a function named in `refused` answers with NVML's error."""

    def __init__(self, **answers: Any) -> None:
        self.refused: set[str] = set()
        self.starts = 0
        self.answers: dict[str, Any] = {
            "nvmlDeviceGetCount": 1,
            "nvmlDeviceGetHandleByIndex": "handle",
            "nvmlDeviceGetHandleByUUID": "handle",
            "nvmlDeviceGetUUID": "GPU-aaaa",
            "nvmlDeviceGetName": b"NVIDIA H200",
            "nvmlDeviceGetPciInfo": SimpleNamespace(busId="00000000:1A:00.0"),
            "nvmlDeviceGetMinorNumber": 3,
            "nvmlDeviceGetComputeRunningProcesses": [],
            "nvmlDeviceGetMPSComputeRunningProcesses": [],
            "nvmlDeviceGetEnforcedPowerLimit": 650_000,
            "nvmlDeviceGetPowerManagementDefaultLimit": 700_000,
            "nvmlDeviceGetApplicationsClock": 1980,
            "nvmlDeviceGetDefaultApplicationsClock": 1980,
            "nvmlDeviceGetMaxClockInfo": 1980,
            "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=0, memory=0),
            "nvmlDeviceGetMemoryInfo": SimpleNamespace(used=4 << 20),
            "nvmlDeviceGetPersistenceMode": 1,
            "nvmlSystemGetDriverVersion": "550.54.15",
        } | answers

    def function(self, name: str) -> Any:
        def call(*_arguments: Any, **_named: Any) -> Any:
            if name in self.refused:
                raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
            return self.answers[name]

        return call

    def install(self, monkeypatch: pytest.MonkeyPatch) -> Driver:
        module = types.ModuleType("pynvml")
        plain = {key: value for key, value in vars(pynvml).items() if not key.startswith("nvmlDevice")}
        module.__dict__.update(plain | {name: self.function(name) for name in self.answers})
        module.__dict__["nvmlInit"] = lambda: setattr(self, "starts", self.starts + 1)
        module.__dict__["nvmlShutdown"] = lambda: setattr(self, "starts", self.starts - 1)
        monkeypatch.setitem(sys.modules, "pynvml", module)
        return self


def test_nvml_lists_the_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver().install(monkeypatch)
    assert nvml_devices() == [
        DeviceIdentity(index=0, uuid="GPU-aaaa", pci_bus_id="0000:1a:00.0", name="NVIDIA H200", driver_index=3)
    ]
    driver.refused.add("nvmlDeviceGetUUID")
    assert nvml_devices() is None and driver.starts == 0
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert nvml_devices() is None
    condition = nvml_condition(GPU)
    assert condition.isolated is None and "nvidia-ml-py is not installed" in condition.reasons["isolated"]


def test_a_gpu_at_rest_is_a_runs_own_and_its_limits_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver().install(monkeypatch)
    condition = nvml_condition(GPU)
    assert (condition.isolated, condition.processes, condition.power_limit_w) == (True, (), 650.0)
    assert (
        condition.clocks_locked is None
        and "does not tell whether clocks are locked" in condition.reasons["clocks_locked"]
    )
    assert condition.facts == {
        "driver": "550.54.15",
        "largest SM clock": "1980 MHz",
        "power limit as shipped": "700 W",
        "memory in use": "4 MiB",
        "persistence mode": "on",
        "application clock": "1980 MHz",
    }
    assert driver.starts == 0, "NVML is let go of"


def test_other_processes_on_a_gpu_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def process(pid: int, used: int | None) -> SimpleNamespace:
        return SimpleNamespace(pid=pid, usedGpuMemory=used)

    strangers = [process(1, 1 << 30), process(2**22 + 7, None), process(os.getpid(), 5)]
    Driver(nvmlDeviceGetComputeRunningProcesses=strangers).install(monkeypatch)
    condition = nvml_condition(GPU)
    assert condition.isolated is False and condition.processes is not None
    assert [(one.pid, one.memory_bytes) for one in condition.processes] == [(1, 1 << 30), (2**22 + 7, None)]
    assert condition.processes[0].name == psutil.Process(1).name() and condition.processes[1].name is None


@pytest.mark.parametrize(
    "answers",
    [
        {"nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=40, memory=0)},
        {"nvmlDeviceGetMemoryInfo": SimpleNamespace(used=20 << 30)},
        {"nvmlDeviceGetMPSComputeRunningProcesses": [SimpleNamespace(pid=1, usedGpuMemory=None)]},
    ],
)
def test_a_gpu_is_not_free_because_nvml_lists_nobody(monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any]) -> None:
    Driver(**answers).install(monkeypatch)
    assert nvml_condition(GPU).isolated is False


def test_application_clocks_that_were_set_are_locked_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    Driver(nvmlDeviceGetApplicationsClock=1410).install(monkeypatch)
    condition = nvml_condition(GPU)
    assert condition.clocks_locked is True and condition.facts["application clock"] == "1410 MHz"


def test_what_nvml_does_not_answer_is_null_with_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver().install(monkeypatch)
    driver.refused = {name for name in driver.answers if "Handle" not in name}
    condition = nvml_condition(GPU)
    assert condition.facts == {} and set(condition.reasons) == {
        *("isolated", "processes", "power_limit_w", "clocks_locked"),
    }
    assert all("Not Supported" in reason for reason in condition.reasons.values())
    driver.refused = {"nvmlDeviceGetHandleByUUID"}
    assert nvml_condition(GPU).isolated is None


def test_how_a_gpu_is_set_is_told_without_what_a_load_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = Driver(nvmlDeviceGetEccMode=[1, 1], nvmlDeviceGetMigMode=[0, 0]).install(monkeypatch)
    settings = nvml_settings(GPU)
    assert (settings.power_limit_w, settings.max_clock_mhz, settings.reasons) == (650.0, 1980.0, {})
    assert settings.facts == {
        "power limit as shipped": "700 W",
        "persistence mode": "on",
        "ECC": "on",
        "MIG mode": "off",
    }
    driver.refused = {"nvmlDeviceGetEnforcedPowerLimit", "nvmlDeviceGetEccMode"}
    settings = nvml_settings(GPU)
    assert settings.power_limit_w is None and "Not Supported" in settings.reasons["power_limit_w"]
    assert "ECC" not in settings.facts and driver.starts == 0
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert set(nvml_settings(GPU).reasons) == {"power_limit_w", "max_clock_mhz"}


def test_nvml_tells_how_much_memory_a_gpu_has(monkeypatch: pytest.MonkeyPatch) -> None:
    Driver(nvmlDeviceGetMemoryInfo=SimpleNamespace(used=0, total=80 << 30)).install(monkeypatch)
    assert [one.memory_bytes for one in nvml_devices() or ()] == [80 << 30]
