"""Where a node writes: with the head, in a folder of its own that the head sees, or where the head sees nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from case_samples import make_case

from runner.core.errors import ConfigurationError, DataMissingError, StorageError
from runner.core.lock import let_go
from runner.node.workplace import prepare


def _told(head: Path, **changes: Any) -> dict[str, Any]:
    (head / "nodes").mkdir(parents=True, exist_ok=True)
    (head / "nodes" / "token").write_text("t1")
    case = make_case(topology={"name": "cluster", "nodes": 2, "devices": 1})
    return {"case": case.to_dict(), "folder": str(head), "token": "t1", "name": "day_run/.", "nodes": 2, **changes}


def test_the_heads_own_machine_writes_into_its_folder(tmp_path: Path) -> None:
    place = prepare(_told(tmp_path / "run", same_machine=True), 0, tmp_path / "own")
    assert place.folder == place.shared == tmp_path / "run" and place.read_by_head and not place.own


def test_a_further_node_has_a_folder_of_its_own_in_a_shared_one(tmp_path: Path) -> None:
    head = tmp_path / "run"
    place = prepare(_told(head, same_machine=True), 1, tmp_path / "own")
    assert place.folder == head / "nodes" / "1" and place.shared == head
    assert place.visible and place.own and not place.read_by_head
    assert (place.folder / "run.yaml").exists()
    with pytest.raises(StorageError, match="belongs to another agent"):
        prepare(_told(head), 1, tmp_path / "own")
    let_go(place.folder)


@pytest.mark.parametrize("token", ["t2", None])
def test_a_folder_of_the_same_name_that_is_another_ones_is_not_taken_for_the_heads(
    tmp_path: Path, token: str | None
) -> None:
    told = _told(tmp_path / "run")
    if token is None:
        (tmp_path / "run/nodes/token").unlink()
    else:
        told["token"] = token
    place = prepare(told, 0, tmp_path / "own")
    assert place.folder == tmp_path / "own/nodes/day_run/0" and not place.visible and place.shared == place.folder
    let_go(place.folder)
    with pytest.raises(DataMissingError, match="goes on from a checkpoint"):
        prepare({**told, "goes_on": True}, 0, tmp_path / "own")


def test_a_case_of_another_version_is_refused(tmp_path: Path) -> None:
    told = _told(tmp_path / "run")
    told["case"]["topology"]["lanes"] = 4
    with pytest.raises(ConfigurationError, match=r"not valid on this node: .*lanes"):
        prepare(told, 1, tmp_path / "own")
