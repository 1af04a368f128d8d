from pathlib import Path

import pytest

from hardware.detect import detect_vendor, device_nodes, visible_count


@pytest.mark.parametrize(
    ("paths", "vendor"),
    [
        ([], "cpu"),
        (["dev/nvidia0", "dev/nvidiactl"], "nvidia"),
        (["proc/driver/nvidia/gpus/0000:3b:00.0/information"], "nvidia"),
        (["dev/xpu0", "dev/xpu1", "dev/xpuctrl"], "kunlunxin"),
        (["dev/xpu3"], "kunlunxin"),
        (["dev/nvidiactl", "dev/nvidia-uvm", "dev/xpuctrl"], "cpu"),
        (["dev/nvidia0", "dev/xpu0"], "kunlunxin"),
    ],
)
def test_vendor_by_device_nodes(tmp_path: Path, paths: list[str], vendor: str) -> None:
    for path in paths:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    assert detect_vendor(tmp_path) == vendor


def test_nodes_are_those_of_the_vendor(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    for name in ("xpu0", "xpu12", "xpuctrl", "nvidia0"):
        (tmp_path / "dev" / name).touch()
    assert device_nodes("kunlunxin", tmp_path) == [tmp_path / "dev/xpu0", tmp_path / "dev/xpu12"]
    assert device_nodes("cpu", tmp_path) == []
    assert device_nodes("nobody", tmp_path) == []


def test_visible_devices_are_those_listed_else_all_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dev").mkdir()
    for name in ("nvidia0", "nvidia1", "nvidiactl"):
        (tmp_path / "dev" / name).touch()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_count("nvidia", "CUDA_VISIBLE_DEVICES", tmp_path) == 2
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert visible_count("nvidia", "CUDA_VISIBLE_DEVICES", tmp_path) == 1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_count("nvidia", "CUDA_VISIBLE_DEVICES", tmp_path) == 0
