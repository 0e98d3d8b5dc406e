"""Validation of values from a file with pydantic, in strict JSON mode, with one sentence per fault."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_type_hints

from pydantic import ConfigDict, ValidationError, create_model

STRICT = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)


def checked(kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Validate values for some fields of a dataclass against the types of the fields.

    Raises
    ------
    ValidationError
        If a field is unknown or a value has the wrong type.
    """
    hints = get_type_hints(kind)
    kinds: dict[str, Any] = {f.name: (hints[f.name], None) for f in fields(kind)}
    section = create_model(kind.__name__, __config__=STRICT, **kinds)
    found = section.model_validate_json(json.dumps(given))
    return {name: getattr(found, name) for name in found.model_fields_set}


def describe(error: ValidationError, prefix: tuple[str | int, ...] = ()) -> list[str]:
    """Return one sentence per fault, with the dotted name of its key."""
    faults = []
    items = error.errors()
    for item in items:
        if item["type"] == "too_short" and any(other["loc"][:-1][: len(item["loc"])] == item["loc"] for other in items):
            continue  # the fault lies in an item, which is named
        where = (*prefix, *item["loc"])
        place, cause = ".".join(str(part) for part in where), item.get("ctx", {}).get("error")
        message = item["msg"].removeprefix("Value error, ")
        if isinstance(cause, ValidationError):
            faults += describe(cause, where)
        elif item["type"] == "extra_forbidden":
            faults.append(f"{place}: there is no such key")
        elif item["type"] == "missing":
            faults.append(f"{place}: this key is missing")
        elif isinstance(cause, ValueError):
            faults.append(f"{place}: {message}" if place else message)
        else:
            faults.append(f"{place}: {message} (is {item['input']!r})")
    return faults


def flat(value: Any, place: str = "") -> dict[str, Any]:
    """Flatten nested JSON to one level of dotted keys."""
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    if not pairs:
        return {place: value}
    found: dict[str, Any] = {}
    for key, under in pairs:
        found |= flat(under, f"{place}.{key}" if place else str(key))
    return found
