"""Where in a TOML file a table or key stands, so that a mistake can name its line."""

from __future__ import annotations

import re

Path = tuple[str | int, ...]

_WORD = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_DOTTED = rf"{_WORD}(?:\s*\.\s*{_WORD})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_DOTTED})\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(rf"\s*({_DOTTED})\s*=")
# What changes whether the next line can be a key: comments and texts are passed over, brackets
# are counted, and a text of several lines begins.
_PIECE = re.compile(r"""#.*|""" + r'"""|"(?:\\.|[^"\\])*"|' + r"""'''|'[^']*'|[\[\]{}]""")
_ENDS = {'"""': re.compile(r'\\.|("{3,5})'), "'''": re.compile("('{3,5})")}


class LineNumbers:
    """The line of each header and key of a TOML text, found without parsing it in full."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Path, int] = {}
        self._arrays: dict[Path, int] = {}
        self._table: Path = ()
        inside, depth = "", 0
        for number, line in enumerate(text.split("\n"), start=1):
            # Lines inside a text or list of several lines are not keys, whatever they look like.
            if not inside and depth <= 0:
                self._note(line, number)
            inside, depth = _after(line, inside, depth)

    def line(self, path: Path) -> int | None:
        """The line of a path, or of the nearest table or key around it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self._lines:
                return self._lines[path[:length]]
        return None

    def _note(self, line: str, number: int) -> None:
        if header := _HEADER.match(line):
            self._table = self._header(header[2], number, is_array=header[1] == "[[")
            self._lines.setdefault(self._table, number)
        elif key := _KEY.match(line):
            self._lines.setdefault((*self._table, *_words(key[1])), number)

    def _header(self, dotted: str, number: int, *, is_array: bool) -> Path:
        path: Path = ()
        words = _words(dotted)
        for place, word in enumerate(words, start=1):
            path = (*path, word)
            if is_array and place == len(words):
                self._lines.setdefault(path, number)
                self._arrays[path] = self._arrays.get(path, -1) + 1
            if path in self._arrays:
                path = (*path, self._arrays[path])
        return path


def _after(line: str, inside: str, depth: int) -> tuple[str, int]:
    """The quotes of the text, and the number of open brackets, that go on behind a line."""
    at = 0
    while True:
        piece = (_ENDS[inside] if inside else _PIECE).search(line, at)
        if piece is None:
            return inside, depth
        at = piece.end()
        if inside:
            inside = "" if piece[1] else inside
        elif piece[0] in _ENDS:
            inside = piece[0]
        else:
            depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(piece[0], 0)


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
