"""Scores outcomes by whether they conform to a JSON Schema, without ever using the network."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from perfmon import Config, ConfigError, Score, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable

_LONGEST = 300


@attrs.frozen(kw_only=True)
class JsonSchemaConfig:
    """The table `[plugins.json_schema]`; one of the three.

    Attributes:
        schema: the schema itself.
        schema_file: a file of JSON with it, relative to monitor.toml.
        actual_is_schema: whether each actual outcome is the schema for its prediction.
    """

    schema: dict[str, Any] | None = None
    schema_file: str | None = None
    actual_is_schema: bool = False


class JsonSchemaScorer:
    """1 for a prediction that conforms to the schema, else 0 with the first violation as note.

    With a schema of its own the scorer answers for every prediction, and the actual outcome
    does not matter. With `actual_is_schema` it passes where the actual outcome is no schema.
    The draft is that of `$schema`, else 2020-12. A `$ref` finds what is within the schema, and
    the drafts themselves; nothing is ever loaded. A `pattern` may take long, so a schema must
    be somebody's who is trusted.

    Raises:
        ConfigError: there is no schema, or more than one, or it is not valid, or refers to
            something that is not in it.
    """

    def __init__(self, config: Config | None = None) -> None:
        import jsonschema  # type: ignore[import-untyped]

        config = config or Config()
        table = config.table("json_schema", JsonSchemaConfig)
        place = config.place("plugins", "json_schema", _chosen(table, config), is_table=False)
        self._library: Any = jsonschema
        self._validator = None
        if table.actual_is_schema:
            # Few schemas, many outcomes: to check a schema takes longer than to use it.
            self._by_text = functools.lru_cache(maxsize=256)(self._read_validator)
            return
        schema = table.schema
        if table.schema_file is not None:
            schema = _read(config.path.parent if config.path else Path(), table.schema_file, place)
        try:
            self._validator = self._made(schema)
        except _NoSchemaError as problem:
            raise ConfigError([f"{place}: {_short(str(problem))}"]) from None

    @hookimpl
    def score_outcome(self, predicted: Any, actual: Any) -> Score | None:
        """Whether a prediction conforms; None where there is no schema to conform to."""
        validator = self._validator or self._of_actual(actual)
        if validator is None:
            return None
        try:
            first = next(iter(validator.iter_errors(predicted)), None)
            return Score(1.0) if first is None else Score(0.0, note=_told(first))
        except RecursionError:
            return Score(0.0, note="is nested too deeply to be validated")
        except Exception as problem:  # such as a number beyond what a float holds
            return Score(0.0, note=_short(f"cannot be checked: {problem}"))

    def _of_actual(self, actual: Any) -> Any:
        if not isinstance(actual, dict):
            return None
        try:
            return self._by_text(json.dumps(actual))
        except Exception:  # what is no schema is left to the other scorers
            return None

    def _read_validator(self, text: str) -> Any:
        return self._made(json.loads(text))

    def _made(self, schema: Any) -> Any:
        """The validator of a schema that is valid and whole."""
        from referencing import Registry
        from referencing.exceptions import Unresolvable

        kind = self._class_for(schema)
        try:
            kind.check_schema(schema)
            _look_up_references(schema, kind)
            # A registry of one's own: that of the library would load from the network.
            validator = kind(schema, registry=Registry())
            validator.is_valid(None)
        except Unresolvable as problem:
            raise _lost(problem.ref) from None
        except self._library.SchemaError as problem:
            raise _NoSchemaError(f"is no valid JSON Schema: {_told(problem)}") from None
        except RecursionError:
            raise _NoSchemaError("refers to itself, or is nested, without end") from None
        return validator

    def _class_for(self, schema: Any) -> Any:
        """The validator class of a schema's draft."""
        draft = schema.get("$schema") if isinstance(schema, dict) else None
        if draft is None:
            return self._library.Draft202012Validator
        found = self._library.validators.validator_for({"$schema": str(draft)}, default=None)
        if found is None:
            raise _NoSchemaError(f"its $schema is not a known draft: {draft!r}")
        return found


class _NoSchemaError(Exception):
    """Something is no schema, or not a whole one."""


def _lost(reference: object) -> _NoSchemaError:
    wrong = f"its $ref {reference!r} is not within the schema, and nothing is loaded"
    return _NoSchemaError(wrong)


def _chosen(table: JsonSchemaConfig, config: Config) -> str:
    """Which of the three the table has."""
    given = [name for name in ("schema", "schema_file") if getattr(table, name) is not None]
    given += ["actual_is_schema"] * table.actual_is_schema
    if len(given) == 1:
        return given[0]
    wanted = "one of schema, schema_file and actual_is_schema = true"
    place = config.place("plugins", "json_schema")
    raise ConfigError([f"{place}: takes {wanted}; there is {' and '.join(given) or 'none'}"])


def _read(folder: Path, name: str, place: str) -> Any:
    try:
        return json.loads((folder / name).read_text("utf-8-sig"))
    except OSError as problem:
        raise ConfigError([f"{place} = {name!r}: cannot be read: {problem.strerror}"]) from None
    except (ValueError, RecursionError) as problem:
        raise ConfigError([f"{place} = {name!r}: is not JSON: {problem}"]) from None


def _look_up_references(schema: Any, kind: Any) -> None:
    """Refuse references to what is not in the schema, and is no draft either."""
    from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import specification_with

    root = specification_with(kind.META_SCHEMA["$schema"]).create_resource(schema)
    open_ = [(root, REGISTRY.resolver_with_root(root))]
    while open_:
        resource, resolver = open_.pop()
        contents = resource.contents if isinstance(resource.contents, dict) else {}
        for reference in (contents.get("$ref"), contents.get("$dynamicRef")):
            try:
                if isinstance(reference, str):
                    resolver.lookup(reference)
            except Unresolvable:
                raise _lost(reference) from None
        open_.extend((sub, resolver.in_subresource(sub)) for sub in resource.subresources())


def _told(error: Any) -> str:
    """A violation in a line: where, and what is wrong."""
    return _short(f"at {_path(error.absolute_path)}: {error.message}")


def _path(parts: Iterable[Any]) -> str:
    return "$" + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in parts)


def _short(text: str) -> str:
    line = " ".join(text.encode("utf-8", "backslashreplace").decode().split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."
