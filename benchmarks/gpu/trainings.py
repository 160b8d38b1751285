"""The trainings of a session: calls of the workflow, as long as the time allows."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.gpu import length
from benchmarks.gpu.block import Command, Skipped
from leangan.core.errors import ConfigError
from leangan.core.yaml_files import parse_yaml
from leangan.data.outline import check_source
from leangan.runs.config import load_config
from leangan.runs.grid import expand

OWN = ("scale", "artefacts", "device")
"""Keys of the configuration that the session sets."""


@dataclass(frozen=True)
class Options:
    """What the command line says. The trainings make `artefact` at `scale`, with the further keys `config`.

    `runs` is their number; `length` is their kimg where `config` states it; `output` is what their table is called.
    """

    device: str
    scale: str
    artefact: str
    config: list[str]
    runs: int
    length: float | None
    output: str


def options_of(device: str, config: list[str]) -> Options:
    """The options of a session on `device`. Raises ConfigError for `config` that the workflow would refuse later."""
    scale, artefact = ("smoke", "demo") if device == "cpu" else ("minutes", "first-minutes")
    keys = {}
    for text in config:
        key, equals, value = text.partition("=")
        if not equals or key in OWN:
            what = "is set by the session" if equals else "is not KEY=VALUE"
            raise ConfigError(f"{text!r} in CONFIG (--config) {what}; give keys of config/config.yaml such as kimg=50")
        try:
            keys[key] = parse_yaml(value)
        except ValueError as error:
            raise ConfigError(f"{text!r} in CONFIG (--config) is not valid YAML: {error}") from None
    whole = load_config(json.dumps({"scale": scale, "artefacts": [artefact], "device": device, **keys}))
    for name, entry in whole.datasets.items():
        if (path := whole.path_of(name)) is not None:
            check_source(name, entry.resolution, path, "CONFIG (--config)")
    runs = len({spec.run_id for spec in expand(artefact, whole)})
    return Options(device, scale, artefact, config, runs, whole.kimg, whole.output_name(artefact))


def trainings(options: Options) -> Command:
    """The workflow, as a user would call it.

    On a GPU it trains for the longest of `length.STEPS` that fits into the time; Skipped where not even the shortest
    does. On a CPU it trains for as long as the scale says.
    """

    def command(folder: Path, seconds: float) -> list[str]:
        asked = [f"scale={options.scale}", f"artefacts={json.dumps([options.artefact])}", f"device={options.device}"]
        if options.device != "cpu":
            asked += fitting(folder, seconds, options)
        engine = [sys.executable, "-m", "snakemake", "--cores", str(os.cpu_count() or 1), "all"]
        return [*engine, "--config", *asked, *options.config]

    return command


def fitting(folder: Path, seconds: float, options: Options) -> list[str]:
    """The keys of the configuration that make the trainings as long as `seconds` allow, by the rate in `folder`.

    Where no rate was measured they are as short as can be.
    """
    kimg, at = options.length, ""
    if kimg is None and (rate := length.images_per_s(folder)) is not None:
        kimg, at = length.kimg(rate, seconds, options.runs), f"at {rate:.0f} images/s"
    elif kimg is None and seconds > 2 * length.AROUND_SECONDS:
        kimg = length.STEPS[0]
    if kimg is None:
        raise Skipped(
            f"{seconds:.0f} s do not suffice for {options.runs} runs of {length.STEPS[0]} kimg {at or 'at any rate'}"
        )
    return [f"kimg={kimg:g}", f"snapshot_kimg={kimg / 4:g}", f"runs_per_gpu={length.RUNS}"]
