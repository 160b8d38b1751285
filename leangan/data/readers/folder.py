"""A folder of images: flat, one sub-folder per class, or with a dataset.json."""

from __future__ import annotations

import os
from pathlib import Path

from PIL import Image

from leangan.data.contracts import DatasetError
from leangan.data.fingerprint import stamp
from leangan.data.forms import Form
from leangan.data.image import decode
from leangan.data.readers.named_files import NamedFiles
from leangan.data.tree import walk


class Folder(NamedFiles):
    """The images below the folder `path`, also those that links in it lead to; see `NamedFiles`."""

    kind = "folder"

    def listing(self) -> list[str]:
        tree = walk(self.path)
        if tree.faults:
            name, fault = min(tree.faults.items())
            more = f" ({len(tree.faults) - 1} more cannot be read)" if len(tree.faults) > 1 else ""
            raise DatasetError(f"{self.path / name}: {fault}{more}")
        return [*tree.files, *tree.folders, *tree.hidden]

    def content(self, file: str, size: int = -1) -> bytes:
        try:
            with (self.path / file).open("rb", buffering=0) as opened:
                return opened.read(size)
        except OSError as error:
            raise DatasetError(f"{self.path / file}: cannot be read ({error.strerror})") from error

    def paths(self) -> list[Path]:
        return [self.path / file for file in self.files]

    def stamps(self) -> list[str]:
        places = [f"{self.path}/{file}" for file in self.files]
        return [stamp(place, os.stat(place)).decode() for place in places]

    def place_of(self, file: str) -> str:
        return str(self.path / file)

    def image(self, index: int) -> Image.Image:
        return decode(self.path / self.files[index], self.where(index))


FORM = Form("a folder of images or class folders", Path.is_dir, Folder, last=True)
