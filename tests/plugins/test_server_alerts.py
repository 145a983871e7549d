"""The routes about alerts: what they list, and what they are told."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from perfmon.records import AlertLevel
from perfmon.testing.stored_alerts import resolved
from perfmon.testing.stored_alerts import stored_alert as make_alert
from perfmon.testing.stored_alerts import stored_message as make_message

API = "/api/performance"


async def failing(client, run_of, count=200):
    answer = await client.post(
        f"{API}/runs", json=[run_of(n, status="failure", duration_ms=5) for n in range(count)]
    )
    assert answer.status == 200


async def get(client, path, status=200, **params):
    answer = await client.get(f"{API}/{path}", params=params)
    assert answer.status == status, await answer.text()
    return await answer.json()


async def test_an_alert_has_its_evidence_and_its_deliveries(client, monitor, run_of):
    """Who, since when, how sure, and what became of each message about it."""
    monitor.bus.unregister("log")
    await failing(client, run_of)
    found = (await get(client, "alerts", level="critical"))["alerts"]
    alert = next(alert for alert in found if alert["agent_name"])
    assert (alert["state"], alert["level"]) == ("firing", "critical")
    assert (alert["agent_name"], alert["sample_size"]) == ("billing", 200)
    assert alert["started_at"].endswith("Z")
    assert alert["interval"][1] < alert["threshold"] == 0.8
    assert alert["deliveries"] == []
    told = make_alert(1)
    monitor.storage.save_alerts([told], None, [make_message("m1", told)])
    listed = (await get(client, "alerts", agent_name=told.agent_name))["alerts"][0]
    (sent,) = listed["deliveries"]
    assert (sent["message_id"], sent["sink"], sent["state"]) == ("m1", "log", "waiting")
    assert sent["created_at"].endswith("Z")
    assert sent["closed_at"] is None


@pytest.fixture
def history(monitor):
    """Thirty episodes, ten of which fire, of three levels, two agents and two models."""
    levels, began = list(AlertLevel), datetime.now(UTC) - timedelta(hours=1)
    alerts = [
        make_alert(
            n, level=levels[n % 3], agent_name=f"a{n % 2}", model=f"m{n % 2}", tenant="t",
            timestamp=began + timedelta(seconds=n), started_at=began + timedelta(seconds=n),
        )
        for n in range(30)
    ]  # fmt: skip
    alerts[:20] = [resolved(alert) for alert in alerts[:20]]
    monitor.storage.save_alerts(alerts)
    return alerts


async def test_alerts_are_counted_beyond_the_limit(client, history):
    """By state, level, agent, model and time; those that began last first."""
    for params, count in (
        ({}, 30), ({"state": "firing"}, 10), ({"state": "resolved"}, 20), ({"state": "pending"}, 0),
        ({"level": "info"}, 10), ({"min_level": "warning"}, 20), ({"agent_name": "a1"}, 15),
        ({"model": "m0"}, 15), ({"tenant": "other"}, 0), ({"agent_type": "other"}, 0),
        ({"until": history[5].started_at.isoformat()}, 5),
        ({"since": (history[19].resolved_at + timedelta(seconds=1)).isoformat()}, 10),
    ):  # fmt: skip
        found = await get(client, "alerts", limit=3, **params)
        assert (found["total_count"], len(found["alerts"])) == (count, min(count, 3)), params
    ids = [alert["alert_id"] for alert in (await get(client, "alerts", limit=2))["alerts"]]
    assert ids == [history[29].alert_id, history[28].alert_id]


async def test_what_is_pending_is_listed_where_it_is_asked_for(serve, tmp_path, run_of):
    """Beyond its limit and not for long enough: by no other question."""
    from perfmon import Config, PerformanceMonitor

    config = Config.from_mapping({"alerts": {"for": "1h"}})
    with PerformanceMonitor(config, storage_url=f"sqlite:///{tmp_path}/p.db") as monitor:
        client = await serve(of=monitor)
        await failing(client, run_of)
        assert (await get(client, "alerts"))["total_count"] == 0
        pending = await get(client, "alerts", state="pending", level="critical")
    assert {alert["state"] for alert in pending["alerts"]} == {"pending"}
    assert pending["total_count"] == len(pending["alerts"]) == 2


async def test_an_alert_is_acknowledged(client, monitor, run_of):
    """By name, which every list then shows."""
    await failing(client, run_of)
    alert_id = (await get(client, "alerts"))["alerts"][0]["alert_id"]
    answer = await client.post(f"{API}/alerts/{alert_id}/acknowledge", json={"by": "ann"})
    assert (await answer.json())["alert"]["acknowledged_by"] == "ann"
    known = {a["alert_id"]: a["acknowledged_by"] for a in (await get(client, "alerts"))["alerts"]}
    assert known[alert_id] == "ann"
    assert list(known.values()).count("ann") == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "by"), ({"by": ""}, "by"), ({"by": 7}, "by"), ({"by": "ann", "at": 1}, "at")],
)
async def test_who_acknowledges_has_a_name(client, monitor, body, field):
    """And nothing else is said; 422 names the field."""
    monitor.storage.save_alerts([make_alert(1)])
    path = f"{API}/alerts/{make_alert(1).alert_id}/acknowledge"
    answer = await client.post(path, json=body)
    assert (answer.status, (await answer.json())["error"]["field"]) == (422, field)
    assert monitor.get_alert(make_alert(1).alert_id).alert.acknowledged_by is None


async def test_an_alert_is_closed(client, monitor, run_of):
    """By name and with a reason, once; what goes on is not told again."""
    await failing(client, run_of)
    alert_id = (await get(client, "alerts"))["alerts"][0]["alert_id"]
    path = f"{API}/alerts/{alert_id}/resolve"
    answer = await client.post(path, json={"by": "ann", "comment": "known"})
    alert = (await answer.json())["alert"]
    assert (alert["state"], alert["details"]["resolved_by"]) == ("resolved", "ann")
    assert alert["details"]["comment"] == "known"
    firing = await get(client, "alerts", state="firing")
    assert alert_id not in {one["alert_id"] for one in firing["alerts"]}
    assert (await client.post(path, json={"by": "ann"})).status == 404
    assert (await client.post(path, json={"comment": "x"})).status == 422


async def test_silences_come_and_go(client, monitor, run_of):
    """One marks the alerts it matches until it is ended, and is listed as long."""
    await failing(client, run_of)
    body = {"matchers": {"agent": "bill*"}, "until": time.time() + 3600, "by": "ann",
            "comment": "planned migration"}  # fmt: skip
    made = (await (await client.post(f"{API}/silences", json=body)).json())["silence"]
    assert (made["author"], made["comment"]) == ("ann", "planned migration")
    assert (await get(client, "silences"))["silences"] == [made]
    marks = {a["agent_name"]: a["silenced_by"] for a in (await get(client, "alerts"))["alerts"]}
    assert marks == {"billing": made["silence_id"], None: None}
    path = f"{API}/silences/{made['silence_id']}"
    assert (await client.delete(path)).status == 200
    assert (await client.delete(path)).status == 404
    assert await get(client, "silences") == {"silences": [], "total_count": 0}
    assert {a["silenced_by"] for a in (await get(client, "alerts"))["alerts"]} == {None}


LATER = (datetime.now(UTC) + timedelta(days=1)).isoformat()
GOOD = {"matchers": {"agent": "a"}, "until": LATER, "by": "ann"}


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"matchers": {}}, "matchers"),
        ({"matchers": []}, "matchers"),
        ({"matchers": "agent"}, "matchers"),
        ({"matchers": {"agnt": "a"}}, "matchers"),
        ({"matchers": {"agent": 7}}, "matchers"),
        ({"until": "2001-01-01T00:00:00Z"}, "until"),
        ({"until": "soon"}, "until"),
        ({"until": None}, "until"),
        ({"starts_at": "2999-01-01T00:00:00Z"}, "until"),
        ({"by": " "}, "by"),
        ({"by": ["ann"]}, "by"),
        ({"comment": 7}, "comment"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_a_silence_that_is_none_is_refused(client, wrong, field):
    """422 with the field, and nothing is silenced."""
    answer = await client.post(f"{API}/silences", json=GOOD | wrong)
    body = await answer.json()
    assert (answer.status, body["error"].get("field")) == (422, field), body
    assert (await get(client, "silences"))["total_count"] == 0


async def test_silences_of_another_page_are_refused(client):
    """A page of another site can neither silence nor unsilence."""
    headers = {"Origin": "https://evil.test"}
    assert (await client.post(f"{API}/silences", json=GOOD, headers=headers)).status == 403
    assert (await client.delete(f"{API}/silences/x", headers=headers)).status == 403


async def test_the_sinks_own_trouble_is_listed(client, monitor):
    """An alert that the outbox raises is none of the machine's, and fires all the same."""
    monitor.storage.save_alerts([make_alert(1, rule="sink slack")])
    listed = (await get(client, "alerts", state="firing"))["alerts"]
    assert [alert["rule"] for alert in listed] == ["sink slack"]
