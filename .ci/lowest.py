"""Prints, as constraints for pip, the lowest version that pyproject.toml allows of each library.

Tools of tests alone stay as they come: what users install is what must be true. Sybil reads the
manual's blocks, and so is what the manual needs.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(?:\[[\w,]+\])?>=(?P<version>[\w.]+)", re.ASCII)
PROJECT = tomllib.loads(Path("pyproject.toml").read_text())["project"]

EXTRAS = PROJECT["optional-dependencies"]
SYBIL = [requirement for requirement in EXTRAS["test"] if requirement.startswith("sybil")]

for requirement in (*PROJECT["dependencies"], *EXTRAS["all"], *SYBIL):
    match = REQUIREMENT.fullmatch(requirement)
    assert match, f"{requirement!r} has no lower bound that can be tested"
    print(f"{match['name']}=={match['version']}")
