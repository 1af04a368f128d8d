"""Imported once by the server that a sweep's workers are forked from. Touches no device and starts no threads."""

import os

from runner.measure.context import AUTOLOAD_VARIABLE

os.environ[AUTOLOAD_VARIABLE] = "0"

import pytorch_lightning  # noqa: F401
import torchmetrics  # noqa: F401
import torchvision  # noqa: F401
import transformers  # noqa: F401

import runner.frameworks.implementations
import runner.frameworks.lightning.convergence
import runner.frameworks.lightning.module
import runner.frameworks.lightning.throughput
import runner.frameworks.lightning.trainer
import runner.frameworks.loaders
import runner.worker.main  # noqa: F401
