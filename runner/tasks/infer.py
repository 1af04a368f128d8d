"""`task=infer`: serve a model. Compile it, hold it to its reference, then ask it under a load and measure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from models.ranges import Count, Ratio
from runner.config.known import engine_of
from runner.config.schema import STRICT, Case, TaskOptions
from runner.core.errors import ConfigurationError, DataMissingError
from runner.core.events import Name
from runner.measure.context import Context
from runner.record.run_record import RunRecord
from runner.record.stages import Stage, Stages
from runner.record.task import Task
from runner.record.values import Values

if TYPE_CHECKING:
    from models.costs.serving_account import ServingAccount


@dataclass(kw_only=True, slots=True, config=STRICT)
class InferOptions(TaskOptions):
    """`conf/task/infer.yaml`."""

    accuracy_gate: Annotated[Ratio, Field(gt=0)] | None = 0.99
    """Share of the fp32 reference's accuracy that the engine must keep; None: whatever it is will do."""
    calibration_samples: Count = 64
    """Rows by which an engine chooses the ranges of integers."""


class Infer(Task):
    """Numerics, accuracy and speed of a served model."""

    name = "infer"
    options = InferOptions
    section = "infer"
    serves = True
    measured_window = True
    counts_model = True
    figures: ClassVar[tuple[str, ...]] = (
        *("accuracy/*", "numerics/*", "infer/*", "generation/*", "compute/*", "roofline/*", "memory/*", "energy/*"),
        *("power/*", "clock/*", "host/*", "device/*", "overhead/*", "time/e2e_s", "time/launch_s", "time/init_s"),
        *("time/setup_s", "time/ending_s", "run/window_s", "run/steady", "run/emulated", "run/publishable"),
    )
    headline: ClassVar[tuple[str, ...]] = (
        *("accuracy/*", "!accuracy/samples", "numerics/snr_db", "numerics/passed", "infer/samples_per_second"),
        *("infer/core_samples_per_second", "infer/steps_per_second", "infer/latency_p50_ms"),
        *("infer/latency_p99_ms", "infer/goodput_per_second"),
        *("generation/ttft_p50_ms", "generation/tpot_p50_ms", "generation/tokens_per_second", "infer/compile_s"),
        *("infer/coverage", "compute/mfu", "compute/mbu", "memory/device_peak_used_gib", "memory/host_peak_rss_gib"),
        *("energy/per_sample_j", "power/device_mean_w", "run/window_s", "run/steady"),
    )
    only_measured: ClassVar[tuple[str, ...]] = (
        *("generation/*", "infer/goodput_per_second", "infer/coverage", "infer/steps_per_second"),
        *("accuracy/drop", "accuracy/kept", "accuracy/gate_passed"),
    )
    # Importing MLflow takes a core, and so would disturb every measurement that follows: it begins at the end.
    tracking_begins = Name.MEMORY
    stages = Stages(working=Stage.MEASURING)

    def check(self, case: Case) -> None:
        """One device serves; a server needs a rate; scoring reads every sample; a file to be loaded is there.

        Raises:
            ConfigurationError: choices that do not go together.
            DataMissingError: there is no file at `compiler.engine_path`.
        """
        if case.topology.ranks != 1:
            raise ConfigurationError(
                f"task=infer serves from one device, not from {case.topology.ranks}. Choose topology=single."
            )
        if case.load.by_rate and case.load.rate is None:
            kind = "server" if case.load.name == "server" else "mlperf load.scenario=Server"
            raise ConfigurationError(f"load={kind} needs load.rate, the requests per second that arrive on average.")
        _check_engine(case)
        if case.data.on_error == "skip":
            raise ConfigurationError(
                "task=infer scores every sample, and data.on_error=skip would leave some out. Mend the data, or leave "
                "data.on_error out."
            )

    def metrics(self, case: Case) -> list[str]:
        """The metric that is the model's accuracy."""
        return [case.model.infer.metric] if case.model.infer and case.model.infer.metric else []

    def main_figures(self, case: Mapping[str, Any]) -> tuple[str, ...]:
        """Speed as the load asks for it: what a rate achieves within its limits, how soon, or how much."""
        speeds = ("generation/tokens_per_second", "infer/samples_per_second")
        latencies = ("generation/ttft_p50_ms", "generation/tpot_p50_ms", "infer/latency_p50_ms", "infer/latency_p99_ms")
        by_load = {
            "server": ("infer/goodput_per_second", "infer/achieved_per_second", *latencies),
            "single_stream": ("infer/latency_p50_ms", "infer/latency_p99_ms", *speeds),
        }
        first = by_load.get(str(case.get("load")), (*speeds, *latencies))
        return (*first, "accuracy/kept", "numerics/snr_db", "energy/per_sample_j", "compute/mfu")

    def figure_names(self, metrics: tuple[str, ...] | list[str] = ()) -> list[str]:  # type: ignore[override]
        """With `accuracy/<metric>` of each metric first."""
        return [*(f"accuracy/{metric}" for metric in metrics), *super().figure_names()]

    def run(self, context: Context) -> None:
        """Everything in order; what is missed is said at the end, when all is measured.

        Raises:
            NotFiniteError: an answer is no finite number.
            GateMissedError: the answers are not near enough to the reference, or not good enough.
        """
        from runner.serving.course import serve

        serve(context)

    def count(self, case: Case) -> ServingAccount:
        """What one request costs: forward alone."""
        from runner.tasks.account import serving_account

        return serving_account(case)

    def values(self, run_record: RunRecord) -> tuple[Values, list[str]]:
        """Accuracy, numerics, speed, cost of compiling, energy and memory."""
        from runner.results.served.serving import serving

        return serving(run_record)


def _check_engine(case: Case) -> None:
    """Refuse an engine that does not answer in the case's way, or lacks the weights that it reads itself."""
    engine, generation = engine_of(case.compiler), case.model.infer.generation if case.model.infer else None
    if generation is not None and not engine.generates:
        raise ConfigurationError(
            f"compiler={case.compiler.name} does not write token by token; eager and inductor do. "
            "model.infer.generation=null serves one forward pass a request."
        )
    if generation is None and not engine.forwards:
        raise ConfigurationError(
            f"compiler={case.compiler.name} only writes token by token, and model={case.model.name} answers in one "
            "forward pass."
        )
    existing = case.compiler.engine_path
    if existing is not None and not Path(existing).expanduser().exists():
        raise DataMissingError(
            f"compiler.engine_path={existing} is not there. Give what an earlier compilation left, or leave it out."
        )
    if engine.reads_checkpoint and case.model.weights == "random":
        raise ConfigurationError(f"compiler={case.compiler.name} reads the weights itself: give model.weights=PATH.")
