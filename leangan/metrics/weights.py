"""Where the weights of the Inception network of 2015-12-05 come from, and proof that they are the ones.

FID, KID and IS are defined by this one network. torch-fidelity has ported it from TensorFlow; clean-fid uses the
TorchScript file of arXiv:2006.06676. Reading either file can execute what is in it, so its digest is checked first.
"""

from __future__ import annotations

import http.client
import os
import shutil
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import torch
from cleanfid.downloads_helper import inception_url
from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

from leangan.core.weights import WeightsError, check_digest

TIMEOUT_S = 20


@dataclass(frozen=True)
class WeightsFile:
    """A published file: its address and the first digits of its SHA-256, `also_in` a folder where it may lie."""

    url: str
    sha256: str
    also_in: str | None = None

    @property
    def name(self) -> str:
        return self.url.rsplit("/", 1)[1]


FIDELITY = WeightsFile(URL_INCEPTION_V3, "6726825d")
"""The file's published name carries these digits."""

CLEAN = WeightsFile(
    inception_url, "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4", tempfile.gettempdir()
)
"""Digest as k-diffusion, among others, checks it; clean-fid leaves the file in the folder for temporary files."""


def find_weights(file: WeightsFile, path: str | Path | None = None, sha256: str | None = None) -> tuple[Path, str]:
    """`file` on this machine and its SHA-256: `path` or, where that is a folder, in it; without a path in torch's
    cache folder, else a download.

    `sha256` is the digest expected in place of the published one. Raises WeightsError.
    """
    if path is not None:
        path = Path(path)
        path = path / file.name if path.is_dir() else path
        if not path.is_file():
            raise WeightsError(f"no file {path}; set inception_weights to where {file.name} lies")
    else:
        cache = Path(torch.hub.get_dir()) / "checkpoints" / file.name
        places = [cache, *([Path(file.also_in) / file.name] if file.also_in else [])]
        path = next((place for place in places if os.path.isfile(place)), cache)  # False where it may not look
        if not os.path.isfile(path):
            _download(file, path)
    return path, check_digest(path, sha256 or file.sha256, "inception_weights")


def _download(file: WeightsFile, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WeightsError(
            f"torch's cache folder {path.parent} cannot be made ({error.strerror}): set TORCH_HOME to one that can be "
            f"written, or inception_weights in config/config.yaml to where {file.name} lies"
        ) from error
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        # Of torch's and urllib's downloads only this one gives up on a silent connection.
        with urllib.request.urlopen(file.url, timeout=TIMEOUT_S) as source, temporary.open("wb") as target:
            shutil.copyfileobj(source, target)
        check_digest(temporary, file.sha256, "the network's proxy settings")
        os.replace(temporary, path)
    except (OSError, http.client.HTTPException) as error:
        raise WeightsError(
            f"Inception weights not found and not downloaded ({error}); put {file.name} (96 MB) into"
            f" {path.parent} or set inception_weights in config/config.yaml to where it lies"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
