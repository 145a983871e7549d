"""Where in a TOML file a table or key stands, so that a mistake can name its line."""

from __future__ import annotations

import re

Path = tuple[str | int, ...]

_WORD = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_DOTTED = rf"{_WORD}(?:\s*\.\s*{_WORD})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_DOTTED})\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(rf"\s*({_DOTTED})\s*=")
_QUOTES = re.compile(r'"""|' + "'''")


class Places:
    """The line of each header and key of a TOML text, found without parsing it in full."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Path, int] = {}
        self._arrays: dict[Path, int] = {}
        self._table: Path = ()
        inside = False
        for number, line in enumerate(text.splitlines(), start=1):
            if not inside:
                self._note(line, number)
            # Lines inside a text of several lines are not keys, whatever they look like.
            inside ^= len(_QUOTES.findall(line)) % 2 == 1

    def line(self, path: Path) -> int | None:
        """The line of a path, or of the nearest table or key around it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self._lines:
                return self._lines[path[:length]]
        return None

    def _note(self, line: str, number: int) -> None:
        if header := _HEADER.match(line):
            self._table = self._header(header[2], is_array=header[1] == "[[")
            self._lines.setdefault(self._table, number)
        elif key := _KEY.match(line):
            self._lines.setdefault((*self._table, *_words(key[1])), number)

    def _header(self, dotted: str, *, is_array: bool) -> Path:
        path: Path = ()
        words = _words(dotted)
        for place, word in enumerate(words, start=1):
            path = (*path, word)
            if is_array and place == len(words):
                self._arrays[path] = self._arrays.get(path, -1) + 1
            if path in self._arrays:
                path = (*path, self._arrays[path])
        return path


def _words(dotted: str) -> list[str]:
    return [word.strip("\"'") for word in re.findall(_WORD, dotted)]


def label(path: Path, *, is_table: bool) -> str:
    """A path as people write it: `[alerts] for`, `[[alerts.rules]] 2: above`, `[plugins.slack]`."""
    for place, part in enumerate(path[:-1]):
        if isinstance(part, int):
            header = f"[[{_dotted(path[:place])}]] {part + 1}"
            return f"{header}: {_dotted(path[place + 1 :])}"
    if not path:
        return "the file"
    if isinstance(path[-1], int):
        if is_table:
            return f"[[{_dotted(path[:-1])}]] {path[-1] + 1}"
        return f"{label(path[:-1], is_table=False)}, item {path[-1] + 1}"
    if is_table:
        return f"[{_dotted(path)}]"
    return f"[{_dotted(path[:-1])}] {path[-1]}" if path[:-1] else str(path[-1])


def _dotted(path: Path) -> str:
    return ".".join(str(part + 1) if isinstance(part, int) else part for part in path)
