"""The first page: what it tells, and that nothing it tells can do harm."""

from __future__ import annotations

import html
import re
import time

HOSTILE = "<img src=x onerror=alert(1)>\"'&<script>alert(2)</script>"


async def test_the_page_tells_health_alerts_and_agents(client, monitor, run_of):
    """One look: the score, what is firing, and each agent with its figures."""
    monitor.record_agent_runs(
        [run_of(n, duration_ms=1500, cost=0.25, status="failure") for n in range(200)]
    )
    page = await (await client.get("/")).text()
    assert "billing" in page
    assert "1.5 s" in page
    assert "$50.00" in page
    assert "0.0%" in page
    assert page.count('<li class="critical">') >= 1
    assert "unhealthy" in page


async def test_no_answer_says_healthy_while_a_critical_alert_fires(client, monitor, run_of):
    """Page and title, health of everything and of a tenant, report and stream agree."""
    monitor.record_agent_runs([run_of(n, duration_ms=1) for n in range(300)])
    page = await (await client.get("/")).text()
    assert "perfmon: healthy</title>" in page
    monitor.record_agent_runs(
        [run_of(n, agent_name="big", tenant="other", memory_mb=9000) for n in range(300, 304)]
    )
    page = await (await client.get("/")).text()
    assert "perfmon: degraded</title>" in page
    assert "degraded: " in page
    assert "1 critical alert" in page
    assert "healthy" not in page
    for tenant, status in (("", "degraded"), ("?tenant=other", "degraded"),
                           ("?tenant=default", "healthy")):  # fmt: skip
        health = await (await client.get(f"/api/performance/health{tenant}")).json()
        assert health["status"] == status, health
        assert health["health_score"] > 90
    answer = await client.get("/api/performance/report", headers={"Accept": "text/html"})
    written = await answer.text()
    assert "Fair" in written
    assert not [
        word for word in ("Excellent", "Good", "healthy", "No action needed") if word in written
    ]
    async with client.get("/api/performance/stream") as stream:
        async for line in stream.content:
            if line.startswith(b"data: "):
                break
    assert b'"status":"degraded"' in line.replace(b" ", b"")


async def test_an_empty_monitor_tells_how_to_begin(client):
    """No runs is not health: a dash, and how the first run is recorded."""
    page = await (await client.get("/")).text()
    assert "no data" in page
    assert "curl -X POST" in page
    assert "nan" not in page.lower().replace("tenant", "")


async def test_hostile_text_stays_text(client, monitor, run_of):
    """Whatever an agent is called, its name is shown and does nothing."""
    monitor.record_agent_runs(
        [
            run_of(n, agent_name=HOSTILE, agent_type=HOSTILE, status="failure", error_type=HOSTILE)
            for n in range(200)
        ]
    )
    page = await (await client.get("/")).text()
    assert "<img src=x" not in page
    assert "<script" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page


async def test_the_page_needs_and_allows_no_script(client):
    """The policy allows nothing but the page's own style sheet, by a nonce of its own."""
    nonces = set()
    for _ in range(2):
        answer = await client.get("/")
        policy = answer.headers["Content-Security-Policy"]
        page = await answer.text()
        nonce = re.search(r"style-src 'nonce-([\w-]{20,})'", policy)[1]
        assert policy.startswith("default-src 'none';")
        assert "unsafe" not in policy
        assert "script-src" not in policy
        assert f'<style nonce="{nonce}">' in page
        assert " style=" not in page
        nonces.add(nonce)
    assert len(nonces) == 2


async def test_the_page_tells_the_life_of_alerts(client, monitor):
    """Since when each fires, what to do, who takes care of it, and which were resolved recently."""
    from datetime import UTC, datetime, timedelta

    from perfmon.testing.stored_alerts import resolved
    from perfmon.testing.stored_alerts import stored_alert as make_alert

    began = datetime.now(UTC) - timedelta(hours=3, minutes=5)
    firing = [
        make_alert(n, started_at=began, message=f"alert {n} {HOSTILE}", recommendation=advice)
        for n, advice in ((1, "Retry less."), (2, HOSTILE))
    ]
    over = [resolved(make_alert(n, started_at=began, message=f"over {n}")) for n in range(10, 19)]
    monitor.storage.save_alerts([*firing, *over])
    monitor.acknowledge(firing[0].alert_id, "ann")
    page = await (await client.get("/")).text()
    assert page.count("since 3 h") == 2
    assert "Retry less." in page
    assert page.count("acknowledged by ann") == 1
    assert page.count("resolved 3 h ago") == 5
    assert "<img src=x" not in page


async def test_the_page_marks_what_is_silenced(client, monitor, run_of):
    """It is listed all the same, and says that nothing is sent."""
    monitor.record_agent_runs([run_of(n, status="failure") for n in range(50)], wait=True)
    before = await (await client.get("/")).text()
    monitor.silence({"agent": "billing"}, time.time() + 3600, "ann")
    page = await (await client.get("/")).text()
    assert before.count('<span class="mark">silenced') == 0
    assert page.count('<span class="mark">silenced') == before.count("agent billing: ") >= 1


async def test_the_page_names_what_an_alert_is_suppressed_by(client, monitor):
    """The subject of the other alert where it is listed, too."""
    from perfmon.testing.stored_alerts import stored_alert as make_alert

    cause = make_alert(1, key="whole", metric="p95_latency_ms", agent_name="billing")
    parts = [make_alert(n, inhibited_by=key) for n, key in ((2, "whole"), (3, "elsewhere"))]
    monitor.storage.save_alerts([cause, *parts])
    page = html.unescape(await (await client.get("/")).text())
    assert "suppressed: same cause as 'p95 latency of billing'" in page
    assert "suppressed: same cause as another alert" in page


async def test_the_page_stays_short(client, monitor, run_of):
    """Of very many agents it shows those with the most runs, and says so."""
    monitor.record_agent_runs([run_of(n, agent_name=f"agent-{n:04}") for n in range(450)])
    page = await (await client.get("/")).text()
    assert page.count("<tr") == 201
    assert "and 250 more" in page


async def test_an_accuracy_comes_with_its_sample(client, monitor, run_of):
    """In the tile and in the table: interval, outcomes, and coverage where some wait."""
    monitor.record_agent_runs([run_of()])
    for number in range(7):
        monitor.record_prediction("billing", f"t{number}", "yes")
    for number in range(4):
        monitor.record_outcome(f"t{number}", "yes" if number else "no")
    page = await (await client.get("/")).text()
    assert "30.1% to 95.4%, 4 outcomes, coverage 57.1%" in page
    assert '75.0% <span class="soft">30.1% to 95.4% of 4</span>' in page


async def test_without_outcomes_there_is_no_sample(client, monitor, run_of):
    """A dash, and not an interval of nothing."""
    monitor.record_agent_runs([run_of()])
    page = await (await client.get("/")).text()
    assert "0 outcomes" in page
    assert "nan" not in page.lower().replace("tenant", "")


async def test_the_trend_beside_p95_is_said_to_be_the_mean_s(client, monitor, run_of):
    """And the one beside the cost that of a run."""
    for minutes, took in ((90, 100.0), (30, 300.0)):
        at = time.time() - minutes * 60
        monitor.record_agent_runs(
            [run_of(f"{minutes} {n}", duration_ms=took, cost=took, timestamp=at) for n in range(99)]
        )
    assert monitor.get_system_metrics().latency_trend == "degrading"
    page = await (await client.get("/")).text()
    assert "mean: ▼ degrading" in page
    assert "cost per run: ▼ degrading" in page


async def test_calls_and_retries_that_are_not_told_are_unknown(client, monitor, run_of):
    """In REST as in Python: null is no 0, and 0 is."""
    runs = [run_of(1), run_of(2, retries=None, api_calls=None), run_of(3, retries=0, api_calls=2)]
    answer = await client.post("/api/performance/runs", json=runs)
    assert (await answer.json())["accepted"] == 3
    metrics = (await (await client.get("/api/performance/metrics/system")).json())["metrics"]
    assert (metrics["retry_rate"], metrics["retries_count"]) == (0.0, 1)
    assert (metrics["total_api_calls"], metrics["api_calls_count"]) == (2, 1)
    await client.post("/api/performance/runs", json=[run_of(4, agent_name="silent")])
    agent = (await (await client.get("/api/performance/metrics/agent/silent")).json())["metrics"]
    assert agent["retry_rate"] is None
