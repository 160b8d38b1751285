"""A project of one small run, and an S3 server."""

from __future__ import annotations

from urllib.request import Request, urlopen

import pytest

from tests.helpers.cluster_project import Project


@pytest.fixture
def new_project(tmp_path_factory):
    """A function () -> Project."""
    return lambda: Project(tmp_path_factory.mktemp("project") / "leangan")


@pytest.fixture
def server():
    """The address of an empty S3 server; skipped where there is none, or no plugin to use it."""
    moto = pytest.importorskip("moto.server", reason="no S3 server: pip install 'moto[s3]' flask flask-cors")
    pytest.importorskip("snakemake_storage_plugin_s3", reason="no S3 plugin: pip install -e .[s3]")
    process = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    process.start()
    address = "http://{}:{}".format(*process.get_host_and_port())
    # What it holds is kept by this process, from one server to the next.
    urlopen(Request(f"{address}/moto-api/reset", method="POST")).close()
    yield address
    process.stop()
