"""The section `meters`: what may be asked for beside the vendor's own meters."""

import socket
from pathlib import Path

import pytest
from tracking_samples import make_case

from runner.config.checks import check
from runner.core.errors import ConfigurationError, DependencyError


def test_an_unknown_meter_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no meter is called impi\. Did you mean ipmi\?"):
        check(make_case(tmp_path, "meters.extra=[impi]"))


def test_a_port_in_use_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"meters.prometheus_port={port} cannot be listened on"):
            check(make_case(tmp_path, f"meters.prometheus_port={port}"))


def test_a_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.config.checks.find_spec", lambda name: None)
    with pytest.raises(DependencyError, match=r"touchstone\[prometheus\]"):
        check(make_case(tmp_path, "meters.prometheus_port=9400"))


def test_the_section_does_not_change_what_is_measured(tmp_path: Path) -> None:
    plain, watched = make_case(tmp_path), make_case(tmp_path, "meters.prometheus_port=9400", "meters.extra=[ipmi]")
    assert plain.identity == watched.identity
    assert watched.meters.extra == ("ipmi",)
