"""A gate's result as JUnit XML, which CI servers show: a test suite per case, a test case per figure."""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from runner.comparison.gate.finding import GateCase, GateResult
from runner.views.page import clean

ROOT = "touchstone gate"
"""By this name of the root a file is known as one of ours."""


def to_junit(result: GateResult, *, strict: bool = False) -> str:
    """An XML document.

    Args:
        result: what was found.
        strict: an undecided figure is a failure; else it is skipped, with its reason.
    """
    fails, skips = result.count("fail") + strict * result.count("undecided"), result.count("undecided") * (not strict)
    tests = sum(len(case.findings) for case in result.cases)
    root = Element("testsuites", name=ROOT, tests=str(tests), failures=str(fails), skipped=str(skips), errors="0")
    for case in result.cases:
        _add_suite(root, case, strict=strict)
    indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(root, encoding="unicode")}\n'


def _add_suite(root: Element, case: GateCase, *, strict: bool) -> None:
    outcomes = [one.outcome for one in case.findings]
    fails = outcomes.count("fail") + strict * outcomes.count("undecided")
    skips = outcomes.count("undecided") * (not strict)
    suite = SubElement(
        root,
        "testsuite",
        name=_plain(case.title),
        tests=str(len(outcomes)),
        failures=str(fails),
        skipped=str(skips),
        errors="0",
    )
    for one in case.findings:
        test = SubElement(suite, "testcase", classname=_plain(case.title), name=_plain(one.figure), time="0")
        text = _plain(one.sentence)
        if one.outcome == "fail" or (strict and one.outcome == "undecided"):
            SubElement(test, "failure", message=text, type=one.outcome).text = text
        elif one.outcome == "undecided":
            SubElement(test, "skipped", message=text)
        SubElement(test, "system-out").text = text
    if case.warnings:
        SubElement(suite, "system-out").text = _plain("\n".join(case.warnings))


def _plain(text: str) -> str:
    """Without control characters, which XML cannot hold."""
    return clean(text)
