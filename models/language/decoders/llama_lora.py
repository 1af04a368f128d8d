"""Llama 2 fine-tuned by low-rank updates (LoRA, Hu et al. 2021) on dialogues, judged by MMLU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from models.contract import Model
from models.datasets.base import Batch, Datasets
from models.datasets.language.samples.text_sample import text_sample
from models.datasets.language.tasks import mmlu, samsum
from models.datasets.language.tasks.mmlu import ChoiceExample, MultipleChoice, choice_batch, read_mmlu
from models.datasets.language.tasks.question_sample import sample_documents, sample_subjects
from models.datasets.language.tasks.samsum import first_that_is_there, llama_tokenizer, samsum_documents
from models.datasets.language.tokens.packed import Packed
from models.datasets.root import dataset_root
from models.datasets.spec import DataSpec
from models.language.decoders.llama import COMPUTED, Llama, LlamaArchitecture
from models.metrics import Share
from models.recipe import Recipe
from models.weights import InitialWeights

LAYOUT = f"{samsum.LAYOUT}; {mmlu.LAYOUT.format(folder='<root>/mmlu_dataset', part='test')}"
BASE, UPDATED = "base_model.model.", ("q_proj", "v_proj")
"""What peft puts before the names of the base model, and the projections that get an update."""


@dataclass(kw_only=True, slots=True)
class LlamaLoraArchitecture(LlamaArchitecture):
    """Sizes of a Llama 2 and of its updates."""

    lora_rank: int
    lora_alpha: int
    """An update is scaled by this, divided by its rank."""
    lora_dropout: float
    base_trained: bool
    """Train the base model too: where there is no checkpoint to start from, updates of random weights learn nothing."""
    shots: int
    """Solved examples before each question of the evaluation."""


class LlamaLora(Llama):
    """Llama 2 with the training case of FlagPerf's `llama2_7b_finetune`: the updates alone are trained."""

    architecture: ClassVar[type[LlamaArchitecture]] = LlamaLoraArchitecture
    # The updates of a split matrix would have to be split with it.
    tensor_plan = Model.tensor_plan

    def __init__(self, recipe: Recipe) -> None:
        super().__init__(recipe)
        self.metrics = {"mmlu_accuracy": Share()}

    def build(self) -> nn.Module:
        """Transformers' Llama inside peft's wrapper, its own weights frozen or not.

        Raises:
            ImportError: peft is not installed.
        """
        from peft import LoraConfig, get_peft_model

        config = LoraConfig(
            r=self.sizes.lora_rank,
            lora_alpha=self.sizes.lora_alpha,
            lora_dropout=self.sizes.lora_dropout,
            target_modules=list(UPDATED),
            bias="none",
            task_type="CAUSAL_LM",
        )
        network: nn.Module = get_peft_model(super().build(), config)
        return network.requires_grad_() if self.sizes.base_trained else network

    def initial_weights(self, weights: dict[str, Tensor]) -> InitialWeights:
        """Llama 2 in Hugging Face's names under peft's; the updates begin as peft makes them, as nothing."""
        renamed = {
            BASE + _inside_update(name): tensor for name, tensor in weights.items() if not name.endswith(COMPUTED)
        }
        return InitialWeights(renamed, may_lack=("*.lora_A.*", "*.lora_B.*"))

    def evaluate(self, batch: Batch) -> None:
        """Share of questions whose right letter is the likeliest of the four; all subjects' questions count alike."""
        rows = batch["last"][:, None, None]
        scores = self.logits(batch)
        scores = scores.gather(1, rows.expand(-1, -1, scores.shape[-1]))[:, 0].gather(1, batch["letters"])
        self.metrics["mmlu_accuracy"].update(scores.argmax(dim=-1) == batch["answer"])

    def datasets(self, spec: DataSpec) -> Datasets:
        """Packed dialogues to train on, MMLU's test questions to evaluate on."""
        sizes, source = self.sizes, self.recipe.data_source
        limits = {"vocabulary": sizes.vocabulary}
        if spec.name == "dataset":
            root = dataset_root(spec, expected=LAYOUT, source=source)
            path = first_that_is_there(root, "samsum_dataset/train.json", "train.json")
            tokenizer_path = first_that_is_there(root, "tokenizer.json", "llama2_7b_hf/tokenizer.json")
            tokenizer = llama_tokenizer(tokenizer_path, source=source)
            documents = samsum_documents(path, tokenizer, source=source)
            subjects = read_mmlu(root / "mmlu_dataset", source=source)
        else:
            sample = text_sample(spec.cache_path, "bpe", sizes.vocabulary)
            tokenizer, path = sample.tokenizer, sample.train.path
            documents = sample_documents(tokenizer)
            subjects = sample_subjects(tokenizer, sizes.shots)
        return Datasets(
            Packed(documents, sequence_length=sizes.sequence_length, where=path, **limits),
            MultipleChoice(subjects, tokenizer, shots=sizes.shots, length=sizes.sequence_length, **limits),
        )

    def collate(self, examples: list[Any]) -> Batch:
        """A batch of sequences, or of prompts."""
        return choice_batch(examples) if isinstance(examples[0], ChoiceExample) else super().collate(examples)


def _inside_update(name: str) -> str:
    """A weight's name where peft has wrapped its layer."""
    layer, _, kind = name.rpartition(".")
    return f"{layer}.base_layer.{kind}" if layer.endswith(UPDATED) else name
