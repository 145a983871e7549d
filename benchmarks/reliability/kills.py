"""`kill -9` at the worst of times: what was acknowledged before is there after a restart, once."""

from __future__ import annotations

import os
import random
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs
import psycopg

from benchmarks.reliability.proxy import PostgresProxy
from perfmon import Config, PerformanceMonitor
from perfmon.testing.stored import measurements_of, runs_of

POSTGRES = os.environ.get("PERFMON_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
LONGEST = 0.4  # seconds from the moment that is waited for to the kill
_PATIENCE = 120.0
_DISK_MB = 40  # so large is the disk that becomes full; the journal takes 18 MB at once
_JOURNAL_MB = 16
_FAR_TOO_MANY = 40_000  # rows, more than there is room for


@attrs.frozen
class Kill:
    """What came of one.

    Attributes:
        acknowledged: rows that were taken before the kill.
        lost: those of them that are not in storage after a restart.
        twice: how many more rows the window has than storage, or fewer.
        was_full: whether something had been refused before the kill.
    """

    acknowledged: int
    lost: int
    twice: int
    was_full: bool


class Child:
    """A program that records, and what it acknowledged so far."""

    def __init__(
        self, url: str, journal: Path, journal_mb: int, seed: int, largest_file_mb: int | None
    ) -> None:
        program = Path(__file__).with_name("killed.py")
        arguments = [url, str(journal), str(journal_mb), str(seed)]
        arguments += [] if largest_file_mb is None else [str(largest_file_mb)]
        self._process = subprocess.Popen(
            [sys.executable, str(program), *arguments], stdout=subprocess.PIPE
        )
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stdout:
            if line.endswith(b"\n"):
                self.said.append(line.decode().strip())

    def wait_until(self, condition: Callable[[list[str]], bool]) -> None:
        deadline = time.monotonic() + _PATIENCE
        while not condition(self.said):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError("the child ended, or did not get there in time")
            time.sleep(0.005)

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        self._process.stdout.close()


def storage_away(folder: Path, seed: int) -> Kill:
    """PostgreSQL does not answer while it records and is killed."""
    with postgres() as url, _proxy(url) as proxy:
        return _killed(
            proxy.url, folder / "journal", seed, 256, proxy.go_away, mend=proxy.come_back
        )


def full_journal(folder: Path, seed: int) -> Kill:
    """PostgreSQL does not answer, and the journal is at its bound."""
    with postgres() as url, _proxy(url) as proxy:
        return _killed(
            proxy.url, folder / "journal", seed, _JOURNAL_MB, proxy.go_away, until_full=True,
            mend=proxy.come_back,
        )  # fmt: skip


def full_disk(folder: Path, seed: int) -> Kill:
    """Database and journal are on one small disk, which is full."""
    disk = folder / "disk"
    disk.mkdir()
    url = f"sqlite:///{disk}/perfmon.db"
    with small_disk(disk, _DISK_MB) as make_room:
        # Without a disk of its own: no file may be larger, and the journal is bounded.
        alone = make_room is None
        return _killed(
            url, disk / "journal", seed, _JOURNAL_MB if alone else 256, until_full=True,
            mend=make_room or _nothing, largest_file_mb=9 if alone else None,
        )  # fmt: skip


SITUATIONS = {
    "storage away": storage_away,
    "full journal": full_journal,
    "full disk": full_disk,
}


def _nothing() -> None:
    pass


def _killed(
    url: str,
    journal: Path,
    seed: int,
    journal_mb: int,
    fail: Callable[[], None] = _nothing,
    *,
    until_full: bool = False,
    mend: Callable[[], None] = _nothing,
    largest_file_mb: int | None = None,
) -> Kill:
    chance = random.Random(seed)
    child = Child(url, journal, journal_mb, seed, largest_file_mb)
    child.wait_until(lambda said: len(said) > 1)
    time.sleep(chance.random() * 0.1)
    fail()
    so_far = len(child.said)
    child.wait_until(
        lambda said: "full" in said or len(said) > so_far + (_FAR_TOO_MANY if until_full else 0)
    )
    time.sleep(chance.random() * LONGEST)
    child.kill()
    mend()
    taken = {word for word in child.said if word.startswith("k")}
    return _after_restart(url, journal, journal_mb, taken, was_full="full" in child.said)


def _after_restart(
    url: str, journal: Path, journal_mb: int, taken: set[str], *, was_full: bool
) -> Kill:
    table = {"storage": url, "journal": str(journal), "journal_max_mb": journal_mb}
    with PerformanceMonitor(Config.from_mapping({"monitor": table})) as monitor:
        monitor.flush(_PATIENCE)
        runs = [row[0] for row in runs_of(monitor.storage)]
        measured = [row[0] for row in measurements_of(monitor.storage)]
        metrics = monitor.get_system_metrics(60)
        in_window = metrics.total_tasks + metrics.accuracy_count
    here = {*runs, *measured}
    return Kill(len(taken), len(taken - here), abs(in_window - len(here)), was_full)


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of an empty schema, dropped at the end."""
    schema = f"perfmon_kill_{secrets.token_hex(6)}"
    with psycopg.connect(POSTGRES, autocommit=True, connect_timeout=30) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
        try:
            yield f"{POSTGRES}?options=-csearch_path%3D{schema}"
        finally:
            connection.execute(f"DROP SCHEMA {schema} CASCADE")


@contextmanager
def _proxy(url: str) -> Iterator[PostgresProxy]:
    proxy = PostgresProxy(url)
    try:
        yield proxy
    finally:
        proxy.close()


@contextmanager
def small_disk(folder: Path, size_mb: int) -> Iterator[Callable[[], None] | None]:
    """A file system of its own in a folder, and what makes it larger; None needs root."""
    options = ["-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(["mount", *options], capture_output=True, check=False)
        is_there = mounted.returncode == 0
    except OSError:
        is_there = False
    if not is_there:
        yield None
        return

    def make_room() -> None:
        larger = ["-o", f"remount,size={size_mb * 8}m", str(folder)]
        subprocess.run(["mount", *larger], check=True)

    try:
        yield make_room
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
