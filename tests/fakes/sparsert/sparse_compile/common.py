from pathlib import Path

import sparse_compile


class ModelDtype:
    Bf16, Int8, MixInt8Bf16 = "Bf16", "Int8", "MixInt8Bf16"


def save_model_bin(engine, folder):
    (Path(folder) / "model.bin").write_bytes(engine.model)


def dump_module_infos(engine, folder):
    sparse_compile.calls.append("infos")
