"""Every served model composes with every engine; what they cannot do together is said by name."""

from __future__ import annotations

import pytest
import yaml
from language_samples import case_of

from runner.config.schema import case_from_dict
from runner.core import packages
from runner.core.registries import ENGINES


def served_models() -> list[str]:
    leaves = ((name, packages.leaf("model", name)) for name in packages.choices("model", outside=False))
    return [name for name, path in leaves if path is not None and "\ninfer:" in path.read_text()]


def test_both_reference_systems_models_are_served() -> None:
    flagperf = {"resnet50", "bert_large", "vit_l_16", "yolov5l", "stable_diffusion_v1_4", "swin_b", "llama2_7b_mmlu"}
    flagperf |= {"aquila_7b_mmlu", "sam"}
    bytemlperf = {"resnet50", "bert_base", "wide_deep", "videobert", "albert", "conformer", "roformer", "yolov5s"}
    bytemlperf |= {"roberta", "deberta", "swin_large", "gpt2", "sd_text_encoder", "sd_unet", "sd_vae_encoder"}
    bytemlperf |= {"sd_vae_decoder", "stable_diffusion_v1_4", "llama2_7b", "chatglm2_6b"}
    assert flagperf | bytemlperf <= set(served_models())


@pytest.mark.parametrize("model", served_models())
def test_a_model_composes_with_every_engine(model: str) -> None:
    values = case_of("task=infer", f"model={model}").to_dict()
    engines = packages.choices("compiler", outside=False)
    assert len(engines) > 20
    for engine in engines:
        path = packages.leaf("compiler", engine)
        assert path is not None
        case = case_from_dict(values | {"compiler": yaml.safe_load(path.read_text())})
        assert case.name.startswith(f"infer_{model}_reference_fp32_cpu")
        assert ENGINES.find(case.compiler.name)(case.compiler.given()).precisions, engine
