"""Checking values against the schemas under `workflow/schemas/`, with errors that offer the nearest known name."""

from __future__ import annotations

from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match

from leangan.core.errors import ConfigError, unknown_name
from leangan.core.yaml_files import read


@cache
def validator(schema: str) -> Draft202012Validator:
    """The compiled schema `workflow/schemas/<schema>.schema.yaml`."""
    return Draft202012Validator(read(f"workflow/schemas/{schema}.schema.yaml"))


def check(value: Any, schema: str, where: str) -> None:
    """Raise ConfigError with key, value, what is allowed and the nearest match unless `value` fits `schema`."""
    error = best_match(validator(schema).iter_errors(value))
    if error is not None:
        raise _explain(error, where)


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
    if error.validator == "enum":
        return unknown_name(f"value for {key}:", instance, map(str, stated), where)
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
    return ConfigError(f"{key or where} = {instance!r} is not allowed: {error.message}. Change it in {where}.")
