"""A run id that comes again: a repeat with the same content, a conflict with any other."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmon import InvalidRun, PerformanceMonitor, Scope, hookimpl
from perfmon.recording.importing import Columns, FileImport, Source
from perfmon.records.content import AssumedTime, differing, recorded_run
from perfmon.testing import ManualClock

DAY = 86_400.0
RUN = {"run_id": "r", "agent_name": "bot", "agent_type": "react", "status": "success"}
FULL = RUN | {
    "duration_ms": 12.5, "tokens_used": 70, "input_tokens": 50, "output_tokens": 20,
    "cached_tokens": 10, "cost": 0.25, "memory_mb": 64.0, "cpu_ms": 3, "quality_score": 0.5,
    "confidence": 1, "api_calls": 2, "retries": 1, "timed_out": False, "error_type": "Slow",
    "model": "m", "task_type": "plan", "task_id": "t", "timestamp": 1_767_225_000.25,
    "metadata": {"a": 1, "b": [True, None]},
}  # fmt: skip
OTHER = {
    "agent_type": "plan", "status": "failure", "timed_out": True, "error_type": "Other",
    "model": "n", "task_type": None, "task_id": "u", "metadata": {"a": 2},
}  # fmt: skip
PARTS = ("stored", "duplicate", "conflict", "rejected", "dropped", "pending")
tenants = (f"t{number}" for number in itertools.count())


@pytest.fixture(scope="module", params=["memory", "sqlite", "postgresql"])
def shared(request, tmp_path_factory):
    """A clock, and monitors on one storage that many examples use, each with its own tenant."""
    if request.param == "postgresql":
        postgres = request.getfixturevalue("postgres")
        schema = f"perfmon_test_conflicts_{os.getpid()}"
        postgres.execute(f"CREATE SCHEMA {schema}")
        info = postgres.info
        url = (
            f"postgresql://{info.user}@{info.host}:{info.port}/{info.dbname}"
            f"?options=-csearch_path%3D{schema}"
        )
    else:
        path = tmp_path_factory.mktemp("conflicts") / "perfmon.db"
        url = "memory:" if request.param == "memory" else f"sqlite:///{path}"
    clock = ManualClock()
    several = 1 if url == "memory:" else 2
    monitors = [PerformanceMonitor(storage_url=url, clock=clock) for _ in range(several)]
    yield clock, monitors
    for monitor in monitors:
        monitor.stop()
    if request.param == "postgresql":
        postgres.execute(f"DROP SCHEMA {schema} CASCADE")


contents = st.fixed_dictionaries(
    {"run_id": st.sampled_from("ab"), "status": st.sampled_from(["success", "failure"])},
    optional={
        "duration_ms": st.sampled_from([None, 0, 1, 1.0]),
        "cost": st.sampled_from([None, 0.5]),
        "metadata": st.sampled_from([None, {"k": 1, "l": 2}, {"l": 2, "k": 1.0}, {"k": True}]),
        "timestamp": st.sampled_from([-7200, -60, 0, 60]),  # from the example's beginning
        "quality_score": st.sampled_from([0.5, 2]),
    },
)
steps = st.lists(
    st.tuples(
        st.sampled_from(["one by one", "bulk", "not waited for"]),
        st.lists(contents, min_size=1, max_size=5),
        st.sampled_from([0, 60, 7200, DAY - 1, DAY + 1]),
        st.booleans(),
    ),
    max_size=8,
)


class Model:
    """What should become of runs, by other means: the first of each id in a dictionary."""

    def __init__(self) -> None:
        self.first, self.fates = {}, Counter(dict.fromkeys(PARTS, 0))

    def tell(self, fields, now):
        """`stored`, `duplicate`, `conflict` or `rejected`."""
        fate = "rejected"
        if fields.get("quality_score") != 2:
            content = self.content(fields)
            first, at = self.first.setdefault(fields["run_id"], (content, now))
            late = "timestamp" not in content and now - at > DAY
            other = first != content or late
            fate = "stored" if first is content else "conflict" if other else "duplicate"
        self.fates[fate] += 1
        return fate

    @staticmethod
    def content(fields):
        given = {name: value for name, value in fields.items() if value is not None}
        if "metadata" in given:
            pairs = sorted(given["metadata"].items())
            given["metadata"] = [(k, "true" if v is True else float(v)) for k, v in pairs]
        return given


@settings(max_examples=40)
@given(steps=steps)
def test_receipts_and_accounts_agree_with_a_model(shared, steps):
    """Whatever comes again by whatever way, every part is the model's, and they sum up."""
    clock, monitors = shared
    before = [monitor.get_stats() for monitor in monitors]
    model, tenant, begin = Model(), next(tenants), clock()
    for way, items, pause, is_second in steps:
        clock.advance(pause)
        runs = [RUN | item | {"tenant": tenant} for item in items]
        for run in runs:
            if "timestamp" in run:
                run["timestamp"] += begin
        fates = [model.tell(run, clock()) for run in runs]
        monitor = monitors[is_second % len(monitors)]
        if way == "one by one":
            for run, fate in zip(runs, fates, strict=True):
                try:
                    monitor.record_agent_run(**run)
                except InvalidRun:
                    assert fate == "rejected"
        else:
            receipt = monitor.record_agent_runs(runs, wait=way == "bulk")
            assert len(receipt.rejected) == fates.count("rejected")
            assert receipt.total == len(runs)
        if way == "bulk":
            told = receipt.accepted, receipt.duplicates
            assert told == (fates.count("stored"), fates.count("duplicate"))
            places = [n for n, fate in enumerate(fates) if fate == "conflict"]
            assert [one.index for one in receipt.conflicts] == places
            for one in receipt.conflicts:
                assert one.run_id == runs[one.index]["run_id"]
                assert one.fields
        monitor.flush()
    after = [monitor.get_stats() for monitor in monitors]
    gone_by = {part: sum(stats[part] for stats in after) for part in PARTS}
    for stats in before:
        gone_by = {part: count - stats[part] for part, count in gone_by.items()}
    assert gone_by == model.fates
    assert all(stats["recorded"] == sum(stats[part] for part in PARTS) for stats in after)
    chunks = monitors[0].storage.read_runs(0, 2**60, Scope(tenant=tenant))
    assert sum(map(len, chunks)) == len(model.first)


@pytest.mark.parametrize("field", sorted(FULL.keys() - {"run_id", "agent_name", "timestamp"}))
def test_what_differs_is_named(shared, field):
    """Every field of a run is content, and a conflict names it and no other."""
    _, (monitor, *_) = shared
    first = FULL | {"tenant": next(tenants)}
    changed = OTHER.get(field, 0)
    again = first | {field: changed}
    receipt = monitor.record_agent_runs([first, first, {}, again])
    assert (receipt.accepted, receipt.duplicates, len(receipt.rejected)) == (1, 1, 1)
    (conflict,) = receipt.conflicts
    assert (conflict.index, conflict.run_id, conflict.fields) == (3, "r", (field,))


def test_the_same_fields_in_another_form_are_the_same(shared):
    """Whole numbers as floats, keys in another order, a zone, `tokens_used` as their sum."""
    _, (monitor, *_) = shared
    first = FULL | {"tenant": next(tenants), "timestamp": "2026-01-01T00:00:00+00:00"}
    del first["tokens_used"]
    again = first | {
        "duration_ms": 12.5, "cpu_ms": 3.0, "confidence": 1.0, "tokens_used": 70.0,
        "timestamp": "2026-01-01T02:00:00+02:00", "metadata": {"b": (True, None), "a": 1.0},
    }  # fmt: skip
    assert monitor.record_agent_runs([first]).accepted == 1
    receipt = monitor.record_agent_runs([again])
    assert (receipt.duplicates, receipt.conflicts) == (1, ())


def test_a_given_time_is_content_and_the_clocks_is_not(shared):
    """A time given once, or another one, is a conflict; a time a little ahead is what was given."""
    clock, (monitor, *_) = shared
    run = RUN | {"tenant": next(tenants)}
    ahead = clock() + 60

    def conflict(**fields):
        receipt = monitor.record_agent_runs([run | fields])
        assert receipt.total == 1
        return [one.fields for one in receipt.conflicts]

    assert conflict() == []
    clock.advance(3600)
    assert conflict() == []
    assert conflict(timestamp=clock()) == [("timestamp",)]
    clock.advance(DAY)
    assert conflict() == [("timestamp",)]
    ahead = clock() + 60
    assert conflict(run_id="s", timestamp=ahead) == []
    clock.advance(30)
    assert conflict(run_id="s", timestamp=ahead) == []
    clock.advance(3 * DAY)
    assert conflict(run_id="s", timestamp=ahead) == []
    assert conflict(run_id="s", timestamp=ahead + 1e-6 * 2) == [("timestamp",)]


def test_a_time_an_import_assumed_is_no_content(shared):
    """The same rows may be imported again whenever their owner likes."""
    clock, (monitor, *_) = shared
    run = RUN | {"tenant": next(tenants)}
    for _ in range(3):
        receipt = monitor.record_agent_runs([run | {"timestamp": AssumedTime(clock())}])
        assert not receipt.conflicts
        clock.advance(2 * DAY)
    assert receipt.duplicates == 1


class Prices:
    """A plugin whose answers are others from day to day."""

    def __init__(self) -> None:
        self.cost, self.error = 1.0, "RateLimit"

    @hookimpl
    def price_run(self):
        return self.cost

    @hookimpl
    def classify_error(self):
        return self.error


@pytest.mark.parametrize(
    ("field", "one", "other"),
    [
        ("metadata", {"a": 1, "doc": "x" * 70_000}, {"a": 1, "doc": "y" * 70_000}),
        ("metadata", {"doc": ["x" * 70_000]}, {"doc": ["x" * 70_000, None]}),
        ("error_type", "e" * 300 + "x", "e" * 300 + "y"),
        ("error_type", "e" * 300, "e" * 200),
        ("model", "é" * 200 + "x", "é" * 200 + "y"),
        ("agent_type", "a" * 300, "a" * 301),
        ("task_type", "a" * 300, "a" * 301),
    ],
)
def test_what_was_cut_is_content_too(shared, field, one, other):
    """Runs that differ in nothing but what was left out are told apart; a repeat is one still."""
    _, monitors = shared
    tenant = next(tenants)
    told = [RUN | {"tenant": tenant, field: value} for value in (one, one, other)]
    receipts = [monitors[n % len(monitors)].record_agent_runs([run]) for n, run in enumerate(told)]
    assert [(r.accepted, r.duplicates) for r in receipts[:2]] == [(1, 0), (0, 1)]
    assert [conflict.fields for conflict in receipts[2].conflicts] == [(field,)]


def test_large_metadata_in_another_order_is_the_same(shared):
    _, monitors = shared
    tenant, large = next(tenants), "x" * 70_000
    for number, metadata in enumerate(({"a": large, "b": 1}, {"b": 1, "a": large})):
        receipt = monitors[0].record_agent_runs([RUN | {"tenant": tenant, "metadata": metadata}])
        assert (receipt.accepted, receipt.duplicates) == (1 - number, number)


def test_what_was_cut_is_compared_under_an_error_class_of_a_plugin(shared):
    """The class that a plugin gave takes no difference away, and makes none."""
    _, monitors = shared

    class Classifier:
        @hookimpl
        def classify_error(self, run):
            return "classified"

    monitor = monitors[0]
    monitor.bus.register(Classifier(), "classifier")
    try:
        for cut in ({"metadata": {"k": "x" * 70_000}}, {"error_type": "e" * 300}):
            run = RUN | {"tenant": next(tenants), "status": "failure"} | cut
            other = run | {name: value * 2 if name == "error_type" else {"k": "y" * 70_000}
                           for name, value in cut.items()}  # fmt: skip
            receipts = [monitor.record_agent_runs([one]) for one in (run, run, other)]
            found = [(one.accepted, one.duplicates, len(one.conflicts)) for one in receipts]
            assert found == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
    finally:
        monitor.bus.unregister("classifier")


def test_runs_cut_by_an_older_version_repeat_as_they_did():
    """No checksum of what was left out was noted then."""
    run = RUN | {"metadata": {"k": "x" * 70_000}, "timestamp": 1_767_225_000.0}
    new = recorded_run(run, None)
    old = (*new[:-1], new[-1] & 0x3F)
    assert differing(old, new) == differing(new, old) == ()


def test_what_plugins_add_is_no_content():
    """A price list or an error class may change between a run and its repeat."""
    monitor, plugin = PerformanceMonitor(storage_url="memory:"), Prices()
    monitor.bus.register(plugin, "prices")
    bare, told = ({"run_id": name, "agent_name": "bot", "status": "failure"} for name in "ab")
    told |= {"error_type": "http 429", "cost": 0.5}
    assert monitor.record_agent_runs([bare, told]).accepted == 2
    plugin.cost, plugin.error = 2.0, "Throttled"
    assert monitor.record_agent_runs([bare, told]).duplicates == 2
    plugin.cost = plugin.error = None
    assert monitor.record_agent_runs([bare, told]).duplicates == 2
    others = [bare | {"cost": 1.0}, bare | {"error_type": "RateLimit"}, told | {"error_type": "x"}]
    found = monitor.record_agent_runs([*others, told | {"cost": None}]).conflicts
    assert [one.fields for one in found] == [("cost",), ("error_type",), ("error_type",), ("cost",)]
    monitor.stop()


def test_a_run_of_an_older_version_is_compared_by_its_fields():
    """Where nobody noted what was added, the clock's time and a plugin's cost are given credit."""
    now = 1_767_225_600_000_000
    bare, told = recorded_run(RUN, now), recorded_run(FULL, now)
    old = (*bare[:-1], None)
    assert differing(old, recorded_run(RUN, now + 10**9)) == ()
    assert differing(old, recorded_run(RUN, now + 10**11)) == ("timestamp",)
    assert differing((*told[:-1], None), told) == ()
    unpriced = recorded_run(FULL | {"cost": None, "error_type": None}, now)
    assert differing((*told[:-1], None), unpriced) == ()
    assert differing(old, recorded_run(RUN | {"status": "failure"}, now)) == ("status",)


def test_another_process_that_begins_again_is_told(tmp_path):
    """Ids that restart with the process do not hide the day on which all runs fail."""
    clock = ManualClock()
    for day in range(3):
        with PerformanceMonitor(storage_url=f"sqlite:///{tmp_path}/p.db", clock=clock) as monitor:
            for number in range(100):
                monitor.record_agent_run(
                    f"run-{number}", "bot", "react", "failure" if day == 2 else "success"
                )
            monitor.flush()
            stats, metrics = monitor.get_stats(), monitor.get_system_metrics()
            # On the second day all is as on the first but for the time, which nobody gave.
            fates = stats["stored"], stats["duplicate"], stats["conflict"]
            assert fates == ((100, 0, 0) if day == 0 else (0, 0, 100))
            assert metrics.total_tasks == (100 if day == 0 else 0)
        clock.advance(DAY + 1)


_CHILD = """
import os, signal, sys
from perfmon import Config, PerformanceMonitor
monitor = PerformanceMonitor(Config.from_mapping({"monitor": {"storage": sys.argv[1]}}))
for number in range(50):
    monitor.record_agent_run(f"r{number}", "bot", "react", "success", 1.5, metadata={"n": number})
monitor.record_agent_run("r7", "bot", "react", "failure")
monitor.record_agent_run("r8", "bot", "react", "success", 1.5, metadata={"n": 8})
if sys.argv[2] == "stored":
    monitor.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("state", ["stored", "not stored"])
def test_after_a_kill_what_was_stored_is_a_repeat(tmp_path, state):
    """Runs that the journal brings again are no conflicts, and conflicts in it still are."""
    url = f"sqlite:///{tmp_path}/p.db"
    child = subprocess.run([sys.executable, "-c", _CHILD, url, state], check=False)
    assert child.returncode == -signal.SIGKILL
    monitor = PerformanceMonitor(storage_url=url)
    stats = monitor.get_stats()
    fates = stats["stored"], stats["duplicate"], stats["conflict"]
    assert fates == ((0, 51, 1) if state == "stored" else (50, 1, 1))
    assert stats["recovered"] == stats["recorded"] == 52
    monitor.stop()


def _told(runs, fates):
    """What an answer about these runs should be."""
    return {
        "accepted": fates.count("stored"), "duplicates": fates.count("duplicate"),
        "conflicts": [(n, runs[n]["run_id"]) for n, f in enumerate(fates) if f == "conflict"],
        "rejected": [n for n, fate in enumerate(fates) if fate == "rejected"],
    }  # fmt: skip


async def test_rest_agrees_with_the_model(tmp_path):
    """A list, one object and lines, again and again: four parts, which sum up to what was sent."""
    from aiohttp.test_utils import TestClient, TestServer
    from perfmon_server import ServerConfig, make_app

    chance, model = random.Random(7), Model()
    with PerformanceMonitor(storage_url=f"sqlite:///{tmp_path}/p.db") as monitor:
        async with TestClient(TestServer(make_app(monitor, ServerConfig()))) as client:
            for _ in range(40):
                runs = [
                    RUN | {"run_id": chance.choice("abcdef"), "duration_ms": chance.choice([1, 2])}
                    | chance.choice([{}, {"quality_score": 2}, {"metadata": {"k": 1}}])
                    for _ in range(chance.randrange(1, 6))
                ]  # fmt: skip
                fates = [model.tell(run, 0) for run in runs]
                form = chance.choice(["list", "lines", "one"]) if len(runs) == 1 else "list"
                body = json.dumps(runs[0] if form == "one" else runs)
                content = "application/json"
                if form == "lines" or (len(runs) > 1 and chance.random() < 0.5):
                    body, content = "\n".join(map(json.dumps, runs)), "application/x-ndjson"
                answer = await client.post(
                    "/api/performance/runs", data=body, headers={"Content-Type": content}
                )
                assert answer.status == (422 if set(fates) == {"rejected"} else 200)
                told = await answer.json()
                told.pop("error", None)
                told["conflicts"] = [(one["index"], one["run_id"]) for one in told["conflicts"]]
                told["rejected"] = [one["index"] for one in told["rejected"]]
                assert told == _told(runs, fates)
            stats = await (await client.get("/api/performance/stats")).json()
    assert {part: stats[part] for part in PARTS} == model.fates
    assert stats["recorded"] == model.fates.total()
    assert min(model.fates[part] for part in ("stored", "duplicate", "conflict", "rejected")) > 0


rows_of_a_file = st.lists(
    st.fixed_dictionaries(
        {"run_id": st.sampled_from("abc"), "duration_ms": st.sampled_from([1, 2]),
         "quality_score": st.sampled_from([0.5, 0.5, 2])},
        optional={"timestamp": st.sampled_from([1.7e9, 1.8e9 - 1e8])},
    ),
    min_size=1, max_size=8,
)  # fmt: skip


def _fate_of_row(row, first):
    """What becomes of a file's row; a time that the import assumes is like any other."""
    if row["quality_score"] == 2:
        return "rejected"
    if row["run_id"] not in first:
        first[row["run_id"]] = row
        return "stored"
    known = first[row["run_id"]]
    differs = any(row[name] != known[name] for name in ("duration_ms", "quality_score"))
    stamps = {one["timestamp"] for one in (row, known) if "timestamp" in one}
    return "conflict" if differs or len(stamps) == 2 else "duplicate"


@settings(max_examples=30)
@given(files=st.lists(rows_of_a_file, max_size=4))
def test_imports_agree_with_a_model(tmp_path_factory, files):
    """Files with the same ids, one after another on other days: the parts are all of the rows."""
    path, clock = tmp_path_factory.mktemp("files") / "runs.jsonl", ManualClock(1.8e9)
    monitor, first, total = PerformanceMonitor(storage_url="memory:", clock=clock), {}, Counter()
    for rows in files:
        path.write_text("".join(json.dumps({"type": "run", **RUN, **row}) + "\n" for row in rows))
        fates = Counter(_fate_of_row(row, first) for row in rows)
        tally = FileImport(monitor, Source(path, Columns(default_time=clock()))).run()
        assert tally.total == len(rows)
        told = tally.accepted, tally.duplicates, tally.conflicts, tally.rejected
        assert told == tuple(fates[part] for part in PARTS[:4])
        total += fates
        clock.advance(3 * DAY)
    stats = monitor.get_stats()
    assert all(stats[part] == total[part] for part in PARTS)
    monitor.stop()
