"""Numbers in two languages: what is written is right, and the parts share nothing."""

from __future__ import annotations

from models.datasets.language.samples.number_words import number_pairs, pieces, translation, translations
from models.datasets.language.translation.detokenise import detokenise
from models.datasets.language.translation.dictionary import FAIRSEQ_SPECIAL, Dictionary

DICTIONARY = Dictionary((*FAIRSEQ_SPECIAL, *pieces()))


def test_numbers_are_written_as_each_language_does() -> None:
    made = translation([42, 1, 21, 10, 17, 80])
    assert " ".join(made.english) == "forty two , one , twenty one , ten , seventeen , eighty ."
    assert made.reference == "zweiundvierzig, eins, einundzwanzig, zehn, siebzehn, achtzig."
    assert len({translation([number]).reference for number in range(100)}) == 100


def test_pieces_put_together_are_the_reference() -> None:
    assert len(set(pieces())) == len(pieces())
    for made in translations(200, held_out=True):
        assert detokenise(DICTIONARY.text(DICTIONARY.encode(made.german))) == made.reference


def test_the_parts_share_no_sentence_and_are_the_same_every_time() -> None:
    train, evaluation = number_pairs(DICTIONARY)
    english = [{" ".join(one.english) for one in part.sentences} for part in (train, evaluation)]
    assert not english[0] & english[1]
    assert [len(part) for part in english] == [len(train), len(evaluation)] == [20_000, 512]
    translations.cache_clear()
    assert number_pairs(DICTIONARY)[1].sentences == evaluation.sentences
    assert train.sizes()[0] == max(len(train[0].source), len(train[0].target))
    assert train[0].reference is None and evaluation[0].reference
