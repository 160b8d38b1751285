"""What a run is: a RunSpec holds every value it is trained with, plus its labels.

The digest of a spec is the run's identity. It covers every key of the backbone and of the training loop and every
argument of every plugin, defaults included, each in one canonical form, so that a changed default is another run, and
the revisions of backbone and plugins. It covers nothing else: no paths, GPU counts or log intervals, and no labels.
docs/run-identity.md lists what is in it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from leangan.core.errors import ConfigError
from leangan.core.files import read_json

SCHEME = 2
"""The version of what a digest covers. Runs of another version have other ids and are not read."""

TRANSFER = "transfer"
"""The plugin that starts a run from the networks of its parent."""

SUBSET_DEFAULTS: dict[str, Any] = {"subset_rule": "permutation", "validation_images": 500}
"""What an artefact may leave out about its images; file names then omit it as well."""


def check_scheme(content: dict[str, Any], where: str) -> None:
    """Raise ConfigError unless `content`, read from `where`, was written under this version of the scheme."""
    # Any JSON with a `run` key was written by the suite; the first scheme had no number.
    if (found := content.get("scheme", 1 if "run" in content else SCHEME)) != SCHEME:
        raise ConfigError(
            f"{where} belongs to a run of scheme {found}; this version writes scheme {SCHEME}, in which the same "
            "training has another id. Move that results tree away, and run the same command."
        )


NO_SPEC = (KeyError, TypeError, AttributeError, ValueError, IndexError)
"""What `RunSpec.from_fields` raises for content that is no spec."""


@dataclass(frozen=True)
class Labels:
    """What a run is called, and which publication its preset repeats. Two runs with other labels may be the same run.

    `title` is what tables call the method. `full_kimg` is the preset's own training length. `citation` says where its
    values were published, beginning with arXiv:, or "this project".
    """

    preset: str
    method: str
    title: str
    citation: str
    full_kimg: float

    @property
    def published_kimg(self) -> float | None:
        """The training length in the publication; a preset of this project has no published length."""
        return self.full_kimg if self.citation.startswith("arXiv:") else None


@dataclass(frozen=True)
class RunSpec:
    """One training run, complete.

    `hyper` has all keys of the backbone and of the training loop; `plugins` are the method's parts in their order, each
    with all its arguments. `revisions` are those of the backbone and of the plugins that are not 0, by their names
    (leangan/plugins/revisions.py). `tf32` allows GPUs to round float32 factors to 10 bits. `parent` is the run whose
    networks this one starts from, see augment/transfer.py; None: it starts from random ones.
    """

    dataset: str
    resolution: int
    images: int
    subset_seed: int
    subset_rule: str
    validation_images: int
    conditional: bool
    backbone: str
    hyper: dict[str, Any]
    plugins: list[tuple[str, dict[str, Any]]]
    revisions: dict[str, int] = dataclasses.field(default_factory=dict, kw_only=True)
    seed: int
    total_kimg: float
    snapshot_kimg: float
    tf32: bool
    parent: RunSpec | None
    labels: Labels

    @property
    def method(self) -> str:
        return self.labels.method

    @property
    def preset(self) -> str:
        return self.labels.preset

    @cached_property
    def digest(self) -> str:
        """sha256 over the canonical JSON of everything but the labels; the parent counts by its own digest."""
        return _sha256({**self._trained(), "parent": self.parent and self.parent.digest})

    @cached_property
    def setting(self) -> str:
        """The same without the training seed, the parent's included: runs of one setting differ by chance alone."""
        trained = {**self._trained(), "parent": self.parent and self.parent.setting}
        del trained["seed"]
        return _sha256(trained)

    def _values(self) -> dict[str, Any]:
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "labels"}
        # Runs from before there were revisions keep their ids and their text.
        if not self.revisions:
            del values["revisions"]
        return values

    def _trained(self) -> dict[str, Any]:
        plugins = [(name, _transferred(args) if name == TRANSFER else args) for name, args in self.plugins]
        return {"scheme": SCHEME, **self._values(), "plugins": plugins}

    @property
    def run_id(self) -> str:
        """`<dataset>-<images>/<backbone>-<plugins>-s<seed>-<digest8>`, also the run's folder."""
        plugins = "-".join(name for name, _ in self.plugins)
        return f"{self.dataset}-{self.images}/{self.backbone}-{plugins}-s{self.seed}-{self.digest[:8]}"

    def ancestors(self) -> list[RunSpec]:
        """The run that this one starts from, the one which that starts from, and so on."""
        return [] if self.parent is None else [self.parent, *self.parent.ancestors()]

    def to_json(self, labels: Iterable[Labels] = (), config: dict[str, Any] | None = None) -> str:
        """The text of spec.json. `labels` are all that the run has, its own by default.

        `config` holds the keys of config/config.yaml that make the run again when they are given on the command line.
        """
        content = {
            "scheme": SCHEME,
            "run": self.run_id,
            "digest": self.digest,
            "setting": self.setting,
            **self._fields(list(labels) or [self.labels]),
            "config": config or {},
        }
        return json.dumps(content, indent=1)

    def _fields(self, labels: list[Labels]) -> dict[str, Any]:
        trained = self._values()
        trained["parent"] = self.parent and self.parent._fields([self.parent.labels])
        return {"trained": trained, "labels": [dataclasses.asdict(label) for label in labels]}

    @classmethod
    def read(cls, path: Path) -> RunSpec:
        """The spec in a run's spec.json, under its first labels. Raises ConfigError where the file holds none."""
        fields = read_json(path)
        check_scheme(fields, str(path))
        try:
            return cls.from_fields(fields)
        except NO_SPEC as error:
            raise ConfigError(f"{path} is damaged: no spec ({error!r}). Delete it and run the same command.") from None

    @classmethod
    def from_fields(cls, fields: dict[str, Any]) -> RunSpec:
        """The spec from the content of spec.json, under its first labels. Raises one of NO_SPEC where it holds none."""
        trained = dict(fields["trained"])
        parent = trained["parent"]
        trained["parent"] = None if parent is None else cls.from_fields(parent)
        trained["plugins"] = [(name, args) for name, args in trained["plugins"]]
        spec = cls(**trained, labels=Labels(**fields["labels"][0]))
        _check_revisions(spec)
        if fields.get("digest", spec.digest) != spec.digest:
            raise ValueError(f"its values have digest {spec.digest}, it states {fields['digest']}")
        return spec

    @property
    def subset_size(self) -> str:
        """Number of training images in file names, with rule and held-out images where they are not the usual ones."""
        parts = [str(self.images)]
        if self.subset_rule != SUBSET_DEFAULTS["subset_rule"]:
            parts.append(self.subset_rule)
        if self.validation_images != SUBSET_DEFAULTS["validation_images"]:
            parts.append(f"v{self.validation_images}")
        return "-".join(parts)

    @property
    def total_nimg(self) -> int:
        """Number of real images shown to D over the whole run, in whole batches."""
        return self.snapshot_nimgs()[-1]

    def snapshot_nimgs(self) -> list[int]:
        """Images shown at each snapshot: every `snapshot_kimg`, rounded up to whole batches, the end included."""
        batch = self.hyper["batch"] * self.hyper["d_steps"]
        total = self.total_kimg * 1000
        marks = [i * self.snapshot_kimg * 1000 for i in range(1, int(total // (self.snapshot_kimg * 1000)) + 1)]
        if not marks or marks[-1] < total:
            marks.append(total)
        return sorted({-(-round(mark) // batch) * batch for mark in marks})


def _check_revisions(spec: RunSpec) -> None:
    """Raise ValueError unless each of the spec's revisions is a whole number above 0 of one of its parts."""
    parts = {spec.backbone, *(name for name, _ in spec.plugins)}
    for name, revision in spec.revisions.items():
        if name not in parts or type(revision) is not int or revision < 1:
            raise ValueError(
                f"revisions has {name!r}: {revision!r}, must have whole numbers above 0 of {sorted(parts)}"
            )


def _transferred(args: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `transfer` without places: the parent is named in full elsewhere, a file is its content."""
    files = {key: value["sha256"] for key, value in args.items() if isinstance(value, dict) and "sha256" in value}
    return {**args, "run": None, **files}


def _sha256(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(_plain(content), sort_keys=True, allow_nan=False).encode()).hexdigest()


def _plain(value: Any) -> Any:
    """A value in which 1 and 1.0 are one, also where the type of an argument does not say which is meant."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


SUBSET_SIZE = "[0-9]+(-[a-z]+)?(-v[0-9]+)?"
"""A regular expression for `RunSpec.subset_size`."""


def subset_of(size: str) -> tuple[int, str, int]:
    """(images, subset_rule, validation_images) of a `RunSpec.subset_size`."""
    images, *others = size.split("-")
    stated = {"validation_images" if part[1:].isdigit() else "subset_rule": part for part in others}
    chosen = {**SUBSET_DEFAULTS, **stated}
    return int(images), chosen["subset_rule"], int(str(chosen["validation_images"]).removeprefix("v"))


def snapshot_name(nimg: int) -> str:
    """Name without ending of what a run leaves after `nimg` images: thousands of images, sortable as text."""
    return f"{nimg / 1000:010.3f}"
