"""Filters as people type them, and as MLflow takes them."""

from __future__ import annotations

import pytest

from runner.core.errors import ConfigurationError
from runner.tracking.found.parse import parse


@pytest.mark.parametrize(
    ("typed", "written"),
    [
        ("", []),
        ("model=bert", ["tags.`model` = 'bert'"]),
        (" model = bert  AND precision != 'bf16' ", ["tags.`model` = 'bert'", "tags.`precision` != 'bf16'"]),
        ("throughput/steady > 100", ["metrics.`throughput/steady` > 100.0"]),
        (
            "throughput/steady>=1e3 and compute/mfu<.5",
            ["metrics.`throughput/steady` >= 1000.0", "metrics.`compute/mfu` < 0.5"],
        ),
        ("run/publishable = yes", ["metrics.`run/publishable` = 1.0"]),
        ("metrics.`quality/top1` >= 0.7", ["metrics.`quality/top1` >= 0.7"]),
        ("tags.touchstone.status = 'done'", ["tags.`touchstone.status` = 'done'"]),
        ("status==failed", ["tags.`touchstone.status` = 'failed'"]),
        ("devices=8 and seed=1", ["params.`topology.devices` = '8'", "params.`seed` = '1'"]),
        ("model.train.batch_size = 64", ["params.`model.train.batch_size` = '64'"]),
        ("chip LIKE '%A100 80%'", ["tags.`chip` LIKE '%A100 80%'"]),
        ("chip ilike a100%", ["tags.`chip` ILIKE 'a100%'"]),
        ("emulated=False", ["tags.`emulated` = 'false'"]),
        ('name = "it\'s"', ['attributes.`run_name` = "it\'s"']),
        ("attributes.run_id = abc", ["attributes.`run_id` = 'abc'"]),
        ("start_time > 1970-01-02T00:00:00+00:00", ["attributes.`start_time` > 86400000.0"]),
        ("reason.energy/per_sample_j like %meter%", ["tags.`reason.energy/per_sample_j` LIKE '%meter%'"]),
        ("data.root = /a/b-c.d", ["params.`data.root` = '/a/b-c.d'"]),
        ("chip = '昆仑芯'", ["tags.`chip` = '昆仑芯'"]),
    ],
)
def test_what_is_typed(typed: str, written: list[str]) -> None:
    assert [condition.mlflow() for condition in parse(typed)] == written


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("vendr=nvidia", "No run has a key vendr. The nearest is vendor."),
        ("throughput = 3", "No run has a key throughput. The nearest is throughput/"),
        ("batchsize=3", "No run has a key batchsize."),
        ("model", "cannot be read from 'model' on"),
        ("model=", "cannot be read from 'model=' on"),
        ("model=bert and", "'and' does not go on with a condition"),
        ("model=bert or model=t5", "'or model=t5' does not go on with a condition. Conditions are joined by and"),
        ("model=bert precision=bf16", "'precision=bf16' does not go on"),
        ("model=bert,t5", "a condition has one value"),
        ("devices > 4", "params are text"),
        ("model < b", "tags are text"),
        ("throughput/steady = fast", "throughput/steady: 'fast' is not a number."),
        ("throughput/steady like 1%", "throughput/steady is a number"),
        ("start_time > yesterday", "'yesterday' is not a date such as"),
        ("model='bert", "cannot be read from"),
    ],
)
def test_what_cannot_be_read_is_said(typed: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(typed)
    assert said in str(caught.value)
