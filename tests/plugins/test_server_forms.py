"""What the server takes in other forms than the usual one, and how its answers travel."""

from __future__ import annotations

import asyncio
import json
import logging
import socket

import pytest

from perfmon import PerformanceMonitor
from perfmon.testing import ManualClock

API = "/api/performance"
BOM = "\ufeff"


@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson", "text/plain"])
async def test_lines_are_told_by_what_is_there(client, run_of, kind):
    """Lines of runs, a list and one laid out object are each read, whatever the header says."""
    lines = "\n".join(json.dumps(run_of(number)) for number in (1, 2))
    a_list = json.dumps([run_of(number) for number in (3, 4)], indent=1)
    for body, accepted in ((lines, 2), (a_list, 2), (lines.replace("r1", "r5") + "\n", 1)):
        answer = await client.post(f"{API}/runs", data=body, headers={"Content-Type": kind})
        assert (await answer.json())["accepted"] == accepted, body


async def test_one_object_may_be_laid_out_over_lines(client, run_of):
    """Only the header of NDJSON makes a line of it."""
    body = json.dumps(run_of(1), indent=2)
    assert (await (await client.post(f"{API}/runs", data=body)).json())["accepted"] == 1


async def test_a_broken_line_costs_only_itself_without_the_header(client, run_of):
    """It is named by its place."""
    body = f"{json.dumps(run_of(1))}\n{{broken\n{json.dumps(run_of(2))}"
    got = await (await client.post(f"{API}/runs", data=body)).json()
    assert (got["accepted"], [item["index"] for item in got["rejected"]]) == (2, [1])


@pytest.mark.parametrize("kind", ["application/json", "application/x-ndjson"])
async def test_a_byte_order_mark_is_taken(client, run_of, kind):
    """Some editors and libraries put one first."""
    for body in (json.dumps(run_of(1)), json.dumps([run_of(2)])):
        answer = await client.post(
            f"{API}/runs", data=(BOM + body).encode(), headers={"Content-Type": kind}
        )
        assert (await answer.json())["accepted"] == 1
    body = (BOM + json.dumps({"run_id": "x", "agent_name": "a"})).encode()
    assert (await client.post(f"{API}/runs/started", data=body)).status == 200


async def test_times_may_be_durations_and_dates(serve, run_of):
    """`since=1h` reaches back from now, a date is its midnight."""
    with PerformanceMonitor(storage_url="memory:") as monitor:
        client = await serve(monitor)
        monitor.record_agent_runs([run_of(1)])
        for since, total in (("1h", 1), ("2d", 1), ("1w", 1), ("2026-01-01", 1), ("1h30m", 1)):
            answer = await client.get(f"{API}/metrics/system?since={since}")
            assert (await answer.json())["metrics"]["total_tasks"] == total, since
        answer = await client.get(f"{API}/metrics/system?since=2h&until=1h")
        assert (await answer.json())["metrics"]["total_tasks"] == 0
        answer = await client.get(f"{API}/compare?against=2026-01-01/2026-01-02")
        assert answer.status == 200


@pytest.mark.parametrize("odd", ["2026", "45987.5", "1", "1y", "yesterday", "-1h", "2026-13-01"])
async def test_a_time_that_is_none_is_refused(client, odd):
    """A year or a spreadsheet's day is not read as a moment of 1970."""
    answer = await client.get(f"{API}/metrics/system?since={odd}")
    assert answer.status == 400
    assert "1h" in (await answer.json())["error"]["message"]


@pytest.mark.parametrize("name", ["two\nlines", "tab\there", "zero\u200bwidth", "a/b"])
async def test_an_agent_is_found_by_any_name_that_it_was_recorded_by(client, run_of, name):
    """In the path and as a parameter."""
    answer = await client.post(f"{API}/runs", json=run_of(agent_name=name))
    assert (await answer.json())["accepted"] == 1
    from yarl import URL

    path = f"{API}/metrics/agent/" + URL.build(path="/" + name).raw_path[1:].replace("/", "%2F")
    got = await (await client.get(URL(path, encoded=True))).json()
    assert got["agent_name"] == name
    got = await (await client.get(f"{API}/errors", params={"agent_name": name})).json()
    assert got["errors"] == []


@pytest.mark.parametrize(
    ("body", "query", "status"),
    [
        ('{"lookback_hours": 2}', "", 200),
        ("", "?lookback_hours=2", 200),
        ("", "", 200),
        ("{}", "?lookback_hours=2", 200),
        ('{"lookback_hours": 2}', "?lookback_hours=2", 400),
        ('{"lookback_hours": -1}', "", 400),
        ('{"lookback_hours": "2"}', "", 400),
        ('{"hours": 2}', "", 400),
        ("[2]", "", 400),
        ("{", "", 400),
    ],
)
async def test_sync_reads_its_body_or_refuses_it(client, body, query, status):
    """What is asked for in the body is not passed over."""
    answer = await client.post(f"{API}/sync{query}", data=body)
    assert answer.status == status, await answer.text()


async def test_answers_are_compressed_and_come_once(client, monitor, run_of):
    """Where the caller takes gzip; with an ETag that saves sending the same again."""
    for path in ("/api/openapi.json", "/"):
        whole = await client.get(path, headers={"Accept-Encoding": "gzip"})
        assert whole.headers["Content-Encoding"] == "gzip"
        assert "Accept-Encoding" in whole.headers["Vary"]
        plain = await client.get(path, headers={"Accept-Encoding": "identity"})
        assert "Content-Encoding" not in plain.headers
    tag = (await client.get("/api/openapi.json")).headers["ETag"]
    again = await client.get("/api/openapi.json", headers={"If-None-Match": f'"other", {tag}'})
    assert (again.status, await again.read(), again.headers["ETag"]) == (304, b"", tag)
    other = await client.get("/api/openapi.json", headers={"If-None-Match": '"other"'})
    assert other.status == 200
    head = await client.head("/")
    assert "ETag" in head.headers


async def test_answers_do_not_name_versions(client):
    """Whoever asks hears who answers, and no library."""
    for path in ("/", "/healthz", f"{API}/health", f"{API}/nothing"):
        assert (await client.get(path)).headers["Server"] == "perfmon"


async def test_a_request_that_is_no_http_is_a_line_without_its_content(monitor, caplog):
    """A key that stands in it is in no log."""
    from perfmon_server.plugin import serving
    from perfmon_server.settings import ServerConfig

    broken = (
        b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization : Bearer canary-key\r\n\r\n",
        b"GET /\x01canary-key HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: canary-key\r\n\r\n",
    )
    with caplog.at_level(logging.DEBUG, "perfmon"):
        async with serving(monitor, ServerConfig(port=0)) as url:
            for request in broken:
                port = int(url.rsplit(":", 1)[1])
                with socket.create_connection(("127.0.0.1", port)) as connection:
                    connection.sendall(request)
                    connection.settimeout(60)
                    got = await asyncio.to_thread(connection.recv, 4096)
                assert got.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400")), got
    lines = [record for record in caplog.records if "HTTP" in record.getMessage()]
    assert len(lines) == len(broken)
    assert not any(record.exc_info for record in caplog.records)
    assert "canary-key" not in caplog.text


async def test_the_stream_says_what_changed_and_is_still_otherwise(serve, run_of):
    """A tick at the start, then one for a change; a second listener begins with what is known."""
    with PerformanceMonitor(storage_url="memory:", clock=ManualClock()) as monitor:
        client = await serve(monitor)

        async def total(answer):
            async with asyncio.timeout(60):
                async for line in answer.content:
                    if line.startswith(b"data: "):
                        return json.loads(line[6:])["metrics"]["total_tasks"]
            return None

        async with client.get(f"{API}/stream") as first:
            assert await total(first) == 0
            async with client.get(f"{API}/stream") as second:
                assert await total(second) == 0
            quiet = asyncio.create_task(total(first))
            await asyncio.sleep(2.5)
            assert not quiet.done()
            monitor.record_agent_runs([run_of(1)])
            assert await quiet == 1
