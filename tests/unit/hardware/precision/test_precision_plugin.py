import pytest
import pytorch_lightning as pl
import torch
from hardware_specs import precision, vendor
from pytorch_lightning.plugins.precision import HalfPrecision, MixedPrecision, Precision
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from hardware.base import PrecisionUnsupportedError
from hardware.precision.plugins import build_plugin, require_listed
from hardware.precision.probe import check, probe
from hardware.spec import PrecisionSpec
from hardware.vendors.cpu import Cpu

NAMES = ["fp32", "fp16", "bf16", "fp16_true", "bf16_true"]


class Net(pl.LightningModule):
    """Keeps what ran: the type of its products, the norm of its gradients as clipped, the scale."""

    def __init__(self, net: nn.Module, rate: float = 0.1) -> None:
        super().__init__()
        self.net, self.rate = net, rate
        self.product_types: set[torch.dtype] = set()
        self.norms: list[float] = []

    def training_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor:
        out = self.net(batch[0])
        self.product_types.add(out.dtype)
        return (out.float() - batch[1].float()).square().mean()

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        gradients = [weight.grad for weight in self.parameters() if weight.grad is not None]
        self.norms.append(float(torch.stack([gradient.float().norm() for gradient in gradients]).norm()))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=self.rate)


def fit(name: str, model: Net, data: TensorDataset, *, clip: float | None = None) -> pl.Trainer:
    device = Cpu(vendor("cpu"))
    device.set_matmul("ieee")
    trainer = pl.Trainer(
        accelerator=device.accelerator(),
        devices=1,
        strategy=device.strategy(1),
        plugins=[device.precision_plugin(precision(name))],
        max_epochs=1,
        gradient_clip_val=clip,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, DataLoader(data, batch_size=4))
    return trainer


def data(steps: int, inputs: int = 8, outputs: int = 4) -> TensorDataset:
    torch.manual_seed(0)
    x = torch.randn(4 * steps, inputs)
    return TensorDataset(x, x[:, :outputs])


@pytest.mark.parametrize("name", NAMES)
def test_what_trains_is_what_was_asked_for(name: str) -> None:
    spec = precision(name)
    torch.manual_seed(1)
    model = Net(nn.Linear(8, 4))
    trainer = fit(name, model, data(steps=3))
    wanted = getattr(torch, spec.autocast or spec.weights)
    assert model.product_types == {wanted}
    assert {weight.dtype for weight in model.parameters()} == {getattr(torch, spec.weights)}
    plugin = trainer.precision_plugin
    found = probe(model, torch.device("cpu"), plugin.forward_context, plugin=plugin, optimizers=trainer.optimizers)
    check(found, spec)
    assert found["gradient_scaler"] is spec.loss_scaling
    for other in NAMES:
        if other != name:
            with pytest.raises(PrecisionUnsupportedError, match=f"precision={other} is not what really runs"):
                check(found, precision(other))


@pytest.mark.parametrize("name", ["fp32", "fp16", "bf16"])
def test_clipping_sees_unscaled_gradients(name: str) -> None:
    """The hook runs before clipping; the weights move by rate x clipped norm, whatever the loss is scaled by."""
    torch.manual_seed(1)
    model = Net(nn.Linear(8, 4, bias=False), rate=1.0)
    before = model.net.weight.detach().clone()
    fit(name, model, data(steps=1), clip=0.01)
    moved = float((model.net.weight.detach() - before).norm())
    assert 0.1 < model.norms[0] < 100.0, "far above the threshold, and not multiplied by the scale of 65536"
    assert moved == pytest.approx(0.01, rel=1e-2)


def test_overflow_skips_the_step_and_lowers_the_scale() -> None:
    model = Net(nn.Linear(8, 4, bias=False))
    before = model.net.weight.detach().clone()
    x = torch.full((4, 8), 100.0)
    trainer = fit("fp16", model, TensorDataset(x, torch.full((4, 4), 3e4)))
    assert torch.equal(model.net.weight.detach(), before)
    assert trainer.precision_plugin.scaler.get_scale() == 65536.0 / 2


def test_convolution_and_normalisation_train_in_fp16() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 4))
    model = Net(net)
    torch.manual_seed(0)
    fit("fp16", model, TensorDataset(torch.randn(8, 3, 8, 8), torch.randn(8, 4)))
    assert model.product_types == {torch.float16}
    assert all(torch.isfinite(weight).all() for weight in model.parameters())


def test_plugin_classes() -> None:
    cpu = Cpu(vendor("cpu"))
    assert type(cpu.precision_plugin(precision("fp32"))) is Precision
    mixed = cpu.precision_plugin(precision("fp16"))
    assert type(mixed) is MixedPrecision and mixed.precision == "16-mixed" and mixed.scaler.is_enabled()
    mixed = cpu.precision_plugin(precision("bf16"))
    assert type(mixed) is MixedPrecision and mixed.precision == "bf16-mixed" and mixed.scaler is None
    half = cpu.precision_plugin(precision("bf16_true"))
    assert type(half) is HalfPrecision and half.precision == "bf16-true"


def test_lightning_itself_replaces_fp16_on_a_cpu() -> None:
    """Why plugins are built as objects; when this fails, Lightning has become honest."""
    trainer = pl.Trainer(accelerator="cpu", precision="16-mixed", logger=False, enable_checkpointing=False)
    assert trainer.precision_plugin.precision == "bf16-mixed"


def test_without_loss_scaling_nothing_scales() -> None:
    spec = precision("fp16")
    spec.loss_scaling = False
    plugin = Cpu(vendor("cpu")).precision_plugin(spec)
    assert plugin.scaler is not None and not plugin.scaler.is_enabled()
    loss = torch.ones((), requires_grad=True)
    assert plugin.scaler.scale(loss) is loss


def test_a_scaler_that_switches_itself_off_is_an_error() -> None:
    class Off:
        def __init__(self, enabled: bool) -> None: ...

        def is_enabled(self) -> bool:
            return False

    with pytest.raises(PrecisionUnsupportedError, match="switched itself off"):
        build_plugin(precision("fp16"), device_type="cuda", make_scaler=Off)


def test_unlisted_precision_names_the_listed_ones() -> None:
    with pytest.raises(
        PrecisionUnsupportedError, match=r"Kunlunxin XPU does not offer precision=bf16; it offers fp32, fp16"
    ):
        require_listed(precision("bf16"), vendor("kunlunxin"))
    with pytest.raises(PrecisionUnsupportedError, match="precision=tf32"):
        Cpu(vendor("cpu")).precision_plugin(precision("tf32"))


@pytest.mark.parametrize(
    "changes",
    [
        {"autocast": "float32"},
        {"weights": "float16", "autocast": "bfloat16"},
        {"weights": "bfloat16", "matmul": "tf32"},
        {"weights": "float16", "loss_scaling": True},
        {"autocast": "bfloat16", "loss_scaling": True},
        {"loss_scaling": True},
    ],
)
def test_combinations_that_mean_nothing_are_refused(changes: dict[str, object]) -> None:
    values = {"name": "fp32", "weights": "float32", "autocast": None, "matmul": "ieee"} | changes
    with pytest.raises(PrecisionUnsupportedError, match="not one that can be run"):
        build_plugin(PrecisionSpec(**values), device_type="cuda", make_scaler=torch.amp.GradScaler)
