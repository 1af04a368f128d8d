import torch_xmlir


def xpu_synchronize() -> None:
    torch_xmlir.calls.append(("synchronize", None))


def manual_seed_all(seed: int) -> None:
    torch_xmlir.calls.append(("seed", seed))


def get_device_name(index: int) -> str:
    return f"R300 number {index}"
