"""Judges one figure of a gate: its mean by the noise of means, and where that is too large, the undisturbed part."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hardware.stacks.host import ISOLATED
from runner.comparison.gate.decision import Decision, decide
from runner.comparison.gate.finding import GateFinding
from runner.comparison.gate.measured import CROWDED, MeasuredRun
from runner.comparison.gate.noise import learn, location
from runner.comparison.gate.undisturbed import DEFINITIONS, REQUEST, STEP
from runner.comparison.main_figure import TO_TARGET, is_speed
from runner.messages import tr
from runner.record.definition import Definition
from runner.record.names import number, written

_CROWDED = f"{100 * CROWDED:.0f}"


@dataclass(kw_only=True, slots=True)
class GateEvidence:
    """The runs that a figure is judged by."""

    new: Sequence[MeasuredRun]
    baseline: Sequence[MeasuredRun]
    past: Sequence[MeasuredRun]

    def having(self, name: str) -> GateEvidence | None:
        """The runs that have one figure; None where no new one has, or none of the baseline."""
        new, baseline, past = (
            [one for one in runs if name in one.values] for runs in (self.new, self.baseline, self.past)
        )
        return GateEvidence(new=new, baseline=baseline, past=past) if new and baseline else None


def judge(meaning: Definition, unit: str, evidence: GateEvidence, limit: float, *, same_batch: bool) -> GateFinding:
    """Judge a figure that the new runs and the baseline have.

    Args:
        meaning: what it is.
        unit: of its values.
        evidence: the runs.
        limit: new ÷ baseline, better above 1, below which a loss fails.
        same_batch: whether all have one batch size.
    """
    title = tr(meaning.title)
    if meaning.same_batch and not same_batch:
        text = tr("The batch sizes differ, so that this figure tells nothing.")
        return GateFinding(figure=meaning.name, title=title, outcome="undecided", text=text)
    having = evidence.having(meaning.name)
    if having is None:
        text = tr("It is not above 0, so that there is no ratio.")
        return GateFinding(figure=meaning.name, title=title, outcome="undecided", text=text)
    found = _tested(meaning, unit, having, limit)
    if found.outcome != "undecided" or not is_speed(meaning.name) or meaning.name == TO_TARGET or not same_batch:
        return found
    closer = _undisturbed(meaning, evidence, limit)
    if closer is None:
        text = " ".join([found.text, _crowded(evidence)]).strip()
        return replace(found, text=text)
    values = tr("{mean} (hidden by noise); {title} {best}", mean=found.values, title=closer.title, best=closer.values)
    text = tr("{mean} The undisturbed part decides: {best}", mean=found.text, best=closer.text)
    return replace(found, outcome=closer.outcome, values=values, text=text, decision=closer.decision or found.decision)


def _crowded(evidence: GateEvidence) -> str:
    """Why there is no undisturbed part."""
    for runs, text in (
        (evidence.new, tr("In every new repeat others took more than {share} % of the host's processors, so that not "
                          "even its fastest steps tell: end what disturbs and measure again.", share=_CROWDED)),
        (evidence.baseline, tr("In every repeat of the baseline others took more than {share} % of the host's "
                               "processors: save one from a quiet machine.", share=_CROWDED)),
    ):  # fmt: skip
        if runs and all(one.others and min(one.others) > CROWDED for one in runs):
            return text
    return ""


def _undisturbed(meaning: Definition, evidence: GateEvidence, limit: float) -> GateFinding | None:
    name = REQUEST.name if meaning.name.startswith(("infer/", "generation/")) else STEP.name
    having = evidence.having(name)
    return None if having is None else _tested(DEFINITIONS[name], "ms", having, limit)


def _tested(meaning: Definition, unit: str, evidence: GateEvidence, limit: float) -> GateFinding:
    name, sign = meaning.name, 1 if meaning.better == "higher" else -1
    new, old = ([one.values[name] for one in runs] for runs in (evidence.new, evidence.baseline))
    past = [one.values[name] for one in evidence.past]
    count = min(len(values) for values in (*new, *old))
    noise = learn([*old, *past], [*old, *past, *new], count=count)
    places = [statistics.fmean(map(location, runs)) for runs in (new, old)]
    change = sign * (places[0] - places[1])
    shown = tr(
        "{old} → {new} {unit}, {change}",
        old=_shown(places[1], unit, meaning),
        new=_shown(places[0], unit, meaning),
        unit=_unit(places[0], unit, meaning),
        change=_change(math.exp(change)),
    )
    title = tr(meaning.title)
    if noise is None:
        why = tr("There are neither repeats nor earlier runs, so that the noise is not known: use measure.repeats=3.")
        return GateFinding(figure=name, title=title, outcome="undecided", values=shown, text=why)
    decision = decide(change, noise, limit, new_runs=len(new), baseline_runs=len(old))
    outcome, why = decision.outcome, _reach(decision, count, limit, earlier=len(past))
    if outcome == "fail" and (more := _more_disturbed(evidence, undisturbed=name in DEFINITIONS)):
        outcome, why = "undecided", more
    return GateFinding(figure=name, title=title, outcome=outcome, values=shown, text=why, decision=decision)


def _shown(place: float, unit: str, meaning: Definition) -> str:
    return written(math.exp(place), unit, meaning.form)[0]


def _unit(place: float, unit: str, meaning: Definition) -> str:
    return written(math.exp(place), unit, meaning.form)[1]


def _change(ratio: float) -> str:
    """A ratio, better above 1, in percent."""
    share = number(100 * abs(1 - ratio), 3)
    return tr("{share} % better", share=share) if ratio >= 1 else tr("{share} % worse", share=share)


def _reach(decision: Decision, count: int, limit: float, *, earlier: int) -> str:
    values = {
        "repeats": tr("one measurement") if count == 1 else tr("{count} repeats", count=count),
        "noise": number(100 * decision.noise, 2),
        "loss": number(100 * decision.smallest_loss, 2),
        "mostly": number(100 * decision.mostly_seen, 2),
        "allowed": number(100 * (1 - limit), 2),
        "earlier": earlier,
    }
    if decision.outcome == "undecided":
        return tr(
            "With {repeats} and a noise of {noise} % ({earlier} earlier runs) only losses above {loss} % stand out of "
            "chance, and {allowed} % are asked for.",
            **values,
        )
    return tr(
        "With {repeats} and a noise of {noise} % ({earlier} earlier runs) this gate fails on losses above {loss} % and "
        "sees {mostly} % in nine of ten runs.",
        **values,
    )


def _more_disturbed(evidence: GateEvidence, *, undisturbed: bool) -> str:
    """Why a loss is not believed: others took clearly more of the host than in what the noise is known from.

    Clearly is by more than the share that an undisturbed host may have. Means are held to means: one repeat of a
    baseline that was disturbed as much does not tell what a run is like that was disturbed throughout. Undisturbed
    parts are held to single repeats, which have been sorted already.
    """
    new = [share for one in evidence.new if (share := _mean(one, undisturbed=undisturbed)) is not None]
    known = [share for one in (*evidence.baseline, *evidence.past) for share in _levels(one, undisturbed=undisturbed)]
    mean, bound = max(new, default=0.0), max(known, default=0.0)
    if mean <= bound + ISOLATED:
        return ""
    return tr(
        "Others took {share} % of the host's processors, and at most {bound} % in the runs that the noise is known "
        "from: end what disturbs and measure again.",
        share=number(100 * mean, 2),
        bound=number(100 * bound, 2),
    )


def _mean(one: MeasuredRun, *, undisturbed: bool) -> float | None:
    """What others took of the host's processors, in the mean of the repeats that count."""
    shares = [share for share in one.others if not undisturbed or share <= CROWDED]
    return statistics.fmean(shares) if shares else None


def _levels(one: MeasuredRun, *, undisturbed: bool) -> list[float]:
    """What they took beside what is known: in each repeat that counts, or in the mean of the run."""
    if undisturbed:
        return [share for share in one.others if share <= CROWDED]
    mean = _mean(one, undisturbed=False)
    return [] if mean is None else [mean]
