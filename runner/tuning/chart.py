"""Throughput against batch size, as a picture."""

from __future__ import annotations

from runner.messages import tr
from runner.tuning.trials import Found
from runner.views.charts.parts.chart import BLUE, GREEN, VERMILION, Chart, Row, data, finished
from runner.views.charts.parts.layers import Key


def throughput_by_batch(found: Found, title: str) -> Chart | None:
    """Every trial as a point, the best one marked, those without memory at the bottom; None where nothing was measured.

    Args:
        found: the search.
        title: of the figure.
    """
    import altair

    best = found.best_trial()
    if best is None:
        return None
    names = {"measured": tr("measured"), "best": tr("best"), "no": tr("did not fit, or failed")}
    rows: list[Row] = []
    for trial in sorted(found.trials, key=lambda one: one.batch_size):
        kind = "no" if trial.value is None or trial.state != "done" else "best" if trial is best else "measured"
        value = trial.value if kind != "no" else 0.0
        rows.append({"x": trial.batch_size, "value": value, "series": names[kind]})
    colors = {names["measured"]: BLUE, names["best"]: GREEN, names["no"]: VERMILION}
    key = Key({name: color for name, color in colors.items() if any(row["series"] == name for row in rows)})
    x = altair.X("x:Q", title=tr("Batch size of one device"), scale=altair.Scale(type="log", base=2, nice=False))
    y = altair.Y("value:Q", title=f"{tr(title)} ({found.unit})", scale=altair.Scale(zero=True))
    measured = [row for row in rows if row["series"] != names["no"]]
    layers = [
        altair.Chart(data(measured)).mark_line(strokeWidth=1.6, color=BLUE).encode(x=x, y=y),
        altair.Chart(data(rows))
        .mark_point(size=70, filled=True, opacity=1)
        .encode(x=x, y=y, color=key.color(), shape=key.shape()),
    ]
    note = tr("One run each, unless measure.repeats says more; what did not fit stands at 0 and was not measured.")
    return finished("throughput_by_batch", tr("Throughput by batch size"), layers, note=note)
