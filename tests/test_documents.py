"""Schemas and pages that are generated from the types in the code are what these types say."""

from __future__ import annotations

import subprocess
import sys

import yaml
from jsonschema import Draft202012Validator

from leangan.core.project import ROOT


def test_generated_files_are_what_the_types_say():
    command = [sys.executable, "workflow/documents.py", "--check"]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr


def test_every_schema_is_one():
    paths = sorted((ROOT / "workflow" / "schemas").glob("*.schema.yaml"))
    assert paths
    for path in paths:
        Draft202012Validator.check_schema(yaml.safe_load(path.read_text()))
