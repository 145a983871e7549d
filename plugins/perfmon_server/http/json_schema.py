"""Types as JSON schemas (2020-12): attrs records and TypedDicts become named components."""

from __future__ import annotations

import enum
import types
import typing
from datetime import datetime
from typing import Any

import attrs

Schema = dict[str, Any]
_OPTIONAL = typing.NotRequired
_PLAIN: dict[Any, Schema] = {
    Any: {},
    None: {"type": "null"},
    types.NoneType: {"type": "null"},
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    datetime: {"type": "string", "format": "date-time"},
    dict: {"type": "object"},
    list: {"type": "array"},
}


class Schemas:
    """Makes schemas and collects the components they refer to.

    A float of a record may be null, since its NaN is null in JSON; a float of a TypedDict not.
    """

    def __init__(self) -> None:
        self.components: dict[str, Schema] = {}

    def of(self, shape: Any, *, nan: bool = False) -> Schema:
        if shape is float and nan:
            return {"type": ["number", "null"]}
        if shape in _PLAIN:
            return dict(_PLAIN[shape])
        if typing.is_typeddict(shape) or attrs.has(shape):
            return self._component(shape)
        if isinstance(shape, type) and issubclass(shape, enum.Enum):
            return {"type": "string", "enum": [member.value for member in shape]}
        return self._generic(typing.get_origin(shape), typing.get_args(shape), nan=nan)

    def _generic(self, origin: Any, parts: tuple[Any, ...], *, nan: bool) -> Schema:
        if origin is typing.Literal:
            return {"type": "string", "enum": list(parts)}
        if origin is _OPTIONAL:
            return self.of(parts[0], nan=nan)
        if origin is list:
            return {"type": "array", "items": self.of(parts[0], nan=nan)}
        if origin is dict:
            return {"type": "object", "additionalProperties": self.of(parts[1], nan=nan)}
        if origin is tuple and parts[-1] is Ellipsis:
            return {"type": "array", "items": self.of(parts[0], nan=nan)}
        if origin is tuple:
            items = [self.of(part, nan=nan) for part in parts]
            return {"type": "array", "prefixItems": items, "minItems": len(items), "items": False}
        if origin in (typing.Union, types.UnionType):
            return _any_of([self.of(part, nan=nan) for part in parts])
        raise TypeError(f"no schema for {origin} of {parts}")

    def _component(self, shape: Any) -> Schema:
        name = shape.__name__
        if name not in self.components:
            self.components[name] = {}  # a record may contain itself
            self.components[name] = self._object(shape)
        return {"$ref": f"#/components/schemas/{name}"}

    def _object(self, shape: Any) -> Schema:
        hints = typing.get_type_hints(shape, include_extras=True)
        record = attrs.has(shape)
        names = [field.name for field in attrs.fields(shape)] if record else list(hints)
        # Not __required_keys__: annotations that are text hide NotRequired from it.
        required = [name for name in names if typing.get_origin(hints[name]) is not _OPTIONAL]
        schema: Schema = {
            "type": "object",
            "properties": {name: self.of(hints[name], nan=record) for name in names},
            "required": required,
            "additionalProperties": False,
        }
        # TypedDict itself has no docstring; a subclass without one inherits dict's.
        described = shape.__dict__.get("__doc__")
        return {"description": described.split("\n\n")[0], **schema} if described else schema


def _any_of(schemas: list[Schema]) -> Schema:
    """`anyOf`, or one schema of several types where that says the same."""
    if all(set(schema) == {"type"} and isinstance(schema["type"], str) for schema in schemas):
        return {"type": [schema["type"] for schema in schemas]}
    return {"anyOf": schemas}
