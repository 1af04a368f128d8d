"""The AMD SMI meter against a library whose driver answers from a script, with exact counters."""

import sys

import pytest
from amdsmi_driver import AmdSmiException, Chip, library

from hardware.base import DeviceIdentity
from hardware.meters.amdsmi.amdsmi import AmdSmi
from hardware.meters.amdsmi.boards import Die, primary_dies
from hardware.meters.base import MeterUnavailableError
from hardware.meters.registry import make_meter

ONE_J = 15_250.0
"""Counter of 10^9 steps of 15.25 microjoules."""


class Clock:
    now_s = 100.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def use(monkeypatch):
    def install(*chips, old=False):
        smi = library(list(chips), old=old)
        monkeypatch.setitem(sys.modules, "amdsmi", smi)
        return smi

    return install


def gpu(pci="0000:76:00.0", uuid=None, index=0):
    return DeviceIdentity(index=index, uuid=uuid, pci_bus_id=pci, name="AMD Instinct MI300X")


def opened(*devices, clock=None):
    meter = AmdSmi(clock or Clock())
    meter.open(devices or [gpu()])
    return meter


def test_the_registry_knows_it():
    assert type(make_meter("amdsmi")) is AmdSmi


def test_every_figure_of_a_gpu_found_by_its_address(use):
    """The library's order is not HIP's: the first device is the library's second."""
    idle = Chip("0000:06:00.0", amdsmi_get_power_info={"current_socket_power": 131})
    use(idle, Chip("0000:76:00.0"))
    first, second = opened(gpu("0000:76:00.0"), gpu("0000:06:00.0", "GPU-b", 1)).read()
    assert (first.source, first.scope, first.power_w, first.energy_j) == ("0000:76:00.0", "device", 412.0, ONE_J)
    assert (first.temperature_c, first.utilisation, first.clock_mhz) == (61.0, 0.97, 2092.0)
    assert (first.memory_used_bytes, first.raw, first.energy_wrap_j) == (40 << 30, None, None)
    assert (second.source, second.power_w) == ("GPU-b", 131.0)


@pytest.mark.parametrize("uuid", ["uuid-0000:76:00.0", "GPU-8a1f3c5d7e9b0214"])
def test_a_gpu_without_an_address_is_found_by_uuid(use, uuid):
    use(Chip("0000:06:00.0", serial="0x01"), Chip("0000:76:00.0"))
    assert opened(gpu(None, uuid)).read()[0].power_w == 412.0


@pytest.mark.parametrize(
    ("answer", "watts"),
    [
        ({"current_socket_power": 412, "average_socket_power": "N/A", "socket_power": 0}, 412.0),
        ({"current_socket_power": "N/A", "average_socket_power": 89}, 89.0),
        ({"current_socket_power": 65535, "average_socket_power": 89}, 89.0),
        ({"current_socket_power": 4294967295, "average_socket_power": 65535, "socket_power": 305}, 305.0),
        ({"average_socket_power": 0, "socket_power": 412_000_000}, None),  # microwatts, of hosts
        ({"average_socket_power": "N/A"}, None),
        ({"power_limit": 750}, None),
        ({}, None),
    ],
)
def test_power_by_whatever_key_the_version_has(use, answer, watts):
    use(Chip("0000:76:00.0", amdsmi_get_power_info=answer))
    assert opened().read()[0].power_w == watts


@pytest.mark.parametrize(
    ("answer", "joules"),
    [
        ({"energy_accumulator": 2_000_000_000, "counter_resolution": 15.25}, 2 * ONE_J),
        ({"power": 2_000_000_000, "counter_resolution": 15.25}, 2 * ONE_J),
        ({"energy_accumulator": 2**64 - 1, "counter_resolution": 15.25}, None),
        ({"energy_accumulator": 0, "counter_resolution": 15.25}, None),
        ({"energy_accumulator": "N/A", "counter_resolution": 15.25}, None),
        ({"energy_accumulator": 5, "counter_resolution": 0.0}, None),
        ({"energy_accumulator": 5}, None),
    ],
)
def test_energy_is_counts_times_resolution(use, answer, joules):
    use(Chip("0000:76:00.0", amdsmi_get_energy_count=answer))
    assert opened().read()[0].energy_j == (None if joules is None else pytest.approx(joules))


def test_the_library_of_rocm_5(use):
    old = Chip(
        "0000:76:00.0",
        amdsmi_get_power_info={"average_socket_power": 250, "energy_accumulator": 3},
        amdsmi_get_energy_count={"power": 1_000_000_000, "counter_resolution": 15.25},
        amdsmi_get_clock_info={"cur_clk": 1502, "avg_clk": 1400},
        amdsmi_get_temp_metric={"EDGE": 52},
    )
    use(old, old=True)
    reading = opened().read()[0]
    assert (reading.power_w, reading.energy_j, reading.clock_mhz) == (250.0, ONE_J, 1502.0)
    assert (reading.temperature_c, reading.memory_used_bytes) == (52.0, 40960 << 20)


@pytest.mark.parametrize(
    ("function", "figure", "answers"),
    [
        ("amdsmi_get_temp_metric", "temperature_c", [{"HOTSPOT": "N/A"}, {"HOTSPOT": 65535}, {"HOTSPOT": 61000}, {}]),
        ("amdsmi_get_gpu_activity", "utilisation", [{"gfx_activity": "N/A"}, {"gfx_activity": 65535}, {}]),
        ("amdsmi_get_clock_info", "clock_mhz", [{"clk": "N/A"}, {"clk": 4294967295}, {}]),
    ],
)
def test_what_the_chip_does_not_have_is_null(use, function, figure, answers):
    for answer in answers:
        use(Chip("0000:76:00.0", **{function: answer}))
        reading = opened().read()[0]
        assert getattr(reading, figure) is None and reading.power_w == 412.0


FIGURES = {
    "amdsmi_get_power_info": "power_w",
    "amdsmi_get_energy_count": "energy_j",
    "amdsmi_get_temp_metric": "temperature_c",
    "amdsmi_get_gpu_activity": "utilisation",
    "amdsmi_get_clock_info": "clock_mhz",
}


@pytest.mark.parametrize("function", FIGURES)
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_exception_of_one_call_makes_that_figure_null(use, function, when):
    chip = Chip("0000:76:00.0")
    use(chip)
    if when == "before":
        chip.broken[function] = AmdSmiException("not supported")
    meter = opened()
    chip.broken[function] = AmdSmiException("try again")
    reading = meter.read()[0]
    assert getattr(reading, FIGURES[function]) is None and reading.raw is None
    others = [figure for figure in FIGURES.values() if figure != FIGURES[function]]
    assert all(getattr(reading, figure) is not None for figure in others)


def test_memory_falls_back_to_the_older_call(use):
    chip = Chip("0000:76:00.0")
    chip.broken["amdsmi_get_gpu_memory_usage"] = AmdSmiException("not supported")
    use(chip)
    assert opened().read()[0].memory_used_bytes == 40960 << 20


def test_slow_figures_are_read_once_a_second(use):
    clock = Clock()
    chip = Chip("0000:76:00.0")
    use(chip)
    meter = opened(clock=clock)
    assert meter.read()[0].temperature_c == 61.0
    clock.now_s += 0.1
    second = meter.read()[0]
    assert (second.temperature_c, second.power_w, second.energy_j) == (None, 412.0, ONE_J)
    clock.now_s += 1.0
    assert meter.read()[0].temperature_c == 61.0


def test_throttle_causes_are_counts_that_grew(use):
    clock = Clock()
    chip = Chip("0000:76:00.0")
    use(chip)
    meter = opened(clock=clock)
    assert meter.read()[0].throttle is None, "one look says nothing about growth"
    clock.now_s += 1.0
    assert meter.read()[0].throttle == ""
    metrics = chip.answers["amdsmi_get_gpu_metrics_info"]
    metrics |= {"ppt_residency_acc": 140, "socket_thm_residency_acc": 8}
    clock.now_s += 1.0
    assert meter.read()[0].throttle == "ppt+socket_thm"


@pytest.mark.parametrize(
    ("mask", "told"),
    [
        (0, ""),
        (1 << 36 | 1, "PPT0+TEMP_HOTSPOT"),
        (1 << 57 | 1 << 30, "0x40000000+FIT"),
        (2**64 - 1, None),
        ("N/A", None),
    ],
)
def test_throttle_mask_of_older_chips(use, mask, told):
    use(Chip("0000:76:00.0", amdsmi_get_gpu_metrics_info={"indep_throttle_status": mask}))
    assert opened().read()[0].throttle == told


def dies(*powers, device_id="0x740c"):
    """MI250X dies in PCI order; a power of 0 is what the kernel shows of a secondary die."""
    addresses = ("0000:c1:00.0", "0000:c6:00.0", "0000:c9:00.0", "0000:ce:00.0")
    return [
        Chip(
            address,
            device_id=device_id,
            amdsmi_get_power_info={"current_socket_power": "N/A", "average_socket_power": power},
            amdsmi_get_energy_count={"energy_accumulator": power * 10**7, "counter_resolution": 15.25},
        )
        for address, power in zip(addresses, powers, strict=False)
    ]


def test_two_dies_of_one_board_tell_its_power_once(use):
    use(*reversed(dies(489, 0, 0, 95)))
    readings = opened(gpu("0000:c1:00.0"), gpu("0000:c6:00.0", index=1), gpu("0000:c9:00.0", index=2)).read()
    assert [(one.source, one.scope, one.power_w, one.energy_j, one.board, one.shared_by) for one in readings] == [
        ("0000:c1:00.0", "device", None, None, "board-0000:c1:00.0", None),
        ("0000:c6:00.0", "device", None, None, "board-0000:c1:00.0", None),
        ("0000:c9:00.0", "device", None, None, "board-0000:ce:00.0", None),
        ("board-0000:c1:00.0", "board", 489.0, pytest.approx(489 * 152.5), None, 2),
        ("board-0000:ce:00.0", "board", 95.0, pytest.approx(95 * 152.5), None, 2),
    ]
    assert [one.temperature_c for one in readings[:3]] == [61.0] * 3


@pytest.mark.parametrize("powers", [(489, 95), (0, 0), (489,), (489, 0, 95)])
def test_dies_that_cannot_be_paired_tell_no_power(use, powers):
    use(*dies(*powers))
    readings = opened(gpu("0000:c1:00.0")).read()
    assert [one.power_w for one in readings] == [None]
    assert "unclear which of them tells the power" in readings[0].raw and readings[0].temperature_c == 61.0


def test_a_primary_die_that_is_lost_takes_the_boards_power_with_it(use):
    chips = dies(489, 0)
    use(*chips)
    meter = opened(gpu("0000:c1:00.0"), gpu("0000:c6:00.0", index=1))
    chips[0].broken["*"] = AmdSmiException("device lost")
    first, second, board = meter.read()
    assert "device lost" in first.raw and second.raw is None
    assert (board.power_w, board.energy_j) == (None, None) and "device lost" in board.raw


def test_single_die_boards_are_their_own(use):
    use(*dies(300, 280, device_id="0x740f"))
    assert [one.power_w for one in opened(gpu("0000:c1:00.0"), gpu("0000:c6:00.0")).read()] == [300.0, 280.0]


def test_pairs_are_by_address():
    def die(pci, tells):
        return Die(pci_bus_id=pci, device_id=0x7408, tells_power=tells)

    assert primary_dies([die("0000:c6:00.0", True), die("0000:c1:00.0", False)]) == {
        "0000:c1:00.0": "0000:c6:00.0",
        "0000:c6:00.0": "0000:c6:00.0",
    }
    assert primary_dies([Die(pci_bus_id="0000:c1:00.0", device_id=None, tells_power=True)]) == {}


def test_parts_of_a_gpu_are_refused(use):
    from types import SimpleNamespace

    use(Chip("0000:76:00.0", amdsmi_get_gpu_virtualization_mode={"mode": SimpleNamespace(name="GUEST")}))
    with pytest.raises(MeterUnavailableError, match="virtual GPU; power is only known on its host"):
        opened()
    smi = use(Chip("0000:76:00.0", amdsmi_get_gpu_compute_partition="CPX"))
    with pytest.raises(MeterUnavailableError, match="partition mode CPX; power is only known for the whole GPU"):
        opened()
    assert smi.stops == 1


def test_a_gpu_that_falls_off_the_bus(use):
    chips = [Chip("0000:76:00.0"), Chip("0000:06:00.0")]
    use(*chips)
    meter = opened(gpu(), gpu("0000:06:00.0", index=1))
    chips[0].broken["*"] = AmdSmiException("AMDSMI_STATUS_NO_DATA")
    lost, alive = meter.read()
    assert (lost.power_w, lost.energy_j, lost.scope) == (None, None, "device") and "NO_DATA" in lost.raw
    assert alive.power_w == 412.0
    chips[1].broken["*"] = AmdSmiException("gone")
    with pytest.raises(MeterUnavailableError, match="NO_DATA"):
        meter.read()


@pytest.mark.parametrize(
    ("device", "text"),
    [
        (gpu("0000:99:00.0"), "no GPU 0000:99:00.0"),
        (gpu(None, "GPU-0"), "no GPU GPU-0"),
        (gpu(None, None, 3), "device 3 has neither PCI address nor UUID"),
    ],
)
def test_a_device_the_library_does_not_know(use, device, text):
    smi = use(Chip("0000:76:00.0"))
    with pytest.raises(MeterUnavailableError, match=text):
        opened(device)
    assert smi.stops == 1


def test_a_gpu_of_which_nothing_is_told(use):
    chip = Chip("0000:76:00.0")
    use(chip)
    for function in [*FIGURES, "amdsmi_get_gpu_memory_usage", "amdsmi_get_gpu_vram_usage"]:
        chip.broken[function] = AmdSmiException("no permission")
    with pytest.raises(MeterUnavailableError, match=r"tells nothing of 0000:76:00\.0"):
        opened()


def test_no_library_no_driver_no_device(use, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "amdsmi", None)
    with pytest.raises(MeterUnavailableError, match="amdsmi"):
        opened()
    monkeypatch.delitem(sys.modules, "amdsmi")
    (tmp_path / "amdsmi.py").write_text("raise OSError('libamd_smi.so: cannot open shared object file')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(MeterUnavailableError, match=r"does not load: libamd_smi\.so"):
        opened()
    smi = use(Chip("0000:76:00.0"))

    def broken():
        raise AmdSmiException("driver not loaded")

    smi.amdsmi_init = broken
    with pytest.raises(MeterUnavailableError, match="amdsmi: driver not loaded"):
        opened()
    with pytest.raises(MeterUnavailableError, match="no device was named yet"):
        AmdSmi().open([])


def test_the_library_is_let_go_of(use):
    smi = use(Chip("0000:76:00.0"))
    meter = opened()
    meter.close()
    meter.close()
    assert (smi.starts, smi.stops) == (1, 1)
    with pytest.raises(MeterUnavailableError, match="not open"):
        meter.read()
