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
    assert {"nvidia", "kunlunxin", "iluvatar", "metax", "zixiao"} <= {chip.vendor for chip in chips}
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


def test_a_peak_nobody_stated_is_null() -> None:
    for name in ("R200", "R300"):
        chip = find_chip(name)
        assert chip is not None and chip.memory_gib == 32
        assert [peak_flops(chip, compute) for compute in COMPUTE] == [None] * len(COMPUTE)
        assert chip.notes
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
    assert chip.aliases == ("EX-1 64GB",) and chip.notes == ""


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
