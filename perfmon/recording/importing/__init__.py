"""Imports files of runs, measurements, predictions and outcomes; repeats count once."""

from __future__ import annotations

from perfmon.recording.importing.cells import moment
from perfmon.recording.importing.columns import Columns
from perfmon.recording.importing.encodings import known_encoding
from perfmon.recording.importing.files import ImportFileError, Source
from perfmon.recording.importing.importer import FileImport, ImportTally, Refused
from perfmon.recording.importing.kinds import KINDS

__all__ = [
    "KINDS",
    "Columns",
    "FileImport",
    "ImportFileError",
    "ImportTally",
    "Refused",
    "Source",
    "known_encoding",
    "moment",
]
