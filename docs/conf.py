"""Sphinx: this manual as a site, with nothing loaded from outside."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "perfmon"
author = "The perfmon authors"
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "perfmon"
html_copy_source = False
exclude_patterns = ["site"]
myst_heading_anchors = 3


def setup(app: Sphinx) -> None:
    app.connect("source-read", _for_the_site)


def _for_the_site(app: Sphinx, name: str, source: list[str]) -> None:
    """What a forge shows by itself: files outside of docs/, and the index as the way about."""
    folder = (Path(app.srcdir) / name).parent

    def outside(link: re.Match[str]) -> str:
        target = (folder / link[2].partition("#")[0]).resolve()
        return link[0] if target.is_relative_to(app.srcdir) else link[1]

    source[0] = re.sub(r"\[([^\]]+)\]\(([^):]+\.md[^)]*)\)", outside, source[0])
    if name == "index":
        source[0] += "".join(_toctrees(source[0]))


def _toctrees(text: str) -> list[str]:
    """Each section's links, as the site's own table of contents."""
    trees = []
    for section in re.split(r"^## ", text, flags=re.MULTILINE):
        title = section.partition("\n")[0].partition(":")[0].strip("# ")
        pages = re.findall(r"\]\(([\w/-]+)\.md\)", section)
        trees.append(
            "\n".join(["\n```{toctree}", ":hidden:", f":caption: {title}", *pages, "```\n"])
        )
    return trees
