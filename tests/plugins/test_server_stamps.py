"""Numbers that are no seconds since 1970 are refused as times by REST, too."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("number", [45987.5, 2026, 202601, 20260131, 2461071.5])
async def test_rest_refuses_them(client, run_of, number):
    """Of a run and of a measurement."""
    answer = await client.post("/api/performance/runs", json=[run_of(timestamp=number)])
    assert answer.status == 422
    assert (await answer.json())["rejected"][0]["field"] == "timestamp"
    measured = {"agent_name": "a", "task_id": "t", "predicted_outcome": 1, "actual_outcome": 1}
    answer = await client.post("/api/performance/accuracy", json=measured | {"timestamp": number})
    assert answer.status == 422
