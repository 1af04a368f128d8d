"""How a model writes a question and a text into one input: its tokenizer from files, and its special tokens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from models.datasets.language.questions.squad import FILE
from models.datasets.language.tokens.bpe_files import MERGES, VOCABULARY, read_bpe
from models.datasets.reading import Reader

Kind = Literal["wordpiece", "bpe", "unigram"]
FILES = {"wordpiece": "vocab.txt", "bpe": f"{VOCABULARY} with {MERGES}", "unigram": None}
"""What else a tokenizer can be read from than `tokenizer.json`."""
WHOLE, LINES = "tokenizer.json", "vocab.txt"
UNKNOWN = "[UNK]"


@dataclass(kw_only=True, slots=True, frozen=True)
class PairForm:
    """The tokens around a question and a text: begin, question, separators, text, separator, padding."""

    kind: Kind
    begin: str = "[CLS]"
    separator: str = "[SEP]"
    padding: str = "[PAD]"
    between: int = 1
    """Separators between the two."""

    @property
    def special(self) -> int:
        """Places that neither question nor text takes."""
        return 2 + self.between

    @property
    def layout(self) -> str:
        """What `data.root` must hold."""
        other = FILES[self.kind]
        return f"<root>/{FILE} and <root>/{WHOLE}" + (f" or {other}" if other else "")


def read_tokenizer(root: Path, form: PairForm, reader: Reader) -> Any:
    """A `tokenizers.Tokenizer` from `tokenizer.json`, or from the files of its kind; it neither cuts nor pads.

    Raises:
        DataError: a file is missing or malformed, or a special token is unknown to it.
    """
    if (root / WHOLE).is_file() or form.kind == "unigram":
        tokenizer = reader.tokenizer(root / WHOLE)
        tokenizer.no_truncation()
        tokenizer.no_padding()
    else:
        tokenizer = _word_pieces(root, reader) if form.kind == "wordpiece" else _byte_pairs(root, reader)
    for token in (form.begin, form.separator, form.padding):
        if tokenizer.token_to_id(token) is None:
            raise reader.error(f"The tokenizer has no {token}", root)
    return tokenizer


def _word_pieces(root: Path, reader: Reader) -> Any:
    """BERT's, for lower-case text: a piece a line, in the order of ids."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    pieces = reader.text(root / LINES).split("\n")
    vocabulary = {piece.rstrip("\r"): number for number, piece in enumerate(pieces) if piece.strip("\r")}
    if UNKNOWN not in vocabulary:
        raise reader.error(f"The vocabulary has no {UNKNOWN}", root / LINES)
    tokenizer: Any = Tokenizer(models.WordPiece(vocabulary, unk_token=UNKNOWN, max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def _byte_pairs(root: Path, reader: Reader) -> Any:
    """GPT-2's, which RoBERTa and DeBERTa share."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary, merges = read_bpe(root, reader)
    tokenizer: Any = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    return tokenizer
