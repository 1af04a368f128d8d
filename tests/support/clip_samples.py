"""A tiny CLIP as transformers saves it, and captions beside it: what `data.root` of text to image holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from laion_samples import VOCABULARY, write_tokenizer

LENGTH = 16
EDGE = 16


def tiny_clip(*, vocabulary: int = VOCABULARY) -> Any:
    """With random weights that are always the same."""
    from transformers import CLIPConfig, CLIPModel

    shared = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    ids = {"vocab_size": vocabulary, "bos_token_id": vocabulary - 2, "eos_token_id": vocabulary - 1}
    text = ids | {"max_position_embeddings": LENGTH}
    vision = {"image_size": EDGE, "patch_size": 8}
    torch.manual_seed(3)
    return CLIPModel(CLIPConfig(text_config=shared | text, vision_config=shared | vision, projection_dim=16)).eval()


def vizwiz(captions: list[str]) -> str:
    """The content of its `val.json`, as far as it is read."""
    notes = [{"caption": one, "image_id": number, "is_rejected": False} for number, one in enumerate(captions)]
    return json.dumps({"info": {}, "images": [], "annotations": notes})


def write_prompts(root: Path, *, captions: str = "A red cat\n\ndog\na dog &amp; a cat\n") -> Path:
    """A whole data set of three captions."""
    write_tokenizer(root)
    (root / "captions.txt").write_text(captions, encoding="utf-8-sig")
    tiny_clip().save_pretrained(str(root / "clip"))
    return root
