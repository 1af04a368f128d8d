"""The NVML meter against a binding whose driver answers from a script: real constants and errors, exact counters."""

import sys
import types

import pynvml
import pytest

from hardware.base import DeviceIdentity
from hardware.meters.base import MeterUnavailableError
from hardware.meters.nvml.nvml import Nvml

UUIDS = ("GPU-aaaa", "GPU-bbbb")
NEW = {"nvmlDeviceGetTemperatureV", "nvmlDeviceGetCurrentClocksEventReasons"}


def error(code):
    return pynvml.NVMLError(code)


class Driver:
    """What a machine with two GPUs answers; `broken` maps (function, GPU or None) to the error it raises."""

    def __init__(self):
        self.broken = {}
        self.energy_mj = {uuid: 1_000_000 * (i + 1) for i, uuid in enumerate(UUIDS)}
        self.instant_mw = 301_500
        self.reasons = 0
        self.mig = pynvml.NVML_DEVICE_MIG_DISABLE
        self.virtualisation = pynvml.NVML_GPU_VIRTUALIZATION_MODE_NONE
        self.starts = self.stops = 0
        self.calls = []

    def ask(self, function, handle=None):
        self.calls.append(function)
        for key in ((function, handle), (function, None), ("*", handle)):
            if key in self.broken:
                raise self.broken[key]

    def nvmlInit(self):
        self.ask("nvmlInit")
        self.starts += 1

    def nvmlShutdown(self):
        self.stops += 1

    def nvmlDeviceGetHandleByUUID(self, uuid):
        self.ask("nvmlDeviceGetHandleByUUID")
        if uuid not in UUIDS:
            raise error(pynvml.NVML_ERROR_NOT_FOUND)
        return uuid

    def nvmlDeviceGetHandleByPciBusId(self, pci):
        found = {"0000:1A:00.0": UUIDS[0], "0000:3B:00.0": UUIDS[1]}.get(pci)
        if found is None:
            raise error(pynvml.NVML_ERROR_NOT_FOUND)
        return found

    def nvmlDeviceGetMigMode(self, handle):
        self.ask("nvmlDeviceGetMigMode", handle)
        return [self.mig, self.mig]

    def nvmlDeviceGetVirtualizationMode(self, handle):
        self.ask("nvmlDeviceGetVirtualizationMode", handle)
        return self.virtualisation

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        self.ask("nvmlDeviceGetTotalEnergyConsumption", handle)
        self.energy_mj[handle] += 30_000
        return self.energy_mj[handle]

    def nvmlDeviceGetFieldValues(self, handle, ids):
        self.ask("nvmlDeviceGetFieldValues", handle)
        assert list(ids) == [pynvml.NVML_FI_DEV_POWER_INSTANT]
        value = pynvml.c_nvmlFieldValue_t()
        value.valueType = pynvml.NVML_VALUE_TYPE_UNSIGNED_INT
        value.value.uiVal = self.instant_mw or 0
        value.nvmlReturn = pynvml.NVML_ERROR_NOT_SUPPORTED if self.instant_mw is None else pynvml.NVML_SUCCESS
        return [value]

    def nvmlDeviceGetPowerUsage(self, handle):
        self.ask("nvmlDeviceGetPowerUsage", handle)
        return 250_000

    def nvmlDeviceGetTemperatureV(self, handle, sensor):
        self.ask("nvmlDeviceGetTemperatureV", handle)
        return 61

    def nvmlDeviceGetTemperature(self, handle, sensor):
        self.ask("nvmlDeviceGetTemperature", handle)
        return 60

    def nvmlDeviceGetUtilizationRates(self, handle):
        self.ask("nvmlDeviceGetUtilizationRates", handle)
        return types.SimpleNamespace(gpu=87, memory=40)

    def nvmlDeviceGetMemoryInfo(self, handle, version=None):
        self.ask("nvmlDeviceGetMemoryInfo", handle)
        return types.SimpleNamespace(used=7 << 30 if version == pynvml.nvmlMemory_v2 else 8 << 30)

    def nvmlDeviceGetClockInfo(self, handle, kind):
        self.ask("nvmlDeviceGetClockInfo", handle)
        assert kind == pynvml.NVML_CLOCK_SM
        return 1410

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle):
        self.ask("nvmlDeviceGetCurrentClocksEventReasons", handle)
        return self.reasons

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle):
        self.ask("nvmlDeviceGetCurrentClocksThrottleReasons", handle)
        return self.reasons


class Clock:
    now_s = 100.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def driver(monkeypatch):
    return install(monkeypatch, Driver())


def install(monkeypatch, driver, without=()):
    """Put a `pynvml` with this driver in place of the real one."""
    module = types.ModuleType("pynvml")
    module.__dict__.update(
        {k: v for k, v in vars(pynvml).items() if not k.startswith("nvmlDevice") or k in vars(Driver)}
    )
    for name in vars(Driver):
        if name.startswith("nvml") and name not in without:
            setattr(module, name, getattr(driver, name))
    for name in without:
        vars(module).pop(name, None)
    monkeypatch.setitem(sys.modules, "pynvml", module)
    return driver


def gpu(uuid=UUIDS[0], pci=None, index=0):
    return DeviceIdentity(index=index, uuid=uuid, pci_bus_id=pci, name="NVIDIA H200")


def opened(*devices, clock=None):
    meter = Nvml(clock or Clock())
    meter.open(devices or [gpu()])
    return meter


def test_reads_every_figure_in_our_units(driver):
    driver.reasons = pynvml.nvmlClocksEventReasonSwPowerCap | pynvml.nvmlClocksEventReasonHwThermalSlowdown
    meter = opened()
    before_mj = driver.energy_mj[UUIDS[0]]
    (reading,) = meter.read()
    assert (reading.source, reading.scope) == ("GPU-aaaa", "device")
    assert reading.power_w == 301.5
    assert reading.energy_j == (before_mj + 30_000) / 1000
    assert reading.energy_wrap_j is None
    assert (reading.temperature_c, reading.utilisation, reading.clock_mhz) == (61.0, 0.87, 1410.0)
    assert reading.memory_used_bytes == 7 << 30
    assert reading.throttle == "SwPowerCap+HwThermalSlowdown"
    assert reading.raw is None


def test_the_counter_is_exact_from_one_reading_to_the_next(driver):
    meter = opened()
    assert [meter.read()[0].energy_j for _ in range(3)] == [1060.0, 1090.0, 1120.0]


def test_slow_figures_are_read_once_a_second(driver):
    clock = Clock()
    meter = opened(clock=clock)
    assert meter.read()[0].temperature_c == 61.0
    clock.now_s += 0.9
    reading = meter.read()[0]
    assert (reading.temperature_c, reading.throttle, reading.memory_used_bytes) == (None, None, None)
    assert (reading.power_w, reading.energy_j is not None) == (301.5, True)
    clock.now_s += 0.1
    assert meter.read()[0].temperature_c == 61.0


def test_unthrottled_is_not_unknown(driver):
    assert opened().read()[0].throttle == ""


def test_a_throttle_bit_without_a_name_is_kept(driver):
    driver.reasons = 1 << 40 | pynvml.nvmlClocksEventReasonGpuIdle
    assert opened().read()[0].throttle == f"GpuIdle+{hex(1 << 40)}"


@pytest.mark.parametrize("instant_mw", [None, 0])
def test_power_usage_stands_in_where_there_is_no_instantaneous_power(driver, instant_mw):
    driver.instant_mw = instant_mw
    assert opened().read()[0].power_w == 250.0


def test_an_old_driver_is_asked_the_old_way(driver):
    for name in NEW:
        driver.broken[(name, None)] = error(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
    driver.reasons = pynvml.nvmlClocksThrottleReasonSwPowerCap
    reading = opened().read()[0]
    assert (reading.temperature_c, reading.throttle) == (60.0, "SwPowerCap")


def test_an_old_binding_is_asked_the_old_way(monkeypatch):
    install(monkeypatch, Driver(), without=NEW)
    reading = opened().read()[0]
    assert (reading.temperature_c, reading.throttle) == (60.0, "")


@pytest.mark.parametrize(
    ("functions", "figure"),
    [
        (["nvmlDeviceGetTotalEnergyConsumption"], "energy_j"),
        (["nvmlDeviceGetFieldValues", "nvmlDeviceGetPowerUsage"], "power_w"),
        (["nvmlDeviceGetTemperatureV", "nvmlDeviceGetTemperature"], "temperature_c"),
        (["nvmlDeviceGetUtilizationRates"], "utilisation"),
        (["nvmlDeviceGetMemoryInfo"], "memory_used_bytes"),
        (["nvmlDeviceGetClockInfo"], "clock_mhz"),
        (["nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"], "throttle"),
    ],
)
def test_a_figure_that_is_not_supported_is_null_and_the_others_stay(driver, functions, figure):
    for name in functions:
        driver.broken[(name, None)] = error(pynvml.NVML_ERROR_NOT_SUPPORTED)
    reading = opened().read()[0]
    told = {name: getattr(reading, name) for name in ("power_w", "energy_j", "temperature_c", "clock_mhz", "throttle")}
    assert getattr(reading, figure) is None
    assert all(value is not None for name, value in told.items() if name != figure)


def test_a_figure_that_fails_once_is_null_that_time(driver):
    meter = opened()
    driver.broken[("nvmlDeviceGetFieldValues", None)] = error(pynvml.NVML_ERROR_UNKNOWN)
    assert meter.read()[0].power_w is None
    driver.broken.clear()
    assert meter.read()[0].power_w == 301.5


def test_devices_are_found_by_uuid_in_torchs_form_and_by_pci(driver):
    meter = opened(gpu("bbbb"), gpu(None, "0000:1A:00.0", index=1))
    first, second = meter.read()
    assert (first.source, second.source) == ("GPU-bbbb", "0000:1A:00.0")
    assert first.energy_j > 2000 > second.energy_j


def test_a_device_is_read_once_however_often_it_is_named(driver):
    assert len(opened(gpu(), gpu(index=3)).read()) == 1


@pytest.mark.parametrize(
    ("device", "text"),
    [
        (gpu("GPU-zzzz"), "no GPU GPU-zzzz"),
        (gpu(None, "0000:FF:00.0"), "no GPU at PCI 0000:FF:00.0"),
        (gpu(None, None, index=2), "device 2 has neither UUID nor PCI id"),
        (gpu("MIG-1234"), "MIG instance"),
    ],
)
def test_a_device_that_cannot_be_found_is_refused(driver, device, text):
    with pytest.raises(MeterUnavailableError, match=text):
        opened(device)
    assert driver.starts == driver.stops


def test_no_device_yet_is_a_reason(driver):
    with pytest.raises(MeterUnavailableError, match="no device was named yet"):
        Nvml().open([])


def test_mig_mode_is_refused(driver):
    driver.mig = pynvml.NVML_DEVICE_MIG_ENABLE
    with pytest.raises(MeterUnavailableError, match="GPU-aaaa is in MIG mode"):
        opened()


def test_a_neighbour_that_is_lost_or_split_is_not_asked(driver, monkeypatch):
    driver.broken["*", UUIDS[1]] = error(pynvml.NVML_ERROR_GPU_IS_LOST)
    (reading,) = opened(gpu()).read()
    assert (reading.source, reading.power_w, reading.raw) == (UUIDS[0], 301.5, None)
    driver.broken.clear()
    modes = {UUIDS[0]: pynvml.NVML_DEVICE_MIG_DISABLE, UUIDS[1]: pynvml.NVML_DEVICE_MIG_ENABLE}
    monkeypatch.setattr(sys.modules["pynvml"], "nvmlDeviceGetMigMode", lambda handle: [modes[handle]] * 2)
    assert [one.source for one in opened(gpu()).read()] == [UUIDS[0]]
    with pytest.raises(MeterUnavailableError, match="GPU-bbbb is in MIG mode"):
        opened(gpu(), gpu(UUIDS[1], index=1))


def test_a_virtual_gpu_is_refused_and_a_passed_through_one_is_not(driver):
    driver.virtualisation = pynvml.NVML_GPU_VIRTUALIZATION_MODE_PASSTHROUGH
    assert opened().read()[0].power_w == 301.5
    driver.virtualisation = pynvml.NVML_GPU_VIRTUALIZATION_MODE_VGPU
    with pytest.raises(MeterUnavailableError, match="virtual GPU"):
        opened()


def test_a_gpu_that_knows_neither_mig_nor_virtualisation_is_a_whole_gpu(driver):
    for name in ("nvmlDeviceGetMigMode", "nvmlDeviceGetVirtualizationMode"):
        driver.broken[(name, None)] = error(pynvml.NVML_ERROR_NOT_SUPPORTED)
    assert opened().read()[0].power_w == 301.5


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, "NVML Shared Library Not Found"),
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "Driver Not Loaded"),
    ],
)
def test_without_a_driver_there_is_a_reason(driver, code, text):
    driver.broken[("nvmlInit", None)] = error(code)
    with pytest.raises(MeterUnavailableError, match=text):
        opened()


def test_without_the_binding_there_is_a_reason(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(MeterUnavailableError, match="nvidia-ml-py is not installed"):
        opened()


def test_a_gpu_that_falls_off_the_bus_becomes_nulls_and_the_other_goes_on(driver):
    meter = opened(gpu(), gpu(UUIDS[1], index=1))
    driver.broken[("*", UUIDS[0])] = error(pynvml.NVML_ERROR_GPU_IS_LOST)
    lost, alive = meter.read()
    assert (lost.source, lost.power_w, lost.energy_j, lost.raw) == ("GPU-aaaa", None, None, "GPU-aaaa: GPU is lost")
    assert (alive.source, alive.power_w) == ("GPU-bbbb", 301.5)
    driver.broken[("*", UUIDS[1])] = error(pynvml.NVML_ERROR_GPU_IS_LOST)
    with pytest.raises(MeterUnavailableError, match="GPU is lost"):
        meter.read()


def test_opening_again_and_closing_let_go_of_the_library(driver):
    meter = opened()
    meter.open([gpu(UUIDS[1])])
    assert meter.read()[0].source == "GPU-bbbb"
    meter.close()
    meter.close()
    assert driver.starts == driver.stops == 2
    with pytest.raises(MeterUnavailableError, match="not open"):
        meter.read()
