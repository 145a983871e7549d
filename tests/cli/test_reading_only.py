"""Commands that only look: they change nothing in storage, and say what they cannot show."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path

import perfmon_sql
import pytest
from click.testing import CliRunner
from perfmon_sql import database
from perfmon_sql.upgrade import upgrade

from perfmon import PerformanceMonitor, StorageError
from perfmon.cli import cli
from perfmon.testing import run_row
from perfmon.testing.stored import runs_of, stored

LOOKS = {
    "report": ["report", "--format", "json", "--window-minutes", "1440"],
    "alerts": ["alerts"],
    "silences": ["alerts", "silences"],
    "backtest": ["alerts", "backtest"],
    "check": ["check"],
}
KILLED = """
import os, sys, time
from perfmon import PerformanceMonitor, StorageError
monitor = PerformanceMonitor(storage_url=sys.argv[1], enable_auto_alerts=False).start()
for n in range(100):
    monitor.record_agent_run(f"r{n}", "a", "t", "success")
monitor.flush()
def away(batch):
    raise StorageError("away")
monitor.storage.store = away
for n in range(100, 142):
    monitor.record_agent_run(f"r{n}", "a", "t", "success")
monitor.record_accuracy("a", "task", "yes", "yes")
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def folder():
    """A folder that other users reach too, with the current folder in it."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    (made / "data").mkdir()
    before = Path.cwd()
    os.chdir(made)
    yield made / "data"
    os.chdir(before)
    shutil.rmtree(made)


@pytest.fixture
def url(folder):
    return f"sqlite:///{folder}/p.db"


def look(command, url, code=0):
    toml = Path("monitor.toml")
    toml.write_text(f'[monitor]\nstorage = "{url}"\n')
    result = CliRunner().invoke(cli, LOOKS[command])
    assert result.exit_code == code, (result.output, result.exception)
    assert "Traceback" not in result.output
    return result


def state(folder):
    """Every file with its content, but for the index of the log, which readers lock and repair."""
    files = [one for one in folder.rglob("*") if one.is_file()]
    return {one: one.suffix != ".db-shm" and one.read_bytes() for one in files}


def fill(url):
    with PerformanceMonitor(storage_url=url, enable_auto_alerts=False) as monitor:
        for n in range(100):
            monitor.record_agent_run(f"r{n}", "a", "t", "success")


def kill_one(url):
    """A monitor that had stored 100 runs and not 42 others when it was killed."""
    command = [sys.executable, "-c", KILLED, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGKILL)


@contextmanager
def as_somebody_else(folder):
    """The folder cannot be written, even by root."""
    files = [folder, *folder.rglob("*")]
    for one in files:
        one.chmod(0o555 if one.is_dir() else 0o444)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65_534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        for one in files:
            one.chmod(0o755 if one.is_dir() else 0o644)


@pytest.mark.parametrize("command", LOOKS)
@pytest.mark.parametrize("how", ["stopped", "killed", "without an index"])
def test_looking_changes_nothing(folder, url, command, how):
    """No file is made, removed or written, and all that was stored is shown."""
    (fill if how == "stopped" else kill_one)(url)
    if how == "without an index":
        (folder / "p.db-shm").unlink()
    before = state(folder)
    shown = look(command, url).stdout
    assert state(folder) == before
    if command == "report":
        assert '"total_tasks": 100' in shown


@pytest.mark.parametrize("command", LOOKS)
def test_looking_beside_a_monitor_leaves_its_log(folder, url, command):
    """Though a copy dropped the locks, who looks and leaves takes nothing of the monitor's away."""
    with PerformanceMonitor(storage_url=url, enable_auto_alerts=False) as monitor:
        monitor.record_agent_run("one", "a", "t", "success")
        monitor.flush(60)
        shutil.copyfile(folder / "p.db", folder / "copy.db")
        before = (folder / "p.db").read_bytes(), (folder / "p.db-wal").stat().st_ino
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        Path("monitor.toml").write_text(f'[monitor]\nstorage = "{url}"\n')
        subprocess.run(
            [sys.executable, "-c", "from perfmon.cli import cli; cli()", *LOOKS[command]],
            check=True,
            env=environment,
        )
        assert ((folder / "p.db").read_bytes(), (folder / "p.db-wal").stat().st_ino) == before


@pytest.mark.parametrize("command", ["report", "alerts", "check"])
def test_what_waits_in_a_journal_is_counted(url, command):
    """Only what is not stored, in one line on stderr, where it is no answer's."""
    kill_one(url)
    said = look(command, url)
    where = said.stdout if command == "check" else said.stderr
    assert "42 runs and 1 measurement are still in the journal" in where
    fill(url)
    assert "wait in" not in look(command, url).output


@pytest.mark.parametrize("command", ["report", "alerts", "silences", "backtest"])
def test_a_mistyped_path_is_an_error(folder, command):
    """It names the path, and makes nothing there."""
    said = look(command, f"sqlite:///{folder}/typo.db", code=1)
    assert said.stderr == f"perfmon: sqlite:///{folder}/typo.db: no such file\n"
    assert list(folder.iterdir()) == []


def test_a_command_that_changes_something_needs_something_there(folder):
    """An acknowledgement or a silence on a mistyped path would be heard by nobody."""
    url = f"sqlite:///{folder}/typo.db"
    for arguments in (
        ["ack", "3f2a9c01"],
        ["silence", "--agent", "a", "--for", "1h"],
        ["unsilence", "3f2a9c01"],
    ):
        result = CliRunner().invoke(cli, ["alerts", *arguments, "--storage", url])
        assert (result.exit_code, "no such file" in result.stderr) == (1, True)
    assert list(folder.iterdir()) == []


def test_check_says_that_nothing_is_there_yet(folder):
    """A configuration may be right before anything was recorded; the check makes nothing."""
    assert "no such file yet" in look("check", f"sqlite:///{folder}/p.db").stdout
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("command", LOOKS)
@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_a_folder_that_cannot_be_written(folder, url, command, how):
    """It can be looked at all the same, with what only stands in the log."""
    (fill if how == "stopped" else kill_one)(url)
    look(command, url)  # imports what it needs
    with as_somebody_else(folder), as_is(folder.parent):
        result = CliRunner().invoke(cli, LOOKS[command])
    assert result.exit_code == 0, result.output
    if command == "report":
        assert '"total_tasks": 100' in result.stdout


@contextmanager
def as_is(folder):
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
@pytest.mark.parametrize("version", ["0001", "0004"])
def test_an_older_schema_is_one_line(engine, version, request, monkeypatch, folder):
    """It names the upgrade, and leaves it to who may make it."""
    at = f"sqlite:///{folder}/p.db"
    if engine == "postgresql":
        at = request.getfixturevalue("postgres_url")
    monkeypatch.setattr(
        database, "upgrade", lambda connection, shown: upgrade(connection, shown, version)
    )
    perfmon_sql.open_storage(at).close()
    monkeypatch.undo()
    said = look("report", at, code=1).stderr
    assert f"its schema has version {version}, older than" in said
    assert "perfmon serve" in said
    assert len(said.splitlines()) == 1
    with closing(perfmon_sql.open_storage(at)) as storage:  # which upgrades it
        assert runs_of(storage) == []


def test_a_fresh_postgresql_is_left_alone(postgres_url, folder):
    """No table is made by looking at a database of somebody else."""
    said = look("report", postgres_url, code=1).stderr
    assert "not a perfmon database" in said
    with pytest.raises(StorageError, match="not a perfmon database"):
        perfmon_sql.open_storage(postgres_url, read_only=True)


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_what_is_open_for_reading_refuses_to_write(engine, request, url):
    """Nothing gets past it: rows, alerts and leases are refused with one line."""
    at = url if engine == "sqlite" else request.getfixturevalue("postgres_url")
    perfmon_sql.open_storage(at).close()
    with closing(perfmon_sql.open_storage(at, read_only=True)) as storage:
        with pytest.raises(StorageError, match="open read-only"):
            stored(storage, [run_row()])
        with pytest.raises(StorageError, match="open read-only"):
            storage.take_lease("alerts", "me", 10)
        assert runs_of(storage) == []


def test_a_file_that_changes_under_a_reader(url):
    """Who began to read a quiet file sees what a monitor that starts then stores."""
    fill(url)
    with closing(perfmon_sql.open_storage(url, read_only=True)) as reading:
        assert len(runs_of(reading)) == 100
        with closing(perfmon_sql.open_storage(url)) as writing:
            stored(writing, [run_row("new")])
            assert len(runs_of(reading)) == 101
        assert len(runs_of(reading)) == 101


def test_what_is_no_database_of_perfmon(folder):
    """An empty file, another program's database and a text are told apart from an empty report."""
    (folder / "empty.db").touch()
    (folder / "text.db").write_text("not a database" * 1000)
    with closing(sqlite3.connect(folder / "other.db")) as other:
        other.execute("CREATE TABLE runs (distance REAL)")
    for name, words in (
        ("empty.db", "not a perfmon database"),
        ("other.db", "not a perfmon database"),
        ("text.db", "file is not a database"),
        (".", "is a folder"),
    ):
        assert words in look("report", f"sqlite:///{folder}/{name}", code=1).stderr
