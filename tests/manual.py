"""The manual as tests read it: its pages, their blocks and sections."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MANUAL = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
PAGES = [*MANUAL, *(ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md")),
         *sorted((ROOT / "benchmarks").glob("*.md"))]  # fmt: skip
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def shown(path):
    return str(path.relative_to(ROOT))


def page(name):
    return (DOCS / name).read_text()


def blocks(language, *paths):
    """The blocks of a language, of these pages or of all."""
    texts = (path.read_text() for path in paths or MANUAL)
    return [text for page in texts for kind, text in BLOCK.findall(page) if kind == language]


def section(title, text):
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def commands(program):
    """The lines of shell blocks that call a program, each of `a && b` apart."""
    lines = [line for text in blocks("sh") for line in text.splitlines()]
    parts = [part.strip() for line in lines for part in line.split("&&")]
    found = [shlex.split(part)[1:] for part in parts if part.split()[0].endswith(program)]
    return list({" ".join(words): words for words in found}.values())
