"""Lines that come in pieces, several at once or one by one, against Python's own."""

from __future__ import annotations

import io
import random

import pytest

from perfmon.recording.importing import lines
from perfmon.recording.importing.lines import Lines, is_too_long

PIECE, LONGEST = 8, 40


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in (("_PIECE", PIECE), ("LONGEST", LONGEST), ("_SOME", 3)):
        monkeypatch.setattr(lines, name, size)


def of(text: str) -> Lines:
    return Lines(io.StringIO(text, newline="").readline)


def all_of(source: Lines, seed: int) -> list[str]:
    """Some of them at once, where they are whole, and the others one by one."""
    chance, found = random.Random(seed), []
    while True:
        if not source.are_at_hand and chance.random() < 0.7:
            some = source.some()
            if some and all(line.endswith("\n") for line in some):
                source.take(some)
                found += some
            else:
                source.leave(some)
        line = source.next()
        if not line:
            return found
        found.append(line)


@pytest.mark.parametrize("seed", range(200))
def test_lines_in_pieces_are_the_lines_of_the_text(seed: int) -> None:
    chance = random.Random(seed)
    text = "".join(
        "x" * chance.choice((0, 1, PIECE - 2, PIECE - 1, PIECE, 2 * PIECE - 1, LONGEST - 2))
        + chance.choice(("\n", "\r", "\r\n"))
        for _ in range(30)
    )
    text += "x" * chance.randrange(PIECE)
    source = of(text)
    expected = list(io.StringIO(text, newline=""))
    assert all_of(source, seed) == expected
    assert source.read == len(expected)


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_a_line_beyond_the_longest_stands_alone(end: str) -> None:
    source = of(f"first\n{'x' * (2 * LONGEST)}{end}last\n" if end else f"first\n{'x' * 99}")
    found = all_of(source, 1)
    assert [is_too_long(line) for line in found] == [False, True, False][: len(found)]
    assert len(found) == (3 if end else 2)


def test_what_was_read_before_a_text_ends_early_comes_before_the_error() -> None:
    told = iter(["one\n", "two\n"])

    def readline(_: int) -> str:
        for line in told:
            return line
        raise EOFError

    source = Lines(readline)
    some = source.some()
    assert some == ["one\n", "two\n"]
    source.leave(some)
    assert [source.next(), source.next()] == ["one\n", "two\n"]
    for _ in range(2):
        assert source.some() == []
        with pytest.raises(EOFError):
            source.next()
