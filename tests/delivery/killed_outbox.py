"""A program that is killed again and again while it decides, sends and marks; see test_outbox.py.

    python killed_outbox.py URL FOLDER KILLS

It forks a child for each kill, which saves an interpreter's start. The last child is not killed,
and ends when everything was sent.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from pathlib import Path

from perfmon_sql import open_storage

from perfmon import AlertState, hookimpl
from perfmon.delivery.outbox import Outbox
from perfmon.delivery.sender import OutboxSettings
from perfmon.plugins.bus import Bus
from perfmon.records.ids import new_id
from perfmon.testing.stored_alerts import resolved
from perfmon.testing.stored_alerts import stored_alert as make_alert
from perfmon.testing.stored_alerts import stored_message as make_message

MOST = 8  # decisions of a child before its end
LONGEST = 0.005  # seconds between the last of them and its end
FATAL = 0.02  # how often a child's end comes between a send and its mark


class File:
    """A sink that is sure of what it got."""

    def __init__(self, path, fatal):
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.fatal = fatal

    def take(self, message):
        for alert in message.alerts:
            # A kill may cut a line off where a page ends: what has no end was not received.
            line = f"\n{alert.alert_id} {alert.state} {message.message_id} ."
            os.write(self.file, line.encode())
        os.fsync(self.file)
        if random.random() < self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    @hookimpl
    def deliver_alert(self, message):
        self.take(message)


class AsyncFile(File):
    @hookimpl
    async def deliver_alert(self, message):
        await asyncio.sleep(0.001)
        self.take(message)


def decide(storage):
    """One step of a machine with one alert, which fires and is resolved in turn."""
    version, data = storage.read_alert_state()
    number, fires = (int(part) for part in (data or b"0 0").split())
    alert = make_alert(number if fires else number + 1)
    told = resolved(alert) if fires else alert
    messages = [make_message(new_id(), told, sink=sink, group=told.key) for sink in ("one", "two")]
    data = f"{number if fires else number + 1} {int(not fires)}".encode()
    assert storage.save_alerts([told], AlertState(version, data), messages)
    return bool(fires)


def live(url, folder, ready):
    """Decide and send until killed; without `ready` until all is over and sent."""
    storage, bus = open_storage(url), Bus()
    fatal = 0.0 if ready is None else FATAL
    bus.register(File(folder / "one", fatal), "one")
    bus.register(AsyncFile(folder / "two", fatal), "two")
    outbox = Outbox(storage, bus, lambda: time.time_ns() // 1_000, OutboxSettings(poll=0.002))
    outbox.start()
    if ready is None:
        while not decide(storage):
            pass
        while storage.waiting_messages():
            time.sleep(0.01)
        outbox.stop()
        return
    while True:
        os.write(ready, b".")
        decide(storage)
        outbox.wake()
        time.sleep(random.random() * 0.004)


def forked(url, folder, ready):
    pid = os.fork()
    if pid == 0:
        try:
            live(url, folder, ready)
        except BaseException as problem:
            print(repr(problem), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return pid


def main(url, folder, kills):
    open_storage(url).close()  # what it imports, the children have already
    for _ in range(kills):
        told, ready = os.pipe()
        pid = forked(url, folder, ready)
        os.close(ready)
        # By what it did, so that a slow machine gets as far as a quick one.
        for _ in range(random.randint(1, MOST)):
            if not os.read(told, 1):
                break
        time.sleep(random.random() * LONGEST)
        os.kill(pid, signal.SIGKILL)
        ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.close(told)
        assert ended == -signal.SIGKILL, f"it ended by itself: {ended}"
    assert os.waitpid(forked(url, folder, None), 0)[1] == 0


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
