"""Where a run's images lie: on the device when they fit, else in the prepared file, read ahead of the device."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from typing import Literal

import numpy as np
import torch
from torch import Tensor

DEVICE_SHARE = 0.25
"""Most of a device's memory that images may take; the rest is for networks and activations."""

PIECE_BYTES = 2**28
"""Images that are copied to the device at once."""

Placement = Literal["auto", "device", "host"]


def load_onto(images: np.ndarray, index: list[int], device: torch.device, placement: Placement = "auto") -> Images:
    """Images `index` of the uint8 array [N, C, H, W], which may be a memory-mapped file.

    "auto" puts them on the device while they take at most DEVICE_SHARE of its memory: what is free on a GPU, all
    there is on a CPU.
    """
    if placement == "auto":
        size = len(index) * images[:1].nbytes
        placement = "device" if size <= DEVICE_SHARE * _memory(device) else "host"
    return (DeviceImages if placement == "device" else HostImages)(images, index, device)


def upload(array: np.ndarray, device: torch.device) -> Tensor:
    """A small array on the device; the host does not wait for the work queued there, as a pageable copy would."""
    x = torch.from_numpy(array)
    return x.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else x.to(device)


def _memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


class DeviceImages:
    """Images copied to the device once."""

    def __init__(self, images: np.ndarray, index: list[int], device: torch.device) -> None:
        rows = np.asarray(index, dtype=np.int64)
        self.images = torch.empty(len(rows), *images.shape[1:], dtype=torch.uint8, device=device)
        # In pieces, so that the host never holds them all besides.
        piece = max(PIECE_BYTES // images[:1].nbytes, 1)
        for start in range(0, len(rows), piece):
            self.images[start : start + piece] = torch.from_numpy(images[rows[start : start + piece]])
        self.channels = self.images.shape[1]

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows: np.ndarray) -> Tensor:
        """The images `rows` (int64 [N]), uint8 [N, C, H, W] on the device."""
        return self.images[upload(rows, self.images.device)]

    def read_ahead(self, rows: np.ndarray) -> None:
        """Says which rows will be asked for next."""


class HostImages:
    """Images left where they are; a thread gathers the next batch and copies it to the device beside its work."""

    def __init__(self, images: np.ndarray, index: list[int], device: torch.device) -> None:
        self.images, self.index, self.device = images, np.asarray(index, dtype=np.int64), device
        self.channels = images.shape[1]
        self.copies = torch.cuda.Stream(device) if device.type == "cuda" else None
        self.reader = ThreadPoolExecutor(1, "read-ahead")
        self.ahead: tuple[np.ndarray, Future[Tensor]] | None = None

    def __len__(self) -> int:
        return len(self.index)

    def take(self, rows: np.ndarray) -> Tensor:
        """The images `rows` (int64 [N]), uint8 [N, C, H, W] on the device; at once where they were read ahead."""
        if self.ahead is None or not np.array_equal(self.ahead[0], rows):
            self.read_ahead(rows)
        assert self.ahead is not None
        images = self.ahead[1].result()
        self.ahead = None
        if self.copies is not None:
            current = torch.cuda.current_stream(self.device)
            current.wait_stream(self.copies)
            # The memory belongs to the copying stream: it must not be given away before this stream is done with it.
            images.record_stream(current)
        return images

    def read_ahead(self, rows: np.ndarray) -> None:
        """Says which rows will be asked for next."""
        self.ahead = rows, self.reader.submit(self._read, rows)

    def _read(self, rows: np.ndarray) -> Tensor:
        with torch.cuda.stream(self.copies) if self.copies is not None else nullcontext():
            # Page-locked memory, from which the copy runs beside the computation.
            batch = torch.empty(
                len(rows), *self.images.shape[1:], dtype=torch.uint8, pin_memory=self.copies is not None
            )
            # "clip" gathers straight into `out`; the rows are within bounds.
            np.take(self.images, self.index[rows], axis=0, out=batch.numpy(), mode="clip")
            return batch.to(self.device, non_blocking=True)


Images = DeviceImages | HostImages
