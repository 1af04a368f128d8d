"""Every meter of a command-line tool with two devices on it: what its tool prints, and how a case changes that."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hardware.base import DeviceIdentity

DATA = Path(__file__).parents[1] / "data"
Answers = Sequence[tuple[str, str]]


def read(name: str) -> str:
    return (DATA / name).read_text()


def device(pci: str | None = None, number: int | None = None, index: int = 0) -> DeviceIdentity:
    return DeviceIdentity(index=index, uuid=None, pci_bus_id=pci, name="chip", driver_index=number)


@dataclass(kw_only=True)
class Case:
    """One meter whose tool shows two devices with a power of their own."""

    meter: str
    tool: str
    text: str
    pci: tuple[str, str] | None
    """Addresses of the two devices; null where the tool numbers them."""
    shown: tuple[str, str]
    """The same addresses as they stand in the text."""
    watts: tuple[float, float]
    power: str
    """The first device's power, as it stands in the text, once."""
    impossible: str = "65535"
    other_unit: str | None = None
    """The same power in milliwatts; null where the column has but one unit."""
    absence_is_doubted: bool = False
    """Whether every version tells a power, so that a missing one keeps the row's text."""
    row_is_one: bool = False
    """Whether a word that is no number makes the whole row unbelievable."""
    answers: Callable[[str], Answers] = field(default=lambda text: [("*", text)])
    """What the tool prints, per pattern of its arguments."""
    lost: Callable[[str], str] | None = None
    """The text without the first device."""
    twice: Callable[[str], str] | None = None
    """The text in which the first device is there twice."""

    def devices(self) -> list[DeviceIdentity]:
        if self.pci is None:
            return [device(number=number, index=number) for number in (0, 1)]
        return [device(pci, index=index) for index, pci in enumerate(self.pci)]

    def without_first(self) -> str:
        return self.lost(self.text) if self.lost else self.text.replace(self.shown[0], "ERR")

    def with_first_twice(self) -> str:
        return self.twice(self.text) if self.twice else self.text.replace(self.shown[1], self.shown[0])

    def with_power(self, text: str) -> str:
        assert self.text.count(self.power) == 1
        return self.text.replace(self.power, text)


def _two_c600() -> str:
    content = json.loads(read("gc_monitor/json_c600.json"))
    card = json.dumps(content["cards"][0])
    other = card.replace("0000:35", "0000:36").replace("121.4", "90.5").replace('"sysfsFileId": 0', '"sysfsFileId": 1')
    return json.dumps({"cards": [json.loads(card), json.loads(other.replace("111111", "222222"))]})


ZX = read("zx_smi/named.txt")
ZX_SECOND = ZX.replace("    0     -   71     54", "    1     -   60     49")
HELP = read("nvidia_smi/help_query_gpu.txt")
DISCOVERY = read("xpumcli/discovery_four_cards.json")
NPU_CHIP = "".join(read("npu_smi/910b_two_cards.txt").splitlines(True)[6:8])
"""Both lines of the first chip."""

CASES = [
    Case(
        meter="nvidia_smi",
        tool="nvidia-smi",
        text=read("nvidia_smi/two_h100.csv").replace("611.40 W", "[N/A]"),  # the mean, which stands in else
        pci=("0000:3b:00.0", "0000:5e:00.0"),
        shown=("00000000:3B:00.0", "00000000:5E:00.0"),
        watts=(655.21, 70.85),
        power="655.21 W",
        impossible="65535 W",
        other_unit="655210 mW",
        answers=lambda text: [("--help-query-gpu", HELP), ("*", text)],
    ),
    Case(
        meter="ixsmi",
        tool="ixsmi",
        text=read("ixsmi/two_mr_v100.xml"),
        pci=("0000:0c:00.0", "0000:0f:00.0"),
        shown=("00000000:0C:00.0", "00000000:0F:00.0"),
        watts=(137.0, 39.0),
        power="137 W",
        impossible="65535 W",
        other_unit="137000 mW",
    ),
    Case(
        meter="hl_smi",
        tool="hl-smi",
        text=read("hl_smi/two_gaudi2.csv"),
        pci=("0000:4d:00.0", "0000:33:00.0"),
        shown=("0000:4d:00.0", "0000:33:00.0"),
        watts=(412.0, 96.0),
        power="412 W",
        impossible="65535 W",
        other_unit="412000 mW",
    ),
    Case(
        meter="mthreads_gmi",
        tool="mthreads-gmi",
        text=read("mthreads_gmi/q_json_two_s5000.json"),
        pci=("0000:2a:00.0", "0000:3a:00.0"),
        shown=("00000000:2a:00.0", "00000000:3a:00.0"),
        watts=(367.49, 96.66),
        power="367.49W",
        impossible="65535W",
        other_unit="367490mW",
    ),
    Case(
        meter="rocm_smi",
        tool="rocm-smi",
        text=read("rocm_smi/mi300x_two.json"),
        pci=("0000:76:00.0", "0000:06:00.0"),
        shown=("0000:76:00.0", "0000:06:00.0"),
        watts=(412.0, 131.0),
        power='"412.0"',
        impossible='"65535"',
        other_unit='"412000 mW"',
    ),
    Case(
        meter="hy_smi",
        tool="hy-smi",
        text=read("hy_smi/json_two_hcu.txt"),
        pci=("0000:9f:00.0", "0000:57:00.0"),
        shown=("0000:9f:00.0", "0000:57:00.0"),
        watts=(291.0, 84.0),
        power='"291.0"',
        impossible='"65535"',
        other_unit='"291000 mW"',
    ),
    Case(
        meter="cnmon",
        tool="cnmon",
        text=read("cnmon/two_mlu370_x4.txt"),
        pci=("0000:1b:00.0", "0000:36:00.0"),
        shown=(": 1b", ": 36"),
        watts=(44.0, 27.0),
        power=": 44 W",
        impossible=": 65535 W",
        other_unit=": 44000 mW",
    ),
    Case(
        meter="mx_smi",
        tool="mx-smi",
        text=read("mx_smi/machine_two_c500.txt"),
        pci=("0000:0e:00.0", "0000:0f:00.0"),
        shown=("0000:0e:00.0", "0000:0f:00.0"),
        watts=(299.75, 62.0),
        power='"145.000"',
        impossible='"65535"',
        other_unit='"145000 mW"',
        absence_is_doubted=True,
        answers=lambda text: [("-j", text), ('""', "")],
        twice=lambda text: text.replace("{", '{"0000:0e:00.0": {"hotspot": "40"}, ', 1),
    ),
    Case(
        meter="npu_smi",
        tool="npu-smi",
        text=read("npu_smi/910b_two_cards.txt"),
        pci=("0000:c1:00.0", "0000:01:00.0"),
        shown=("0000:C1:00.0", "0000:01:00.0"),
        watts=(101.8, 92.5),
        power="101.8",
        twice=lambda text: text.replace(NPU_CHIP, NPU_CHIP * 2),
    ),
    Case(
        meter="xpu_smi",
        tool="xpu_smi",
        text=read("xpu_smi_m_two_p800.txt"),
        pci=("0000:1a:00.0", "0000:3b:00.0"),
        shown=("00000000:1A:00.0", "00000000:3B:00.0"),
        watts=(112.0, 86.0),
        power=" 112 ",
        impossible=" 65535 ",
        absence_is_doubted=True,
        row_is_one=True,
        answers=lambda text: [("-m", text)],
    ),
    Case(
        meter="xpumcli",
        tool="xpumcli",
        text=read("xpumcli/dump_four_cards.csv"),
        pci=("0000:29:00.0", "0000:3a:00.0"),
        shown=(".000,    0, ", ".000,    1, "),
        watts=(214.61, 31.25),
        power="214.61",
        other_unit="214610 mW",
        absence_is_doubted=True,
        answers=lambda text: [
            ('"discovery -j"', DISCOVERY),
            ('"discovery -d"*', '{"number_of_tiles": "1"}'),
            ('"dump -d"*', text),
        ],
        lost=lambda text: "".join(line for line in text.splitlines(True) if ".000,    0, " not in line),
    ),
    Case(
        meter="tsm_smi",
        tool="tsm_smi",
        text=read("tsm_smi/two_cards.txt"),
        pci=("0000:82:00.0", "0000:83:00.0"),
        shown=("00000000:82:00.0", "00000000:83:00.0"),
        watts=(96.0, 133.0),
        power="96W",
        impossible="65535W",
        other_unit="96000mW",
        absence_is_doubted=True,
    ),
    Case(
        meter="hxsmi",
        tool="hxsmi",
        text=read("hxsmi/two_cards.txt"),
        pci=("0000:3b:00.0", "0000:5e:00.0"),
        shown=("0000:3b:00.0", "0000:5e:00.0"),
        watts=(61.0, 33.0),
        power="61 W",
        impossible="65535 W",
        other_unit="61000 mW",
        absence_is_doubted=True,
    ),
    Case(
        meter="gc_monitor",
        tool="gc-monitor",
        text=_two_c600(),
        pci=("0000:35:00.0", "0000:36:00.0"),
        shown=("0000:35:00.0", "0000:36:00.0"),
        watts=(121.4, 90.5),
        power="121.4 W",
        impossible="65535 W",
        other_unit="121400 mW",
        absence_is_doubted=True,
    ),
    Case(
        meter="zx_smi",
        tool="zx-smi",
        text=ZX,
        pci=None,
        shown=("", ""),
        watts=(71.0, 60.0),
        power="   71 ",
        impossible=" 65535 ",
        other_unit=" 71000mW ",
        absence_is_doubted=True,
        answers=lambda text: [('*"-i 0"*', text), ('*"-i 1"*', ZX_SECOND)],
        lost=lambda text: "no such device\n",
        twice=lambda text: text + text.splitlines(True)[-1],
    ),
]
