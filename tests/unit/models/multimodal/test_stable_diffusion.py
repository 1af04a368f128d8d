"""Stable Diffusion: its loss against diffusers' schedule, its networks, and the checkpoint that it starts from."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from language_samples import evaluate, recipe, sample_spec
from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm, multi_head_attention_forward
from torch.utils._python_dispatch import TorchDispatchMode
from zoo import built

from models.costs.flops import ModelFlops
from models.datasets.base import DataError
from models.multimodal.stable_diffusion import StableDiffusion
from models.schedules import rate_factor
from models.weights import load_weights


@pytest.fixture(scope="module")
def tiny() -> StableDiffusion:
    """With a prediction that is not 0, as it would be at first."""
    torch.manual_seed(0)
    model = built("stable_diffusion")
    assert isinstance(model, StableDiffusion)
    for parameter in model.network.unet.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.02)
    return model.eval()


@pytest.fixture(scope="module")
def reference() -> StableDiffusion:
    with torch.device("meta"):
        model = built("stable_diffusion", "reference")
    assert isinstance(model, StableDiffusion)
    return model


def evaluation_batch(model: StableDiffusion, rows: int) -> dict[str, Any]:
    data: Any = model.datasets(sample_spec()).evaluation
    return model.collate([data[index] for index in range(rows)])


def test_errors_are_those_of_diffusers_schedule(tiny: StableDiffusion) -> None:
    from diffusers import DDPMScheduler

    schedule = DDPMScheduler(1000, 0.00085, 0.012, "scaled_linear", prediction_type="v_prediction")
    assert tiny.kept_variance(torch.device("cpu")).tolist() == pytest.approx(schedule.alphas_cumprod.tolist(), rel=1e-4)
    batch = evaluation_batch(tiny, 10)
    mean, log_variance = batch["moments"][:, :4], batch["moments"][:, 4:]
    latent = 0.18215 * torch.normal(mean, 0) + 0.18215 * log_variance.exp().sqrt() * batch["sampling"]
    noisy = schedule.add_noise(latent, batch["noise"], batch["timestep"])
    wanted = schedule.get_velocity(latent, batch["noise"], batch["timestep"])
    with torch.no_grad():
        text = tiny.network.text_encoder(input_ids=batch["tokens"]).last_hidden_state
        predicted = tiny.network.unet(noisy, batch["timestep"], encoder_hidden_states=text).sample
        errors = tiny.errors(batch, batch["timestep"], batch["sampling"], batch["noise"])
    by_hand = [float(((p - w) ** 2).double().mean()) for p, w in zip(predicted, wanted, strict=True)]
    assert errors.tolist() == pytest.approx(by_hand, rel=1e-3)
    assert evaluate(tiny, [batch])["validation_loss"] == pytest.approx(sum(by_hand) / 10, rel=1e-3)


def test_validation_loss_does_not_depend_on_batches_or_chance(tiny: StableDiffusion) -> None:
    data: Any = tiny.datasets(sample_spec()).evaluation
    values = []
    for size in (1, 4, 12):
        torch.manual_seed(size)
        parts = [tiny.collate([data[i] for i in range(first, first + size)]) for first in range(0, 12, size)]
        with torch.no_grad():
            values.append(evaluate(tiny, parts)["validation_loss"])
    assert values == pytest.approx([values[0]] * 3, rel=1e-5)


def test_variances_are_clamped_and_narrow_moments_leave_the_mean(tiny: StableDiffusion) -> None:
    batch = evaluation_batch(tiny, 2)
    batch["moments"][:, 4:] = -1e4
    low = tiny.errors(batch, batch["timestep"], batch["sampling"], batch["noise"])
    assert low.allclose(
        tiny.errors(batch, batch["timestep"], torch.zeros_like(batch["noise"]), batch["noise"]), rtol=1e-3
    )
    batch["moments"][:, 4:] = 1e4
    assert tiny.errors(batch, batch["timestep"], batch["sampling"], batch["noise"]).isfinite().all()


def test_prediction_depends_on_the_caption_and_only_the_unet_is_trained(tiny: StableDiffusion) -> None:
    batch = evaluation_batch(tiny, 6)
    first = tiny.errors(batch, batch["timestep"], batch["sampling"], batch["noise"])
    other = batch | {"tokens": batch["tokens"].roll(1, 0)}
    assert not first.allclose(tiny.errors(other, batch["timestep"], batch["sampling"], batch["noise"]), rtol=1e-5)
    first.mean().backward()
    assert all(one.grad is None for one in tiny.network.text_encoder.parameters())
    assert all(one.grad is not None for one in tiny.network.unet.parameters())
    given = {id(one) for group in tiny.configure_optimizer()[0].param_groups for one in group["params"]}
    assert given == {id(one) for one in tiny.network.unet.parameters()}
    tiny.zero_grad()


def test_first_prediction_is_nothing() -> None:
    model = built("stable_diffusion")
    batch = model.synthetic_batch(3)
    noisy = torch.randn(3, 4, 8, 8)
    assert not model.network(noisy, torch.tensor([0, 500, 999]), batch["tokens"]).any()


class NoWaiting(TorchDispatchMode):
    """Fails on operators whose result the host must have."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        assert name not in ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero"), name
        return func(*args, **(kwargs or {}))


def test_a_training_step_never_waits_for_the_device() -> None:
    model = built("stable_diffusion").train()
    batch = model.synthetic_batch(2)
    with NoWaiting():
        model.loss(batch).backward()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_weights_leave_the_schedule_and_the_loss_in_float32(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = built("stable_diffusion").to(dtype)
    batch = {name: one.to(dtype) if one.is_floating_point() else one for name, one in model.synthetic_batch(4).items()}
    loss = model.loss(batch)
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(1, abs=0.2)


def test_reference_has_mlperfs_sizes_and_norms(reference: StableDiffusion) -> None:
    network = reference.network
    assert sum(one.numel() for one in network.unet.parameters()) == 865_910_724
    assert sum(one.numel() for one in network.text_encoder.parameters()) == 340_387_840
    assert sum(one.numel() for one in network.parameters() if one.requires_grad) == 865_910_724
    groups = {name: one.num_groups for name, one in network.unet.named_modules() if isinstance(one, nn.GroupNorm)}
    attention = {name for name in groups if "attentions" in name}
    assert len(attention) == 16 and {groups[name] for name in attention} == {32}
    assert len(groups) == 16 + 2 * 22 + 1 and {groups[name] for name in groups.keys() - attention} == {16}


def test_reference_operations_include_the_text_encoder_once(reference: StableDiffusion) -> None:
    """Text: four projections and two of the MLP, scores and their use. The UNet as torch's own counter has it."""
    with torch.device("meta"), ModelFlops() as forward:
        reference.loss(reference.synthetic_batch(1))
    text = 23 * (2 * 77 * (4 * 1024**2 + 2 * 1024 * 4096) + 4 * 77**2 * 1024)
    assert forward.get_total_flops() == text + 804_257_464_320


def test_recipe_is_mlperfs_at_a_global_batch_of_512() -> None:
    train = recipe("stable_diffusion", "reference").training
    assert train.optimizer.lr == pytest.approx(1.25e-7 * train.batch_size * 8)
    assert rate_factor(train.schedule, 499) == pytest.approx(0.5, rel=1e-3)
    assert rate_factor(train.schedule, 999) == rate_factor(train.schedule, 10**6) == 1
    (group,) = built("stable_diffusion").configure_optimizer()[0].param_groups
    assert group["weight_decay"] == 0.01


def open_clip(layers: int, *, hidden: int = 64, vocabulary: int = 640, length: int = 8) -> dict[str, Tensor]:
    """A text encoder's tensors by OpenCLIP's names, the visual half's left out as Stability AI does."""
    shapes: dict[str, tuple[int, ...]] = {
        "positional_embedding": (length, hidden), "token_embedding.weight": (vocabulary, hidden),
        "text_projection": (hidden, hidden), "logit_scale": (),
        "ln_final.weight": (hidden,), "ln_final.bias": (hidden,),
    }  # fmt: skip
    for layer in range(layers):
        parts = {
            "ln_1": (hidden,), "ln_2": (hidden,), "attn.out_proj": (hidden, hidden),
            "mlp.c_fc": (2 * hidden, hidden), "mlp.c_proj": (hidden, 2 * hidden),
        }  # fmt: skip
        for name, shape in parts.items():
            shapes[f"transformer.resblocks.{layer}.{name}.weight"] = shape
            shapes[f"transformer.resblocks.{layer}.{name}.bias"] = shape[:1]
        shapes[f"transformer.resblocks.{layer}.attn.in_proj_weight"] = (3 * hidden, hidden)
        shapes[f"transformer.resblocks.{layer}.attn.in_proj_bias"] = (3 * hidden,)
    random = torch.Generator().manual_seed(0)
    return {name: 0.3 * torch.randn(shape, generator=random) for name, shape in shapes.items()}


def open_clip_forward(weights: dict[str, Tensor], tokens: Tensor, *, layers: int, heads: int = 2) -> Tensor:
    """OpenCLIP's text transformer up to `layers`, written with torch's own multi-head attention."""
    x = weights["token_embedding.weight"][tokens] + weights["positional_embedding"]
    hidden, length = x.shape[-1], x.shape[1]
    mask = torch.full((length, length), float("-inf")).triu(1)
    for layer in range(layers):
        part = {k.split(".", 3)[3]: v for k, v in weights.items() if k.startswith(f"transformer.resblocks.{layer}.")}
        seen = layer_norm(x, (hidden,), part["ln_1.weight"], part["ln_1.bias"]).transpose(0, 1)
        mixed, _ = multi_head_attention_forward(
            seen, seen, seen, hidden, heads, part["attn.in_proj_weight"], part["attn.in_proj_bias"], None, None, False,
            0.0, part["attn.out_proj.weight"], part["attn.out_proj.bias"], attn_mask=mask, need_weights=False,
        )  # fmt: skip
        x = x + mixed.transpose(0, 1)
        seen = layer_norm(x, (hidden,), part["ln_2.weight"], part["ln_2.bias"])
        wide = gelu(seen @ part["mlp.c_fc.weight"].T + part["mlp.c_fc.bias"])
        x = x + wide @ part["mlp.c_proj.weight"].T + part["mlp.c_proj.bias"]
    return layer_norm(x, (hidden,), weights["ln_final.weight"], weights["ln_final.bias"])


@pytest.mark.parametrize("prefix", ["", "cond_stage_model.model."])
def test_the_text_encoder_of_open_clip_and_of_the_published_checkpoint(prefix: str, tmp_path: Any) -> None:
    """Three layers, of which the last is not used; the UNet and the autoencoder of the file are passed over."""
    weights = open_clip(3)
    file = {f"{prefix}{name}": tensor for name, tensor in weights.items()}
    if prefix:
        file |= {"model.diffusion_model.out.0.weight": torch.ones(2), "first_stage_model.encoder.x": torch.ones(2)}
    model = built("stable_diffusion").eval()
    before = {name: one.clone() for name, one in model.network.unet.state_dict().items()}
    load_weights(model.network, model.initial_weights(file), path=tmp_path)
    tokens = torch.randint(640, (3, 8))
    with torch.no_grad():
        ours = model.network.text_encoder(input_ids=tokens).last_hidden_state
    assert ours.allclose(open_clip_forward(weights, tokens, layers=2), atol=1e-4)
    assert all(one.equal(before[name]) for name, one in model.network.unet.state_dict().items())


def test_the_text_encoder_of_transformers(tmp_path: Any) -> None:
    source, model = built("stable_diffusion"), built("stable_diffusion")
    file = {f"text_model.{name}": one for name, one in source.network.text_encoder.state_dict().items()}
    file["text_model.embeddings.position_ids"] = torch.arange(8)[None]
    load_weights(model.network, model.initial_weights(file), path=tmp_path)
    pairs = zip(source.network.text_encoder.parameters(), model.network.text_encoder.parameters(), strict=True)
    assert all(first.equal(second) for first, second in pairs)


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (open_clip(1), "missing.*text_encoder.encoder.layers.1"),
        (open_clip(3, hidden=32), "another shape"),
        ({"conv1.weight": torch.ones(2)}, "missing.*text_encoder"),
    ],
)
def test_another_checkpoint_is_refused(weights: dict[str, Tensor], said: str, tmp_path: Any) -> None:
    model = built("stable_diffusion")
    with pytest.raises(DataError, match=said):
        load_weights(model.network, model.initial_weights(weights), path=tmp_path)


def test_target_of_the_sample_is_beyond_the_best_multiple_of_what_is_seen(tiny: StableDiffusion) -> None:
    """For each timestep the best c in v = c x, fitted to the evaluation images themselves."""
    batch = evaluation_batch(tiny, 320)
    latent = 0.18215 * batch["moments"][:, :4]
    kept = tiny.kept_variance(torch.device("cpu"))[batch["timestep"]][:, None, None, None]
    seen = kept.sqrt() * latent + (1 - kept).sqrt() * batch["noise"]
    wanted = kept.sqrt() * batch["noise"] - (1 - kept).sqrt() * latent
    losses = []
    for timestep in batch["timestep"].unique():
        x, v = (one[batch["timestep"] == timestep] for one in (seen, wanted))
        losses.append(float((v - (x * v).sum() / (x * x).sum() * x).square().mean()))
    simple = sum(losses) / len(losses)
    assert simple > 1.5 * tiny.recipe.training.quality.targets["validation_loss"]
