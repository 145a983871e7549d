"""Opens storage by its URL, and the journal next to it."""

from __future__ import annotations

from hashlib import blake2s
from pathlib import Path

from perfmon.config import MonitorTable
from perfmon.errors import PerfmonError, StorageError
from perfmon.plugins.bus import Bus
from perfmon.recording.journal import Journal
from perfmon.storage.storage import Storage


def open_storage(bus: Bus, url: str, *, read_only: bool = False) -> Storage:
    """The storage that a plugin opens for a URL; `StorageError` where none does.

    Read only, nothing is made or changed there, as far as its plugin knows the difference.
    """
    storage: Storage | None = None
    if read_only:
        storage = bus.ask("read_storage", url=url, propagate=PerfmonError)
    if storage is None:
        storage = bus.ask("open_storage", url=url, propagate=PerfmonError)
    if storage is None:
        scheme = url.split(":", 1)[0]
        raise StorageError(
            f"no plugin supports storage URLs that begin with '{scheme}:' (see `perfmon plugins`)"
        )
    return storage


def open_journal(settings: MonitorTable, owner: str) -> Journal | None:
    """The journal that a configuration asks for; None where nothing outlives the process."""
    folder = journal_folder(settings)
    if folder is None:
        return None
    try:
        return Journal(folder, settings.journal_max_mb * 2**20, owner)
    except OSError as problem:
        raise StorageError(f"cannot create the journal in {folder}: {problem}") from None


def journal_folder(settings: MonitorTable) -> Path | None:
    """Where journals are; None where nothing outlives the process."""
    folder = _journal_folder(settings.storage, settings.journal)
    return None if settings.durability == "memory" else folder


def keeps_nothing(url: str) -> bool:
    """Whether a storage is there only as long as its process."""
    scheme, _, rest = url.partition(":")
    return scheme == "memory" or (scheme.startswith("sqlite") and rest in ("//", "///:memory:"))


def _journal_folder(url: str, configured: str | None) -> Path | None:
    """Beside the database file, or in the current folder for a database on a server."""
    scheme, _, rest = url.partition(":")
    if keeps_nothing(url):
        return None
    if configured is not None:
        return Path(configured)
    if scheme.startswith("sqlite"):
        return Path(rest.removeprefix("///").split("?")[0] + ".journal")
    return Path("perfmon.journal")


def journal_owner(url: str, storage: Storage) -> str:
    """Tells journals in one folder apart by the storage they are for."""
    scheme, _, rest = url.partition(":")
    place = str(Path(rest.removeprefix("///")).absolute())
    if not scheme.startswith("sqlite"):
        place = storage.describe()["url"]
    return blake2s(place.encode(), digest_size=6).hexdigest()
