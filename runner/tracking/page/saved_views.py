"""Views of an experiment that MLflow's page offers: which columns, which charts, which runs.

MLflow keeps no view for an experiment by default: its page opens with the columns that the browser remembers. What its
*Views* menu offers are tags of the experiment, `mlflow.sharedViewState.<id>`: a name, two times and the page's state,
deflated and in base64 (MLflow 3.16 and later; older ones ignore them).
"""

from __future__ import annotations

import base64
import json
import time
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from runner.record.names import FIGURES

TAG = "mlflow.sharedViewState."
KIND_TAG, KIND = "mlflow.experimentKind", "custom_model_development"
"""Without it, the page asks whether the experiment is about training or about traces of language models."""
_DEFLATED = "deflate;"
RUNS_SHOWN = 20
"""Of the newest runs, how many the charts show before somebody ticks more."""


@dataclass(kw_only=True, slots=True, frozen=True)
class SavedView:
    """One entry of the *Views* menu."""

    id: str
    name: str
    filter: str


VIEWS = (
    SavedView(id="touchstone", name="Measured runs", filter="tags.emulated = 'false'"),
    SavedView(id="touchstone-emulated", name="EMULATED runs", filter="tags.emulated = 'true'"),
    SavedView(id="touchstone-all", name="All runs", filter=""),
)
COLUMNS = (
    *("metrics.throughput/steady", "metrics.infer/samples_per_second", "metrics.compute/mfu"),
    *("metrics.energy/per_sample_j", "metrics.memory/device_peak_used_gib", "metrics.memory/host_peak_rss_gib"),
    *("tags.quality", "tags.vendor", "tags.chip", "tags.precision", "tags.model", "tags.scale", "tags.task"),
    *("tags.touchstone.status", "params.topology.devices"),
)
_FIRST_COLUMNS = {"attributes.`Run Name`": 340, "runDateAndNestInfo": 130}
"""MLflow's own, which stand first, with their widths."""
_WIDTHS = {"metrics": 150, "tags": 110, "params": 110}
_WIDE = {"tags.quality": 200, "tags.chip": 150, "metrics.infer/samples_per_second": 200}
"""Widths of columns, in pixels; the title of a figure is its name."""
SECTION_COLUMNS, CARD_HEIGHT = 2, 320
CHARTS: Mapping[str, Sequence[str]] = {
    "Throughput, runs of one model and scale": (
        *("throughput/steady", "infer/samples_per_second", "generation/tokens_per_second"),
    ),
    "Efficiency": ("compute/mfu", "energy/per_sample_j", "memory/device_peak_used_gib"),
    "Latency": ("step/p50_ms", "infer/latency_p50_ms", "infer/latency_p99_ms"),
}
CURVES: Mapping[str, Sequence[str]] = {"Over the steps": ("train/loss", "train/samples_per_second")}


def offer(client: Any, experiment_id: str) -> None:
    """Set the tags that are missing or outdated.

    A server that lets nobody but its owner change an experiment refuses; runs are filed all the same.
    """
    from mlflow.exceptions import MlflowException

    with suppress(MlflowException):
        known = client.get_experiment(experiment_id).tags
        for key, value in tags(known).items():
            client.set_experiment_tag(experiment_id, key, value)


def tags(known: Mapping[str, str]) -> dict[str, str]:
    """The tags to be set on an experiment: its kind, and its views.

    Args:
        known: the experiment's tags; a view that somebody changed there is left as it is.
    """
    wanted = {} if KIND_TAG in known else {KIND_TAG: KIND}
    for view in VIEWS:
        before = known.get(TAG + view.id)
        if before is None or _is_outdated(before, view):
            wanted[TAG + view.id] = _envelope(view)
    return wanted


def _is_outdated(tag: str, view: SavedView) -> bool:
    """Whether an earlier version of this module wrote the tag, and nobody changed it since."""
    try:
        found = json.loads(tag)
        return found["updatedAt"] == found["createdAt"] and (found["name"], state_of(tag)) != (view.name, state(view))
    except (ValueError, KeyError, TypeError, zlib.error):
        return False


def state_of(tag: str) -> dict[str, Any]:
    """The page's state that a tag holds.

    Raises:
        ValueError: it holds none.
    """
    packed = str(json.loads(tag)["state"])
    found: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(packed.removeprefix(_DEFLATED))))
    return found


def _envelope(view: SavedView) -> str:
    now_ms = int(time.time() * 1000)
    packed = base64.b64encode(zlib.compress(json.dumps(state(view)).encode(), 9)).decode()
    return json.dumps({"name": view.name, "createdAt": now_ms, "updatedAt": now_ms, "state": _DEFLATED + packed})


def state(view: SavedView) -> dict[str, Any]:
    """The page's state: which runs, in which order, which columns and charts.

    Both orders are the same. Under the name `start_time`, MLflow's page folds the cases of a sweep under its run, which
    has no figures: its charts would be empty. Under the other name of it, it shows every case.
    """
    columns = [_column(name) for name in COLUMNS]
    widths = {_column(name): _WIDE.get(name, _WIDTHS[name.partition(".")[0]]) for name in COLUMNS}
    charts = [_bar(figure, section) for section, figures in CHARTS.items() for figure in figures]
    charts += [_line(metric, section) for section, metrics in CURVES.items() for metric in metrics]
    return {
        "searchFilter": view.filter,
        "orderByKey": "attributes.Created" if view.filter else "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "columnOrder": [*_FIRST_COLUMNS, *columns],
        "columnWidths": _FIRST_COLUMNS | widths,
        "runsHiddenMode": "FIRST_20_RUNS",
        "hideEmptyCharts": True,
        "compareRunCharts": charts,
        "compareRunSections": [_section(name) for name in (*CHARTS, *CURVES)],
        "isAccordionReordered": True,
    }


def _column(name: str) -> str:
    kind, _, key = name.partition(".")
    return f"{kind}.`{key}`"


def _section(name: str) -> dict[str, Any]:
    shown = {"display": True, "isReordered": True, "deleted": False, "isGenerated": False}
    return {"uuid": name, "name": name, "columns": SECTION_COLUMNS, "cardHeight": CARD_HEIGHT, **shown}


def _chart(kind: str, metric: str, section: str) -> dict[str, Any]:
    shown = {"runsCountToCompare": RUNS_SHOWN, "deleted": False, "isGenerated": False}
    return {"uuid": f"{kind} {metric}", "type": kind, "metricSectionId": section, "metricKey": metric, **shown}


def _bar(figure: str, section: str) -> dict[str, Any]:
    """A bar for each run, with the figure's title and unit above."""
    meant = FIGURES[figure]
    unit = meant.unit.format(unit="samples")
    better = f", {meant.better} is better" if meant.better else ""
    title = f"{meant.title}{'' if unit == '1' else f' ({unit})'}{better}"
    return _chart("BAR", figure, section) | {"displayName": title}


def _line(metric: str, section: str) -> dict[str, Any]:
    axes = {"xAxisKey": "step", "yAxisKey": "metric", "xAxisScaleType": "linear", "scaleType": "linear", "range": {}}
    return _chart("LINE", metric, section) | {"selectedMetricKeys": [metric], "lineSmoothness": 0, **axes}
