"""SAMSum, MMLU and a tokenizer in their true forms, of a few entries each."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from models.datasets.language.tasks.mmlu import SUBJECTS

DIALOGUES = [
    {"id": "1", "summary": "Amanda baked cookies.", "dialogue": "Amanda: I baked cookies.\r\nJerry: Sure!"},
    {"id": "2", "summary": "", "dialogue": "Zoë: hi"},
]


def rows_of(subject: str, part: str, count: int) -> list[list[str]]:
    """Questions that name their subject, part and number; with commas, quotes and a line break."""
    return [
        [f'{subject}, "{part}"\n{number}?', f"a{number}", "b,b", "None", "0.10", "ABCD"[number % 4]]
        for number in range(count)
    ]


def write_mmlu(folder: Path, *, dev: int = 5, test: int = 2) -> None:
    """All 57 subjects."""
    for part, count in (("dev", dev), ("test", test)):
        (folder / part).mkdir(parents=True, exist_ok=True)
        for subject in SUBJECTS:
            with (folder / part / f"{subject}_{part}.csv").open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows(rows_of(subject, part, count))


def byte_tokenizer() -> Any:
    """A `tokenizers.Tokenizer` that takes bytes for tokens, puts `<s>` before a text and knows ` A` to ` D`."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    letters = [f"Ġ{letter}" for letter in "ABCD"]
    vocabulary = {token: number for number, token in enumerate(["<unk>", "<s>", "</s>", *alphabet, *letters])}
    tokenizer: Any = Tokenizer(models.BPE(vocab=vocabulary, merges=[("Ġ", letter) for letter in "ABCD"]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return tokenizer


def write_samsum_mmlu(root: Path) -> None:
    """All that `llama2_7b_finetune` needs."""
    (root / "samsum_dataset").mkdir(parents=True, exist_ok=True)
    (root / "samsum_dataset/train.json").write_text(json.dumps(DIALOGUES), encoding="utf-8-sig")
    (root / "tokenizer.json").write_text(byte_tokenizer().to_str(), encoding="utf-8")
    write_mmlu(root / "mmlu_dataset")
