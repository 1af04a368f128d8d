"""What an error's message must not tell of whoever met it."""

from __future__ import annotations

import pytest

from runner.core.redact import without_names


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("[vm:00463] Local abort before MPI_INIT", "[HOST:00463] Local abort before MPI_INIT"),
        ("vm.example.org: refused; vms and my-vm stay", "HOST.: refused; vms and my-vm stay"),
        ("no file /home/ada/data/x.npz", "no file ~/data/x.npz"),
        ("no file /scratch/ada/x, by ada@vm", "no file /scratch/USER/x, by USER@HOST"),
        ("the machine's adapter is no ada", "the machine's adapter is no ada"),
    ],
)
def test_names_of_host_and_user_are_taken_out(text: str, left: str) -> None:
    found = without_names(text, host="vm", user="ada", home="/home/ada")
    assert found == left.replace("HOST.", "HOST")


def test_names_that_everybody_has_stay() -> None:
    text = "localhost:29500 refused; see /root/.cache"
    assert without_names(text, host="localhost", user="root", home="/root") == text


def test_a_host_that_knows_its_domain_is_taken_out_by_its_first_name() -> None:
    assert without_names("[node7:3] node7.lab.org", host="node7.lab.org", user="", home="") == "[HOST:3] HOST"
