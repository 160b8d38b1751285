"""Records: values of files with named, typed fields, checked with errors that offer the nearest known name.

A record is a class below `Record`. Its fields, with the docstring of each, are the one description of what a file may
hold. The JSON schema follows from the class: `json_schema` gives it, `workflow/schemas/` has copies for other programs.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Annotated, Any, TypeVar

import pydantic
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.json_schema import GenerateJsonSchema

from leangan.core.errors import ConfigError, unknown_name

R = TypeVar("R", bound="Record")
T = TypeVar("T")

DIALECT = "https://json-schema.org/draft/2020-12/schema"

COMMENT = "$comment"
"""The key of a schema that says in words what a value may be, for messages: "must be ..."."""

Number = Annotated[int | float, WithJsonSchema({"type": "number"})]
"""A number that stays as it was written: 15 does not become 15.0."""

NonNegative = Annotated[int | float, WithJsonSchema({"type": "number", "minimum": 0})]
"""The same from 0 up."""

Positive = Annotated[int | float, WithJsonSchema({"type": "number", "exclusiveMinimum": 0})]
"""The same above 0."""

Text = Annotated[str, Field(min_length=1)]
"""A text that is not empty."""

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
"""A digest in hexadecimal digits."""


class Record(BaseModel):
    """Base of all records. No field can be changed, and none can be added."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    def given(self) -> dict[str, Any]:
        """The plain values of the keys that were given, without those that have their defaults."""
        return self.model_dump(exclude_unset=True)


class _NotNull:
    """Takes null out of the schema of a type that includes None."""

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        stated = dict(handler(core_schema))
        if isinstance(stated.get("type"), list):
            stated["type"] = next(kind for kind in stated["type"] if kind != "null")
        if "enum" in stated:
            stated["enum"] = [value for value in stated["enum"] if value is not None]
        if "anyOf" in stated:
            (stated,) = (part for part in stated["anyOf"] if part != {"type": "null"})
        return stated


Omissible = Annotated[T | None, _NotNull()]
"""The type of a field that may be left out, and is then None, but that is never written as null."""


class Distinct:
    """Marks a list whose values must differ."""

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        return {**handler(core_schema), "uniqueItems": True}


class _Generator(GenerateJsonSchema):
    """pydantic's schemas, with the types of a field that may be null in one list, so that errors name both."""

    def nullable_schema(self, schema: Any) -> dict[str, Any]:
        inner = self.generate_inner(schema["schema"])
        allowed = inner.get("enum", [inner["const"]] if "const" in inner else [])
        if allowed:
            stated = {key: inner[key] for key in (COMMENT,) if key in inner}
            return {"enum": [*allowed, None], **stated}
        if isinstance(inner.get("type"), str):
            return {**inner, "type": [inner["type"], "null"]}
        return super().nullable_schema(schema)

    def dict_schema(self, schema: Any) -> dict[str, Any]:
        """A key that does not have the pattern of its type is an error that says what the type takes."""
        stated = super().dict_schema(schema)
        for values in stated.pop("patternProperties", {}).values():
            stated |= {"propertyNames": self.generate_inner(schema["keys_schema"]), "additionalProperties": values}
        return stated

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


@cache
def json_schema(kind: type[Record]) -> dict[str, Any]:
    """The schema of a record: what `parse` takes. The fields of nested records are under $defs."""
    schema = kind.model_json_schema(schema_generator=_Generator)
    for part in (schema, *schema.get("$defs", {}).values()):
        part.pop("title", None)
        for described in (part, *part.get("properties", {}).values()):
            if "description" in described:
                described["description"] = " ".join(described["description"].split())
    return {"$schema": DIALECT, **schema}


@cache
def _validator(kind: type[Record]) -> Draft202012Validator:
    return Draft202012Validator(json_schema(kind))


def parse(kind: type[R], value: Any, where: str) -> R:
    """`value`, plain values as of JSON or YAML, as a record.

    Raises ConfigError with key, value, what is allowed, the nearest match and `where` the value comes from.
    """
    error = best_match(_validator(kind).iter_errors(value))
    if error is not None:
        raise _explain(error, where)
    try:
        return kind.model_validate(value)
    except pydantic.ValidationError as refused:  # the schema accepts 1e30 as an integer, Python does not
        first = refused.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{key} = {first['input']!r} is not allowed: {first['msg']}. Change it in {where}.") from None


def _in_yaml(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _explain(error: ValidationError, where: str) -> ConfigError:
    key = ".".join(str(part) for part in error.absolute_path)
    schema: Any = error.schema
    stated: Any = error.validator_value
    instance: Any = error.instance
    if error.validator == "additionalProperties" and isinstance(schema.get("properties"), dict):
        known = schema["properties"]
        extra = next(name for name in instance if name not in known)
        return unknown_name(
            "key", f"{key}.{extra}" if key else extra, [f"{key}.{k}" if key else k for k in known], where
        )
    if isinstance(schema, dict) and COMMENT in schema:
        return ConfigError(f"{key or where} = {instance!r} must be {schema[COMMENT]}. Change it in {where}.")
    if error.validator == "enum":
        return unknown_name(f"value for {key}:", instance, [_in_yaml(value) for value in stated], where)
    if error.validator == "required":
        missing = [name for name in stated if name not in instance]
        return ConfigError(f"{where} lacks {', '.join(missing)}{f' under {key}' if key else ''}.")
    if error.validator == "type":
        allowed = stated
        if allowed == "array":
            return ConfigError(
                f"{key or where} = {instance!r} must be a list, such as [{instance}]. Change it in {where}."
            )
        allowed = " or ".join(allowed) if isinstance(allowed, list) else allowed
        return ConfigError(f"{key or where} = {instance!r} must be of type {allowed}. Change it in {where}.")
    parts: list[Any] = error.context or []
    if error.validator == "anyOf" and all(part.validator == "type" for part in parts):
        allowed = " or ".join(part.validator_value for part in parts)
        return ConfigError(f"{key or where} = {instance!r} must be of type {allowed}. Change it in {where}.")
    return ConfigError(f"{key or where} = {instance!r} is not allowed: {error.message}. Change it in {where}.")
