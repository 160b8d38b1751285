"""Where the weights of the Inception network of 2015-12-05 come from, and proof that they are the ones.

FID, KID and IS are defined by this one network, ported from TensorFlow by torch-fidelity. Its file is
read with pickle, so its digest is checked first.
"""

from __future__ import annotations

import http.client
import os
import shutil
import urllib.request
from pathlib import Path

import torch
from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

from suite.errors import ConfigError
from suite.files import sha256

FILE_NAME = URL_INCEPTION_V3.rsplit("/", 1)[1]

SHA256_PREFIX = "6726825d"
"""First digits of the digest, which the file's published name carries."""

TIMEOUT_S = 20


class WeightsError(ConfigError):
    """The weights of an extractor are missing or are not the published ones."""


def find_weights(path: str | Path | None = None, sha256: str | None = None) -> tuple[Path, str]:
    """The Inception weights and their SHA-256: `path` if given, else torch's cache folder, else a download.

    `sha256` is the digest expected in place of the published one. Raises WeightsError.
    """
    if path is not None:
        path = Path(path)
        if not path.is_file():
            raise WeightsError(f"no file {path}; set inception_weights to where {FILE_NAME} lies")
    else:
        path = Path(torch.hub.get_dir()) / "checkpoints" / FILE_NAME
        if not path.is_file():
            _download(path)
    return path, check_digest(path, sha256 or SHA256_PREFIX, "inception_weights")


def check_digest(path: Path, expected: str, key: str) -> str:
    """The SHA-256 of a file; WeightsError unless it begins with `expected`. `key` is where to change it."""
    digest = sha256(path)
    if not digest.startswith(expected.lower()):
        raise WeightsError(
            f"{path} has SHA-256 {digest[:8]}..., expected {expected[:8]}...; not loaded: delete it or change {key}"
        )
    return digest


def _download(path: Path) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Of torch's and urllib's downloads only this one gives up on a silent connection.
        with urllib.request.urlopen(URL_INCEPTION_V3, timeout=TIMEOUT_S) as source:
            with temporary.open("wb") as file:
                shutil.copyfileobj(source, file)
        check_digest(temporary, SHA256_PREFIX, "the network's proxy settings")
        os.replace(temporary, path)
    except (OSError, http.client.HTTPException) as error:
        raise WeightsError(
            f"Inception weights not found and not downloaded ({error}); put {FILE_NAME} (96 MB) into"
            f" {path.parent} or set inception_weights in config/config.yaml to where it lies"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
