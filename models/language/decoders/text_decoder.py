"""What decoders share that learn a corpus and are judged by the perplexity of its held-out part."""

from __future__ import annotations

from models.datasets.base import Batch, Datasets
from models.datasets.language.samples.text_sample import text_sample
from models.datasets.language.tokens.corpora import find_corpus
from models.datasets.language.tokens.next_token import Sequences
from models.datasets.root import dataset_root
from models.datasets.spec import DataSpec
from models.inferable import Tensors
from models.language.decoders.served_decoder import ServedDecoder
from models.language.loss import sequence_losses
from models.language.perplexity import Perplexity
from models.recipe import Recipe


class TextDecoder(ServedDecoder):
    """A decoder that reads the corpus its recipe names; a subclass adds its network."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.metrics = {"perplexity": Perplexity()}

    def score(self, outputs: Tensors, batch: Batch) -> None:
        """Cross entropy of each sequence."""
        self.metrics["perplexity"].update(sequence_losses(outputs[0], batch["targets"]))

    def datasets(self, spec: DataSpec) -> Datasets:
        """Next-token sequences, of which a part is held out."""
        length, vocabulary, source = self.sizes.sequence_length, self.sizes.vocabulary, self.recipe.data_source
        if spec.name == "dataset":
            corpus = find_corpus(self.recipe.dataset)
            root = dataset_root(spec, expected=corpus.layout, source=source)
            return corpus.read(root, sequence_length=length, vocabulary=vocabulary, source=source)
        sample = text_sample(spec.cache_path, "bpe", vocabulary)
        parts = (sample.train, sample.evaluation)
        return Datasets(*(Sequences(part, sequence_length=length, vocabulary=vocabulary) for part in parts))
