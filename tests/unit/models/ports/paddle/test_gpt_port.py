"""GPT in Paddle: the losses of its PyTorch original, from the same weights on the same batches."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from framework_run import records, run_cases

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(find_spec("paddle") is None, reason="Paddle is not installed"),
]
TOLERANCE = 2e-6
"""Of five steps' losses, relative."""
MODELS = {"gpt3_345m": ["model.train.gradient_accumulation_steps=2"], "gpt3_6.7B": []}


def test_five_steps_are_the_originals(tmp_path: Path) -> None:
    for framework in ("pytorch", "paddle"):
        chosen = [f"framework={framework}", "data.workers=0", "model.train.batch_size=8"]
        cases = {model: [f"model={model}", *chosen, *more] for model, more in MODELS.items()}
        run_cases(tmp_path / framework, cases)
    for model, more in MODELS.items():
        theirs, ours = records(tmp_path / "pytorch" / model), records(tmp_path / "paddle" / model)
        assert [one["loss"] for one in ours] == pytest.approx([one["loss"] for one in theirs], rel=TOLERANCE)
        for one in (*theirs, *ours):
            assert (one["samples"], one["tokens"]) == ((16, 1024) if more else (8, 512))
