import re
from pathlib import Path

import pytest
import yaml

from hardware.chips import CATALOGUE, COMPUTE, CatalogueError, Chip, find_chip, how_to_add, load_chips, peak_flops

ENTRY = {
    "name": "Example 1",
    "aliases": ["EX-1 64GB"],
    "vendor": "example",
    "peaks_tflops": dict.fromkeys(COMPUTE),
    "memory_gib": 64,
    "memory_bandwidth_gb_s": None,
    "tdp_w": None,
    "interconnect": None,
    "source": "Example data sheet, 2024",
}


def written(tmp_path: Path, *entries: object) -> Path:
    file = tmp_path / "chips.yaml"
    file.write_text(yaml.safe_dump(list(entries)))
    return file


def test_the_catalogue_is_valid_and_covers_its_vendors() -> None:
    chips = load_chips()
    known = {chip.vendor for chip in chips}
    assert {"nvidia", "amd", "xpu", "habana", "ascend", "cambricon", "mthreads", "iluvatar", "metax", "dcu"} <= known
    assert {"kunlunxin", "zixiao", "tsingmicro", "graphcore", "stc", "moffett", "aws", "mps"} <= known
    assert all(chip.source for chip in chips)


@pytest.mark.parametrize(
    ("driver_name", "fp16"),
    [
        ("Tesla V100-SXM2-32GB", 125),
        ("Tesla T4", 65),
        ("NVIDIA A10", 125),
        ("NVIDIA A30", 165),
        ("NVIDIA A40", 149.7),
        ("NVIDIA A100-SXM4-40GB", 312),
        ("A100-SXM4-40GB", 312),
        ("NVIDIA A100 80GB PCIe", 312),
        ("NVIDIA A800-SXM4-80GB", 312),
        ("NVIDIA L4", 121),
        ("NVIDIA L40S", 362.05),
        ("NVIDIA GeForce RTX 4090", 165.2),
        ("NVIDIA H20", 148),
        ("NVIDIA H100 PCIe", 756.5),
        ("NVIDIA H100 80GB HBM3", 989.4),
        ("NVIDIA H100 NVL", 835.5),
        ("NVIDIA H200", 989.5),
        ("NVIDIA H800", 989),
        ("NVIDIA B200", 2250),
        ("NVIDIA GB200", 2500),
        ("NVIDIA A2", 18),
        ("NVIDIA A16", 17.9),
        ("NVIDIA L2", 96.5),
        ("NVIDIA L20", 119.5),
        ("NVIDIA RTX 6000 Ada Generation", 364.2),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", 500),
        ("NVIDIA B300 SXM6 AC", 2250),
        ("NVIDIA GB300", 2500),
        ("AMD Instinct MI100", 184.6),
        ("AMD Instinct MI210", 181),
        ("AMD Instinct MI300A", 980.6),
        ("AMD Instinct MI300X", 1307.4),
        ("AMD Instinct MI325X", 1307.4),
        ("AMD Instinct MI350X", 2306.9),
        ("AMD Instinct MI355X", 2516.6),
        ("HL-225", 433.2),
        ("Ascend910A", 256),
        ("Ascend910B2", 376),
        ("910B3", 313),
        ("Ascend910B4", 280),
        ("Ascend310P3", 70),
        ("MLU370-S4", 72),
        ("MLU370-X8", 96),
        ("MTT S4000", 98),
        ("AIC100", 200),
        ("AWS Trainium", 190),
        ("Tencent Zixiao C100", 120),
        ("STCP920", 128),
        ("Graphcore C600", 280),
        ("BI-V100", 147),
        ("MR-V100", 96),
        ("MXC500", 240),
    ],
)
def test_published_dense_peaks(driver_name: str, fp16: float) -> None:
    chip = find_chip(driver_name)
    assert chip is not None and peak_flops(chip, "fp16") == pytest.approx(fp16 * 1e12)


@pytest.mark.parametrize("chip", [chip for chip in load_chips() if chip.vendor == "nvidia"], ids=lambda chip: chip.name)
def test_rates_relate_as_tensor_cores_do(chip: Chip) -> None:
    """bf16 runs at fp16's rate, tf32 at half of it, 8 bits at twice; a sparse figure among dense ones breaks this."""
    peaks = chip.peaks_tflops
    if peaks["bf16"] is not None:
        assert peaks["bf16"] == peaks["fp16"]
    for other, factor in (("tf32", 0.5), ("fp8", 2.0)):
        if peaks[other] is not None and peaks["fp16"] is not None:
            assert peaks[other] == pytest.approx(factor * peaks["fp16"], rel=0.02)
    if peaks["int8"] is not None and peaks["fp8"] is not None and chip.name != "GeForce RTX 4090":
        assert peaks["int8"] == peaks["fp8"]


@pytest.mark.parametrize("chip", [chip for chip in load_chips() if chip.vendor == "nvidia"], ids=lambda chip: chip.name)
def test_sparse_rates_are_twice_the_dense_ones_and_no_peaks(chip: Chip) -> None:
    for compute, sparse in chip.sparse_peaks_tflops.items():
        dense = chip.peaks_tflops[compute]
        assert dense is not None and sparse == pytest.approx(2 * dense, rel=0.02)  # sheets round
        assert peak_flops(chip, compute) == pytest.approx(dense * 1e12)


def test_a_rate_for_32_fold_sparsity_is_no_peak() -> None:
    chip = find_chip("Moffett S30")
    assert chip is not None and chip.sparse_peaks_tflops == {"bf16": 1440, "int8": 2880}
    assert [peak_flops(chip, compute) for compute in COMPUTE] == [None] * len(COMPUTE)
    assert "32-fold" in chip.notes


@pytest.mark.parametrize(
    ("name", "compute", "board_tflops", "board_gib", "parts"),
    [
        ("AMD Instinct MI250X", "fp16", 383, 128, 2),
        ("AMD Instinct MI250", "fp16", 362.1, 128, 2),
        ("Intel(R) Data Center GPU Max 1550", "bf16", 839, 128, 2),
        ("Ascend 910C", "bf16", 752, 128, 2),
        ("NVIDIA A16", "fp32", 18, 64, 4),
    ],
)
def test_a_board_of_several_devices_is_entered_per_device(
    name: str, compute: str, board_tflops: float, board_gib: float, parts: int
) -> None:
    """Its data sheet states the board; torch counts its parts, and so does MFU."""
    chip = find_chip(name)
    assert chip is not None and chip.memory_gib == board_gib / parts
    assert peak_flops(chip, compute) == pytest.approx(board_tflops / parts * 1e12)
    assert chip.tdp_w is None and f"ne of {'four' if parts == 4 else 'the two'}" in chip.notes


def test_a_peak_nobody_stated_is_null() -> None:
    for name in ("R200", "R300", "P800", "MLU590", "K100_AI", "BW1000", "MR-100", "Ascend910B1", "HL-205"):
        chip = find_chip(name)
        assert chip is not None and chip.notes
        assert [peak_flops(chip, compute) for compute in COMPUTE] == [None] * len(COMPUTE)
    v100 = find_chip("Tesla V100-SXM2-16GB")
    assert v100 is not None and peak_flops(v100, "tf32") is None and peak_flops(v100, "bf16") is None


@pytest.mark.parametrize(
    "name",
    [
        "GH100 [H20]",
        "H100",
        "NVIDIA H100",
        "NVIDIA A100-SXM4-40GB MIG 1g.5gb",
        "NVIDIA A10G",
        "NVIDIA H20-3e",
        "AMD Instinct MI60 / MI50",
        "Ascend910B",
        "Ascend910B4-1",
        "Ascend910_9391",
        "MLU370",
        "K100",
        "GPU",
        "",
    ],
)
def test_similar_names_are_not_found(name: str) -> None:
    assert find_chip(name) is None


def test_case_and_space_do_not_matter() -> None:
    assert (
        find_chip("  nvidia   h100 pcie ") is find_chip("NVIDIA H100 PCIe") is find_chip("H100 PCIe 80GB") is not None
    )


def test_unknown_compute_is_a_mistake_of_the_caller() -> None:
    chip = find_chip("NVIDIA H20")
    assert chip is not None
    with pytest.raises(KeyError):
        peak_flops(chip, "fp12")


def test_how_to_add_gives_an_entry_that_loads(tmp_path: Path) -> None:
    text = how_to_add("NVIDIA X900: 1 TB")
    assert "hardware/chips.yaml" in text and "'NVIDIA X900: 1 TB'" in text
    file = tmp_path / "chips.yaml"
    file.write_text(how_to_add("NVIDIA X900")[how_to_add("NVIDIA X900").index("\n- name:") :])
    assert load_chips(file)[0].name == "NVIDIA X900"


def test_valid_entry(tmp_path: Path) -> None:
    (chip,) = load_chips(written(tmp_path, ENTRY))
    assert chip.aliases == ("EX-1 64GB",) and chip.notes == "" and chip.sparse_peaks_tflops == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "red"}, "colour"),
        ({"source": " "}, "source must not be empty"),
        ({"memory_gib": "much"}, "memory_gib"),
        ({"memory_gib": 0}, "figures are positive"),
        ({"tdp_w": -1}, "figures are positive"),
        ({"peaks_tflops": {"fp16": 1.0}}, "exactly the keys"),
        ({"peaks_tflops": dict.fromkeys((*COMPUTE, "fp4"))}, "exactly the keys"),
        ({"peaks_tflops": dict.fromkeys(COMPUTE, 0.0)}, "figures are positive"),
        ({"sparse_peaks_tflops": {"fp4": 9.0}}, "sparse_peaks_tflops has no keys but"),
        ({"sparse_peaks_tflops": {"fp16": 0.0}}, "not above the dense peak"),
        ({"sparse_peaks_tflops": {"fp16": None}}, "sparse_peaks_tflops"),
        ({"peaks_tflops": dict.fromkeys(COMPUTE, 4.0), "sparse_peaks_tflops": {"int8": 4.0}}, "not above the dense"),
    ],
)
def test_malformed_entries_are_named(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(CatalogueError, match=message):
        load_chips(written(tmp_path, ENTRY | changes))


def test_missing_source(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="source"):
        load_chips(written(tmp_path, {key: value for key, value in ENTRY.items() if key != "source"}))


@pytest.mark.parametrize(
    "other", [{"name": "example  1", "aliases": []}, {"name": "Example 2", "aliases": ["ex-1 64gb"]}]
)
def test_a_name_belongs_to_one_chip(tmp_path: Path, other: dict[str, object]) -> None:
    with pytest.raises(CatalogueError, match="claimed by two chips"):
        load_chips(written(tmp_path, ENTRY, ENTRY | other))


def test_a_figure_written_twice(tmp_path: Path) -> None:
    file = tmp_path / "chips.yaml"
    file.write_text(CATALOGUE.read_text().replace("tdp_w: 300", "tdp_w: 300\n  tdp_w: 400", 1))
    with pytest.raises(CatalogueError, match="stands twice"):
        load_chips(file)


def test_links_are_one_direction_of_what_is_stated_for_both() -> None:
    checked = 0
    for chip in load_chips():
        stated = re.fullmatch(r"(?:NVLink|NVLink bridge|Infinity Fabric) ([0-9.]+) GB/s", chip.interconnect or "")
        if stated:
            assert chip.link_gb_s == float(stated[1]) / 2, chip.name
            checked += 1
        elif not (chip.interconnect or "").startswith("PCIe "):
            assert chip.link_gb_s is None, f"{chip.name}: {chip.interconnect} does not say what it counts"
    assert checked > 20


@pytest.mark.parametrize(
    ("name", "link"),
    [
        ("H100 SXM 80GB", 450),
        ("A100 SXM 80GB", 300),
        ("A800 SXM 80GB", 200),
        ("B200 SXM 180GB", 900),
        ("AMD MI300X", 448),
        ("L40S", 31.5),
        ("Ascend 910B2", None),
    ],
)
def test_links_of_well_known_chips(name: str, link: float | None) -> None:
    chip = find_chip(name)
    assert chip is not None and chip.link_gb_s == link


def test_a_link_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="positive"):
        load_chips(written(tmp_path, {**ENTRY, "link_gb_s": 0}))
