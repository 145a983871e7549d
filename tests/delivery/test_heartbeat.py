"""The watchdog: somebody outside hears that alerts are still evaluated."""

from __future__ import annotations

import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from perfmon import Config, ConfigError, PerformanceMonitor
from perfmon.errors import StorageError

SECRET = "/ping/very-secret-path"


@pytest.fixture
def outside():
    """A server on this machine that counts who calls, and answers with a status."""

    class Caller(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.calls.append(self.path)
            self.server.gate.wait(60)
            self.send_response(self.server.status)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Caller)
    server.calls, server.status, server.gate = [], 200, threading.Event()
    server.gate.set()
    server.url = f"http://127.0.0.1:{server.server_port}{SECRET}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.gate.set()
    server.shutdown()
    server.server_close()
    thread.join()


def monitor_with(outside, tmp_path, **alerts):
    table = {"evaluation_interval": "50ms", "heartbeat_url": outside.url,
             "heartbeat_interval": "100ms", "heartbeat_allow_private": True}  # fmt: skip
    config = Config.from_mapping({"alerts": table | alerts})
    return PerformanceMonitor(config, storage_url=f"sqlite:///{tmp_path}/perfmon.db")


def stats(monitor):
    return monitor.get_stats()["alerts"]["heartbeat"]


def heart_threads():
    return [one for one in threading.enumerate() if one.name == "perfmon-heartbeat"]


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_it_beats_while_evaluation_goes_on(outside, tmp_path):
    """Also where nothing is recorded; and no more once the monitor has stopped."""
    with monitor_with(outside, tmp_path) as monitor:
        until(lambda: stats(monitor)["sent"] >= 3)
        assert stats(monitor)["last_error"] is None
        assert stats(monitor)["last_sent"] is not None
    until(lambda: not heart_threads())
    count = len(outside.calls)
    time.sleep(0.3)
    assert (len(outside.calls), heart_threads()) == (count, [])
    assert set(outside.calls) == {SECRET}


def test_it_is_at_most_one_in_an_interval(outside, tmp_path):
    """Though evaluations are far more frequent."""
    with monitor_with(outside, tmp_path, heartbeat_interval="1h") as monitor:
        until(lambda: stats(monitor)["sent"] == 1)
        time.sleep(0.4)
        assert len(outside.calls) == 1


def test_it_stays_away_where_evaluation_fails(outside, tmp_path):
    """That is what it is there for."""
    with monitor_with(outside, tmp_path) as monitor:
        until(lambda: outside.calls)

        failed = []

        def fail(*_, **__):
            failed.append(1)
            raise StorageError("away")

        monitor._parts.evaluator.evaluate = fail
        monitor._parts.evaluator._is_quiet = lambda: False
        until(lambda: monitor.get_stats()["alerts"]["error"] == "away")
        beats, count = [], len(failed)
        monitor._parts.evaluator._heartbeat.beat = lambda: beats.append(1)
        until(lambda: len(failed) >= count + 3)
        assert beats == []


def test_failures_are_counted_and_stop_nothing(outside, tmp_path):
    """Without the secret of the URL; the next one that gets through clears the error."""
    outside.status = 500
    with monitor_with(outside, tmp_path) as monitor:
        until(lambda: stats(monitor)["failed"] >= 2)
        assert "500" in stats(monitor)["last_error"]
        assert "very-secret" not in repr(monitor.get_stats()) + repr(monitor.config)
        outside.status = 200
        until(lambda: stats(monitor)["sent"] >= 1 and stats(monitor)["last_error"] is None)


def test_one_that_hangs_delays_no_evaluation(outside, tmp_path):
    """It waits on a thread of its own."""
    outside.gate.clear()
    with monitor_with(outside, tmp_path) as monitor:
        until(lambda: outside.calls)
        for n in range(3):
            before = monitor.get_stats()["alerts"]["evaluated_at"]
            monitor.record_agent_run(f"r{n}", "a", "t", "success")
            until(lambda before=before: monitor.get_stats()["alerts"]["evaluated_at"] != before)
        assert stats(monitor)["sent"] == 0
        outside.gate.set()


def test_private_addresses_need_leave(outside, tmp_path):
    """As for every request of perfmon's."""
    with monitor_with(outside, tmp_path, heartbeat_allow_private=False) as monitor:
        until(lambda: stats(monitor)["failed"] >= 1)
        assert "is blocked" in stats(monitor)["last_error"]
    assert outside.calls == []


def test_its_url_is_checked_and_better_not_literal():
    """A mistake has its key; a literal one is warned of, without being shown."""
    with pytest.raises(ConfigError, match=r"heartbeat_url.*must be a URL"):
        Config.from_mapping({"alerts": {"heartbeat_url": "ping.example.org"}})
    with pytest.raises(ConfigError, match=r"link.*must be a URL"):
        Config.from_mapping({"alerts": {"link": "perfmon"}})
    (warning,) = Config.from_mapping(
        {"alerts": {"heartbeat_url": "https://example.org/abcdef"}}
    ).warnings
    assert "heartbeat_url: a secret" in warning
    assert "abcdef" not in warning


def test_without_a_url_there_is_none(tmp_path):
    """And the accounts say so."""
    with PerformanceMonitor(storage_url=f"sqlite:///{tmp_path}/perfmon.db") as monitor:
        assert stats(monitor) is None
