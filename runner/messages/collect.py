"""Every message of the source: what a catalogue must have.

A message is what `tr` is given (a literal, or the texts of a constant: `tr(TITLE)`, `tr(_HEADS[name])`), a figure's
title (`define(name, title, …)`), what a rule of publication asks (`Rule(name, asks, …)`) and its name, and the values
of the enumerations `SPOKEN`.

A recorded sentence is, in the packages that write what reports hold (`RECORDING`), any text in the place of a reason
(`REASONS`), and any other literal, f-string or sum of them that reads as a sentence: three words or more, two of them
plain, or the beginning of one (`Repeat {}: {}`); not docstrings, patterns, programs, log lines, help of options and
`NO_SENTENCES`. So is `install:` of each vendor's YAML, and `COMPOSED`. What an f-string fills in becomes `{}`; a choice
between literals inside it yields a sentence for each.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from runner.messages.catalogue import RECORDED
from runner.messages.source import Source

RECORDING = (
    *(f"runner/{name}" for name in ("config", "core", "frameworks", "launch", "measure", "record", "results")),
    *("runner/serving", "runner/tasks", "runner/worker", "runner/exchange", "hardware", "models"),
    *(f"runner/tracking/{name}.py" for name in ("cursor", "local", "store", "tracker")),
    *("runner/commandline/explain.py", "runner/commandline/mistakes.py", "runner/peaks/result.py"),
)
"""Packages whose sentences end up in reports: as the reason of a null, a warning, a rule's finding, or an error."""
COMPOSED = {
    f"{{}} must be {bound} {{}}{given}": "runner/commandline/explain.py"
    for bound in ("at least", "at most", "more than", "less than")
    for given in ("", " (given: {})")
}
"""Sentences that the source puts together out of parts, and where."""
FILLED_IN = {
    **dict.fromkeys(("step", "request", "requests", "{} steps"), "runner/results/speed.py"),
    **dict.fromkeys(("device", "package", "node"), "hardware/sampling/trace.py"),
    **dict.fromkeys(("failed", "killed"), "runner/results/publication/rules.py"),
}
"""Words that are filled into sentences, where no name has them: those of figures, keys and files stay as they are."""
Found = dict[tuple[str, str], list[str]]
"""By (context, text): the files that have it, in order."""


def collect(root: Path) -> tuple[Found, list[str]]:
    """All messages of the source below `root`, and the `tr(…)` whose messages cannot be found, as `file:line: code`."""
    import yaml

    found: Found = defaultdict(list)
    unknown: list[str] = []
    for path in sorted(path for package in ("runner", "hardware", "models") for path in (root / package).rglob("*.py")):
        name = path.relative_to(root).as_posix()
        if name.startswith("runner/messages/"):
            continue
        module = Source(path, root, recording=_is_below(name, RECORDING))
        for key in module.messages():
            if name not in found[key]:
                found[key].append(name)
        unknown += [f"{name}:{line}: {code}" for line, code in module.unknown]
    for leaf in sorted((root / "conf" / "vendor").glob("*.yaml")):
        found[RECORDED, yaml.safe_load(leaf.read_text())["install"]].append(leaf.relative_to(root).as_posix())
    for text, name in (COMPOSED | FILLED_IN).items():
        found[RECORDED, text].append(name)
    return dict(found), unknown


def _is_below(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == one or name.startswith(f"{one}/") for one in packages)
