"""Fixtures that tests of several folders share; fakes and samples lie in tests/support."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator

# Two test processes on two cores: with a thread each they do not wait for one another. Before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

SAMPLES = "TOUCHSTONE_TEST_SAMPLES"
"""Environment variable: where prepared samples are kept for as long as the tests run, for all their processes."""
OWN = SAMPLES not in os.environ
if OWN:
    os.environ[SAMPLES] = tempfile.mkdtemp(prefix="touchstone-tests-")


def pytest_unconfigure() -> None:
    """Remove the samples: the process that made their folder is the last to end."""
    if OWN:
        shutil.rmtree(os.environ[SAMPLES], ignore_errors=True)


@pytest.fixture(autouse=True)
def loggers_are_heard() -> None:
    """What a library switched off in another test, as OpenVINO's converter does with all handlers when it fails."""
    logging.disable(logging.NOTSET)
    logging.root.setLevel(logging.WARNING)
    for handler in logging.root.handlers:
        handler.setLevel(logging.NOTSET)
    for name, logger in logging.root.manager.loggerDict.items():
        if isinstance(logger, logging.Logger) and name.startswith(("hardware", "models", "runner")):
            logger.disabled, logger.propagate = False, True


@pytest.fixture
def hydra() -> Iterator[None]:
    """Hydra ready to compose cases from conf/, as in the parent."""
    from hydra import initialize_config_module

    from runner.config import resolvers

    resolvers.register()
    with initialize_config_module("conf", version_base="1.3"):
        yield
