"""What is particular to SQL: schema versions, URLs, connections, and the view for people."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import perfmon_sql
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from perfmon_sql import database, schema
from perfmon_sql import storage as storages
from perfmon_sql.upgrade import MIGRATIONS, current, upgrade

from perfmon import RUN_FIELDS, PluginError, Scope, StorageError
from perfmon.testing import START_US, make_alert, make_measurements, make_rows, run_row
from perfmon.testing.stored import cells_of, measurements_of, runs_of, stored
from perfmon.window.cells import Stat

ALWAYS = (-(2**62), 2**62)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "postgresql":
        return request.getfixturevalue("postgres_url")
    return f"sqlite:///{tmp_path}/runs.db"


@pytest.fixture
def opened():
    """Opens storages that are closed at the end."""
    with contextlib.ExitStack() as stack:
        yield lambda url: stack.enter_context(contextlib.closing(perfmon_sql.open_storage(url)))


@pytest.fixture
def engine(url):
    """The same database, past the plugin."""
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    yield engine
    engine.dispose()


@pytest.fixture
def execute(engine):
    def run(statement):
        with engine.begin() as connection:
            found = connection.exec_driver_sql(statement)
            return found.fetchall() if found.returns_rows else []

    return run


def test_the_migrations_make_the_schema(opened, url, engine):
    """What the migrations made is what the schema says, and its version is their last."""

    def is_of_this_engine(item, _name, kind, *_):
        return kind != "index" or item._ddl_if is None or item._ddl_if.dialect == engine.name

    opened(url)
    options = {"version_table": schema.VERSION_TABLE, "include_object": is_of_this_engine}
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, schema.metadata) == []
        assert current(connection) == schema.HEAD
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == schema.HEAD


def test_an_older_schema_keeps_every_row(opened, url, engine, execute, monkeypatch, tmp_path):
    """A database of version 1 gets what is missing when it is opened, and loses nothing."""
    monkeypatch.setattr(
        database, "upgrade", lambda connection, shown: upgrade(connection, shown, "0001")
    )
    opened(url).close()
    monkeypatch.undo()
    calls = RUN_FIELDS.index("api_calls")
    runs = [
        (*row[:calls], row[calls] or 1, row[calls + 1] or 0, *row[calls + 2 : -1], None)
        for row in make_rows(50)
    ]
    measured = [(*row[:15], 0, None, None, None, *row[19:]) for row in make_measurements(5)]
    model = opened(f"sqlite:///{tmp_path}/model.db")
    stored(model, runs, measured)
    _copy_to_version_1(f"{tmp_path}/model.db", engine)
    with pytest.raises(sa.exc.DatabaseError):
        execute("SELECT * FROM runs_named")
    new = opened(url)
    assert (runs_of(new), measurements_of(new)) == (runs, measured)
    again = stored(new, runs, measured)
    assert not again.runs.any()
    assert again.conflicts == ()
    assert len(execute("SELECT * FROM runs_named")) == 50
    assert np.array_equal(
        *(
            np.delete(cells_of(one).merged().stats, [Stat.FAILED_COST, Stat.FAILED_COST_N], axis=1)
            for one in (new, model)
        )
    )
    unknown = run_row("later", timestamp=runs[-1][6])
    assert stored(new, [unknown]).runs.all()
    assert unknown in runs_of(new)
    assert execute("SELECT api_calls, retries FROM runs_named WHERE run_id = 'later'") == [
        (None, None)
    ]


def _copy_to_version_1(path, engine):
    """Rows as version 1 kept them: fewer columns, and 35 statistics for each cell."""
    with contextlib.closing(sqlite3.connect(path)) as model, engine.begin() as connection:
        for table in ("agents", "cell_keys", "runs", "measurements", "cells"):
            columns = [column["name"] for column in sa.inspect(connection).get_columns(table)]
            place = columns.index("stats") if table == "cells" else None
            marks = ", ".join(["%s" if engine.name == "postgresql" else "?"] * len(columns))
            for row in model.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall():
                values = [
                    bool(v) if c == "timed_out" else v for c, v in zip(columns, row, strict=True)
                ]
                if place is not None:
                    stats = np.frombuffer(row[place])
                    values[place] = np.delete(stats, range(30, len(stats) - 5)).tobytes()
                connection.exec_driver_sql(
                    f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", tuple(values)
                )
        if engine.name == "postgresql":
            for table in ("agents", "cell_keys", "runs", "measurements", "cells"):
                connection.exec_driver_sql(
                    f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))"
                )


def test_older_alerts_are_found_by_model_and_type(opened, url, execute, monkeypatch):
    """What was stored before there were columns for it is found by it all the same."""
    monkeypatch.setattr(
        database, "upgrade", lambda connection, shown: upgrade(connection, shown, "0011")
    )
    opened(url).close()
    monkeypatch.undo()
    alerts = [make_alert(1, model="m", agent_type="it's"), make_alert(2, agent_type="react")]
    for number, alert in enumerate(alerts):
        body = alert.to_json().replace("'", "''").replace("%", "%%")
        execute(
            "INSERT INTO alerts (alert_id, level, state, started_at, body) VALUES "
            f"('{alert.alert_id}', 'warning', 'firing', {number}, '{body}')"
        )
    storage = opened(url)
    assert [one.alert.alert_id for one in storage.find_alerts(model="m")] == [alerts[0].alert_id]
    assert [one.alert.alert_id for one in storage.find_alerts(agent_type="it's")] == [
        alerts[0].alert_id
    ]
    assert storage.count_alerts(agent_type="react") == 1
    assert storage.count_alerts(model="other") == 0


def test_a_newer_schema_is_refused(opened, url, execute):
    """A database of a later perfmon is left alone, with one line that says what to do."""
    opened(url).close()
    execute(f"UPDATE {schema.VERSION_TABLE} SET version_num = '0999'")
    with pytest.raises(StorageError, match=r"version 0999, newer than \d+.*; update perfmon$"):
        perfmon_sql.open_storage(url)
    assert execute(f"SELECT version_num FROM {schema.VERSION_TABLE}") == [("0999",)]


def test_opening_a_fresh_database_at_once(opened, url):
    """Several may find a fresh database at the same time: its schema is made once."""
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(opened, [url] * 4))
    assert stored(found[0], make_rows(3)).runs.all()
    assert len(runs_of(found[3])) == 3


def test_opening_waits_for_a_lock(opened, tmp_path):
    """SQLite itself would not: nobody enters WAL mode while another is about to write."""
    path = tmp_path / "locked.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(1) as pool:
            opening = pool.submit(opened, f"sqlite:///{path}")
            with contextlib.suppress(TimeoutError):
                opening.result(timeout=0.3)
            other.execute("ROLLBACK")
            assert opening.result(timeout=60).known_agents() == []


def test_the_view_for_people(opened, url, execute):
    """`runs_named` shows names and times that can be read, to the microsecond, of any year."""
    storage = opened(url)
    stored(storage, [
        run_row("a", status=2, model="large", timestamp=START_US + 1),
        run_row("b", timestamp=-1),
    ])  # fmt: skip
    assert execute(
        "SELECT run_id, tenant, agent_name, agent_type, model, ended_at, status FROM runs_named"
    ) == [
        ("a", "default", "agent", None, "large", "2026-01-01T00:00:00.000001Z", "partial"),
        ("b", "default", "agent", None, None, "1969-12-31T23:59:59.999999Z", "success"),
    ]


def test_many_keys_in_a_batch(opened, url):
    """A batch may name more keys than a statement asks for at once."""
    storage = opened(url)
    rows = [
        run_row(str(place), agent_name=f"agent-{place % 700}", task_type=f"task-{place}",
                timestamp=START_US + place)
        for place in range(1500)
    ]  # fmt: skip
    stored(storage, rows)
    assert runs_of(storage) == rows
    assert len(storage.known_agents()) == 700
    again = [(f"again-{row[0]}", *row[1:]) for row in rows]
    assert stored(storage, again).runs.all()


def test_remembered_keys_are_bounded(opened, url, monkeypatch):
    """The numbers of keys are asked again when too many were remembered."""
    monkeypatch.setattr("perfmon_sql.keys._REMEMBERED", 5)
    storage, rows = opened(url), make_rows(60)
    for start in range(0, 60, 20):
        stored(storage, rows[start : start + 20])
    assert runs_of(storage) == rows


def test_reading_in_chunks(opened, url, monkeypatch):
    """Chunks follow one another without a gap or a repeat, where many rows have one time too."""
    monkeypatch.setattr(storages, "CHUNK", 7)
    storage = opened(url)
    rows = [run_row(f"{place:03}", timestamp=START_US + place // 30) for place in range(100)]
    stored(storage, rows)
    chunks = list(storage.read_runs(*ALWAYS, Scope()))
    assert [len(chunk) for chunk in chunks] == [7] * 14 + [2]
    assert [row for chunk in chunks for row in chunk] == rows
    for limit in (7, 14, 20):
        assert runs_of(storage, limit=limit) == rows[-limit:]
    assert storage.purge(START_US + 2, 0) == 60
    assert runs_of(storage) == rows[60:]


def test_an_unfinished_reader_holds_nothing_up(opened, url):
    """A reader that stops half-way keeps no transaction open."""
    storage = opened(url)
    stored(storage, make_rows(20))
    reader = storage.read_runs(*ALWAYS, Scope())
    next(reader)
    assert storage.purge(2**62, 2**62) > 20
    storage.close()


def test_description(opened, url):
    """It names the engine, the place and the bytes."""
    storage = opened(url)
    stored(storage, make_rows(100))
    described = storage.describe()
    assert described["engine"] == url.partition(":")[0]
    assert described["bytes"] > 8192
    assert {"runs", "measurements", "cells", "agents"} <= described.keys()


def test_sqlite_counts_and_size(opened, tmp_path):
    """A run takes at most 230 bytes of a SQLite file, its indexes and cells included."""
    path = tmp_path / "runs.db"
    storage = opened(f"sqlite:///{path}")
    rows = [row for row in make_rows(20_000, span=3_600_000_000) if row[-2]]
    stored(storage, rows)
    assert storage.describe()["runs"] == len(rows)
    storage.close()
    assert path.stat().st_size / len(rows) <= 230
    assert list(tmp_path.iterdir()) == [path]


def test_readers_do_not_wait_for_the_writer(opened, tmp_path):
    """While another process writes to the SQLite file, everything can be read."""
    storage = opened(f"sqlite:///{tmp_path}/runs.db")
    stored(storage, make_rows(10))
    with contextlib.closing(sqlite3.connect(f"{tmp_path}/runs.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        assert len(runs_of(storage)) == 10
        assert len(cells_of(storage))


def test_a_busy_file(opened, tmp_path, monkeypatch):
    """A SQLite file that stays locked is one line, changes nothing, and is tried again later."""
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    storage = opened(f"sqlite:///{tmp_path}/runs.db")
    with contextlib.closing(sqlite3.connect(f"{tmp_path}/runs.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match=r"runs\.db: database is locked$"):
            stored(storage, make_rows(10))
    assert stored(storage, make_rows(10)).runs.all()


def test_a_deadlock_is_tried_again(opened, postgres_url, postgres):
    """A transaction that PostgreSQL broke off in favour of another one is simply repeated."""
    storage, told = opened(postgres_url), []
    stored(storage, [run_row("first")])
    copy = (
        "INSERT INTO runs (run_id, agent_id, key_id, at, status, api_calls, retries, timed_out) "
        "SELECT %s, agent_id, key_id, at, 0, 1, 0, false FROM runs WHERE run_id = 'first'"
    )
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))"
    batch = [run_row("a", cost=1.0), run_row("b")]
    writer = threading.Thread(target=lambda: told.extend(stored(storage, batch).runs.tolist()))
    engine = sa.create_engine(postgres_url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as other:
        other.exec_driver_sql("SET LOCAL deadlock_timeout = '1min'")  # so that it is not the victim
        other.exec_driver_sql(copy, ("b",))
        mine = other.exec_driver_sql("SELECT pg_backend_pid()").fetchone()[0]
        writer.start()
        while not postgres.execute(waiting, (mine,)).fetchone()[0]:
            assert writer.is_alive()
        other.exec_driver_sql(copy, ("a",))
    writer.join()
    engine.dispose()
    assert told == [False, False]
    assert cells_of(storage).stats[:, 0].tolist() == [1]


def test_sync_flushes_the_log(opened, tmp_path):
    """A sync is a commit with a flush; the commits after it go on without one."""
    storage = opened(f"sqlite:///{tmp_path}/runs.db")
    stored(storage, make_rows(10))
    log = tmp_path / "runs.db-wal"
    before = log.stat().st_size
    storage.sync()
    assert log.stat().st_size > before
    with storage._database._writer.connect() as connection:
        driver = connection.connection.dbapi_connection
        assert driver.execute("PRAGMA synchronous").fetchone() == (1,)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://me:hidden@127.0.0.1:1/x", r"me:\*\*\*@127\.0\.0\.1:1/x: connection failed"),
        ("postgresql://127.0.0.1:1/x?password=hidden", r"127\.0\.0\.1:1/x: connection failed"),
        ("postgresql://me:hidden@host:port/x", r"not a valid URL; allowed: memory:, "),
        ("sqlite:////nowhere/to/be/found.db", "no such folder: /nowhere/to/be$"),
        ("sqlite:////tmp", "/tmp: unable to open database file$"),
        ("sqlite:///runs.db?password=hidden", "no host or options"),
        ("sqlite://runs.db", "no host or options"),
    ],
)
def test_what_cannot_be_opened(url, message):
    """One line says what and why, and shows no password."""
    with pytest.raises(StorageError, match=message) as refused:
        perfmon_sql.open_storage(url)
    assert "hidden" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_is_not_a_database(tmp_path):
    """A file of another kind is left as it was."""
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to be one" * 100)
    with pytest.raises(StorageError, match=r"file is not a database$"):
        perfmon_sql.open_storage(f"sqlite:///{path}")
    assert path.read_text().startswith("not a database")


def test_a_table_of_somebody_else(tmp_path):
    """Another program's table of the same name stops it, and nothing else was made."""
    with contextlib.closing(sqlite3.connect(tmp_path / "x.db")) as other:
        other.execute("CREATE TABLE runs (distance REAL)")
    with pytest.raises(StorageError, match="table runs already exists"):
        perfmon_sql.open_storage(f"sqlite:///{tmp_path}/x.db")
    with contextlib.closing(sqlite3.connect(tmp_path / "x.db")) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("runs",)]


def test_a_missing_driver(monkeypatch):
    """Without psycopg, one line names the plugin, the module and the extra."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(PluginError, match=r"plugin sql: .*psycopg.*agent-perfmon\[postgres\]"):
        perfmon_sql.open_storage("postgresql://me:hidden@127.0.0.1/x")


def test_other_urls_are_left_to_other_plugins():
    """The hook passes on what it does not know, and needs no configuration."""
    plugin = perfmon_sql.SqlPlugin()
    assert plugin.open_storage(url="clickhouse://127.0.0.1/x") is None
    assert plugin.open_storage(url="perfmon.db") is None


def test_names_of_memory(opened):
    """All of SQLAlchemy's ways to say so mean a database in memory."""
    for url in ("memory:", "sqlite://", "sqlite:///:memory:", "sqlite+pysqlite:///:memory:"):
        assert opened(url).describe()["url"] == "memory:"


def test_odd_paths(opened, tmp_path):
    """Any file name will do, those included that mean something in a URI."""
    folder = tmp_path / "100% odd #names & 'quotes'"
    folder.mkdir()
    storage = opened(f"sqlite:///{folder}/runs.db")
    stored(storage, [run_row()])
    assert len(runs_of(storage)) == 1
    assert (folder / "runs.db").exists()
