"""What models' files say of how their matrices are split."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D
from zoo import MODELS, built, model_class

from models.contract import Model
from models.sharding.plan import TensorPlan
from models.sharding.projection import SplitProjection
from models.sharding.tensor import planned

PLANNED = [
    *("aquila2_7b", "bert", "bert_hf", "gpt2", "gpt3_13B", "gpt3_175B", "gpt3_345m", "gpt3_6.7B", "gpt3_857m"),
    *("llama1_13B", "llama1_7B", "llama2_7b", "llama3_405B", "llama3_8B", "qwen3_8B"),
]
WHOLE = (
    "norm",
    "ln_",
    "LayerNorm",
    "position_embeddings",
    "token_type",
    "wpe",
    "pooler",
    "seq_relationship",
    "cls.pre",
)
"""Parts of names of what every rank keeps whole: norms, small tables and heads."""


def test_fitting_numbers_divide_everything() -> None:
    assert TensorPlan(splits={}, divides={"heads": 32, "words": 48}).fitting == [2, 4, 8, 16]
    assert TensorPlan(splits={}, divides={"heads": 3, "words": 4}).fitting == []


def test_who_has_a_plan() -> None:
    assert [name for name in MODELS if model_class(name).tensor_plan is not Model.tensor_plan] == PLANNED


@pytest.mark.parametrize("scale", ["tiny", "reference"])
@pytest.mark.parametrize("name", PLANNED)
def test_patterns_name_modules_and_all_large_matrices(name: str, scale: str) -> None:
    with torch.device("meta"):
        trainable = built(name, scale)
        trainable.prepare_tensor(2)
    plan = trainable.tensor_plan()
    assert plan is not None and 2 in plan.fitting
    splits = planned(trainable.network, plan)
    for path, module in trainable.network.named_modules():
        if next(module.parameters(recurse=False), None) is not None and path not in splits:
            assert any(part in path for part in WHOLE), f"{path} is whole on every rank"


def test_reference_sizes_fit_what_others_use() -> None:
    """Megatron-LM and torchtitan split these over eight devices of a node."""
    with torch.device("meta"):
        for name in ("llama2_7b", "llama3_8B", "gpt3_13B", "bert"):
            plan = built(name, "reference").tensor_plan()
            assert plan is not None and 8 in plan.fitting, name


def test_a_pattern_without_a_module_is_refused() -> None:
    plan = TensorPlan(splits={"layers.*": "rows"}, divides={})
    with pytest.raises(ValueError, match=r"names layers\.\*, and no module"):
        planned(nn.Linear(1, 1), plan)


def test_a_projection_taken_apart_computes_and_is_saved_as_before() -> None:
    torch.manual_seed(0)
    fused = Conv1D(12, 4)
    nn.init.normal_(fused.bias)
    apart = SplitProjection(fused)
    hidden = torch.randn(2, 3, 4)
    torch.testing.assert_close(apart(hidden), fused(hidden))
    saved = apart.state_dict()
    assert list(saved) == ["weight", "bias"]
    assert torch.equal(saved["weight"], fused.weight) and torch.equal(saved["bias"], fused.bias)
    other = SplitProjection(deepcopy(Conv1D(12, 4)))
    other.load_state_dict(saved)
    assert torch.equal(other(hidden), apart(hidden))
