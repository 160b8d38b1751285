"""Atomic checkpoints: everything a run needs to continue as if it had never stopped.

A file's name holds the images shown and the sha256 of its content, so one rename publishes both, and a truncated
or flipped file is recognised and passed over for the one before it. Two are kept.
"""

from __future__ import annotations

import hashlib
import io
import logging
from pathlib import Path
from typing import Any

import torch

from leangan.core.files import remove_temporaries, write_atomic

logger = logging.getLogger(__name__)

KEPT = 2


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers and containers of them; `cur_nimg` among its keys), then drop all but it and
    the one before it: those after it are damaged, or the run would have continued from them.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = buffer.getvalue()
    name = f"{state['cur_nimg']:012d}-{hashlib.sha256(content).hexdigest()[:16]}.pt"
    write_atomic(folder / name, content)
    files = sorted(folder.glob("*.pt"), reverse=True)
    newest = files.index(folder / name)
    for other in files[:newest] + files[newest + KEPT :]:
        other.unlink()
    remove_temporaries(folder, 0.0)  # of writers that were killed: a run has one at a time


def load_latest(folder: Path, device: torch.device) -> dict[str, Any] | None:
    """The newest state whose content matches its name, or None where there is no such file."""
    for path in sorted(folder.glob("*.pt"), reverse=True):
        try:
            content = path.read_bytes()
        except OSError as error:
            logger.warning("%s cannot be read (%s); trying the one before it", path, error)
            continue
        if path.stem.split("-")[-1] == hashlib.sha256(content).hexdigest()[:16]:
            return torch.load(io.BytesIO(content), map_location=device, weights_only=True)
        logger.warning("%s is damaged (its content does not match its digest); trying the one before it", path)
    return None
