"""No password or token reaches a file, and no name leads out of the output folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from case_samples import make_case
from hydra import compose, initialize_config_module
from pydantic import ValidationError

from runner.config import resolvers
from runner.config.schema import Tracking
from runner.core.errors import ConfigurationError
from runner.core.redact import public_uri, without_secrets
from runner.launch.refused import record_invalid
from runner.tracking import Tracker
from runner.tracking.tracker import Uploader
from runner.worker.environment import variables

REAL = "https://ann:s3cret@mlflow.example:5000/base?token=t0ken"
SHOWN = "https://mlflow.example:5000/base"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        (REAL, SHOWN),
        ("http://host:5000", "http://host:5000"),
        ("postgresql://ann:s3cret@db/mlflow", "postgresql://db/mlflow"),
        ("http://ann:s3/cret@host/x", "http://host/x"),
        ("http://ann:s3#cret@host/x", "http://host/x"),
        ("http://ann:s3?cret@host/x?token=s3cret", "http://host/x"),
        ("http://[s3cret@host", "http://host"),
        ("http://host:5000/a@b", "http://host:5000/a@b"),
        ("sqlite:////tmp/a@b?c.db", "sqlite:////tmp/a@b?c.db"),
        ("databricks", "databricks"),
    ],
)
def test_an_address_is_shown_without_its_credentials(uri: str, shown: str) -> None:
    assert public_uri(uri) == shown


def test_run_yaml_holds_no_credentials_and_the_live_run_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = make_case(tracking={"name": "mlflow", "uri": REAL})
    case.save(tmp_path / "run.yaml")
    text = (tmp_path / "run.yaml").read_text()
    assert "s3cret" not in text and "t0ken" not in text and "ann" not in text
    assert yaml.safe_load(text)["tracking"]["uri"] == SHOWN
    used: list[str | None] = []

    def remember(self: Uploader, folder: Path, *, uri: str | None = None, **_: object) -> None:
        used.append(uri)
        raise OSError

    monkeypatch.setattr(Uploader, "__init__", remember)
    Tracker(tmp_path, Tracking(name="mlflow", uri=REAL))._follow()
    assert used == [REAL]


def test_a_case_that_is_not_valid_is_recorded_without_credentials(tmp_path: Path) -> None:
    values = {"task": {"name": "train"}, "tracking": {"name": "mlflow", "uri": REAL}}
    folder = record_invalid(values, tmp_path / "run", ConfigurationError("a value is not valid"))
    written = [path.read_text() for path in folder.rglob("*") if path.is_file()]
    assert len(written) == 3 and "mlflow.example" in (folder / "run.yaml").read_text()
    assert not any(secret in text for text in written for secret in ("s3cret", "t0ken"))


def test_a_variable_called_like_a_secret_is_not_told_whatever_it_begins_with() -> None:
    secrets = ("TORCH_HUB_TOKEN", "TORCH_API_KEY", "NCCL_SECRET", "MKL_PASSWORD", "OMP_CREDENTIALS", "torch_token")
    values = dict.fromkeys(secrets, "s3cret") | {"TORCH_HOME": "https://ann:s3cret@host/x", "OMP_NUM_THREADS": "2"}
    told = variables(values, ("TORCH_", "NCCL_", "MKL_", "OMP_", "torch_"))
    assert told == {"OMP_NUM_THREADS": "2", "TORCH_HOME": "https://host/x"}
    assert without_secrets({"AUTH": "s3cret"}) == {}


@pytest.mark.parametrize("name", ["../../x", "a/b", ".hidden", "", "a b", "a\nb", "ü", "x;y"])
def test_a_name_that_could_lead_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="may hold only letters"):
        make_case(model={"name": name})


def test_ordinary_names_are_taken() -> None:
    assert make_case(model={"name": "Llama-2_7b.v1"}).model.name == "Llama-2_7b.v1"


def test_the_folder_that_hydra_makes_stays_in_the_output_folder() -> None:
    """It is made before the names are checked."""
    resolvers.register()
    with initialize_config_module("conf", version_base="1.3"):
        config = compose("config", overrides=["vendor=cpu", "model.name=../../x"], return_hydra_config=True)
        assert config.hydra.run.dir.endswith("_train_..-..-x_reference_fp32_cpu")
