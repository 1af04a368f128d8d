"""A meter that is a declaration: how its tool is called, in which form it answers, and what the names in it mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from hardware.meters.frame.figures import Fields, Layout
from hardware.meters.frame.forms import Form
from hardware.meters.frame.row import SmiRow
from hardware.meters.frame.smi import SmiMeter


class DeclaredMeter(SmiMeter):
    """Reads each device by the names that `layout` gives; docs/adding.md has an example."""

    forms: ClassVar[tuple[Form, ...]]
    """In which the tool may answer, by version; the first that has rows counts."""
    layout: ClassVar[Layout]

    def fields(self, outputs: Sequence[str]) -> list[Fields]:
        """The fields of each device."""
        return next((rows for form in self.forms if (rows := form.rows(outputs[0]))), [])

    def parse(self, outputs: Sequence[str]) -> list[SmiRow]:
        """One row per device."""
        return [self.layout.row(fields) for fields in self.fields(outputs)]
