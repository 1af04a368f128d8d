"""What set-up has left is out of the collector's sight."""

from __future__ import annotations

import gc

from runner.measure.edges import leave_out_of_collections


def test_later_collections_look_at_younger_objects_only() -> None:
    gc.unfreeze()
    alive = [[] for _ in range(1000)]
    try:
        leave_out_of_collections()
        assert gc.get_freeze_count() >= len(alive)
        assert len(gc.get_objects()) < len(alive), "what is frozen is not looked at"
    finally:
        gc.unfreeze()
