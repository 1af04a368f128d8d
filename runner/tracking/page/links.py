"""Addresses inside MLflow's page."""

from __future__ import annotations

from urllib.parse import quote

from runner.tracking.page.saved_views import VIEWS

_TRAINING = "workflowType=machine_learning"
"""Otherwise MLflow shows its menus for traces of language models."""


def charts_link(server: str, experiment_id: str) -> str:
    """The experiment's runs, with throughput as bars."""
    return f"{table_link(server, experiment_id)}&compareRunsMode=CHART"


def table_link(server: str, experiment_id: str) -> str:
    """The experiment's runs, with the figures that matter as columns."""
    key = quote(VIEWS[0].id)
    return f"{_experiment(server, experiment_id)}?{_TRAINING}&viewStateShareKey={key}"


def run_link(server: str, experiment_id: str, run_id: str) -> str:
    """One run's page."""
    return f"{_experiment(server, experiment_id)}/{quote(run_id)}?{_TRAINING}"


def _experiment(server: str, experiment_id: str) -> str:
    return f"{server.rstrip('/')}/#/experiments/{quote(experiment_id)}/runs"
