"""What all plots are drawn with: colours, axes, and how a picture is saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

BLUE, ORANGE, GREEN, RED, GREY = "#1f5fa8", "#d9731a", "#3a8f5c", "#b3312c", "#8a8f98"
LINES = (BLUE, ORANGE, GREEN, "#7a4fa3", "#8c6239", "#2a9aa8", RED, GREY)
SIZE_INCHES = (8.0, 4.5)
DPI = 130


def axes_of(rows: int = 1, columns: int = 1, *, share_x: bool = False) -> tuple[Any, Any]:
    """A figure and its axes: one, or a grid. No pyplot: it keeps global state and wants the main thread."""
    from matplotlib.figure import Figure

    width, height = SIZE_INCHES
    figure = Figure(figsize=(width, height if rows == 1 else 3 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharey="row", sharex=share_x)
    for axes in grid.flat:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#e3e5e8", linewidth=0.7)
        axes.set_axisbelow(True)
    return figure, grid[0][0] if rows == columns == 1 else grid


def save(figure: Any, path: Path, title: str, *, emulated: bool) -> Path:
    """Write a PNG under its title; what was emulated says so across the picture."""
    figure.suptitle(title, fontsize=11, fontweight="bold")
    if emulated:
        style = {"fontsize": 64, "fontweight": "bold", "color": RED, "alpha": 0.18, "rotation": 25}
        figure.text(0.5, 0.5, "EMULATED", ha="center", va="center", **style)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=DPI)
    return path
