"""Fixtures that tests of several folders share; fakes and samples lie in tests/support."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture
def hydra() -> Iterator[None]:
    """Hydra ready to compose cases from conf/, as in the parent."""
    from hydra import initialize_config_module

    from runner.config import resolvers

    resolvers.register()
    with initialize_config_module("conf", version_base="1.3"):
        yield
