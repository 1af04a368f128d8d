"""GLM: the mask and positions of its paper, torch's own layers with the same weights, loss and metric by hand."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from language_samples import dataset_spec, recipe, sample_spec
from record_samples import LENGTH, VOCABULARY, write_record
from torch import Tensor, nn

from models.datasets.base import DataError, evaluation_loader
from models.language.infilling.glm import Glm
from models.language.infilling.glm_network import GlmNetwork, blank_filling_mask
from models.schedules import rate_factor
from models.weights import load_weights, read_weights


def made(**architecture: Any) -> Glm:
    torch.manual_seed(0)
    case = recipe("glm")
    case.architecture |= architecture
    trainable = Glm(case).eval()
    for parameter in trainable.network.parameters():
        nn.init.normal_(parameter, std=0.2)
    return trainable


@pytest.fixture(scope="module")
def trainable() -> Glm:
    return made()


def test_mask_is_that_of_the_paper() -> None:
    """Du et al. 2021, section 2.1: part A sees all of itself and none of B; B sees A and what it wrote so far."""
    visible = blank_filling_mask(torch.tensor([3, 5]), 6)
    assert visible.shape == (2, 1, 6, 6)
    for row, context in enumerate((3, 5)):
        for query in range(6):
            for key in range(6):
                in_a, key_in_a = query < context, key < context
                wanted = key_in_a if in_a else key_in_a or key <= query
                assert bool(visible[row, 0, query, key]) == wanted


def by_torch(network: GlmNetwork, text: Tensor, positions: Tensor, visible: Tensor, heads: int) -> Tensor:
    """Scores of every word at every place, by torch's own encoder layers."""
    state, body = network.state_dict(), network.transformer
    hidden = state["word_embeddings.weight"].shape[1]
    states = state["word_embeddings.weight"][text]
    states = states + body.position_embeddings.weight[positions[:, 0]]
    states = states + body.block_position_embeddings.weight[positions[:, 1]]
    tanh = nn.GELU(approximate="tanh")
    for number in range(len(body.layers)):
        layer = nn.TransformerEncoderLayer(
            hidden, heads, 4 * hidden, dropout=0.0, activation=tanh, batch_first=True, norm_first=True
        )
        ours = {name.removeprefix(f"transformer.layers.{number}."): value for name, value in state.items()}
        names = {
            "self_attn.in_proj_": "attention.query_key_value.",
            "self_attn.out_proj.": "attention.dense.",
            "linear1.": "mlp.dense_h_to_4h.",
            "linear2.": "mlp.dense_4h_to_h.",
            "norm1.": "input_layernorm.",
            "norm2.": "post_attention_layernorm.",
        }
        layer.load_state_dict({a + kind: ours[b + kind] for a, b in names.items() for kind in ("weight", "bias")})
        states = layer(states, src_mask=~visible.repeat_interleave(heads, dim=0)[:, 0])
    return body.final_layernorm(states) @ state["word_embeddings.weight"].T


def test_network_is_torchs_own_layers(trainable: Glm) -> None:
    text, places = torch.randint(64, (3, 32)), torch.randint(32, (3, 4))
    positions = torch.randint(33, (3, 2, 32))
    context = torch.tensor([20, 5, 31])
    with torch.no_grad():
        ours = trainable.network(text, positions, context, places)
        every = by_torch(trainable.network, text, positions, blank_filling_mask(context, 32), heads=2)
    torch.testing.assert_close(ours, every.gather(1, places[:, :, None].expand(-1, -1, 64)), rtol=1e-4, atol=1e-4)


def log_probabilities(trainable: Glm, question: Any) -> list[float]:
    """Of each candidate by itself: log-softmax of every place, summed over its words."""
    found = []
    for row in range(len(question.text)):
        inputs = (torch.from_numpy(values[row : row + 1]) for values in (question.text, question.positions))
        context = torch.tensor([question.context[row]])
        every = trainable.network(*inputs, context, torch.arange(32)[None])[0].double().log_softmax(-1)
        places = np.flatnonzero(question.counted[row])
        found.append(sum(float(every[place, question.targets[row, place]]) for place in places))
    return found


def test_loss_and_metric_by_hand(trainable: Glm) -> None:
    train, evaluation = trainable.datasets(sample_spec())
    with torch.no_grad():
        questions = [train[number] for number in range(5)]
        scores = [log_probabilities(trainable, question) for question in questions]
        by_hand = np.mean([np.logaddexp.reduce(one) - one[0] for one in scores])
        assert trainable.loss(trainable.collate(questions)).item() == pytest.approx(by_hand, rel=1e-4)

        questions = [evaluation[number] for number in range(12)]
        hits = [bool(one.right[int(np.argmax(log_probabilities(trainable, one)))]) for one in questions]
        metric = trainable.metrics["exact_match"]
        metric.reset()
        trainable.evaluate(trainable.collate(questions))
        assert float(metric.compute()) == sum(hits) / 12


def test_accuracy_does_not_depend_on_batches_ranks_or_passes() -> None:
    def measured(passes: int, world: int, batch_size: int) -> float:
        trainable = made(choices_per_pass=passes)
        evaluation = trainable.datasets(sample_spec()).evaluation
        for rank in range(world):
            share: dict[str, Any] = {"rank": rank, "world": world, "workers": 0, "limit": 30}
            for batch in evaluation_loader(evaluation, trainable.collate, batch_size=batch_size, **share):
                trainable.evaluate(batch)
        return float(trainable.metrics["exact_match"].compute())

    with torch.no_grad():
        assert len({measured(*split) for split in ((10, 1, 30), (10, 1, 7), (3, 4, 3), (1, 1, 5))}) == 1


def test_checkpointing_changes_neither_loss_nor_gradients() -> None:
    plain, kept = (made(checkpoint_activations=flag).train() for flag in (False, True))
    batch = plain.synthetic_batch(2)
    for one in (plain, kept):
        one.loss(batch).backward()
    for (name, a), (_, b) in zip(plain.network.named_parameters(), kept.network.named_parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, msg=name)


def test_published_checkpoint_is_read(tmp_path: Path) -> None:
    """The form of GLM's checkpoints: weights under `module`, beside counters and states of random generators."""
    trainable, donor = made(), made()
    for parameter in donor.network.parameters():
        nn.init.normal_(parameter)
    whole = {
        "module": {name: tensor.half() for name, tensor in donor.network.state_dict().items()},
        "iteration": 200000,
        "csr_tensor_module_names": set(),
        "random_rng_state": random.getstate(),
        "np_rng_state": np.random.get_state(),
        "torch_rng_state": torch.get_rng_state(),
        "rng_tracker_states": {},
    }
    path = tmp_path / "mp_rank_00_model_states.pt"
    torch.save(whole, path)
    load_weights(trainable.network, trainable.initial_weights(read_weights(path)), path=path)
    for name, tensor in donor.network.state_dict().items():
        torch.testing.assert_close(trainable.network.state_dict()[name], tensor.half().float(), msg=name)
    del whole["module"]["transformer.final_layernorm.weight"]  # type: ignore[attr-defined]
    torch.save(whole, path)
    with pytest.raises(DataError, match=r"1 missing \(transformer\.final_layernorm\.weight"):
        load_weights(trainable.network, trainable.initial_weights(read_weights(path)), path=path)


def test_record_reaches_loss_and_metric(tmp_path: Path) -> None:
    write_record(tmp_path)
    trainable = made(sequence_length=LENGTH, vocabulary=VOCABULARY)
    data: Any = trainable.datasets(dataset_spec(tmp_path))
    batch = trainable.collate([data.train[number] for number in range(3)])
    assert trainable.count(batch) == (3, 6 * 11)
    with torch.no_grad():
        assert trainable.loss(batch).isfinite()
        trainable.metrics["exact_match"].reset()
        trainable.evaluate(trainable.collate([data.evaluation[number] for number in range(2)]))
    assert float(trainable.metrics["exact_match"].compute()) in (0.0, 0.5, 1.0)


def test_the_rate_warms_up_over_a_tenth_and_falls_to_a_tenth() -> None:
    training = recipe("glm", "reference").training
    rates = [training.optimizer.lr * rate_factor(training.schedule, step) for step in (433, 434, 4338, 9000)]
    assert rates == pytest.approx([1e-5, 1e-5, 1e-6, 1e-6], rel=2e-3)
    assert (training.batch_size, training.max_grad_norm, training.optimizer.weight_decay) == (8, 1.0, 0.1)
