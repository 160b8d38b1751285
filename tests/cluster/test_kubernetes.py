"""The workflow as Kubernetes jobs over an S3 server: what the jobs ask for, and that they need nothing but that.

There is no cluster: pods are processes in empty folders (pretend_kubernetes.py). The S3 server is moto's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import yaml

from tests.helpers.cluster_project import CONFIG, ROOT

pytestmark = pytest.mark.long


@pytest.fixture
def client():
    """The Kubernetes client's models."""
    pytest.importorskip("snakemake_executor_plugin_kubernetes", reason="no plugin: pip install -e .[kubernetes]")
    return pytest.importorskip("kubernetes.client")


def test_the_workflow_runs_in_pods_that_share_a_bucket_and_a_volume(client, new_project, tmp_path, server):
    project, image = new_project(), new_project()
    pods, volume = tmp_path / "pods", tmp_path / "volume"
    command = [sys.executable, ROOT / "tests/helpers/pretend_kubernetes.py", pods]
    command += ["--workflow-profile", "profiles/kubernetes", "--container-image", "registry/leangan"]
    command += ["--default-storage-prefix", "s3://lab/leangan", "--storage-s3-endpoint-url", server]
    command += ["--local-storage-prefix", volume, "--remote-job-local-storage-prefix", volume]
    command += ["--kubernetes-persistent-volumes", f"leangan:{volume}", "--seconds-between-status-checks", "1"]
    command += ["--precommand", f"cp -r {image.folder}/. ."]
    command += ["--set-resources", "train:gpu=1", "--retries", "0", *CONFIG]
    keys = {"SNAKEMAKE_STORAGE_S3_ACCESS_KEY": "someone", "SNAKEMAKE_STORAGE_S3_SECRET_KEY": "secret"}
    done = subprocess.run(
        list(map(str, command)),
        cwd=project.folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", **keys},
        capture_output=True,
        text=True,
    )
    logs = "".join(log.read_text() for log in pods.glob("*.log"))
    assert done.returncode == 0, done.stdout + done.stderr + logs

    jobs = [json.loads(file.read_text()) for file in pods.glob("*.json")]
    assert len(jobs) == 4, "data, reference, training, measuring"
    for job in jobs:
        pod = job["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert pod["restartPolicy"] == "Never" and container["image"] == "registry/leangan"
        assert {"name": "leangan", "mountPath": str(volume)} in container["volumeMounts"]
        assert {"name": "leangan", "persistentVolumeClaim": {"claimName": "leangan"}} in pod["volumes"]
        assert "secret" not in json.dumps(container["args"]), "keys come from the cluster's secret"
    (training,) = (job for job in jobs if "train:" in str(job))
    asked = training["spec"]["template"]["spec"]["containers"][0]["resources"]
    assert asked["limits"]["nvidia.com/gpu"] == asked["requests"]["nvidia.com/gpu"] == "1"
    assert asked["limits"]["memory"] == "4000M"

    import boto3

    # The bucket holds what rules declare, the volume beside it what they do not; the project's folder got neither.
    s3 = boto3.client(
        "s3", endpoint_url=server, aws_access_key_id="someone", aws_secret_access_key="secret", region_name="us-east-1"
    )
    stored = {item["Key"] for item in s3.list_objects_v2(Bucket="lab")["Contents"]}
    assert "leangan/results/smoke/page/index.html" in stored and "leangan/resources/data/procedural-16.npy" in stored
    assert any(key.endswith("proxy.jsonl") for key in stored) and not any("ckpt" in key for key in stored)
    assert len(list(volume.rglob("snapshots/*.safetensors"))) == 2 and list(volume.rglob("ckpt/*.pt"))
    assert not (project.folder / "results/smoke/rows").exists() and not (project.folder / "resources/data").exists()


def test_the_objects_of_the_guide_fit_the_clients_models(client):
    """profiles/kubernetes/cluster.yaml: volume, rights of the controller, the pod that runs Snakemake."""
    objects = list(yaml.safe_load_all((ROOT / "profiles/kubernetes/cluster.yaml").read_text()))
    profile = yaml.safe_load((ROOT / "profiles/kubernetes/config.yaml").read_text())
    for each in objects:
        answer = SimpleNamespace(data=json.dumps(each))
        parsed = client.ApiClient().deserialize(answer, f"V1{each['kind']}")
        written = client.ApiClient().sanitize_for_serialization(parsed)
        assert written == each, f"{each['kind']} has keys that Kubernetes does not know"
    kinds = {each["kind"]: each for each in objects}
    claim, path = profile["kubernetes-persistent-volumes"][0].split(":")
    assert kinds["PersistentVolumeClaim"]["metadata"]["name"] == claim
    (container,) = kinds["Job"]["spec"]["template"]["spec"]["containers"]
    assert {"name": "work", "mountPath": path} in container["volumeMounts"]
    assert path == profile["local-storage-prefix"] == profile["remote-job-local-storage-prefix"]
