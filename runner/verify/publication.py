"""Whether an intact result should be published: what ran, how long, how steadily, and what was measured of energy."""

from __future__ import annotations

from collections.abc import Sequence

from hardware.base import PrecisionUnsupportedError
from hardware.energy import FULL_COVERAGE
from hardware.host import ISOLATED
from hardware.probe import check as check_precision
from hardware.trace import Trace
from runner.events import Name
from runner.report.host import isolated, others
from runner.report.power import device_energy
from runner.report.schema import Report
from runner.report.story import Story, spans_of
from runner.report.values import Missing
from runner.schema import Case
from runner.verify.verdict import About, Check, failed, not_applicable, passed

ABOUT: About = "publication"
RUNS_NOTHING = "task=inspect runs nothing"


def checks(case: Case, report: Report, parts: Sequence[Story]) -> list[Check]:
    """Everything that decides whether a result may be published.

    Args:
        case: of the run folder.
        report: the stated one.
        parts: what each fresh process told: the run's own story, or those of its repeats.
    """
    return [
        _ended(report),
        _measured(case),
        _emulated(case),
        _scale(case),
        _measure(case),
        _precision(case, parts),
        _steady(case, parts),
        _window(case, parts),
        _repeats(case, report, parts),
        _host(case, parts),
        _energy(case, report, parts),
        _stated(report),
    ]


def _ended(report: Report) -> Check:
    if report.status == "done" and report.exit_code == 0:
        return passed("status", ABOUT, "done")
    cause = f", {report.error['class']}" if report.error else ""
    return failed("status", ABOUT, f"{report.status} (exit {report.exit_code}{cause})")


def _measured(case: Case) -> Check:
    if case.task.name == "inspect":
        return failed("task", ABOUT, f"{RUNS_NOTHING}: there is no measurement to publish")
    return passed("task", ABOUT, case.task.name)


def _emulated(case: Case) -> Check:
    if case.emulate:
        return failed("emulated", ABOUT, f"{case.vendor.title}'s configuration ran on the host CPU")
    return passed("emulated", ABOUT, "no")


def _scale(case: Case) -> Check:
    make = passed if case.scale == "reference" else failed
    return make("scale", ABOUT, case.scale)


def _measure(case: Case) -> Check:
    if case.measure.publishable:
        return passed("measure", ABOUT, case.measure.name)
    return failed("measure", ABOUT, f"measure={case.measure.name} is not for publication")


def _precision(case: Case, parts: Sequence[Story]) -> Check:
    """The probe's findings, held to the precision once more."""
    name = "precision"
    if case.task.name == "inspect":
        return not_applicable(name, ABOUT, RUNS_NOTHING)
    for story in parts:
        found = story.last(Name.PRECISION)
        if found is None:
            return failed(name, ABOUT, "the probe did not say what really ran")
        try:
            check_precision(found, case.precision)
        except PrecisionUnsupportedError as error:
            return failed(name, ABOUT, str(error).partition(". ")[0])
        except KeyError as error:
            return failed(name, ABOUT, f"the probe told nothing of {error}")
    return passed(name, ABOUT, f"{case.precision.name}, as the probe found")


def _steady(case: Case, parts: Sequence[Story]) -> Check:
    name = "steadiness"
    if case.task.name == "inspect":
        return not_applicable(name, ABOUT, RUNS_NOTHING)
    ends = [story.last(Name.WARMUP_END) for story in parts]
    if any(end is None for end in ends):
        return failed(name, ABOUT, "warm-up did not end")
    reasons = [str(end["reason"]) for end in ends if end is not None and not end["steady"]]
    if reasons:
        return failed(name, ABOUT, f"the speed still changed: {reasons[0]}")
    return passed(name, ABOUT, f"steady within {case.measure.warmup.tolerance:g}")


def _window(case: Case, parts: Sequence[Story]) -> Check:
    name, asked = "window", case.measure.window
    if case.task.name == "inspect":
        return not_applicable(name, ABOUT, RUNS_NOTHING)
    if case.task.name != "train":
        return not_applicable(name, ABOUT, f"task={case.task.name} decides itself how long it measures")
    told = [(_window_s(story), len(story.steps("window"))) for story in parts]
    short = [(seconds, steps) for seconds, steps in told if seconds < asked.min_s or steps < asked.min_steps]
    if short or not told:
        seconds, steps = short[0] if short else (0.0, 0)
        text = f"{seconds:.1f} s and {steps} steps, where {asked.min_s:g} s and {asked.min_steps} steps are asked for"
        return failed(name, ABOUT, text)
    seconds, steps = min(told)
    return passed(name, ABOUT, f"{seconds:.1f} s and {steps} steps")


def _window_s(story: Story) -> float:
    return float(sum(event.value["seconds"] for event in story.all(Name.SEGMENT_END)))


def _repeats(case: Case, report: Report, parts: Sequence[Story]) -> Check:
    name, asked = "repeats", case.measure.repeats
    if case.task.name == "inspect":
        return not_applicable(name, ABOUT, RUNS_NOTHING)
    if len(parts) < asked or report.case.get("repeats") != len(parts):
        return failed(name, ABOUT, f"{len(parts)} of {asked} are there")
    changes = {change["key"]: change for change in report.division.changed}
    shipped = changes.get("measure.repeats", {}).get("reference", asked)
    if asked < shipped:
        return failed(name, ABOUT, f"{asked}, where measure={case.measure.name} has {shipped}")
    return passed(name, ABOUT, f"{asked}")


def _host(case: Case, parts: Sequence[Story]) -> Check:
    """What others took of the host's processors. Beside an accelerator it is said, and is no fault."""
    name = "host"
    if case.task.name == "inspect":
        return not_applicable(name, ABOUT, RUNS_NOTHING)
    shares = [others(Trace.load(story.folder / "power.csv"), spans_of(story)) for story in parts if spans_of(story)]
    unknown = next((share for share in shares if isinstance(share, Missing)), None)
    if unknown is not None or not shares:
        make = failed if case.vendor.on_host else not_applicable
        return make(name, ABOUT, unknown.reason if unknown else "nothing was measured")
    most = max(share for share in shares if not isinstance(share, Missing))
    text = f"others took {most:.1%} of its processors"
    if case.vendor.on_host and not isolated(most):
        return failed(name, ABOUT, f"{text}, where less than {ISOLATED:.0%} is asked for")
    return passed(name, ABOUT, text)


def _energy(case: Case, report: Report, parts: Sequence[Story]) -> Check:
    """How much of each segment the meters saw. No energy at all is said, and is no fault."""
    name = "energy"
    figure = report.figures.get("energy/device_j")
    if figure is None:
        return not_applicable(name, ABOUT, f"task={case.task.name} measures no energy")
    if figure.value is None:
        return not_applicable(name, ABOUT, f"none was measured: {(figure.reason or '').partition(chr(10))[0]}")
    coverage = min((share for story in parts for share in _coverages(story)), default=0.0)
    if coverage < FULL_COVERAGE:
        text = f"the meters saw {coverage:.0%} of a segment, where {FULL_COVERAGE:.0%} are asked for"
        return failed(name, ABOUT, text)
    return passed(name, ABOUT, f"{figure.value:.6g} J, at least {coverage:.0%} of every segment seen")


def _coverages(story: Story) -> list[float]:
    trace = Trace.load(story.folder / "power.csv")
    return [device_energy(story, trace, span.start_s, span.end_s).coverage for span in spans_of(story)]


def _stated(report: Report) -> Check:
    """What the report says of itself; never better than it."""
    name, figure = "stated", report.figures.get("run/publishable")
    if figure is None:
        return not_applicable(name, ABOUT, "the report has no run/publishable")
    if figure.value:
        return passed(name, ABOUT, "run/publishable is 1")
    return failed(name, ABOUT, f"run/publishable is {0 if figure.value is not None else figure.reason}")
