"""Predictions and outcomes over REST: told in any order, refused by field, read back with both."""

from __future__ import annotations

import time

import pytest
from attrs import evolve

from perfmon import Receipt, StorageError

API = "/api/performance"
PREDICTION = {"agent_name": "planner", "task_id": "t", "predicted_outcome": 90, "confidence": 0.8}
OUTCOME = {"task_id": "t", "actual_outcome": 100}


@pytest.fixture
def post(client):
    """Posts JSON; the answer's body, which must have come with this status."""

    async def post(path, body, status=200):
        answer = await client.post(f"{API}/{path}", json=body)
        assert answer.status == status, await answer.text()
        return await answer.json()

    return post


@pytest.fixture
def get(client):
    """The body of an answer with status 200."""

    async def get(path, **params):
        answer = await client.get(f"{API}/{path}", params=params)
        assert answer.status == 200, await answer.text()
        return await answer.json()

    return get


async def test_an_outcome_meets_its_prediction(post, get):
    """The prediction is counted once; the outcome's answer has the measurement."""
    first = await post("predictions", PREDICTION)
    (receipt,) = first.pop("predictions")
    assert first == {
        "status": "success", "accepted": 1, "duplicates": 0, "conflicts": [], "rejected": [],
    }  # fmt: skip
    assert (receipt["status"], receipt["round"]) == ("waiting", 1)
    again = await post("predictions", [PREDICTION])
    assert (again["duplicates"], again["predictions"]) == (1, [receipt])
    told = await post("outcomes", OUTCOME | {"outcome_id": "o-1"})
    assert (told["status"], told["outcome"]["status"]) == ("success", "measured")
    assert told["outcome"]["outcome_id"] == "o-1"
    (measurement,) = told["outcome"]["measurements"]
    assert measurement["accuracy_score"] == pytest.approx(0.9)
    assert (measurement["round"], measurement["prediction_id"]) == (1, receipt["prediction_id"])
    assert "planner" in told["outcome"]["message"]
    assert (await get("accuracy"))["measurements"] == [measurement]


async def test_an_outcome_may_come_first(post, get):
    """It is kept until its prediction comes."""
    told = (await post("outcomes", OUTCOME))["outcome"]
    assert (told["status"], told["measurements"]) == ("waiting", [])
    await post("predictions", PREDICTION)
    assert (await get("accuracy"))["count"] == 1


async def test_an_outcome_without_an_agent_is_everybodys(post):
    """With one it is that agent's alone."""
    await post("predictions", [PREDICTION, PREDICTION | {"agent_name": "writer"}])
    told = (await post("outcomes", OUTCOME | {"agent_name": "writer"}))["outcome"]
    assert [one["agent_name"] for one in told["measurements"]] == ["writer"]
    told = (await post("outcomes", OUTCOME | {"feedback_source": "audit"}))["outcome"]
    assert {one["agent_name"] for one in told["measurements"]} == {"planner", "writer"}


async def test_predictions_and_outcomes_come_in_lists(post):
    """The good ones are recorded, the others listed with their field; null stands for them."""
    body = await post("predictions", [PREDICTION, PREDICTION | {"confidence": 2}, 3])
    assert (body["status"], body["accepted"]) == ("success", 1)
    assert [(item["index"], item["field"]) for item in body["rejected"]] == [
        (1, "confidence"), (2, "measurement"),
    ]  # fmt: skip
    body = await post("outcomes", [{"task_id": "t"}, OUTCOME, OUTCOME | {"task_id": "other"}])
    assert (body["accepted"], body["rejected"][0]["field"]) == (2, "actual_outcome")
    assert [told and told["status"] for told in body["outcomes"]] == [None, "measured", "waiting"]


@pytest.mark.parametrize(
    ("path", "item", "field"),
    [
        ("predictions", PREDICTION | {"actual_outcome": 1}, "actual_outcome"),
        ("predictions", {"agent_name": "planner", "task_id": "t"}, "predicted_outcome"),
        ("outcomes", OUTCOME | {"task_id": ""}, "task_id"),
        ("outcomes", OUTCOME | {"confidence": 0.5}, "confidence"),
        ("outcomes", OUTCOME | {"timestamp": time.time() + 3600}, "timestamp"),
    ],
)
async def test_only_refused_items_are_unprocessable(post, monitor, path, item, field):
    """422 names the field, alone and in a list, where the counts are there too."""
    assert (await post(path, item, 422))["error"]["field"] == field
    body = await post(path, [item, item], 422)
    assert (body["error"]["field"], body["accepted"], len(body["rejected"])) == (field, 0, 2)
    assert monitor.get_stats()["stored"] == 0


@pytest.mark.parametrize("path", ["predictions", "outcomes"])
@pytest.mark.parametrize("body", [b"", b"{", b"NaN", b"5", b"null", b'"text"', b"[" * 100_000])
async def test_what_is_no_object_is_a_bad_request(client, path, body):
    """400, and one sentence that says why."""
    answer = await client.post(f"{API}/{path}", data=body)
    assert answer.status == 400
    assert (await answer.json())["error"]["code"] == "malformed_json"


@pytest.mark.parametrize(("path", "item"), [("predictions", PREDICTION), ("outcomes", OUTCOME)])
async def test_what_is_not_stored_is_not_acknowledged_from_memory(post, monitor, path, item):
    """503 without a journal; with one the outcome is said to be pending."""
    unstored = Receipt(accepted=1, stored=False)
    monitor._record_rows = lambda *_, **__: unstored
    body = await post(path, item)
    if path == "outcomes":
        assert body["outcome"]["status"] == "pending"
    settings = evolve(monitor.config.monitor, durability="memory")
    monitor.config = evolve(monitor.config, monitor=settings)
    assert (await post(path, item, 503))["error"]["code"] == "storage_unavailable"


async def test_single_measurements_can_be_narrowed_down(post, get):
    """By agent, task, source and state; the history of a task has all its outcomes."""
    for number in range(4):
        item = {
            "agent_name": f"a{number % 2}",
            "task_id": f"t{number}",
            "predicted_outcome": number,
        }
        await post("predictions", item)
        await post("outcomes", {"task_id": f"t{number}", "actual_outcome": 3})
    await post("outcomes", {"task_id": "t3", "actual_outcome": 1, "feedback_source": "audit"})

    async def found(**params):
        return [
            (one["task_id"], one["state"])
            for one in (await get("accuracy", **params))["measurements"]
        ]

    assert len(await found()) == 5
    assert await found(agent_name="a0") == [("t2", "measured"), ("t0", "measured")]
    assert await found(task_id="t3") == [("t3", "measured"), ("t3", "superseded")]
    assert await found(state="superseded") == [("t3", "superseded")]
    assert await found(source="audit") == [("t3", "measured")]
    assert await found(order="worst", limit=2) == [("t3", "measured"), ("t0", "measured")]
    assert await found(tenant="nobody") == []


async def test_the_count_of_measurements_says_whether_there_are_more(post, get):
    """`more` is true exactly when the limit cut something off."""
    items = [{"agent_name": "a", "task_id": str(n), "predicted_outcome": n, "actual_outcome": n}
             for n in range(3)]  # fmt: skip
    await post("accuracy", items)
    for limit, expected in ((2, (2, True)), (3, (3, False)), (1000, (3, False))):
        body = await get("accuracy", limit=limit)
        assert (
            (body["count"], body["more"]) == expected == (len(body["measurements"]), body["more"])
        )


async def test_the_summary_says_how_right_agents_were(post, get):
    """Means, coverage, waiting, numeric errors, sources and who disagrees; unknown is null."""
    empty = (await get("accuracy/summary"))["summary"]
    assert (empty["overall"]["count"], empty["overall"]["accuracy"]) == (0, None)
    assert empty["overall"]["interval"] == [None, None]
    await post("predictions", [PREDICTION, PREDICTION | {"task_id": "open"}])
    await post("outcomes", OUTCOME)
    await post("outcomes", OUTCOME | {"actual_outcome": 90, "feedback_source": "audit"})
    summary = (await get("accuracy/summary"))["summary"]
    for figures in (summary["overall"], summary["by_agent"]["planner"]):
        assert (figures["count"], figures["accuracy"]) == (1, pytest.approx(1))
    assert (summary["overall"]["coverage"], summary["waiting"]) == (0.5, 1)
    assert summary["by_source"]["user"]["accuracy"] == pytest.approx(0.9)
    assert summary["disagreements"][0]["sources"] == {"user": 100, "audit": 90}
    assert summary["errors"]["mean_absolute_error"] == pytest.approx(0)
    assert summary["calibration"]["count"] == 1
    assert (await get("accuracy/summary", task_type="other"))["summary"]["overall"]["count"] == 0


async def test_the_calibration_has_bins_errors_and_a_verdict(post, get):
    """Forty answers given with 90%, of which ten were right, are over-confident by 65 points."""
    assert (await get("accuracy/calibration"))["calibration"]["brier_score"] is None
    item = {"agent_name": "a", "predicted_outcome": "yes", "confidence": 0.9}
    await post("predictions", [item | {"task_id": str(n)} for n in range(40)])
    told = [{"task_id": str(n), "actual_outcome": "no" if n % 4 else "yes"} for n in range(40)]
    assert {one["status"] for one in (await post("outcomes", told))["outcomes"]} == {"measured"}
    found = (await get("accuracy/calibration", agent_name="a"))["calibration"]
    assert (found["verdict"], found["count"], len(found["bins"])) == ("over-confident", 40, 10)
    assert "over-confident by 65 points, 40 outcomes" in found["sentence"]
    assert found["brier_score"] == pytest.approx((10 * 0.01 + 30 * 0.81) / 40)
    assert found["bins"][9]["accuracy"] == 0.25
    assert found["bins"][0]["accuracy"] is None


async def test_questions_about_accuracy_go_back_in_time(post, get):
    """The usual window is the monitor's; since and until ask for the past."""
    long_ago = time.time() - 3 * 86_400
    await post("predictions", PREDICTION | {"timestamp": long_ago})
    await post("outcomes", OUTCOME | {"timestamp": long_ago + 60})
    past = {"since": long_ago - 7200, "until": long_ago + 7200}
    assert ((await get("accuracy"))["count"], (await get("accuracy", **past))["count"]) == (0, 1)
    assert (await get("accuracy/summary"))["summary"]["overall"]["count"] == 0
    assert (await get("accuracy/summary", **past))["summary"]["overall"]["count"] == 1
    assert (await get("accuracy/calibration", **past))["calibration"]["count"] == 1


async def test_storage_that_fails_is_unavailable_for_measurements(client, monitor):
    """503 for what only storage can answer."""

    def fail(*_):
        raise StorageError("away")

    monitor.storage.find_measurements = fail
    answer = await client.get(f"{API}/accuracy")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
