"""A purge gives pages back, without holding up who records."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing

import perfmon_sql
import pytest
from perfmon_sql import sqlite_pages

from perfmon import PerformanceMonitor
from perfmon.testing import START_US, make_rows, run_row
from perfmon.testing.stored import runs_of, stored

LATER = START_US + 10**15


@pytest.fixture(params=["new", "of an older version"])
def path(request, tmp_path):
    """A database of 20,000 runs, made as today or before files could shrink."""
    path = tmp_path / "p.db"
    if request.param != "new":
        with closing(sqlite3.connect(path)) as older:
            older.execute("PRAGMA auto_vacuum=NONE")
            older.execute("PRAGMA journal_mode=WAL")
    with closing(perfmon_sql.open_storage(f"sqlite:///{path}")) as storage:
        rows = make_rows(20_000)
        for start in range(0, 20_000, 5_000):
            stored(storage, rows[start : start + 5_000])
    with closing(sqlite3.connect(path)) as database:
        mode = database.execute("PRAGMA auto_vacuum").fetchone()[0]
    assert mode == (2 if request.param == "new" else 0)
    return path


def compact(storage):
    while storage.compact(0.05):
        pass


def test_a_purge_gives_its_pages_back(path):
    """What a month of runs took is the file system's again, and what is kept is whole."""
    before = path.stat().st_size
    with closing(perfmon_sql.open_storage(f"sqlite:///{path}")) as storage:
        stored(storage, [run_row("kept", timestamp=LATER)])
        storage.purge(LATER, LATER)
        compact(storage)
        assert path.stat().st_size < before / 5
        assert storage.describe()["bytes"] < before / 5
        assert len(runs_of(storage)) == 1
        assert stored(storage, make_rows(500)).runs.all()
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA auto_vacuum").fetchone() == (2,)


def test_recording_goes_on_meanwhile(path):
    """Each step is a transaction of its own: others write in between, and all that is told."""
    with closing(perfmon_sql.open_storage(f"sqlite:///{path}")) as storage:
        storage.purge(LATER, LATER)
        stop, count = threading.Event(), 0
        shrinking = threading.Thread(target=lambda: (compact(storage), stop.set()))
        shrinking.start()
        while not stop.is_set() or not count:
            assert stored(storage, [run_row(f"new-{count}")]).runs.all()
            count += 1
        shrinking.join()
        assert len(runs_of(storage)) == count


def test_it_takes_no_longer_than_it_may(path, monkeypatch):
    """Pages that cannot be given back in time stay for the next look, or for good, and are used."""
    before = path.stat().st_size
    with closing(perfmon_sql.open_storage(f"sqlite:///{path}")) as storage:
        storage.purge(LATER, LATER)
        monkeypatch.setattr(sqlite_pages, "COPY_SECONDS", -1.0)
        began = time.monotonic()
        storage.compact(0.0)
        assert time.monotonic() - began < 5
        assert storage.describe()["bytes"] > before / 2
        assert stored(storage, make_rows(500)).runs.all()


def test_a_monitor_compacts_by_itself(tmp_path):
    """After its purge, in the background, while it records."""
    path = tmp_path / "p.db"
    with PerformanceMonitor(storage_url=f"sqlite:///{path}", enable_auto_alerts=False) as monitor:
        long_ago = time.time() - 3000 * 86_400
        for n in range(5_000):
            monitor.record_agent_run(
                f"r{n}", "a", "t", "success", timestamp=long_ago, metadata={"note": "x" * 500}
            )
        monitor.flush(60)
        before = monitor.storage.describe()["bytes"]
        monitor._next_purge = 0.0
        deadline = time.monotonic() + 60
        while monitor.storage.describe()["bytes"] > before / 4:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_what_is_used_again_soon_is_kept():
    """A few free pages are what the next hour needs: giving them back would be work for nothing."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("PRAGMA auto_vacuum=INCREMENTAL")
        database.execute("CREATE TABLE t (x)")
        database.execute("INSERT INTO t VALUES (zeroblob(4000 * 2000))")
        database.execute("INSERT INTO t VALUES (zeroblob(4000 * 50))")
        database.execute("DELETE FROM t WHERE length(x) < 4000 * 60")
        assert 0 < sqlite_pages.Pages(database).free < 64
        assert not sqlite_pages.Pages(database).is_worth_it
        database.execute("DELETE FROM t")
        assert sqlite_pages.Pages(database).is_worth_it
