"""A folder of images: flat, one sub-folder per class, or with a dataset.json."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

from leangan.data.contracts import DatasetError, Source
from leangan.data.fingerprint import stamp
from leangan.data.forms import Form
from leangan.data.image import SUFFIXES, decode, is_image
from leangan.data.readers.labels import FILE_NAME, parse_labels


class Folder(Source):
    """The images below `path`, sorted by name.

    Labels come from `path`/dataset.json when there is one, else from the first level of sub-folders,
    in alphabetical order. Raises DatasetError when the folder is empty or mixes the two layouts.
    """

    def __init__(self, name: str, path: Path, licence: str):
        self.name = name
        self.path = path
        self.licence = licence
        self.origin = f"folder {path.name}"
        self.files = sorted(
            file.relative_to(path).as_posix()
            for file in path.rglob("*")
            if file.is_file() and is_image(file.name)
            and not any(part.startswith(".") for part in file.relative_to(path).parts)
        )  # fmt: skip
        if not self.files:
            raise DatasetError(f"{path}: no image in this folder (looked for {', '.join(sorted(SUFFIXES))})")
        if (path / FILE_NAME).is_file():
            json_path = path / FILE_NAME
            self.labels, self.class_names = parse_labels(json_path.read_bytes(), self.files, str(json_path))
        else:
            self.labels, self.class_names = self._class_folders()

    def _class_folders(self) -> tuple[np.ndarray | None, list[str]]:
        class_of = [file.split("/")[0] for file in self.files if "/" in file]
        if not class_of:
            return None, []
        if len(class_of) < len(self.files):
            stray = next(file for file in self.files if "/" not in file)
            raise DatasetError(
                f"{self.path}: {stray} lies beside class folders; move it into one, or all images to the top"
            )
        names = sorted(set(class_of))
        for folder in self.path.iterdir():
            if folder.is_dir() and folder.name not in names and not folder.name.startswith("."):
                raise DatasetError(f"{folder}: class folder without an image; fill or remove it")
        return np.array([names.index(label) for label in class_of], dtype=np.int64), names

    def __len__(self) -> int:
        return len(self.files)

    def paths(self) -> list[Path]:
        return [self.path / file for file in self.files]

    def stamps(self) -> list[str]:
        places = [f"{self.path}/{file}" for file in self.files]
        return [stamp(place, os.stat(place)).decode() for place in places]

    def where(self, index: int) -> str:
        return str(self.path / self.files[index])

    def image(self, index: int) -> Image.Image:
        return decode(self.path / self.files[index], self.where(index))


FORM = Form("a folder of images or class folders", Path.is_dir, Folder, last=True)
