"""What a run must be to be published: one list, judged from a report alone, for the report and for `verify`.

A rule that cannot be judged, because the report does not say what it asks about, counts as not kept: unknown is never
fine. A further rule is one more entry in RULES; what it looks at comes from the report's figures, or from what
`runner.results.conditions` notes of each fresh process.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace

from hardware.base import PrecisionUnsupportedError
from hardware.energy.energy import FULL_COVERAGE, UNCERTAIN
from hardware.precision.evidence import check_evidence
from hardware.precision.probe import check as check_precision
from hardware.spec import PrecisionSpec
from hardware.stacks.host import ISOLATED
from runner.record.report import Figure, Report
from runner.record.task import matches, task_named
from runner.results.publication.rule import KEPT, UNEVEN, Finding, Judgement, Rule, asked_by, parts_of, publication_of

PUBLISHABLE = "run/publishable"
DOUBTED = ("low_coverage", "counter_disagrees", "few_samples")
"""Flags of an energy that is not fit to be published; the others are said and are no fault."""


def judge(report: Report) -> list[Judgement]:
    """What every rule finds, in the order of RULES."""
    found = ((rule, _look(rule, report)) for rule in RULES)
    return [Judgement(rule=rule.name, asks=rule.asks, outcome=one.outcome, text=one.text) for rule, one in found]


def _look(rule: Rule, report: Report) -> Finding:
    task = task_named(report.case.get("task"))
    if task is not None and not (rule.always or matches(rule.name, task.rules)):
        why = "has no such thing" if task.on_device else "runs nothing"
        return Finding("not applicable", f"task={task.name} {why}")
    try:
        return rule.judge(report)
    except (KeyError, TypeError, ValueError) as error:
        return Finding("unknown", f"the report does not say ({type(error).__name__}: {error})")


def judged(report: Report) -> Report:
    """The report with every rule's finding in it, and `run/publishable` as they say."""
    found = judge(report)
    publication = replace(report.publication, rules=[asdict(one) for one in found]) if report.publication else None
    figures = dict(report.figures)
    if PUBLISHABLE in figures:
        figures[PUBLISHABLE] = Figure(value=float(all(one.kept for one in found)), unit="bool")
    return replace(report, publication=publication, figures=figures)


def reasons(report: Report) -> list[str]:
    """Why the report says that it must not be published; one that says nothing of it was made before there were rules.

    A run that did not end well has no other reason worth telling, nor has one that another tool measured.
    """
    if report.publication is None:
        figure = report.figures.get(PUBLISHABLE)
        return [] if figure is not None and figure.value else ["the report does not say why; runner.verify does"]
    found = [one for one in report.publication.rules if one["outcome"] not in KEPT]
    first = ("status", "task", "origin") if report.imported else ("status", "task")
    ended = [one for one in found if one["rule"] in first]
    return [f"{one['rule']}: {one['text']}" for one in ended or found]


def _ok_if(kept: bool, text: str) -> Finding:
    return Finding("ok" if kept else "failed", text)


def _status(report: Report) -> Finding:
    if report.status == "done" and report.exit_code == 0:
        return Finding("ok", "done")
    cause = f", {report.error['class']}" if report.error else ""
    return Finding("failed", f"{report.status} (exit {report.exit_code}{cause})")


def _task(report: Report) -> Finding:
    task = task_named(report.case["task"])
    if task is None:
        return Finding("unknown", f"this installation has no task={report.case['task']}")
    if not task.on_device:
        return Finding("failed", f"task={task.name} runs nothing: there is no measurement to publish")
    return Finding("ok", str(report.case["task"]))


def _origin(report: Report) -> Finding:
    if report.imported:
        return Finding("failed", f"measured by another tool ({report.imported['format']})")
    text = "by the run itself" if publication_of(report).by_run else "afterwards, from what the run left"
    return _ok_if(publication_of(report).by_run, f"the report was made {text}")


def _emulated(report: Report) -> Finding:
    if report.case["emulated"]:
        return Finding("failed", f"the configuration of {asked_by(report, 'vendor')} ran on the host CPU")
    return Finding("ok", "no")


def _scale(report: Report) -> Finding:
    return _ok_if(report.case["scale"] == "reference", str(report.case["scale"]))


def _measure(report: Report) -> Finding:
    """A measure that was made laxer asks for less than its name says."""
    name = report.case["measure"]
    laxer = [one for one in report.division.changed if str(one["key"]).startswith("measure.") and not one["allowed"]]
    if laxer:
        said = ", ".join(f"{one['key']}={one['value']}, where it has {one['reference']}" for one in laxer)
        return Finding("failed", f"measure={name} was changed: {said}")
    if not asked_by(report, "publishable"):
        return Finding("failed", f"measure={name} is not for publication")
    return Finding("ok", str(name))


def _open(report: Report) -> Finding:
    """An open run is no fault: it may be published as what it is."""
    if report.division.name == "closed":
        return Finding("ok", "closed")
    keys = ", ".join(str(one["key"]) for one in report.division.changed if not one["allowed"])
    return Finding("ok", f"may be published as open only, with its changes: {keys}")


def _precision(report: Report) -> Finding:
    """The probe's findings, held to the precision once more."""
    asked = PrecisionSpec(**asked_by(report, "precision"))
    for part in parts_of(report):
        if part["precision"] is None:
            return Finding("unknown", "the probe did not say what really ran")
        if part["precision"].get("source") == "asked":
            return Finding("unknown", "the engine does not tell what it computes in")
        try:
            held = check_evidence if "source" in part["precision"] else check_precision
            held(part["precision"], asked)
        except PrecisionUnsupportedError as error:
            return Finding("failed", str(error).partition(". ")[0])
        except KeyError as error:
            return Finding("unknown", f"the probe told nothing of {error}")
    return Finding("ok", f"{asked.name}, as the probe found")


def _weights(report: Report) -> Finding:
    """Only how good a model gets depends on where it starts; its speed does not."""
    wanted = asked_by(report, "initial_weights")
    if wanted is None:
        return Finding("ok", "the published case starts from random weights")
    task = task_named(report.case["task"])
    if task is None or not task.quality_target:
        return Finding("not applicable", f"task={report.case['task']} does not ask how good the model gets")
    given = asked_by(report, "weights") != "random"
    return Finding("ok", "from a file") if given else Finding("failed", f"random, where the case starts from {wanted}")


def _accuracy(report: Report) -> Finding:
    """Speed is worth nothing where the answers are wrong: a served model shows that it kept its accuracy."""
    task = task_named(report.case["task"])
    if task is None or not task.serves:
        return Finding("not applicable", f"task={report.case['task']} serves nothing")
    for name in ("numerics/passed", "accuracy/gate_passed"):
        figure = report.figures[name]
        if figure.value is None:
            return Finding("unknown", f"{name}: {figure.reason}")
        if not figure.value:
            return Finding("failed", f"{name} is no")
    return Finding("ok", "numerics and accuracy were held")


def _steady(report: Report) -> Finding:
    for part in parts_of(report):
        if part["steady"] is None:
            return Finding("unknown", "warm-up did not end")
        if not part["steady"]:
            return Finding("failed", f"the speed still changed: {part['steady_reason']}")
    return Finding("ok", f"steady within {asked_by(report, 'tolerance'):g}")


def _window(report: Report) -> Finding:
    """Of training to a target too: its segments together are its window."""
    least_s, least = asked_by(report, "min_s"), asked_by(report, "min_steps")
    parts = [(part["window_s"] or 0.0, part["window_steps"]) for part in parts_of(report)]
    short = [(seconds, steps) for seconds, steps in parts if seconds < least_s or steps < least]
    seconds, steps = min(short or parts)
    told = f"{seconds:.1f} s and {steps} steps"
    return _ok_if(not short, f"{told}, where {least_s:g} s and {least} steps are asked for" if short else told)


def _even(report: Report) -> Finding:
    ratios = [part["unevenness"] for part in parts_of(report)]
    if None in ratios:
        return Finding("unknown", "the window has too few steps to see whether its speed changed")
    text = f"a step took {max(ratios):.2f} times as long in its slowest fifth as in its fastest"
    return _ok_if(max(ratios) < UNEVEN, text if max(ratios) < UNEVEN else f"{text}; less than {UNEVEN} is asked for")


def _repeats(report: Report) -> Finding:
    asked, there = asked_by(report, "repeats"), len(parts_of(report))
    if there < asked or report.case["repeats"] != there:
        return Finding("failed", f"{there} of {asked} are there")
    changes = {change["key"]: change for change in report.division.changed}
    shipped = changes.get("measure.repeats", {}).get("reference", asked)
    fewer = f"{asked}, where measure={report.case['measure']} has {shipped}"
    return _ok_if(asked >= shipped, f"{asked}" if asked >= shipped else fewer)


def _host(report: Report) -> Finding:
    """What others took of the host's processors: it slows the host CPU itself, and what a host does for its devices."""
    for part in parts_of(report):
        if part["others"] is None:
            return Finding("unknown", f"it is not known who else used its processors: {part['others_reason']}")
    most = max(part["others"] for part in parts_of(report))
    text = f"others took {most:.1%} of its processors"
    return _ok_if(most < ISOLATED, text if most < ISOLATED else f"{text}, where less than {ISOLATED:.0%} is asked for")


def _throttling(report: Report) -> Finding:
    found = sorted({reason for part in parts_of(report) for reason in part["throttling"] or ()})
    if found:
        return Finding("failed", f"the device was throttled: {', '.join(found)}")
    unread = sorted({source for part in parts_of(report) for source in part.get("throttling_unread", ())})
    untold = sorted({source for part in parts_of(report) for source in part["throttling_untold"]})
    if untold and untold == unread:
        text = f"throttling was read 0 times in the window, where one reading is needed: {', '.join(untold)}"
        return Finding("unknown", text)
    if untold:
        return Finding("unknown", f"its meter did not tell in all of the window: {', '.join(untold)}")
    if any(part["throttling"] is None for part in parts_of(report)):
        return Finding("not applicable", "no meter of this device tells of throttling")
    return Finding("ok", "none was reported")


def _peak(report: Report) -> Finding:
    """More than 100 % of a peak is an error of ours or of the catalogue: nobody knows of which figure."""
    found = [sentence for part in parts_of(report) for sentence in part["beyond_peak"]]
    return Finding("failed", found[0].rstrip(".")) if found else Finding("ok", "none did")


def _energy(report: Report) -> Finding:
    """Only an energy that is claimed is looked at: none at all is said, and is no fault."""
    figure = report.figures["energy/device_j"]
    if figure.value is None:
        return Finding("not applicable", f"none was measured: {(figure.reason or '').partition(chr(10))[0]}")
    coverage = min(part["power_coverage"] for part in parts_of(report))
    if coverage < FULL_COVERAGE:
        text = f"the meters saw {coverage:.0%} of a segment, where {FULL_COVERAGE:.0%} are asked for"
        return Finding("failed", text)
    flags = sorted({flag for part in parts_of(report) for flag in part["power_flags"] if flag in DOUBTED})
    if flags:
        return Finding("failed", f"{', '.join(flags)}: it is not sure enough to be published")
    seen = f"{figure.value:.6g} J, at least {coverage:.0%} of every segment seen"
    uncertain = max(part.get("energy_uncertainty") or 0.0 for part in parts_of(report))
    if uncertain > UNCERTAIN:
        return Finding("ok", f"{seen}; it may be off by {uncertain:.0%}, and its counter could not be checked")
    return Finding("ok", seen)


RULES = (
    Rule("status", "the run ended well", _status, always=True),
    Rule("task", "it measured something", _task, always=True),
    Rule("origin", "the run itself made the report", _origin),
    Rule("emulated", "it ran on the chip itself", _emulated),
    Rule("scale", "scale=reference", _scale),
    Rule("measure", "a measure for publication, and no laxer than shipped", _measure),
    Rule("open", "an open run is published as open", _open),
    Rule("precision", "what ran is the precision asked for, in every repeat", _precision),
    Rule("weights", "training to a target starts from what the published case starts from", _weights),
    Rule("accuracy", "a served model kept its accuracy and its numerics", _accuracy),
    Rule("steadiness", "warm-up ended steady, in every repeat", _steady),
    Rule("window", "seconds and steps are what the measure asks for", _window),
    Rule("evenness", f"no fifth of the window took {UNEVEN} times as long per step as another", _even),
    Rule("repeats", "all of them are there, and no fewer than the measure has", _repeats),
    Rule("host", f"others took less than {ISOLATED:.0%} of the host's processors", _host),
    Rule("throttling", "the device was not throttled", _throttling),
    Rule("peak", "no figure came out above what the chip can do", _peak),
    Rule("energy", "where energy is claimed, meters saw all of it and no counter contradicts it", _energy),
)
"""Every rule, in the order reports show them."""


def names() -> Iterator[str]:
    """The rules' names."""
    return (rule.name for rule in RULES)
