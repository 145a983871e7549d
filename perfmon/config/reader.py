"""Reads tables into attrs classes: every mistake found, each one line with its place."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

import attrs

from perfmon.config.converter import holds_secret, new_converter
from perfmon.config.lines import LineNumbers, Path, label
from perfmon.config.partial import UNKNOWN, UndecidedError, is_known, partly
from perfmon.config.secret import Secret, one_line, read_secret, redacted
from perfmon.config.validators import Allowed, did_you_mean, shown
from perfmon.errors import ConfigError

if TYPE_CHECKING:
    import cattrs

T = TypeVar("T")

_SECRET_NAME = re.compile(r"secret|token|passw|key|url|dsn|auth|credential", re.IGNORECASE)
_ATTRS_OWN = re.compile(r"'\w+' (must .+?)(?:: .*| \(got .*)?$", re.DOTALL)


@attrs.frozen
class Mistake:
    """One thing wrong at a path; `value` is what to show of what stands there."""

    path: Path
    wrong: str
    value: str = ""
    is_table: bool = False


class Mistakes(Exception):
    """Everything wrong in a table, paths relative to it.

    Attributes:
        partial: the table (or list, or tables by name) as far as it is right; see `partial`.
    """

    def __init__(self, mistakes: list[Mistake], partial: Any = UNKNOWN) -> None:
        self.mistakes = mistakes
        self.partial = partial
        super().__init__(mistakes)


class Reader:
    """Reads the tables of one source: a file, or arguments.

    Attributes:
        source: the file's name, or what else to call it in messages.
        folder: what relative paths are relative to.
    """

    def __init__(
        self,
        source: str = "configuration",
        text: str = "",
        folder: FilePath | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.source = source
        self.folder = folder or FilePath()
        self._places = LineNumbers(text)
        self._environment = os.environ if environment is None else environment
        self._converter: cattrs.Converter | None = None

    def table(self, cls: type[T], raw: Any, path: Path = ()) -> T:
        """The attrs instance of a raw table, or `ConfigError` with all its mistakes."""
        try:
            return self.read(cls, raw)
        except Mistakes as found:
            raise self.error(
                [attrs.evolve(m, path=path + m.path) for m in found.mistakes]
            ) from None

    def error(self, mistakes: Iterable[Mistake]) -> ConfigError:
        """The error that lists mistakes in the order of the file."""
        ordered = sorted(mistakes, key=lambda mistake: self._places.line(mistake.path) or 0)
        return ConfigError([self.line(mistake) for mistake in ordered])

    def line(self, mistake: Mistake) -> str:
        """A mistake as one line: source, line, table, key, value, what is wrong."""
        place = self.place(mistake.path, is_table=mistake.is_table)
        return one_line(f"{place}{mistake.value and f' = {mistake.value}'}: {mistake.wrong}")

    def place(self, path: Path, *, is_table: bool) -> str:
        """Where a path is: `monitor.toml:12: [alerts] for`."""
        number = self._places.line(path)
        return f"{self.source}{f':{number}' if number else ''}: {label(path, is_table=is_table)}"

    def read(self, cls: type[T], raw: Any) -> T:
        """As `table`, but raises `Mistakes` with paths relative to this table.

        A class with the attribute `short`, the name of a field, may be written as text.
        """
        short = getattr(cls, "short", None)
        if short is not None and isinstance(raw, str):
            raw = {short: raw}
        if not isinstance(raw, Mapping):
            allowed = "a table" if short is None else f"text, or a table with {short} = ..."
            raise Mistakes([Mistake((), f"must be {allowed}", shown(raw))])
        fields = _fields(cls)
        mistakes = [_unknown(str(key), raw[key], fields) for key in raw if key not in fields]
        # Whatever a misspelt key is meant as may be given.
        mistaken = {fields[key].name for key in _meant(raw, fields)}
        values: dict[str, Any] = {}
        for key, field in fields.items():
            if key in raw:
                try:
                    values[field.name] = self._value(field, raw[key])
                except Mistakes as found:
                    mistakes += [attrs.evolve(m, path=(key, *m.path)) for m in found.mistakes]
                    mistaken.add(field.name)
                    values[field.name] = found.partial
            elif field.default is attrs.NOTHING:
                mistakes.append(Mistake((key,), "is missing; it is required"))
                mistaken.add(field.name)
        if mistakes:
            partial = partly(cls, values, mistaken)
            raise Mistakes(mistakes + _of_whole(partial), partial)
        try:
            return cls(
                **{
                    field.alias or field.name: values[field.name]
                    for field in fields.values()
                    if field.name in values
                }
            )
        except (ValueError, TypeError) as problem:
            told = Mistake((), _words(problem), is_table=True)
            raise Mistakes([told], partly(cls, values, ())) from None

    def _value(self, field: attrs.Attribute[Any], raw: Any) -> Any:
        mistakes: list[Mistake] = []
        try:
            value = self._structured(raw, field.type)
        except Mistakes as problem:
            mistakes, value = problem.mistakes, problem.partial
        except Exception as problem:
            found = list(_flat(problem, (), raw))
            mistakes = [_told(m, field, raw) for m in found]
            value = self._partly_structured(raw, field.type)
        try:
            if field.validator is not None and is_known(value):
                field.validator(None, field, value)
        except (ValueError, TypeError) as problem:
            hidden = holds_secret(field.type)
            value_shown = "***" if hidden else shown(raw)
            is_table = isinstance(raw, Mapping)
            mistakes.append(Mistake((), _words(problem), "" if is_table else value_shown, is_table))
            value = UNKNOWN
        except (AttributeError, UndecidedError):
            # A validator that compares with other fields runs when the table is made.
            pass
        if mistakes:
            raise Mistakes(mistakes, value)
        return value

    def _partly_structured(self, raw: Any, kind: Any) -> Any:
        """A list of tables, or tables by name, some of which have mistakes; else `UNKNOWN`."""
        item_kind = get_args(kind)[-1] if get_args(kind) else None
        if not attrs.has(item_kind):  # type: ignore[arg-type]
            return UNKNOWN
        if get_origin(kind) is list and isinstance(raw, list):
            return [self._item(item_kind, item) for item in raw]
        if get_origin(kind) is dict and isinstance(raw, Mapping):
            return {str(key): self._item(item_kind, item) for key, item in raw.items()}
        return UNKNOWN

    def _item(self, kind: Any, raw: Any) -> Any:
        try:
            return self.read(kind, raw)
        except Mistakes as found:
            return found.partial

    def _structured(self, raw: Any, kind: Any) -> Any:
        if self._converter is None:
            self._converter = new_converter(self.read, self._secret)
        return self._converter.structure(raw, kind)

    def proxy_of_the_environment(self) -> str | None:
        """The name of the variable that names a proxy for programs that look for one."""
        names = ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
        return next((name for name in names if self._environment.get(name)), None)

    def _secret(self, raw: Any) -> Secret:
        return read_secret(raw, self.folder, self._environment)


def _fields(cls: type[Any]) -> dict[str, attrs.Attribute[Any]]:
    fields = attrs.fields(attrs.resolve_types(cls))
    # `for` is a word of Python's, so its field is `for_`.
    return {(f.alias or f.name).rstrip("_"): f for f in fields if f.init}


def _meant(raw: Mapping[str, Any], fields: Mapping[str, Any]) -> Iterator[str]:
    for key in raw:
        if key not in fields:
            yield from difflib.get_close_matches(str(key), fields, n=1, cutoff=0.6)


def _of_whole(partial: Any) -> list[Mistake]:
    """What is wrong between the keys of a table, of which some have mistakes of their own."""
    check = getattr(partial, "__attrs_post_init__", None)
    if check is None:
        return []
    try:
        check()
    except (ValueError, TypeError) as problem:
        return [Mistake((), _words(problem), is_table=True)]
    except Exception:
        # It asked for what is not known, here or somewhere in a library.
        return []
    return []


def _unknown(key: str, raw: Any, fields: Mapping[str, attrs.Attribute[Any]]) -> Mistake:
    if isinstance(raw, Mapping):
        return Mistake((key,), f"unknown table{_known(key, fields)}", is_table=True)
    careful = _SECRET_NAME.search(key) or any(holds_secret(f.type) for f in fields.values())
    value = "***" if careful and not isinstance(raw, (bool, int, float)) else shown(raw)
    return Mistake((key,), f"unknown key{_known(key, fields)}", value)


def _known(word: str, known: Iterable[str]) -> str:
    known = sorted(known)
    return did_you_mean(word, known) or f"; allowed: {', '.join(known) or 'none'}"


def literal_secrets(value: Any, path: Path) -> Iterator[Path]:
    """Where an instance holds secrets that stood in the configuration itself."""
    if isinstance(value, Secret):
        if value.literal:
            yield path
    elif attrs.has(type(value)):
        for key, field in _fields(type(value)).items():
            yield from literal_secrets(getattr(value, field.name), (*path, key))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from literal_secrets(item, (*path, index))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from literal_secrets(item, (*path, str(key)))


def _flat(problem: BaseException, path: Path, raw: Any) -> Iterator[Mistake]:
    if isinstance(problem, Mistakes):
        yield from (attrs.evolve(m, path=path + m.path) for m in problem.mistakes)
    elif isinstance(problem, BaseExceptionGroup):
        for inner in problem.exceptions:
            index = _index(inner)
            yield from _flat(inner, (*path, index), raw[index])
    else:
        yield Mistake(path, _words(problem), shown(raw))


def _index(problem: BaseException) -> Any:
    # cattrs tells the place of a list's or table's item in a note of the exception.
    return next(note.index for note in problem.__notes__ if hasattr(note, "index"))


def _told(mistake: Mistake, field: attrs.Attribute[Any], raw: Any) -> Mistake:
    if holds_secret(field.type):
        return attrs.evolve(mistake, value="" if isinstance(raw, Mapping) else "***")
    if not mistake.path and isinstance(field.validator, Allowed):
        return attrs.evolve(mistake, wrong=f"must be {field.validator.words}")
    return mistake


def _words(problem: BaseException) -> str:
    # attrs' own validators put the attribute's name before their message, and more behind it.
    text = str(problem.args[0]) if problem.args else type(problem).__name__
    own = _ATTRS_OWN.match(text)
    return redacted(own[1] if own else text)
