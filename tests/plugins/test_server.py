"""The REST routes: what they record, what they answer, and what they refuse."""

from __future__ import annotations

import gzip
import io
import json
import math
import threading
import time

import pytest
from attrs import evolve

from perfmon import InvalidRun, Receipt, StorageError

API = "/api/performance"


async def record(client, *runs):
    answer = await client.post(f"{API}/runs", json=list(runs))
    assert answer.status == 200, await answer.text()
    return await answer.json()


async def refused(answer, status, code, field=None):
    body = await answer.json()
    assert answer.status == status, body
    assert body["error"]["code"] == code
    assert body["error"].get("field") == field
    assert body["error"]["message"]
    return body["error"]["message"]


async def test_a_posted_run_is_in_the_metrics_and_in_storage(client, monitor, run_of):
    """A 2xx means stored, and the next question sees the run."""
    assert await record(client, run_of(duration_ms=120, cost=0.5)) == {
        "accepted": 1, "duplicates": 0, "conflicts": [], "rejected": []
    }  # fmt: skip
    assert monitor.get_stats()["stored"] == 1
    body = await (await client.get(f"{API}/metrics/system")).json()
    assert body["metrics"]["total_tasks"] == 1
    assert body["metrics"]["p95_latency_ms"] == 120
    assert body["metrics"]["avg_quality_score"] is None
    assert body["generated_at"].endswith("Z")


async def test_a_run_comes_alone_in_a_list_or_by_line(client, run_of):
    """One object, a list, and NDJSON are the same to POST /runs."""
    answers = [
        await client.post(f"{API}/runs", json=run_of(1)),
        await client.post(f"{API}/runs", json=[run_of(2), run_of(3)]),
        await client.post(
            f"{API}/runs",
            data="\n".join(json.dumps(run_of(n)) for n in (4, 5, 6)) + "\n\n",
            headers={"Content-Type": "application/x-ndjson"},
        ),
        await client.post(f"{API}/runs", json=[]),
    ]
    assert [(await answer.json())["accepted"] for answer in answers] == [1, 2, 3, 0]


async def test_a_repeated_run_is_a_duplicate(client, run_of):
    """Sending again after a lost answer counts nothing twice."""
    await record(client, run_of(1))
    again = await record(client, run_of(1), run_of(2))
    assert (again["accepted"], again["duplicates"]) == (1, 1)


async def test_good_runs_are_kept_beside_refused_ones(client, run_of):
    """Each refused run has its index, field and reason; 200 because some were good."""
    answer = await record(client, run_of(1), run_of(2, duration_ms=-5), 7, run_of(3))
    assert answer["accepted"] == 2
    assert answer["rejected"][0]["field"] == "duration_ms"
    assert "-5" in answer["rejected"][0]["message"]
    assert [item["index"] for item in answer["rejected"]] == [1, 2]


async def test_only_refused_runs_are_unprocessable(client, run_of):
    """422 with the counts and the first reason."""
    answer = await client.post(f"{API}/runs", json=run_of(status="great"))
    body = await answer.json()
    assert (answer.status, body["accepted"], body["error"]["field"]) == (422, 0, "status")
    assert len(body["rejected"]) == 1


async def test_broken_lines_do_not_spoil_the_others(client, run_of):
    """A line that is no JSON is refused by its index, and so is a bad run after it."""
    lines = [json.dumps(run_of(1)), "{oops", json.dumps(run_of(2, cost=-1)), json.dumps(run_of(3))]
    answer = await client.post(
        f"{API}/runs", data="\n".join(lines), headers={"Content-Type": "application/x-ndjson"}
    )
    body = await answer.json()
    assert body["accepted"] == 2
    assert [(item["index"], item["field"]) for item in body["rejected"]] == [(1, ""), (2, "cost")]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"NaN", b'[{"cost": NaN}]', b'[{"cost": Infinity}]', b'[{"cost": 1e999}]',
     b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe", b'"text"', b"5", b"null"],
)  # fmt: skip
@pytest.mark.parametrize("path", ["runs", "accuracy", "runs/started"])
async def test_what_is_not_json_is_a_bad_request(client, path, body):
    """Never a 500: 400, and one sentence that says why."""
    answer = await client.post(f"{API}/{path}", data=body)
    assert "Traceback" not in await refused(answer, 400, "malformed_json")


async def test_a_body_may_be_compressed(client, run_of):
    """Content-Encoding: gzip is understood, and a corrupt one is a bad request."""
    packed = gzip.compress(json.dumps([run_of(1), run_of(2)]).encode())
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    answer = await client.post(f"{API}/runs", data=packed, headers=headers)
    assert (await answer.json())["accepted"] == 2
    answer = await client.post(f"{API}/runs", data=packed[:20] + b"oops", headers=headers)
    assert answer.status == 400


async def test_size_counts_after_decompression(serve):
    """A small body that grows beyond the limit is too large, as one that is large at once."""
    client = await serve(max_body_mb=1)
    bomb = gzip.compress(b" " * 5_000_000)
    assert len(bomb) < 10_000
    answer = await client.post(f"{API}/runs", data=bomb, headers={"Content-Encoding": "gzip"})
    await refused(answer, 413, "too_large")
    await refused(
        await client.post(f"{API}/runs", data=io.BytesIO(b" " * 2_000_000)), 413, "too_large"
    )


async def test_unstored_runs_are_not_acknowledged_from_memory(client, monitor, run_of):
    """Without a journal a batch that storage did not take is refused for now, and retried."""
    settings = evolve(monitor.config.monitor, durability="memory")
    monitor.config = evolve(monitor.config, monitor=settings)
    monitor.record_agent_runs = lambda items, wait: Receipt(accepted=1, stored=False)
    answer = await client.post(f"{API}/runs", json=run_of())
    await refused(answer, 503, "storage_unavailable")
    assert int(answer.headers["Retry-After"]) >= 1


async def test_an_agent_has_its_metrics_and_scores(client, run_of):
    """By name, also one with a slash and one with a percent sign in it."""
    for number, name in enumerate(("a/b", "50%", "ünï")):
        await record(client, run_of(number, agent_name=name))
        body = await (
            await client.get(f"{API}/metrics/agent/" + name.replace("%", "%25").replace("/", "%2F"))
        ).json()
        assert (body["agent_name"], body["status"]) == (name, "active")
        assert body["scores"]["reliability"] == 1.0
        assert body["last_run"].endswith("Z")
    everybody = await (await client.get(f"{API}/metrics/agents")).json()
    assert (set(everybody["agents"]), everybody["total_agents"]) == ({"a/b", "50%", "ünï"}, 3)


async def test_an_agent_never_seen_is_not_found(client):
    """404 names the agent, whatever bytes its name has."""
    answer = await client.get(f"{API}/metrics/agent/nobody")
    assert "nobody" in await refused(answer, 404, "not_found", "name")
    for odd in ("%FF", "%00", "%0A", "x" * 300):
        assert (await client.get(f"{API}/metrics/agent/{odd}")).status == 404


async def test_health_without_runs_says_so(client, run_of):
    """No data is not health."""
    body = await (await client.get(f"{API}/health")).json()
    assert (body["status"], body["health_score"]) == ("no_data", None)
    await record(client, run_of(duration_ms=10))
    body = await (await client.get(f"{API}/health")).json()
    assert body["status"] == "healthy"
    assert body["health_score"] >= 70


async def test_questions_go_back_in_time(client, run_of):
    """since and until, in ISO 8601 or epoch seconds, ask for the past."""
    long_ago = time.time() - 3 * 86_400
    await record(client, run_of(1, timestamp=long_ago), run_of(2))
    for since, until in (
        (long_ago - 7200, long_ago + 7200),
        (time.strftime("%Y-%m-%dT%H:00:00Z", time.gmtime(long_ago - 7200)),
         time.strftime("%Y-%m-%dT%H:00:00+00:00", time.gmtime(long_ago + 7200))),
    ):  # fmt: skip
        answer = await client.get(f"{API}/metrics/system", params={"since": since, "until": until})
        assert (await answer.json())["metrics"]["total_tasks"] == 1


async def test_questions_are_about_a_part(client, run_of):
    """Tenant, model and agent type narrow the answer down."""
    await record(
        client,
        run_of(1, tenant="acme", model="m1"),
        run_of(2, tenant="acme", model="m2", agent_type="chat"),
        run_of(3),
    )
    for params, count in (
        ({"tenant": "acme"}, 2),
        ({"tenant": "acme", "model": "m1"}, 1),
        ({"agent_type": "chat"}, 1),
        ({"tenant": "nobody"}, 0),
    ):
        answer = await client.get(f"{API}/metrics/system", params=params)
        assert (await answer.json())["metrics"]["total_tasks"] == count


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("metrics/system", "time_window_minutes=-1", "time_window_minutes"),
        ("metrics/system", "time_window_minutes=soon", "time_window_minutes"),
        ("metrics/system", "time_window_minutes=nan", "time_window_minutes"),
        ("metrics/system", "time_window_minutes=1e999", "time_window_minutes"),
        ("metrics/system", "time_window_minutes=", "time_window_minutes"),
        ("metrics/system", "window=5", "window"),
        ("metrics/system", "tenant=a&tenant=b", "tenant"),
        ("metrics/system", "since=2026-01-01T00:00:00", "since"),
        ("metrics/system", "since=yesterday", "since"),
        ("metrics/system", "since=99999999999999999", "since"),
        ("metrics/system", "since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", "since"),
        ("timeseries", "", "metric"),
        ("timeseries", "metric=happiness", "metric"),
        ("timeseries", "metric=error_rate&step=1x", "step"),
        ("timeseries", "metric=error_rate&step=0.001s", "step"),
        ("report", "include_agents=maybe", "include_agents"),
        ("alerts", "limit=0", "limit"),
        ("alerts", "level=red", "level"),
        ("compare", "against=tomorrow", "against"),
        ("accuracy", "state=waiting", "state"),
        ("accuracy", "order=best", "order"),
        ("accuracy", "limit=1001", "limit"),
        ("accuracy/summary", "source=user", "source"),
        ("accuracy/calibration", "task_id=t", "task_id"),
    ],
)
async def test_a_bad_parameter_is_named(client, path, query, field):
    """400 with the parameter, what was found and what is allowed."""
    answer = await client.get(f"{API}/{path}?{query}")
    await refused(answer, 400, "bad_parameter", field)


async def test_a_misspelt_parameter_gets_a_hint(client):
    """An unknown parameter is refused, since its filter would silently not apply."""
    answer = await client.get(f"{API}/metrics/system?tennant=acme")
    assert "did you mean tenant" in await refused(answer, 400, "bad_parameter", "tennant")


async def test_unknown_paths_and_methods_answer_in_json(client):
    """404 and 405 have the one shape of errors, and 405 says what is allowed."""
    await refused(await client.get("/api/nothing"), 404, "not_found")
    answer = await client.delete(f"{API}/runs")
    await refused(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == "POST"


async def test_a_report_comes_in_the_form_one_asks_for(client, run_of):
    """JSON for programs, HTML and Markdown for people, all about the same runs."""
    await record(client, run_of(agent_name="<script>alert(1)</script>"))
    found = {}
    for accept in ("*/*", "text/html,application/xml;q=0.9,*/*;q=0.8", "text/markdown",
                   "text/html;q=0.1, application/json"):  # fmt: skip
        answer = await client.get(f"{API}/report", headers={"Accept": accept})
        found[accept[:13]] = (answer.content_type, await answer.text())
    kinds = [kind for kind, _ in found.values()]
    assert kinds == ["application/json", "text/html", "text/markdown", "application/json"]
    assert json.loads(found["*/*"][1])["report"]["system_metrics"]["total_tasks"] == 1
    assert "<script>" not in found["text/html,app"][1]


async def test_a_report_may_leave_out_the_agents(client, run_of):
    """include_agents=false."""
    await record(client, run_of())
    answer = await client.get(f"{API}/report?include_agents=false")
    assert (await answer.json())["report"]["agent_metrics"] == {}


@pytest.mark.parametrize("step", ["5", "5m", "4m60s", "300000ms"])
async def test_a_series_has_its_steps(client, run_of, step):
    """Each point has its times, value and count; nothing measured is null."""
    await record(client, run_of(1, duration_ms=10), run_of(2, duration_ms=30))
    answer = await client.get(
        f"{API}/timeseries?metric=avg_latency_ms&step={step}&time_window_minutes=30"
    )
    body = await answer.json()
    assert len(body["points"]) == 6
    assert body["points"][-1]["value"] == 20
    assert body["points"][-1]["count"] == 2
    assert body["points"][0]["value"] is None
    assert body["higher_is_better"] is False


async def test_errors_trends_comparison_and_accounts(client, run_of):
    """The smaller questions answer as their Python namesakes do."""
    await record(
        client,
        run_of(1),
        run_of(2, status="failure", error_type="Boom"),
        run_of(3, error_type="Boom"),
    )
    body = await (await client.get(f"{API}/errors")).json()
    assert [(item["error_type"], item["count"]) for item in body["errors"]] == [("Boom", 2)]
    body = await (await client.get(f"{API}/trends")).json()
    assert {"success_rate", "avg_latency_ms"} <= set(body["trends"])
    body = await (await client.get(f"{API}/compare?window_minutes=30&against=previous")).json()
    assert body["comparison"]["current"]["total_tasks"] == 3
    body = await (await client.get(f"{API}/stats")).json()
    assert body["recorded"] == body["stored"] == 3


async def test_alerts_can_be_narrowed_down(client, run_of):
    """Level, least level, agent, state and limit; total_count counts beyond the limit."""
    slow = {"status": "failure", "duration_ms": 60_000}
    await record(client, *(run_of(n, **slow) for n in range(200)))
    body = await (await client.get(f"{API}/alerts")).json()
    assert body["total_count"] >= 2
    assert {"success_rate", "latency"} <= {alert["metric_type"] for alert in body["alerts"]}
    critical = await (await client.get(f"{API}/alerts?min_level=critical&limit=1")).json()
    assert [alert["level"] for alert in critical["alerts"]] == ["critical"]
    assert 1 <= critical["total_count"] < body["total_count"]


async def test_a_measurement_has_its_score(client, monitor):
    """One object gives its score; any JSON value is an outcome."""
    fields = {"agent_name": "a", "task_id": "t", "predicted_outcome": 90, "actual_outcome": 100}
    body = await (await client.post(f"{API}/accuracy", json=fields)).json()
    assert (body["status"], body["accuracy_score"]) == ("success", pytest.approx(0.9))
    assert monitor.get_system_metrics().avg_accuracy == pytest.approx(0.9)
    fields |= {"predicted_outcome": {"x": [1, None]}, "actual_outcome": {"x": [1, None]}}
    body = await (await client.post(f"{API}/accuracy", json=fields)).json()
    assert body["accuracy_score"] == 1


async def test_a_bad_measurement_is_unprocessable(client):
    """The field at fault is named; nothing is recorded."""
    fields = {"agent_name": "a", "task_id": "t", "predicted_outcome": 1, "actual_outcome": 1}
    answer = await client.post(f"{API}/accuracy", json=fields | {"confidence": 2})
    assert "[0, 1]" in await refused(answer, 422, "invalid_run", "confidence")
    del fields["actual_outcome"]
    await refused(
        await client.post(f"{API}/accuracy", json=fields), 422, "invalid_run", "actual_outcome"
    )


async def test_measurements_come_in_lists(client):
    """The good ones are recorded, the others listed; null stands in their place."""
    fields = {"agent_name": "a", "task_id": "t", "predicted_outcome": "x", "actual_outcome": "x"}
    answer = await client.post(f"{API}/accuracy", json=[fields, fields | {"agent_name": ""}, 3])
    body = await answer.json()
    assert (answer.status, body["accepted"]) == (200, 1)
    assert [item["index"] for item in body["rejected"]] == [1, 2]
    assert [item and item["accuracy_score"] for item in body["measurements"]] == [1, None, None]
    answer = await client.post(f"{API}/accuracy", json=[fields | {"agent_name": ""}])
    assert answer.status == 422


async def test_a_started_run_is_in_flight(client, monitor):
    """POST /runs/started says that a run begins; an unknown field is refused."""
    fields = {"run_id": "r9", "agent_name": "a"}
    assert (await client.post(f"{API}/runs/started", json=fields)).status == 200
    other = fields | {"tenant": "acme"}
    assert (await client.post(f"{API}/runs/started", json=other)).status == 200
    assert [run["tenant"] for run in monitor.get_in_flight()] == ["default", "acme"]
    answer = await client.post(f"{API}/runs/started", json=fields | {"tenant": None})
    await refused(answer, 422, "invalid_run", "tenant")
    answer = await client.post(f"{API}/runs/started", json=fields | {"color": "red"})
    await refused(answer, 422, "invalid_run", "color")
    await refused(
        await client.post(f"{API}/runs/started", json={"run_id": "x"}),
        422,
        "invalid_run",
        "agent_name",
    )


async def test_sync_loads_history_once(client, run_of):
    """Twice changes nothing."""
    await record(client, run_of())
    for _ in range(2):
        answer = await client.post(f"{API}/sync?lookback_hours=24")
        assert (await answer.json())["status"] == "success"
    body = await (await client.get(f"{API}/metrics/system")).json()
    assert body["metrics"]["total_tasks"] == 1


async def test_storage_that_fails_is_unavailable_and_says_when_to_retry(client, monitor):
    """503 with Retry-After; what the database said stays in the log."""

    def fail(*_, **__):
        raise StorageError("password authentication failed for user 'secret-canary'")

    monitor.get_system_metrics = fail
    answer = await client.get(f"{API}/metrics/system")
    assert "canary" not in await refused(answer, 503, "storage_unavailable")
    assert answer.headers["Retry-After"] == "1"


async def test_a_bug_is_logged_and_not_shown(client, monitor, caplog):
    """500 without the reason in it; the log has the traceback."""

    def fail(*_, **__):
        raise RuntimeError("canary")

    monitor.get_system_metrics = fail
    answer = await client.get(f"{API}/metrics/system")
    assert "canary" not in await refused(answer, 500, "internal")
    assert "canary" in caplog.text


async def test_figures_that_are_too_large_for_64_bits_are_answered(client, monitor):
    """Sums beyond 64 bits, infinities and NaN are still JSON."""
    metrics = evolve(monitor.get_system_metrics(), total_tokens=10**25, total_cost=math.inf)
    monitor.get_system_metrics = lambda **_: metrics
    text = await (await client.get(f"{API}/metrics/system")).text()
    found = json.loads(text, parse_constant=pytest.fail)["metrics"]
    assert (found["total_tokens"], found["total_cost"]) == (10**25, None)


async def test_a_slow_question_does_not_hold_up_the_others(serve, monitor):
    """It is given up after answer_seconds; others are answered meanwhile."""
    import asyncio

    begun, release = threading.Event(), threading.Event()
    monitor.get_error_patterns = lambda **_: begun.set() or release.wait(60)
    try:
        hurried = await serve(answer_seconds=0.2)
        await refused(await hurried.get(f"{API}/errors"), 503, "too_slow")
        begun.clear()
        client = await serve(answer_seconds=60)
        slow = asyncio.create_task(client.get(f"{API}/errors"))
        assert await asyncio.to_thread(begun.wait, 60)
        assert (await client.get("/healthz")).status == 200
        assert (await client.get(f"{API}/metrics/system")).status == 200
        assert not slow.done()
    finally:
        release.set()
    await slow


async def test_too_many_posts_are_told_to_come_back(serve, monitor, run_of):
    """429 with Retry-After when max_in_flight requests are under way."""
    import asyncio

    client = await serve(max_in_flight=1)
    begun, release = threading.Event(), threading.Event()

    def record_slowly(items, wait):
        begun.set()
        release.wait(60)
        return Receipt(accepted=len(items))

    monitor.record_agent_runs = record_slowly
    first = asyncio.create_task(client.post(f"{API}/runs", json=run_of(1)))
    try:
        await asyncio.to_thread(begun.wait, 60)
        second = await client.post(f"{API}/runs", json=run_of(2))
        await refused(second, 429, "too_many_requests")
        assert int(second.headers["Retry-After"]) >= 1
    finally:
        release.set()
    assert (await first).status == 200


async def test_readiness_is_about_storage_and_dropped_runs(client, monitor):
    """Ready while storage answers and nothing was dropped lately; alive in any case."""
    assert (await client.get("/readyz")).status == 200
    monitor._parts.queue.dropped = 3
    answer = await client.get("/readyz")
    assert answer.status == 503
    assert "dropped" in (await answer.json())["problems"][0]

    def fail():
        raise StorageError("away")

    monitor.storage.check = fail
    assert "storage is unavailable" in (await (await client.get("/readyz")).json())["problems"]
    assert (await client.get("/healthz")).status == 200


async def test_an_invalid_run_of_a_question_is_a_bad_parameter(client, monitor):
    """What only the monitor can judge is refused with its field, too."""

    def refuse(**_):
        raise InvalidRun("since", 1, "before until")

    monitor.get_error_patterns = refuse
    await refused(await client.get(f"{API}/errors"), 400, "bad_parameter", "since")


async def test_conflicts_are_told_by_their_place(client, run_of):
    """An id that is known with other content is named with what differs, by either format."""
    await client.post(f"{API}/runs", json=[run_of(1), run_of(2)])
    again = [run_of(1), run_of(2, status="failure", cost=1), run_of(3), run_of(3, model="m")]
    told = [
        {"index": 2, "run_id": "r2", "fields": ["status", "cost"]},
        {"index": 4, "run_id": "r3", "fields": ["model"]},
    ]
    answer = await (await client.post(f"{API}/runs", json=[{}, *again])).json()
    assert (answer["accepted"], answer["duplicates"], answer["conflicts"]) == (1, 1, told)
    assert [one["index"] for one in answer["rejected"]] == [0]
    lines = ["{", *(json.dumps(run) for run in again)]
    response = await client.post(
        f"{API}/runs", data="\n".join(lines), headers={"Content-Type": "application/x-ndjson"}
    )
    answer = await response.json()
    assert (answer["accepted"], answer["duplicates"], answer["conflicts"]) == (0, 2, told)
    assert response.status == 200
