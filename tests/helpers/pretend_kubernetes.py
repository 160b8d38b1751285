"""Snakemake with a Kubernetes that runs pods as processes: `python pretend_kubernetes.py FOLDER <snakemake's options>`.

Only the client's calls to the API server are replaced. Every job is checked as the server would (it fits the client's
model, what it mounts exists, extended resources are limited) and kept as FOLDER/<name>.json; its container's
command runs in an empty working directory, with its environment from the secret.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from kubernetes import client

SNAKEMAKE = Path(sys.executable).parent


class Server:
    """The API calls that the executor plugin makes, and the pods they start."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.secrets: dict[str, dict[str, str]] = {}
        self.pods: dict[str, subprocess.Popen] = {}
        # The image has every plugin; what pip would do there needs a package index.
        (folder / "bin").mkdir(parents=True)
        (folder / "bin/pip").write_text("#!/bin/sh\n")
        (folder / "bin/pip").chmod(0o755)

    def create_secret(self, _, namespace: str, secret: client.V1Secret) -> None:
        self.secrets[secret.metadata.name] = secret.data

    def create_job(self, _, namespace: str, body: client.V1Job) -> client.V1Job:
        content = json.dumps(client.ApiClient().sanitize_for_serialization(body))
        job = client.ApiClient().deserialize(SimpleNamespace(data=content), "V1Job")
        pod = job.spec.template.spec
        (container,) = pod.containers
        assert {mount.name for mount in container.volume_mounts} <= {volume.name for volume in pod.volumes}
        for resource, amount in container.resources.requests.items():
            if "/" in resource:
                assert container.resources.limits[resource] == amount, f"{resource} is not limited"
        (self.folder / f"{job.metadata.name}.json").write_text(content)
        environment = {"PATH": f"{self.folder}/bin:{SNAKEMAKE}:/usr/bin:/bin"}
        for variable in container.env:
            key = variable.value_from.secret_key_ref
            environment[variable.name] = base64.b64decode(self.secrets[key.name][key.key]).decode()
        with open(self.folder / f"{job.metadata.name}.log", "w") as log:
            self.pods[job.metadata.name] = subprocess.Popen(
                [*container.command, *container.args],
                cwd=tempfile.mkdtemp(dir=self.folder),
                env={**environment, "HOME": str(self.folder), "OMP_NUM_THREADS": "1"},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return job

    def read_job(self, _, name: str, namespace: str) -> client.V1Job:
        code = self.pods[name].poll()
        status = client.V1JobStatus(succeeded=int(code == 0), failed=int(code not in (0, None)))
        return client.V1Job(status=status)

    def patches(self) -> list:
        core = {
            "create_namespaced_secret": self.create_secret,
            "delete_namespaced_secret": mock.Mock(),
            "list_namespaced_pod": lambda _, **selector: client.V1PodList(items=[]),
        }
        batch = {
            "create_namespaced_job": self.create_job,
            "read_namespaced_job_status": self.read_job,
            "delete_namespaced_job": mock.Mock(),
        }

        def method(call):
            return lambda *given, **named: call(*given, **named)

        return [
            mock.patch("kubernetes.config.load_kube_config"),
            mock.patch.multiple(client.CoreV1Api, **{name: method(call) for name, call in core.items()}),
            mock.patch.multiple(client.BatchV1Api, **{name: method(call) for name, call in batch.items()}),
        ]


if __name__ == "__main__":
    server = Server(Path(sys.argv[1]))
    for patch in server.patches():
        patch.start()
    from snakemake.cli import main

    main(sys.argv[2:])
