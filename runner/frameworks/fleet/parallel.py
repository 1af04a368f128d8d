"""Steps of several ranks: data parallel, optimizer state over a sharding group, matrices over a tensor group."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import paddle
from paddle.distributed import ReduceOp

from models.ports.paddle.parallel.decoder import RankShare, SpreadDecoder
from models.ports.paddle.port import PaddlePort, told
from models.ports.port import Arrays, PortError
from models.trainable import Trainable
from runner.frameworks.fleet import parts
from runner.frameworks.fleet.clipping import WholeNormClip
from runner.frameworks.fleet.collecting import whole_weights
from runner.frameworks.fleet.exchange import GradientExchange
from runner.frameworks.fleet.ranks import FleetRanks, seed_ranks, start_fleet
from runner.frameworks.fleet.stepper import PaddleStepper
from runner.measure.context import Context


class ParallelStepper(PaddleStepper):
    """One rank of several; a pipeline's has its own schedule beside this."""

    decoder: SpreadDecoder | None
    """How this rank's network is a share of the whole one; None where every rank has all of it."""

    def __init__(self, context: Context, trainable: Trainable) -> None:
        super().__init__(context, trainable)
        fleet = self.fleet
        self._spread = fleet.sharding is not None or self.decoder is not None
        if self._spread and self.optimizer._grad_clip is not None:
            elsewhere = self.decoder.tied if self.decoder is not None and fleet.stage > 0 else None
            norm = self.optimizer._grad_clip.clip_norm
            self.optimizer._grad_clip = WholeNormClip(norm, fleet, counted_elsewhere=elsewhere)
        if not self._spread:
            self.network = paddle.DataParallel(self.network, group=fleet.data)

    # --- the network ------------------------------------------------------------------------------------------

    def build_port(self, kind: type[Any]) -> PaddlePort:
        """The whole network in the host's memory, of which this rank's share comes onto its device."""
        self.fleet: FleetRanks = start_fleet(self.context, self.ranks)
        parallel = self.case.topology.parallel
        self.decoder = None
        if parallel.shared == 1:
            port = super().build_port(kind)
        else:
            paddle.set_device("cpu")
            port = kind(self.original)
            share = RankShare(
                tensor_rank=self.context.rank % parallel.tensor,
                tensor=parallel.tensor,
                group=self.fleet.tensor,
                stage=self.fleet.stage,
                stages=self.fleet.stages,
            )
            self.decoder = SpreadDecoder(port, share)
            paddle.set_device(self.device.own())
            if not self.device.on_host:
                self.decoder.pieces.move(self.device.own())
            for name, parameter in port.network.named_parameters():
                parameter.name = name
        self.exchange = GradientExchange(
            self.fleet,
            dict(port.network.named_parameters()),
            stage=self.case.framework.sharding_stage,  # type: ignore[attr-defined]
            tied=None if self.decoder is None else self.decoder.tied,
            on_host=self.device.on_host,
        )
        return port

    def trained(self) -> dict[str, Any]:
        """What this rank updates."""
        own: dict[str, Any] = self.exchange.own
        return own

    def set_weights(self, weights: Mapping[str, Any]) -> None:
        """This rank's share of them."""
        if self.decoder is None:
            super().set_weights(weights)
            return
        decoder, share = self.decoder, self.decoder.share
        if differing := weights.keys() ^ decoder.whole_shapes.keys():
            raise PortError(f"weights differ by name: {sorted(differing)[:3]}")
        own = self.port.network.state_dict()
        super().set_weights(
            {name: decoder.slice_of(name).part(weights[name], share.tensor_rank, share.tensor) for name in own}
        )

    def weights(self) -> dict[str, Any]:
        """Collected from the ranks that have a part."""
        if not self._spread:
            return super().weights()
        return whole_weights(self.fleet, self.exchange, self.port.network.state_dict(), self.masters, self.decoder)

    def parameter_count(self) -> int:
        """Over the ranks of one copy of the model; of a tied one, one counts."""
        if self.decoder is None:
            return super().parameter_count()
        decoder = self.decoder
        own = 0
        for name, parameter in self.port.network.named_parameters():
            cut = decoder.slice_of(name).axis is not None
            if decoder.stages[name] == decoder.share.stage and (cut or decoder.share.tensor_rank == 0):
                own += int(parameter.size)
        return round(self.ranks.sum(own)) // self.fleet.batches

    # --- the step ---------------------------------------------------------------------------------------------

    def take_pass(self, batch: Arrays) -> Any:
        """Forward and backward; after a step's last pass the ranks meet."""
        with self._unsent(last=self._passes_done + 1 == self.passes):
            with self.amp.cast():
                share = (self.decoder or self.port).loss(self.network, batch) / self.passes
            self.amp.scaled(share / self._divisor).backward()
        if self.ends_step():
            self.finish_step()
        share = share.detach()
        self.device.submitted(share)
        return share

    @property
    def _divisor(self) -> int:
        """What makes an average of the sum over all batches; `DataParallel` averages by itself."""
        return self.fleet.batches if self._spread else 1

    def _unsent(self, *, last: bool) -> AbstractContextManager[Any]:
        """Keeps data parallel ranks from sending gradients before a step's last pass."""
        return nullcontext() if last or self._spread else self.network.no_sync()

    def finish_step(self) -> None:
        """Add up what the ranks have, update a share each, and hand it out."""
        if self._spread:
            self.exchange.meet()
            self._agree_on_skipping()
        super().finish_step()
        self.exchange.spread()

    def _agree_on_skipping(self) -> None:
        """Skip the step on every rank where one has found a gradient that is not finite."""
        scaler = self.amp.scaler
        if scaler is None or not scaler.is_enable():
            return
        scaler.unscale_(self.optimizer)
        found = scaler._found_inf.astype("int32")
        paddle.distributed.all_reduce(found, op=ReduceOp.MAX)
        scaler._found_inf = found.astype("bool")

    # --- evaluation, checkpoints ------------------------------------------------------------------------------

    def judged(self, batch: Arrays) -> dict[str, tuple[Any, ...]]:
        """On the weights as they are; of ranks that share a batch one judges."""
        with paddle.no_grad(), self.amp.cast():
            found = self._judged(batch)
        return self._once({name: tuple(one.numpy() for one in values) for name, values in found.items()})

    def _judged(self, batch: Arrays) -> dict[str, tuple[Any, ...]]:
        told(self.network, training=False)
        network = self.port.network  # without what `DataParallel` sends
        if self.decoder is None:
            return self.port.judge(network, batch)
        return self.decoder.judge_of(network(batch["input_ids"]), batch)

    def _once(self, found: dict[str, tuple[Any, ...]]) -> dict[str, tuple[Any, ...]]:
        """What the first rank of a tensor group has found, which is what the others have."""
        return found if self.decoder is None or self.decoder.share.tensor_rank == 0 else {}

    def save(self, path: Path, state: dict[str, Any]) -> None:
        """With each rank's part of the optimizer's state beside the file, where they differ."""
        if self._spread:
            parts.write(path, self.rates.steps, super().optimizer_state(), self.ranks)
        super().save(path, state)
        if self._spread:
            parts.keep_latest(path, self.rates.steps, self.ranks)

    def load(self, path: Path) -> dict[str, Any]:
        """Go on from what `save` kept."""
        self._from = path
        state = super().load(path)
        seed_ranks(self.context, self.rates.steps)
        return state

    def optimizer_state(self) -> dict[str, Any]:
        """Whole, or where the parts are."""
        return parts.reference(self.rates.steps, self.ranks) if self._spread else super().optimizer_state()

    def set_optimizer_state(self, state: dict[str, Any]) -> None:
        """This rank's part of it."""
        super().set_optimizer_state(parts.read(self._from, state, self.ranks) if self._spread else state)
