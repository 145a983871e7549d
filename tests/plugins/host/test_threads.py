"""Calls in threads that nobody has to wait for."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from perfmon import in_thread


def test_a_call_in_time():
    """Its value, or what it raised."""
    assert in_thread(pow, 2, 3).result(10) == 8
    with pytest.raises(ZeroDivisionError):
        in_thread(lambda: 1 / 0).result(10)


def test_a_call_that_hangs_is_left_behind():
    """Its caller goes on at the deadline, and it ends by itself."""
    gate = threading.Event()
    call = in_thread(gate.wait, name="hanging")
    with pytest.raises(TimeoutError):
        call.result(0.01)
    assert not call.cancel()
    gate.set()
    assert call.result(10) is True


async def test_a_coroutine_waits_with_a_deadline():
    """Its loop goes on meanwhile."""
    gate = threading.Event()
    call = in_thread(gate.wait)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await asyncio.wrap_future(call)
    gate.set()
    assert await asyncio.wrap_future(call) is True


def test_no_exit_waits_for_it():
    """A process ends although a call still hangs."""
    code = "import threading, perfmon; perfmon.in_thread(threading.Event().wait)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
