"""A manifest is valid for Kubernetes, byte-stable, and starts what it says in as many pods as there are nodes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.manifests.command import main
from runner.manifests.job import KEY
from runner.manifests.places import place_of
from runner.manifests.wanted import LONGEST_NAME

kubernetes_validate = pytest.importorskip("kubernetes_validate")
TWO = ("model=bert", "scale=tiny", "vendor=nvidia", "topology=cluster", "topology.nodes=2", "topology.devices=8")
ONE = ("model=bert", "scale=tiny", "vendor=nvidia", "topology=node", "topology.devices=8")
NAME = "train-bert-tiny-fp32-nvidia-2x8"


def made(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[str, list[dict[str, Any]]]:
    assert main(list(words)) == 0, capsys.readouterr().err
    text = capsys.readouterr().out
    return text, list(yaml.safe_load_all(text))


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) == 2
    answer = capsys.readouterr()
    assert answer.out == ""
    return answer.err


def pod_of(job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = job["spec"]["template"]["spec"]
    return found


# --- the schema -----------------------------------------------------------------------------------------------------

EVERYTHING = (
    *TWO,
    *("data=dataset", "data.root=/data/bert", "--data", "nfs:filer:/export/bert", "--outputs", "pvc:runs/lab/a"),
    *("--namespace", "lab", "--image", "registry.example/touchstone:1", "--pull-secret", "pull", "--shm", "64Gi"),
    *("--cpu", "96", "--memory", "900Gi", "--limit", "rdma/hca=8", "--node-selector", "pool=h100", "--user", "1000"),
    *("--host-network", "--port", "31000", "--secret", "mine"),
)


@pytest.mark.parametrize("version", ["1.29", "1.33", "1.37"])
@pytest.mark.parametrize("words", [TWO, ONE, EVERYTHING], ids=["two", "one", "everything"])
def test_every_document_agrees_with_the_schema_and_has_no_key_that_it_lacks(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], version: str
) -> None:
    _, found = made(capsys, *words)
    assert [one["kind"] for one in found] == (["Job"] if words == ONE else ["Service", "Job"])
    for one in found:
        kubernetes_validate.validate(one, version, strict=True)


def test_the_schema_refuses_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    _, (_, job) = made(capsys, *TWO)
    job["spec"]["backofLimitPerIndex"] = 0
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, "1.33", strict=True)


# --- what the pods are ----------------------------------------------------------------------------------------------


def test_two_nodes_are_two_pods_on_two_machines_that_find_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    text, (service, job) = made(capsys, *TWO)
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert service["spec"]["selector"].items() <= job["spec"]["template"]["metadata"]["labels"].items()
    assert (job["spec"]["completions"], job["spec"]["parallelism"]) == (2, 2)
    pod = pod_of(job)
    assert pod["subdomain"] == service["metadata"]["name"] == NAME
    (term,) = pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["topologyKey"] == "kubernetes.io/hostname"
    assert term["labelSelector"]["matchLabels"].items() <= job["spec"]["template"]["metadata"]["labels"].items()
    (container,) = pod["containers"]
    assert container["resources"] == {"requests": {"nvidia.com/gpu": 8}, "limits": {"nvidia.com/gpu": 8}}
    key = next(one for one in container["env"] if one["name"] == "TOUCHSTONE_CLUSTER_KEY")
    assert key["valueFrom"]["secretKeyRef"] == {"name": f"{NAME}-key", "key": KEY}
    assert f"create secret generic {NAME}-key --from-literal={KEY}=" in text
    assert "NOT RUN HERE" in text.splitlines()[1]


def test_no_pod_is_started_again(capsys: pytest.CaptureFixture[str]) -> None:
    _, (_, job) = made(capsys, *TWO)
    assert job["spec"]["backoffLimitPerIndex"] == 0
    assert pod_of(job)["restartPolicy"] == "Never"
    assert "backoffLimit" not in job["spec"], "a limit of the job would end the head before it has recorded the loss"


def test_shared_memory_is_not_the_64_mib_of_a_container(capsys: pytest.CaptureFixture[str]) -> None:
    for more, size in ((), {}), (("--shm", "64Gi"), {"sizeLimit": "64Gi"}):
        _, (job,) = made(capsys, *ONE, *more)
        volume = next(one for one in pod_of(job)["volumes"] if one["name"] == "shm")
        assert volume["emptyDir"] == {"medium": "Memory", **size}
        assert {"name": "shm", "mountPath": "/dev/shm"} in pod_of(job)["containers"][0]["volumeMounts"]


def test_one_node_needs_no_service_no_key_and_no_node_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    _, (job,) = made(capsys, *ONE)
    assert "subdomain" not in pod_of(job) and "affinity" not in pod_of(job)
    (container,) = pod_of(job)["containers"]
    assert container["command"][2] == (
        "exec python -m runner model=bert scale=tiny vendor=nvidia topology=node topology.devices=8 run.root=/outputs\n"
    )
    assert [one["name"] for one in container["env"]] == ["PYTHONUNBUFFERED"]


def test_everything_that_is_asked_for_stands_where_it_belongs(capsys: pytest.CaptureFixture[str]) -> None:
    _, (service, job) = made(capsys, *EVERYTHING)
    pod = pod_of(job)
    (container,) = pod["containers"]
    assert service["metadata"]["namespace"] == job["metadata"]["namespace"] == "lab"
    assert service["spec"]["ports"][0]["port"] == 31000
    expected = {"cpu": "96", "memory": "900Gi", "rdma/hca": "8", "nvidia.com/gpu": 8}
    assert container["resources"] == {"requests": expected, "limits": expected}
    assert pod["nodeSelector"] == {"pool": "h100"}
    assert pod["hostNetwork"] is True and pod["dnsPolicy"] == "ClusterFirstWithHostNet"
    assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsNonRoot"]) == (1000, True)
    assert pod["imagePullSecrets"] == [{"name": "pull"}]
    assert pod["volumes"][1:] == [
        {"name": "outputs", "persistentVolumeClaim": {"claimName": "runs"}},
        {"name": "data", "nfs": {"server": "filer", "path": "/export/bert"}},
    ]
    assert container["volumeMounts"][1:] == [
        {"name": "outputs", "mountPath": "/outputs", "subPath": "lab/a"},
        {"name": "data", "mountPath": "/data/bert", "readOnly": True},
    ]


@pytest.mark.parametrize(
    ("vendor", "resource"),
    [
        ("amd", "amd.com/gpu"),
        ("ascend", "huawei.com/Ascend910"),
        ("cambricon", "cambricon.com/mlu"),
        ("habana", "habana.ai/gaudi"),
        ("iluvatar", "iluvatar.com/gpu"),
        ("kunlunxin", "kunlunxin.com/xpu"),
        ("metax", "metax-tech.com/gpu"),
        ("mthreads", "mthreads.com/gpu"),
    ],
)
def test_vendors_devices_have_their_plugins_names(
    capsys: pytest.CaptureFixture[str], vendor: str, resource: str
) -> None:
    _, (job,) = made(capsys, "model=bert", f"vendor={vendor}", "topology=node", "topology.devices=4")
    assert pod_of(job)["containers"][0]["resources"]["limits"] == {resource: 4}


def test_the_hosts_processor_is_no_resource_of_a_plugin(capsys: pytest.CaptureFixture[str]) -> None:
    text, (_, job) = made(capsys, "model=bert", "vendor=cpu", "topology=cluster", "topology.devices=64")
    assert "resources" not in pod_of(job)["containers"][0]
    assert "Without --cpu" in text, "more ranks than cores of this machine are no mistake, only a reader must know"
    text, (_, job) = made(capsys, "model=bert", "vendor=cpu", "topology=cluster", "topology.devices=2", "--cpu", "8")
    assert pod_of(job)["containers"][0]["resources"]["limits"] == {"cpu": "8"}
    assert "Without --cpu" not in text


# --- the script -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (
            "0",
            "-m|runner|model=bert|scale=tiny|vendor=nvidia|topology=cluster|topology.nodes=2|topology.devices=8|"
            f"tracking.experiment=a b|run.root=/outputs|launcher=local|launcher.address={NAME}-0.{NAME}:29400|"
            "launcher.wait_s=1800",
        ),
        (
            "1",
            f"-m|runner.node|{NAME}-0.{NAME}:29400|1|--root|/outputs|--wait|1800|--lost|60",
        ),
    ],
)
def test_a_shell_starts_the_head_in_the_first_pod_and_agents_in_the_others(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, index: str, expected: str
) -> None:
    _, (_, job) = made(capsys, *TWO, "tracking.experiment=a b")
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\nIFS="|"\necho "$*"\n')
    python.chmod(0o755)
    shell, dash_c, script = pod_of(job)["containers"][0]["command"]
    ended = subprocess.run(
        [shutil.which(shell) or shell, dash_c, script],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "JOB_COMPLETION_INDEX": index},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.strip() == expected


def test_what_was_given_stands_once(capsys: pytest.CaptureFixture[str]) -> None:
    _, (_, job) = made(capsys, *TWO, "run.root=/results", "launcher.wait_s=60")
    container = pod_of(job)["containers"][0]
    script = container["command"][2]
    assert script.count("run.root=/results") == 1 and "--root /results --wait 60" in script
    assert container["volumeMounts"][1]["mountPath"] == "/results"


def test_the_same_words_give_the_same_bytes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text, _ = made(capsys, *EVERYTHING)
    file = tmp_path / "job.yaml"
    assert main([*EVERYTHING, "--out", str(file)]) == 0
    answer = capsys.readouterr()
    assert file.read_text() == text
    assert answer.out == "" and "NOT RUN HERE" in answer.err


def test_names_fit_and_two_cases_never_share_one(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("model=stable_diffusion", "vendor=kunlunxin", "precision=fp16", "topology=cluster", "topology.devices=128")
    names = set()
    for nodes in (2, 3):
        _, (_, job) = made(capsys, *words, f"topology.nodes={nodes}", "topology.parallel.fsdp=128")
        name = job["metadata"]["name"]
        assert len(name) <= LONGEST_NAME
        names.add(name)
    assert len(names) == 2


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("model=bert", "topology=node", "topology.devices=8"), "Name the vendor"),
        (("model=brt", "vendor=nvidia"), "bert"),
        (("model=bert", "vendor=nvidia", "topology=node"), "topology.devices=8"),
        (("model=bert", "vendor=nvidia", "topology=node", "topology.devices=auto"), "topology.devices=8"),
        ((*TWO, "topology.parallel.fsdp=3"), "does not make the 2 x 8 = 16 ranks"),
        ((*TWO, "launcher=slurm"), "Leave launcher= out"),
        ((*TWO, "launcher.address=here"), "Leave launcher.address= out"),
        ((*TWO, "run.root=outputs"), "run.root=outputs is a folder of the pods"),
        ((*TWO, "precision=int8"), "precision=int8"),
        ((*TWO, "-m"), "a manifest is of one case"),
        ((*TWO, "tracking.uri=https://ann:secret@mlflow.example"), "tracking.uri holds credentials"),
        ((*TWO, "--data", "pvc:data"), "data=dataset data.root=/data"),
        ((*TWO, "data=dataset", "data.root=data", "--data", "pvc:data"), "data.root=data is a folder of the pod"),
        ((*TWO, "--outputs", "runs"), "--outputs runs: this is no place"),
        ((*TWO, "--outputs", "pvc:runs/../../etc"), "this is no place"),
        ((*TWO, "--name", "My_Job"), "--name My_Job"),
        ((*TWO, "--name", "1st"), "--name 1st"),
        ((*TWO, "--name", "a" * 51), "has 51 characters"),
        ((*TWO, "--memory", "64 GB"), "--memory 64 GB"),
        ((*TWO, "--limit", "rdma/hca"), "write --limit NAME=VALUE"),
        ((*TWO, "--resource", "a gpu"), "--resource a gpu"),
        ((*TWO, "--resource", "gpu"), "--resource gpu: this is no name"),
        ((*TWO, "--port", "80"), "--port 80"),
        ((*TWO, "--user", "0"), "--user 0"),
        (("model=bert", "vendor=dcu", "topology=node", "topology.devices=8"), "--resource DOMAIN/NAME"),
        ((*TWO, "--out", "/no/such/folder/job.yaml"), "cannot be written"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_reason(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert said in refused(capsys, *words)


def test_a_device_of_a_vendor_without_a_known_name_can_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("model=bert", "vendor=dcu", "topology=node", "topology.devices=8", "--resource", "hygon.com/dcu")
    _, (job,) = made(capsys, *words)
    assert pod_of(job)["containers"][0]["resources"]["limits"] == {"hygon.com/dcu": 8}


def test_places() -> None:
    assert place_of("--data", "host:/raid").volume("data") == {
        "name": "data",
        "hostPath": {"path": "/raid", "type": "Directory"},
    }
    assert place_of("--data", "pvc:a").mount("data", "/data", read_only=True) == {
        "name": "data",
        "mountPath": "/data",
        "readOnly": True,
    }
