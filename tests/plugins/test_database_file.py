"""The file under a database, and what other programs do to it while a monitor has it open."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing

import pytest
from perfmon_sql import sqlite_file as watched

from perfmon import Config, PerformanceMonitor, StorageError

_COUNT = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as database:
    print(database.execute("SELECT count(*) FROM runs").fetchone()[0])
database.close()
"""


def count(path) -> int:
    """The runs that another process finds at the path; it leaves as the last one would."""
    command = [sys.executable, "-c", _COUNT, str(path)]
    return int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def answers(storage):
    try:
        storage.check()
    except StorageError:
        return False
    return True


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def record(monitor, *names):
    for name in names:
        monitor.record_agent_run(name, "a", "t", "success", metadata={"note": "x" * 2_000})


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "data"
    made.mkdir()
    return made


@pytest.fixture
def path(folder):
    return folder / "p.db"


@pytest.fixture
def monitor(path, monkeypatch):
    """A monitor with 100 runs in its file, which gives up nothing unless a test lets it."""
    monkeypatch.setattr(watched, "SETTLE", 600.0)
    settings = {"monitor": {"storage": f"sqlite:///{path}"}, "alerts": {"enabled": False}}
    with PerformanceMonitor(Config.from_mapping(settings)) as monitor:
        record(monitor, *(f"r{n}" for n in range(100)))
        monitor.flush(60)
        yield monitor


def checkpoint(path):
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def remove_all(path):
    for name in ("p.db", "p.db-wal", "p.db-shm"):
        (path.parent / name).unlink()


def remove_file(path):
    path.unlink()


def move_folder(path):
    path.parent.rename(path.parent.with_name("moved"))


def replace(path):
    with closing(sqlite3.connect(path.with_name("other.db"))) as other:
        other.execute("CREATE TABLE other (x)")
    path.with_name("other.db").replace(path)


def cut_to_nothing(path):
    checkpoint(path)
    os.truncate(path, 0)


def cut_in_half(path):
    checkpoint(path)
    os.truncate(path, path.stat().st_size // 8192 * 4096)


def write_over_it(path):
    checkpoint(path)
    path.write_bytes(b"not a database" * 10_000)


VARIANTS = [
    remove_all, remove_file, move_folder, replace, cut_to_nothing, cut_in_half, write_over_it,
]  # fmt: skip


@pytest.mark.parametrize("damage", VARIANTS)
def test_a_lost_file_is_noticed_and_nothing_is_called_stored(monitor, path, damage):
    """Whatever was done to the file, what is recorded then waits, and the monitor says why."""
    damage(path)
    wait_for(lambda: monitor.get_stats()["storage_error"])  # nothing was recorded meanwhile
    record(monitor, "later-1", "later-2")
    with pytest.raises(StorageError, match=r"p\.db: "):
        monitor.flush(0.5)
    stats = monitor.get_stats()
    assert (stats["stored"], stats["pending"], stats["dropped"]) == (100, 2, 0)
    assert str(path) in stats["storage_error"]
    wait_for(lambda: not answers(monitor.storage))  # as /readyz asks


@pytest.mark.parametrize("damage", VARIANTS)
def test_what_waited_is_stored_when_the_path_is_right_again(monitor, path, damage, monkeypatch):
    """What can be gone on with is, once it has settled; a file that is damaged is left alone."""
    damage(path)
    record(monitor, "later")
    wait_for(lambda: monitor.get_stats()["storage_error"])
    monkeypatch.setattr(watched, "SETTLE", 0.2)
    if damage in (cut_in_half, write_over_it):
        with pytest.raises(StorageError):
            monitor.flush(1.5)
        replace(path)  # somebody puts a good one there
    monitor.flush(60)
    stats = monitor.get_stats()
    assert (stats["stored"], stats["pending"], stats["storage_error"]) == (101, 0, None)
    assert count(path) == (101 if damage in (remove_all, remove_file, move_folder) else 1)


def test_a_file_that_was_removed_is_written_anew_from_what_is_open(monitor, path, monkeypatch):
    """All that was stored is at the path again, readable by its owner alone, and goes on there."""
    monkeypatch.setattr(watched, "SETTLE", 0.2)
    remove_all(path)
    wait_for(path.exists)
    record(monitor, "later")
    monitor.flush(60)
    assert (count(path), stat.S_IMODE(path.stat().st_mode)) == (101, 0o600)
    monitor.stop()
    assert count(path) == 101
    assert [one.name for one in path.parent.iterdir() if one.is_file()] == ["p.db"]


def test_a_file_that_is_gone_at_the_end_is_written_anew_too(monitor, path):
    """Who stops then finds all that was stored, and the next start stores what waited."""
    remove_all(path)
    record(monitor, "later")
    monitor.stop()
    assert count(path) == 100
    with PerformanceMonitor(storage_url=f"sqlite:///{path}", enable_auto_alerts=False):
        pass
    assert count(path) == 101


def test_a_copy_in_the_same_process_costs_nothing(monitor, path):
    """It drops SQLite's locks, and who looks then and leaves removes no log under the monitor."""
    shutil.copyfile(path, path.with_name("backup.db"))
    assert count(path) == 100
    record(monitor, "later")
    monitor.flush(60)
    assert count(path) == 101


@pytest.mark.parametrize("recorded", ["before it is noticed", "after"])
def test_a_removed_log_loses_nothing(monitor, path, recorded):
    """What was in the log alone is in the file, and what comes then in a log of its own."""
    (path.parent / "p.db-wal").unlink()
    if recorded == "after":
        wait_for((path.parent / "p.db-wal").exists)
    record(monitor, "later")
    monitor.flush(60)
    assert count(path) == 101
    assert monitor.get_stats()["storage_error"] is None


def test_a_link_is_followed(tmp_path, monkeypatch):
    """A database behind a link is watched where it is; a link turned elsewhere is noticed."""
    monkeypatch.setattr(watched, "SETTLE", 0.2)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with closing(sqlite3.connect(tmp_path / "two/p.db")) as other:
        other.execute("CREATE TABLE other (x)")
    path = tmp_path / "p.db"
    path.symlink_to("one/p.db")
    with PerformanceMonitor(storage_url=f"sqlite:///{path}", enable_auto_alerts=False) as monitor:
        record(monitor, "first")
        monitor.flush(60)
        assert monitor.get_stats()["storage"]["wal_bytes"] > 0
        (tmp_path / "new").symlink_to("two/p.db")
        (tmp_path / "new").rename(path)
        record(monitor, "second")
        monitor.flush(60)
    assert (count(tmp_path / "one/p.db"), count(tmp_path / "two/p.db")) == (1, 1)


def test_a_backup_copied_over_the_file(monitor, path, monkeypatch):
    """The file is another one though its inode is not; what then waited is stored in that one."""
    checkpoint(path)
    shutil.copyfile(path, path.with_name("backup.db"))
    record(monitor, *(f"lost-{n}" for n in range(50)))
    monitor.flush(60)
    checkpoint(path)
    monitor.storage.check()
    shutil.copyfile(path.with_name("backup.db"), path)
    record(monitor, "later")
    wait_for(lambda: monitor.get_stats()["storage_error"])
    assert monitor.get_stats()["pending"] == 1
    monkeypatch.setattr(watched, "SETTLE", 0.2)
    monitor.flush(60)
    assert count(path) == 101


def test_a_file_moved_away_and_back_is_gone_on_with(monitor, path):
    """The same file at the path again: nothing is opened anew, and nothing is missing."""
    path.rename(path.with_name("away.db"))
    record(monitor, "later")
    wait_for(lambda: monitor.get_stats()["storage_error"])
    path.with_name("away.db").rename(path)
    monitor.flush(60)
    assert count(path) == 101


def test_files_are_private(tmp_path):
    """Database, log of the database, journal and log file have mode 0600, whatever the umask."""
    before = os.umask(0)
    try:
        settings = {"storage": f"sqlite:///{tmp_path}/p.db", "log_file": f"{tmp_path}/p.log"}
        with PerformanceMonitor(Config.from_mapping({"monitor": settings})) as monitor:
            record(monitor, "one")
            monitor.flush(60)
            files = [one for one in tmp_path.rglob("*") if one.is_file()]
            modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in files}
    finally:
        os.umask(before)
    assert {"p.db", "p.db-wal", "p.db-shm", "p.log"} <= modes.keys()
    assert len(modes) >= 6
    assert set(modes.values()) == {0o600}


def test_a_file_that_is_there_keeps_its_mode(tmp_path):
    """Whoever shares a database with a group goes on doing so."""
    path = tmp_path / "p.db"
    path.touch()
    path.chmod(0o660)
    with PerformanceMonitor(storage_url=f"sqlite:///{path}", enable_auto_alerts=False) as monitor:
        record(monitor, "one")
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
