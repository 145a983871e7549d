"""REST while storage is unavailable and the journal has no room: nothing is acknowledged, nor kept."""

from __future__ import annotations

import json

import pytest

from perfmon import StorageError

API = "/api/performance"
RUN = {"run_id": "r1", "agent_name": "a", "status": "success"}
MEASUREMENT = {"agent_name": "a", "task_id": "t", "predicted_outcome": 1, "actual_outcome": 1}
PREDICTION = {"agent_name": "a", "task_id": "t", "predicted_outcome": 1}
OUTCOME = {"task_id": "t", "actual_outcome": 1}


@pytest.mark.parametrize("has_room", [True, False])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("runs", RUN),
        ("runs", [RUN, RUN | {"run_id": "r2"}]),
        ("runs", f"{json.dumps(RUN)}\n{json.dumps(RUN | {'run_id': 'r2'})}\n"),
        ("accuracy", MEASUREMENT),
        ("predictions", [PREDICTION]),
        ("outcomes", OUTCOME),
    ],
)
async def test_a_2xx_means_that_the_journal_has_it(client, monitor, path, body, has_room):
    """503 with a Retry-After where it has no room, and what was refused comes back only if sent."""
    store, journal = monitor.storage.store, monitor._parts.queue.journal
    monitor.storage.store = lambda batch: (_ for _ in ()).throw(StorageError("away"))
    room = journal._max_segments
    if not has_room:
        journal._max_segments = 0
    kind = "application/x-ndjson" if isinstance(body, str) else "application/json"
    data = body if isinstance(body, str) else json.dumps(body)
    send = {"data": data, "headers": {"Content-Type": kind}}
    count = 2 if isinstance(body, str) else len(body) if isinstance(body, list) else 1
    answer = await client.post(f"{API}/{path}", **send)
    stats = monitor.get_stats()
    if has_room:
        assert answer.status == 200
        assert (stats["pending"], stats["dropped"]) == (count, 0)
    else:
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) >= 1
        assert (stats["pending"], stats["dropped"]) == (0, count)
    journal._max_segments, monitor.storage.store = room, store
    monitor.flush(60)
    assert monitor.get_stats()["stored"] == (count if has_room else 0)
    if not has_room:
        assert (await client.post(f"{API}/{path}", **send)).status == 200
        assert monitor.get_stats()["stored"] == count


async def test_a_beginning_without_room_is_not_acknowledged(client, monitor):
    """503 until some of the runs in flight have ended; one that is known may begin again."""
    monitor.in_flight._limit = 1
    first, second = ({"run_id": one, "agent_name": "a"} for one in ("r1", "r2"))
    path = f"{API}/runs/started"
    assert (await client.post(path, json=first)).status == 200
    assert (await client.post(path, json=first)).status == 200
    answer = await client.post(path, json=second)
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) >= 1
    monitor.record_agent_run("r1", "a", None, "success")
    assert (await client.post(path, json=second)).status == 200


async def test_a_batch_that_was_dropped_shows_in_the_readiness(client, monitor):
    """For a minute, as runs do that were dropped one by one."""
    store, journal = monitor.storage.store, monitor._parts.queue.journal
    monitor.storage.store = lambda batch: (_ for _ in ()).throw(StorageError("away"))
    room, journal._max_segments = journal._max_segments, 0
    assert (await client.post(f"{API}/runs", json=RUN)).status == 503
    journal._max_segments, monitor.storage.store = room, store
    problems = (await (await client.get("/readyz")).json())["problems"]
    assert problems == ["runs were dropped within the last minute"]
