"""Every vendor's configuration through the command line: tried out on the host, or refused with what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from command import Ended, run

from runner.tools.supported.evidence import emulated_runs, read_index

pytestmark = pytest.mark.heavy
CONF = Path(__file__).parents[2] / "conf/vendor"
VENDORS = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(CONF.glob("*.yaml"))}
TRAINABLE = {name for name, vendor in VENDORS.items() if "train" in vendor["tasks"] and name != "cpu"}


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """All in one sweep: each case still has a process of its own."""
    return run(
        tmp_path_factory.mktemp("vendors"),
        "-m",
        "vendor=amd,ascend,cambricon,dcu,habana,iluvatar,kunlunxin,metax,mps,mthreads,nvidia,xeon,xpu",
        "model=toy",
        "measure=smoke",
        "scale=tiny",
        "precision=fp32",
        "emulate=true",
    )


def test_every_trainable_vendor_is_tried_out(swept: Ended) -> None:
    assert swept.code == 0, swept.out
    reports = [report for report in swept.found if report["case"]["task"] == "train"]
    assert {report["case"]["vendor"] for report in reports} == TRAINABLE
    assert all(report["status"] == "done" for report in reports)


def test_an_emulated_vendor_claims_nothing_of_its_chip(swept: Ended) -> None:
    for report in swept.found:
        assert report["case"]["emulated"] is True and report["case"]["chip"] is None
        for name in ("compute/mfu", "energy/device_j", "roofline/fraction"):
            assert report["figures"][name]["value"] is None and report["figures"][name]["reason"]


def test_the_committed_index_lists_these_runs(swept: Ended) -> None:
    assert {one.case for one in emulated_runs([swept.root])} <= {one.case for one in read_index().emulated}
