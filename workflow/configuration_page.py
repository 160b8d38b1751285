"""docs/configuration.md: every key of the files in config/, from the schemas of the records that they are read as."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from page_text import item, paragraph, shown, yaml_block

from leangan.core.project import ROOT
from leangan.core.schemas import Record, json_schema
from leangan.core.yaml_files import parse_yaml, read
from leangan.metrics.protocols import ProtocolEntry
from leangan.planning.costs_file import Costs
from leangan.runs.artefact_sections import ArtefactConfig
from leangan.runs.config import check_config
from leangan.runs.sections import Config, Scale

INTRODUCTION = """\
The YAML files of [config/](../config) say what is trained, on which data, for how long, and how it is measured. This
page lists every key of config.yaml, scales.yaml, artefacts/, protocols.yaml and costs.yaml. Presets and methods, that
is presets.yaml and methods.yaml, are on [a page of their own](presets.md).

Keys of config.yaml can also be given on the command line, in a call of the workflow or of a command:

    snakemake --cores all --config scale=paper artefacts=[demo] methods=[mine]
    leangan plan --config '{scale: paper, artefacts: [demo]}'

An unknown key, an unknown name or a value of the wrong type ends the call before anything runs. The message says what
is allowed, which known name is nearest, and in which file to change it. An artefact that is not asked for ends nothing:
with a fault in its file it is left out, and a warning says so. Programs find the same rules as JSON schemas in
[workflow/schemas/](../workflow/schemas).
"""

OWN_IMAGES = """\
# Five methods on 100 and on 1,000 images of yours.
artefacts: [own-images]
methods: [bcr]
datasets: {flowers: {path: /data/flowers.zip, resolution: 64, crop: true}}
images: [100, 1000]
"""

SIMPLE = {"string": "text", "boolean": "true or false", "null": "null", "object": "mapping"}
NUMBERS = {"integer": "whole number", "number": "number"}


def page() -> str:
    """The text of docs/configuration.md."""
    check_config({**read("config/config.yaml"), **parse_yaml(OWN_IMAGES)})
    protocol, scale, costs = (read(f"config/{name}.yaml") for name in ("protocols", "scales", "costs"))
    artefact = (ROOT / "config/artefacts/cifar10-few.yaml").read_text()
    some_costs = {**costs, "training": costs["training"][1:2]}
    parts = [
        "# Configuration\n",
        "<!-- Generated from the types in the code by `make docs`. -->\n",
        INTRODUCTION,
        *_section("config.yaml", Config, "The file has all of them.", OWN_IMAGES),
        *_section("scales.yaml", Scale, "One entry for each scale, by its name.", _dump({"demo": scale["demo"]})),
        *_section("artefacts/", ArtefactConfig, "One file for each; its name is that of the artefact.", artefact),
        *_section("protocols.yaml", ProtocolEntry, "One entry for each, by its name.", _dump({"ada": protocol["ada"]})),
        *_section("costs.yaml", Costs, "`snakemake plan` estimates with them.", _dump(some_costs)),
    ]
    return "\n".join(parts)


def _dump(content: dict[str, Any]) -> str:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)


def _section(name: str, kind: type[Record], text: str, example: str) -> Iterator[str]:
    """The keys of one file or folder of config/, and an example."""
    schema = json_schema(kind)
    shipped = read("config/config.yaml") if kind is Config else {}
    yield f"## {name}\n"
    yield paragraph(f"{schema['description']} {text}")
    yield "".join(Keys(schema.get("$defs", {})).lines(schema, shipped))
    yield "For example:\n"
    yield yaml_block(example)


@dataclass
class Keys:
    """Writes the keys of a schema as nested lists.

    `parts` are its $defs, the records inside it; `seen` says under which key each of them was listed.
    """

    parts: dict[str, Any]
    seen: dict[str, str] = field(default_factory=dict)

    def lines(self, schema: dict[str, Any], shipped: dict[str, Any], depth: int = 0) -> Iterator[str]:
        """An entry for each key, the keys of a nested record below it. `shipped` has values to show as defaults."""
        for name, stated in schema["properties"].items():
            part = self._part(stated)
            facts = [self._type(stated), self._default(name, stated, schema, shipped)]
            inner = self.parts[part] if part else {}
            meaning = stated.get("description") or inner["description"]
            if part and part in self.seen:
                meaning += f" Keys as under `{self.seen[part]}`."
            yield item(f"**`{name}`** ({', '.join(filter(None, facts))}). {meaning}", depth)
            if part and part not in self.seen:
                self.seen[part] = name
                yield from self.lines(inner, shipped.get(name, {}), depth + 1)

    def _part(self, stated: dict[str, Any]) -> str | None:
        """The name of the record that a value is or holds, if it does."""
        inside = [stated, stated.get("items"), stated.get("additionalProperties"), *stated.get("anyOf", [])]
        named = [each["$ref"] for each in inside if isinstance(each, dict) and "$ref" in each]
        return named[0].rpartition("/")[2] if named else None

    def _default(self, name: str, stated: dict[str, Any], schema: dict[str, Any], shipped: dict[str, Any]) -> str:
        if name in shipped:
            return f"shipped as `{shown(shipped[name])}`"
        if name in schema.get("required", []):
            return "required"
        default = stated.get("default")
        empty = isinstance(default, dict) or default in (None, "", [])
        return "optional" if empty else f"default `{shown(default)}`"

    def _type(self, stated: dict[str, Any], many: bool = False) -> str:
        """The type of a value in words; `many`: of several values."""
        if "anyOf" in stated:
            named = [self._type(each, many) for each in stated["anyOf"] if each != {"type": "null"}]
            return " or ".join(dict.fromkeys(named))
        if "$ref" in stated:
            return "mappings" if many else "mapping"
        if "enum" in stated:
            *most, last = (f"`{shown(value)}`" for value in stated["enum"] if value is not None)
            return f"{', '.join(most)} or {last}"
        kinds = stated["type"] if isinstance(stated["type"], list) else [stated["type"]]
        # A key that can be left out says so; only where it cannot be is null something that one writes.
        kinds = [kind for kind in kinds if kind != "null" or "default" not in stated]
        return " or ".join(self._one_type(kind, stated, many) for kind in kinds)

    def _one_type(self, kind: str, stated: dict[str, Any], many: bool) -> str:
        plural = "s" if many and kind not in ("boolean", "null") else ""
        if kind == "array":
            return f"list{plural} of {self._type(stated['items'], many=True)}"
        if kind == "object" and isinstance(values := stated.get("additionalProperties"), dict):
            of_values = self._type(values, many=True)
            return f"{of_values} by name" if "$ref" in values else f"mapping{plural} to {of_values}"
        if kind in NUMBERS:
            above, least = stated.get("exclusiveMinimum"), stated.get("minimum")
            bound = f" above {above}" if above is not None else f" from {least}" if least is not None else ""
            return f"{NUMBERS[kind]}{plural}{bound}"
        return SIMPLE[kind] + plural
