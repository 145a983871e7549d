"""Several processes on one storage: each sees what the others store, and one decides about alerts."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import closing

import perfmon_sql
import pytest

from perfmon import Config, PerformanceMonitor
from perfmon.storage.holders import has_ended, new_holder
from perfmon.testing import make_rows, run_row
from perfmon.testing.stored import stored

SINK = """
import json
from pathlib import Path
from perfmon import hookimpl

@hookimpl
def deliver_alert(message):
    with (Path(__file__).parent / "got.jsonl").open("a") as file:
        for alert in message.alerts:
            told = [message.kind, alert.rule, alert.sample_size, message.message_id]
            file.write(json.dumps(told) + "\\n")
"""
TOML = """
[monitor]
storage = "{url}"
[alerts]
evaluation_interval = "500ms"
group_wait = "0s"
keep_firing_for = "0s"
[alerts.single_run]
enabled = false
[alerts.thresholds]
success_rate_min = 0.0
error_rate_max = 1.0
[[alerts.rules]]
name = "failing"
metric = "error_rate"
above = 0.5
window_minutes = 5
level = "warning"
[plugins]
paths = ["sinks"]
[plugins.my_sink]
[plugins.log]
enabled = false
"""
# It records what it is asked to, and tells what it sees.
CHILD = """
import json, os, sys
from perfmon import Config, PerformanceMonitor
with PerformanceMonitor(Config.load(sys.argv[1])) as monitor:
    print("started", flush=True)
    made = 0
    for line in sys.stdin:
        status, count = line.split()
        for _ in range(int(count)):
            made += 1
            monitor.record_agent_run(f"{os.getpid()}-{made}", "a", "t", status)
        monitor.flush(60)
        stats = monitor.get_stats()
        told = {"total": monitor.get_system_metrics().total_tasks,
                "decided_by": stats["alerts"]["decided_by"]}
        print(json.dumps(told), flush=True)
"""


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "postgresql":
        return request.getfixturevalue("postgres_url")
    return f"sqlite:///{tmp_path}/p.db"


@pytest.fixture
def opened(url):
    """Opens monitors of this storage that are stopped at the end; alerts are off."""
    with contextlib.ExitStack() as stack:

        def start(started=True, **settings):
            table = {"monitor": {"storage": url, **settings}, "alerts": {"enabled": False}}
            monitor = PerformanceMonitor(Config.from_mapping(table))
            stack.callback(monitor.stop)
            return monitor.start() if started else monitor

        yield start


class Workers:
    """Processes with a monitor each, on one storage."""

    def __init__(self, folder, url, count):
        (folder / "sinks").mkdir()
        (folder / "sinks" / "my_sink.py").write_text(SINK)
        (folder / "monitor.toml").write_text(TOML.format(url=url))
        self.got_path = folder / "sinks" / "got.jsonl"
        self.each = [self._start(folder) for _ in range(count)]
        for worker in self.each:
            assert worker.stdout.readline() == "started\n"

    @staticmethod
    def _start(folder):
        return subprocess.Popen(
            [sys.executable, "-c", CHILD, "monitor.toml"],
            cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ask(self, worker, status="success", count=0):
        worker.stdin.write(f"{status} {count}\n")
        worker.stdin.flush()
        return json.loads(worker.stdout.readline())

    def got(self):
        lines = self.got_path.read_text().splitlines() if self.got_path.exists() else []
        return [json.loads(line) for line in lines]

    def close(self):
        for worker in self.each:
            if worker.poll() is None:
                worker.stdin.close()
                worker.wait(60)
            worker.stdout.close()


@pytest.fixture
def workers(tmp_path, url):
    with closing(Workers(tmp_path, url, 4)) as workers:
        yield workers


def test_four_processes_send_one_message_each_way(workers):
    """One fires and one is over, each judged over the runs of all four."""
    for worker in workers.each:
        workers.ask(worker, "failure", 25)
    wait_for(workers.got)
    wait_for(lambda: workers.ask(workers.each[0])["total"] == 100)
    for worker in workers.each:
        workers.ask(worker, "success", 500)
    wait_for(lambda: len(workers.got()) > 1)
    told = [workers.ask(worker) for worker in workers.each]
    time.sleep(2)  # for one too many
    (first, second) = workers.got()
    assert [first[:2], second[:2]] == [["firing", "failing"], ["resolved", "failing"]]
    assert second[2] > 500  # of one process it would be 525
    assert sum(one["decided_by"] == "this process" for one in told) == 1
    decider = workers.each[[one["decided_by"] for one in told].index("this process")]
    assert all(
        one["decided_by"] == "this process" or f"process {decider.pid} on " in one["decided_by"]
        for one in told
    )


def test_who_was_killed_gives_way_at_once(workers):
    """On the same machine nobody waits for the end of a dead process's turn."""
    told = [workers.ask(worker) for worker in workers.each]
    wait_for(lambda: any(workers.ask(one)["decided_by"] == "this process" for one in workers.each))
    told = [workers.ask(worker)["decided_by"] for worker in workers.each]
    decider = workers.each.pop(told.index("this process"))
    decider.send_signal(signal.SIGKILL)
    decider.wait()
    decider.stdin.close()
    decider.stdout.close()
    began = time.monotonic()
    wait_for(lambda: any(workers.ask(one)["decided_by"] == "this process" for one in workers.each))
    assert time.monotonic() - began < 10  # the turn is 11.5 s
    workers.ask(workers.each[0], "failure", 40)
    wait_for(workers.got)


def test_runs_of_others_are_seen_without_being_asked_for(opened, url):
    """Within two seconds, in windows and in ranges; each run once, whoever recorded it."""
    one, other = opened(), opened()
    for n in range(60):
        (one, other)[n % 2].record_agent_run(f"r{n}", f"agent-{n % 3}", "t", "success")
    one.record_accuracy("agent-0", "task", 1, 1)
    one.flush(60)
    other.flush(60)
    began = time.monotonic()
    for monitor in (one, other):
        wait_for(lambda m=monitor: m.get_system_metrics().total_tasks == 60)
        wait_for(lambda m=monitor: m.get_system_metrics().accuracy_count == 1)
    assert time.monotonic() - began < 10
    for monitor in (one, other):
        assert monitor.get_system_metrics(since=time.time() - 600).total_tasks == 60
        assert len(monitor.get_all_agent_metrics()) == 3
        assert monitor.get_stats()["stored"] in (30, 31)


@pytest.mark.parametrize("seed", range(2))
def test_windows_equal_the_rows(opened, seed):
    """Whatever three processes record, repeat and amend at once, all windows become the storage."""
    dice = random.Random(seed)
    monitors = [opened() for _ in range(3)]
    for n in range(200):
        monitor = dice.choice(monitors)
        what = dice.random()
        if what < 0.6:
            monitor.record_agent_run(
                f"r{dice.randrange(200)}", "a", "t", "success", timestamp=now()
            )
        elif what < 0.7:
            for twice in dice.sample(monitors, 2):  # the same at once by two
                twice.record_agent_run(f"both-{n}", "a", "t", "failure", 5.0, timestamp=now())
        elif what < 0.85:
            monitor.record_prediction("a", f"task-{n % 40}", 1)
        else:
            monitor.record_outcome(f"task-{n % 40}", dice.choice([1, 2]))
        if dice.random() < 0.03:
            time.sleep(dice.random())
    for monitor in monitors:
        monitor.flush(60)

    def figures(monitor):
        found = monitor.get_system_metrics(60)
        return found.total_tasks, found.failed_tasks, found.accuracy_count, found.avg_accuracy

    reader = opened()  # which reads all of it at its start
    wait_for(lambda: {repr(figures(one)) for one in monitors} == {repr(figures(reader))})


def now() -> float:
    return time.time() // 60 * 60 + 0.5


def test_nobody_reads_its_own_rows(opened, monkeypatch):
    """What this process stored is never brought back to it, however much that is."""
    one = opened()
    brought = []
    take = one._parts.intake.take_others
    one._parts.intake.take_others = lambda *rows: (
        brought.append(sum(map(len, rows))),
        take(*rows),
    )[1]
    for n in range(3_000):
        one.record_agent_run(f"r{n}", "a", "t", "success")
    one.flush(60)
    wait_for(lambda: len(brought) > 1)
    assert sum(brought) == 0
    assert one.get_system_metrics().total_tasks == 3_000


def test_an_idle_look_costs_next_to_nothing(opened):
    """Less than a thousandth of a core, once a second, as far as it is this process's."""
    one = opened()
    one.record_agent_run("r", "a", "t", "success")
    one.flush(60)
    took = []
    for _ in range(200):
        began = time.thread_time()
        assert one._parts.others.look(every=-10.0)
        took.append(time.thread_time() - began)
    assert sorted(took)[100] < 0.001 * (3 if "postgresql" in one.storage.describe()["url"] else 1)


class TestNews:
    """The places of news, as storage tells them."""

    @pytest.fixture
    def two(self, url):
        with contextlib.ExitStack() as stack:
            yield [stack.enter_context(closing(perfmon_sql.open_storage(url))) for _ in range(2)]

    def test_each_row_is_news_once(self, two):
        """Only what the other stored, in the order of its transactions, and none of one's own."""
        mine, theirs = two
        rows = make_rows(40)
        stored(theirs, rows[:10])
        place = mine.news(None, 0).place
        stored(mine, rows[10:20])
        stored(theirs, rows[20:30])
        stored(theirs, rows[25:40])  # of which five are repeats
        news = mine.news(place, 0)
        assert (news.is_whole, news.has_more) == (True, False)
        assert sorted(news.runs) == sorted(rows[20:40])
        assert mine.news(news.place, 0).runs == []

    def test_what_is_too_old_is_no_news(self, two):
        """Nobody reads what would not be kept in memory."""
        mine, theirs = two
        place = mine.news(None, 0).place
        stored(theirs, [run_row("old", timestamp=5), run_row("new", timestamp=50)])
        assert [row[0] for row in mine.news(place, 10).runs] == ["new"]

    def test_what_was_forgotten_is_told(self, two, url):
        """Who slept for longer than arrivals are kept has to read everything again."""
        mine, theirs = two
        stored(theirs, [run_row("a")])
        place = mine.news(None, 0).place
        for n in range(5):
            stored(theirs, [run_row(f"b{n}")])
        with theirs._database.writing() as connection:
            connection.exec_driver_sql("UPDATE arrivals SET at = 0")
        theirs.purge(0, 0)
        news = mine.news(place, 0)
        assert not news.is_whole
        stored(theirs, [run_row("c")])
        assert [row[0] for row in mine.news(news.place, 0).runs] == ["c"]


def test_a_transaction_that_commits_late_is_not_missed(postgres_url, postgres):
    """PostgreSQL gives ids before it commits: a lower one may be seen after a higher one."""
    with closing(perfmon_sql.open_storage(postgres_url)) as mine, \
            closing(perfmon_sql.open_storage(postgres_url)) as theirs:  # fmt: skip
        stored(theirs, [run_row("first")])
        place = mine.news(None, 0).place
        with theirs._database.writing() as connection:
            connection.exec_driver_sql("SELECT nextval(pg_get_serial_sequence('arrivals', 'id'))")
            late = connection.exec_driver_sql(
                "SELECT currval(pg_get_serial_sequence('arrivals', 'id'))"
            ).scalar_one()
            with closing(perfmon_sql.open_storage(postgres_url)) as third:
                stored(third, [run_row("second")])
            news = mine.news(place, 0)
            assert [row[0] for row in news.runs] == ["second"]
            run = connection.exec_driver_sql(
                "INSERT INTO runs (run_id, agent_id, key_id, at, status, api_calls, retries, "
                "timed_out) SELECT 'late', agent_id, key_id, at, 0, 1, 0, false FROM runs "
                "LIMIT 1 RETURNING id"
            ).scalar_one()
            connection.exec_driver_sql(
                "INSERT INTO arrivals (id, writer, at, runs, measurements, amended) "
                "VALUES (%s, 1, 1, %s, '[]', '[]')", (late, json.dumps([[run, run]])),
            )  # fmt: skip
        assert [row[0] for row in mine.news(news.place, 0).runs] == ["late"]


def test_whether_a_process_has_ended():
    """Only what is certain is said: another machine's, or what has no such name, may be alive."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        mine = new_holder()
        theirs = mine.split(" ")
        theirs[1] = str(child.pid)
        assert has_ended(" ".join(theirs))  # the number was given again
        assert not has_ended(mine)
        child.stdin.close()
    assert os.getpid() != child.pid
    assert not has_ended("one")
    assert not has_ended("host 1 unknown x")
    assert not has_ended(f"host {child.pid} {'0' * 12}.1-5 x")
