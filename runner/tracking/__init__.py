"""MLflow tracking: a pure function of a run folder and a cursor, run beside the measurement, never inside it.

What is filed comes from the folder alone (events, report, files), so a run whose server was down, or whose process was
killed, is filed later with the same result by `python -m runner.sync`. MLflow is imported inside functions: it takes
seconds, and the parent process must not pay for it before the worker runs.
"""

from runner.core.owner import parent_state, write_parent
from runner.tracking.sweep import declare_sweep
from runner.tracking.tracker import Tracker, close_sweep
from runner.tracking.uploader import Uploader

__all__ = ["Tracker", "Uploader", "close_sweep", "declare_sweep", "parent_state", "write_parent"]
