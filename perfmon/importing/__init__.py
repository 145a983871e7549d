"""What files hold, runs to outcomes, recorded batch by batch; a repeat counts nothing twice."""

from __future__ import annotations

from perfmon.importing.cells import moment
from perfmon.importing.columns import Columns
from perfmon.importing.encodings import known_encoding
from perfmon.importing.files import ImportFileError, Source
from perfmon.importing.kinds import KINDS
from perfmon.importing.recording import FileImport, Refused, Tally

__all__ = [
    "KINDS",
    "Columns",
    "FileImport",
    "ImportFileError",
    "Refused",
    "Source",
    "Tally",
    "known_encoding",
    "moment",
]
