"""What users read is the field's English: phrases that crept in before do not come back."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXTS = [
    ROOT / "monitor.toml",
    *(
        path
        for folder in ("perfmon", "plugins")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "migrations" not in path.parts
    ),
]

# Each with what to say instead.
PHRASES = {
    r"lately(?!:)": "recently",
    r"of late": "recent",
    r"so many": "N, this many, at most N",
    r"(?:told|said) by": "reported by",
    r"(?:is|are|was|were) told": "is reported, recorded, notified",
    r"taken up|takes? up": "reloaded",
    r"dear": "expensive",
    r"as ever": "as usual",
    r"besides what": "in addition to",
    r"explained by another": "suppressed: same cause as ...",
    r"Accounts": "Internals, counters",
    r"with wishes": "per-agent settings",
    r"(?:storage|Storage|provider|model) is away": "is unavailable",
    r"(?:All|all) is well": "No action needed, no errors found",
    r"is to be done": "No action needed",
    r"out of service": "disabled",
    r"met a bug": "unexpected error",
    r"(?:begun|written) anew": "created again",
    r"known with other content": "already stored with different content",
    r"(?:runs|tokens|cost) a (?:minute|second|run)": "per minute, per run",
    r"must not be called": "is blocked",
    r"could not be asked": "could not be reached",
}
WRONG = re.compile("|".join(rf"\b(?:{phrase})(?!\w)" for phrase in PHRASES))


def found_in(path: Path) -> Iterator[str]:
    """Each such phrase in the strings and docstrings of a file, or in its whole text."""
    text = path.read_text("utf-8")
    pieces = [(1, text)]
    if path.suffix == ".py":
        nodes = ast.walk(ast.parse(text))
        strings = (node for node in nodes if isinstance(node, ast.Constant))
        # One word alone is a name, such as that of a saved field.
        pieces = [
            (node.lineno, node.value)
            for node in strings
            if isinstance(node.value, str) and " " in node.value
        ]
    for line, piece in pieces:
        for match in WRONG.finditer(piece):
            at = line + piece[: match.start()].count("\n")
            yield f"{path.relative_to(ROOT)}:{at}: {match[0]!r}"


def test_texts_have_none_of_the_phrases():
    """Strings that users see, docstrings, and the comments of monitor.toml."""
    assert [each for path in TEXTS for each in found_in(path)] == []


@pytest.mark.parametrize(
    "text", ["It was lately over.", "storage is away", "12 runs a minute", "a rule, taken up"]
)
def test_the_phrases_are_found(text):
    """Or the test above would say nothing."""
    assert WRONG.search(text)
    assert not WRONG.search("recently resolved, 12 runs per minute, untold, endearing")
