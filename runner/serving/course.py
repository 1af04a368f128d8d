"""One case of serving from beginning to end, on its one rank."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hardware.engines.graph import Tensors
from models.weights import RANDOM, is_unreached
from runner.config.schema import Case
from runner.core.errors import GateMissedError, NotFiniteError
from runner.core.events import Name
from runner.measure.context import Context
from runner.measure.edges import leave_out_of_collections
from runner.serving.accuracy import Accuracy, evaluate, kept_share, no_accuracy
from runner.serving.load.arrival import ARRIVALS, Arrival
from runner.serving.load.session import ServingSession
from runner.serving.load.system import System
from runner.serving.numerics import compare, indistinct, problems
from runner.serving.reference import Reference, make_again, reference_of
from runner.serving.served import Served, build_served, calibration_of
from runner.serving.ways import ForwardWay, Way, WritingWay


def serve(context: Context) -> None:
    """Reference, compilation, numerics, accuracy, speed.

    Raises:
        NotFiniteError: an answer is no finite number.
        GateMissedError: the answers are not near enough to the reference, or not good enough.
    """
    case = context.case
    context.preparing("building the model and reading its inputs")
    served = build_served(case)
    if case.model.weights != RANDOM and is_unreached(Path(case.model.weights).expanduser()):
        unreached = "The weights are the last ones of a run of task=converge that did not reach its target."
        context.events.emit(Name.WARNING, {"message": unreached})
    context.preparing("the fp32 reference, in a process of its own")
    reference = reference_of(case, context.folder, served)
    scored = reference.accuracy
    told = {"accuracy": scored and scored.metrics, "samples": scored and scored.samples}
    context.events.emit(Name.REFERENCE, {"made_now": reference.made_now, **told})
    context.preparing(f"compiling with {case.compiler.name}")
    calibration, real = calibration_of(served, case)
    if not real:
        random = "Integers' ranges were chosen by random batches: the data has none that are not scored."
        context.events.emit(Name.WARNING, {"message": random})
    way: Way = (ForwardWay if served.generation is None else WritingWay)(context, served, calibration)
    context.preparing("holding the outputs to the reference")
    missed = _numerics(context, served, way.outputs(), reference)
    missed += _accuracy(context, served, way, reference)
    way.scored()
    leave_out_of_collections()
    context.device.reset_memory_peaks()
    session = ServingSession(context)
    session.window(arrival_of(case, way.system(), context.folder))
    peaks = context.device.memory_peaks()  # before the points, which may be larger than what was served
    way.measure_points(session)
    context.events.emit(Name.MEMORY, asdict(peaks))
    way.close()
    if missed:
        raise GateMissedError(f"{'; '.join(missed)}. What was measured is kept.")


def _numerics(context: Context, served: Served, found: list[Tensors] | str, reference: Reference) -> list[str]:
    """Tell how far the outputs lie from the reference's; returns what is too far, a sentence each."""
    if isinstance(found, str):
        context.events.emit(Name.NUMERICS, {"reason": found})
        return []
    names = served.model.output_names
    told = compare(found, reference.outputs, names)
    broken = {name: one["not_finite"] for name, one in told.items() if one["not_finite"]}
    least = context.case.precision.least_snr_db
    wrong = problems(told, least)
    context.events.emit(Name.NUMERICS, {"outputs": told, "least_snr_db": least, "passed": not (broken or wrong)})
    if broken:
        name, count = next(iter(broken.items()))
        raise NotFiniteError(
            f"compiler={context.case.compiler.name} precision={context.case.precision.name}: {count} of "
            f"{told[name]['elements']} elements of the output {name} are not finite. Choose a wider precision."
        )
    for message in indistinct(reference.outputs, names, least):
        context.events.emit(Name.WARNING, {"message": message})
    return [f"precision={context.case.precision.name}: {one}" for one in wrong]


def _accuracy(context: Context, served: Served, way: Way, reference: Reference) -> list[str]:
    """Tell how good the answers are; returns what is not good enough, a sentence each."""
    case = context.case
    reason = no_accuracy(case) or way.unscored_reason()
    if reason is not None:
        context.events.emit(Name.ACCURACY, {"reason": reason})
        return []
    context.preparing("scoring every sample")
    found = evaluate(served.model, case, way.answer)
    theirs = reference.accuracy
    if theirs is None or theirs.digest != found.digest:
        context.preparing("the fp32 reference anew: the data set has changed")
        theirs = make_again(case, context.folder, served).accuracy
    assert theirs is not None, "what can be judged has a reference"
    assert theirs.digest == found.digest, "the reference was scored on other data than the engine"
    return _judge(context, found, theirs)


def _judge(context: Context, found: Accuracy, theirs: Accuracy) -> list[str]:
    case = context.case
    metric, mode = case.model.inference.metric, case.model.inference.mode
    assert metric is not None
    ours, reference = found.metrics[metric], theirs.metrics[metric]
    kept = kept_share(ours, reference, mode)
    gate: float | None = getattr(case.task, "accuracy_gate", None)
    passed = None if gate is None else kept >= gate
    judged = {"kept": kept, "gate": gate, "passed": passed, "samples": found.samples}
    context.events.emit(
        Name.ACCURACY, {"metric": metric, "metrics": found.metrics, "reference": theirs.metrics, **judged}
    )
    if math.isnan(ours):
        raise NotFiniteError(f"The {metric} of the engine's answers is no number.")
    if passed is False and math.isnan(kept):
        return [f"{metric} is {ours:.4g}, and the fp32 reference's {reference:.4g} is nothing to keep a share of"]
    if passed is False:
        return [f"{metric} is {ours:.4g}, {kept:.2%} of the fp32 reference's {reference:.4g}; the gate is {gate:.2%}"]
    return []


def arrival_of(case: Case, system: System, folder: Path) -> Arrival:
    """The case's load on a system."""
    kind: Any = ARRIVALS.find(case.load.name)
    arrival: Arrival = kind(case.load, system, seed=case.seed, folder=folder)
    return arrival
