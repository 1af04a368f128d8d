"""The views that MLflow's page offers hold what its page reads, fit their tag, and are left alone once changed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runner.record.names import FIGURES
from runner.tracking.page import links, saved_views
from runner.tracking.page.saved_views import CHARTS, COLUMNS, KIND_TAG, TAG, VIEWS, state_of, tags

LONGEST_TAG = 5000
"""MLflow's limit for a tag of an experiment."""


def test_a_new_experiment_gets_its_kind_and_every_view() -> None:
    made = tags({})
    assert made.pop(KIND_TAG) == "custom_model_development"
    assert list(made) == [f"{TAG}{view.id}" for view in VIEWS]
    for view, value in zip(VIEWS, made.values(), strict=True):
        told = json.loads(value)
        assert told["name"] == view.name and told["createdAt"] == told["updatedAt"] > 1.6e12
        assert told["state"].startswith("deflate;") and len(value) < LONGEST_TAG
        assert state_of(value)["searchFilter"] == view.filter


def test_emulated_runs_are_in_no_view_with_measured_ones_but_that_of_all() -> None:
    assert [view.filter for view in VIEWS] == ["tags.emulated = 'false'", "tags.emulated = 'true'", ""]


def test_columns_and_charts_name_figures_that_there_are() -> None:
    figures = [name.removeprefix("metrics.") for name in COLUMNS if name.startswith("metrics.")]
    assert "throughput/steady" in figures and figures[0] == "throughput/steady"
    assert {*figures, *(name for names in CHARTS.values() for name in names)} <= FIGURES.keys()
    state = state_of(tags({})[f"{TAG}touchstone"])
    assert state["selectedColumns"][0] == "metrics.`throughput/steady`"
    assert set(state["selectedColumns"]) < set(state["columnOrder"]) == set(state["columnWidths"])
    first = state["compareRunCharts"][0]
    assert (first["type"], first["metricKey"]) == ("BAR", "throughput/steady")
    sections = {section["uuid"] for section in state["compareRunSections"]}
    assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} == sections
    assert len({chart["uuid"] for chart in state["compareRunCharts"]}) == len(state["compareRunCharts"])


def test_views_that_are_there_are_not_sent_again() -> None:
    assert tags(tags({})) == {}
    assert tags({KIND_TAG: "finetuning"}).get(KIND_TAG) is None


def changed(**values: Any) -> dict[str, str]:
    made = tags({})
    key = f"{TAG}touchstone"
    made[key] = json.dumps(json.loads(made[key]) | values)
    return made


@pytest.mark.parametrize(("values", "sent"), [({"name": "Old name"}, True), ({"name": "Mine", "updatedAt": 1}, False)])
def test_what_an_earlier_version_wrote_is_brought_up_to_date_and_what_a_person_changed_is_kept(
    values: dict[str, Any], sent: bool
) -> None:
    assert (f"{TAG}touchstone" in tags(changed(**values))) is sent


@pytest.mark.parametrize(
    "damaged", ["", "deflate;AAAA", "[]", '{"name": "x"}', '{"name":"x","createdAt":1,"updatedAt":1,"state":"?"}']
)
def test_a_tag_that_cannot_be_read_is_left_alone(damaged: str) -> None:
    assert f"{TAG}touchstone" not in tags({f"{TAG}touchstone": damaged})


def test_cases_of_sweeps_are_not_folded_where_their_figures_are_compared() -> None:
    made = tags({})
    orders = [state_of(made[f"{TAG}{view.id}"])["orderByKey"] for view in VIEWS]
    assert orders == ["attributes.Created", "attributes.Created", "attributes.start_time"]


def test_links_lead_to_the_view() -> None:
    base = "http://h:5000/#/experiments/7/runs"
    view = "?workflowType=machine_learning&viewStateShareKey=touchstone"
    assert links.table_link("http://h:5000/", "7") == f"{base}{view}"
    assert links.charts_link("http://h:5000", "7") == f"{base}{view}&compareRunsMode=CHART"
    assert links.run_link("http://h:5000", "7", "abc") == f"{base}/abc?workflowType=machine_learning"


class Refusing:
    """A server that lets nobody but the owner change an experiment."""

    def get_experiment(self, number: str) -> Any:
        from mlflow.exceptions import MlflowException

        raise MlflowException("Permission denied")


def test_a_refusal_is_no_error() -> None:
    saved_views.offer(Refusing(), "1")
