"""German words and marks as people write them: the inverse of Moses' tokenizer, which BLEU is measured after.

Rules of Moses' `detokenizer.perl` for languages without rules of their own, as NVIDIA's and FlagPerf's evaluation
applies them.
"""

from __future__ import annotations

import re

ESCAPED = {
    "&#124;": "|",
    "&lt;": "<",
    "&gt;": ">",
    "&quot;": '"',
    "&apos;": "'",
    "&#91;": "[",
    "&#93;": "]",
    "&amp;": "&",
}
"""In this order: `&amp;` last, or what it was written for would be taken for an escape."""
OPENS = re.compile(r"[€$(\[{]+")
CLOSES = re.compile(r"[,.?!:;\\%}\])]+")
QUOTES = re.compile("['\"`“”]+")
CURLY = re.compile("[“”]+")
MARKUP = re.compile(r"<.+>")


def detokenise(text: str) -> str:
    """One sentence of tokens joined by spaces, as a person would write it.

    A quotation mark opens and the next of its kind closes; a line that is one tag stays as it is.
    """
    if MARKUP.fullmatch(text):
        return text
    text = f" {text.strip()} ".replace(" @-@ ", "-")
    for escape, mark in ESCAPED.items():
        text = text.replace(escape, mark)
    written, space = "", " "
    seen: dict[str, int] = {}
    for word in text.split():
        opens = OPENS.fullmatch(word) is not None
        closes = CLOSES.fullmatch(word) is not None
        if QUOTES.fullmatch(word) and not opens:
            kind = '"' if CURLY.fullmatch(word) else word
            seen[kind] = seen.get(kind, 0) + 1
            opens = seen[kind] % 2 == 1
            closes = not opens
        written += word if closes else space + word
        space = "" if opens else " "
    return re.sub(" +", " ", written).strip(" ")
