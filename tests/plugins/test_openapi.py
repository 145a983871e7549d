"""The OpenAPI document is true: it is compared with what the server really does."""

from __future__ import annotations

import time

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import validate
from perfmon_server import ROUTES, ServerConfig, make_app
from perfmon_server.http.openapi import document

API = "/api/performance"
DOCUMENT = document(ROUTES)
OPERATIONS = [
    (method, path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
]
EXAMPLES = {"metric": "error_rate", "tenant": "default", "since": "2026-01-01T00:00:00Z",
            "until": "2026-01-02T00:00:00Z", "against": "previous", "step": "1h"}  # fmt: skip


def checked(value, operation, status, kind="application/json"):
    """Fail unless a value is what the document says of an answer."""
    schema = operation["responses"][str(status)]["content"][kind]["schema"]
    whole = {**schema, "components": DOCUMENT["components"]}
    Draft202012Validator(whole, format_checker=FormatChecker()).validate(value)


@pytest.fixture
def ids(monitor):
    """What a path's {id} may be: of an alert, and of a silence."""
    from perfmon.testing.stored_alerts import stored_alert as make_alert
    from perfmon.testing.stored_alerts import stored_message as make_message

    alert = make_alert(1)
    monitor.storage.save_alerts([alert], None, [make_message("m1", alert)])
    silence = monitor.silence({"agent": "a"}, time.time() + 3600, "ann")
    return {"alerts": alert.alert_id, "silences": silence.silence_id}


def filled(path, ids):
    """A path with its names and ids filled in."""
    kind = path.split("/")[3] if path.count("/") > 2 else ""
    return path.replace("{name}", "billing").replace("{id}", ids.get(kind, "x"))


def example(parameter):
    schema = parameter["schema"]
    if "enum" in schema and parameter["name"] not in EXAMPLES:
        return schema["enum"][0]
    kinds = {"boolean": "true", "integer": "5", "number": "30", "string": "text"}
    return EXAMPLES.get(parameter["name"]) or kinds[schema["type"]]


@pytest.fixture
def recorded(monitor, run_of):
    """A monitor with something of everything."""
    monitor.record_agent_runs(
        [run_of(n, status="failure" if n % 2 else "success", error_type="Boom" if n % 2 else None,
                duration_ms=float(n), cost=0.1, model="m") for n in range(200)]
    )  # fmt: skip
    monitor.record_agent_runs([run_of(900, agent_name="bare", agent_type=None, timestamp=1e9)])
    monitor.record_accuracy("billing", "t", 1, 1)
    monitor.record_predictions(
        [dict(agent_name="billing", task_id=f"p{n}", predicted_outcome={"a": n}, confidence=0.5)
         for n in range(3)]
    )  # fmt: skip
    for source, actual in (("user", {"a": 1}), ("audit", {"a": 2})):
        monitor.record_outcome("p1", actual, source, {"why": "because"})
    assert monitor.record_outcome("p2", {"b": 2}).status == "unmapped"
    return monitor


def test_the_document_is_openapi():
    """Valid by the specification, with every operation named once."""
    validate(DOCUMENT)
    names = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(names) == len(set(names))


def test_every_route_is_documented_and_every_document_routed(monitor):
    """The router and the document list the same methods and paths; HEAD is GET without a body."""
    app = make_app(monitor, ServerConfig())
    routed = {(route.method.lower(), route.resource.canonical) for route in app.router.routes()}
    routed -= {("head", path) for method, path in routed if method == "get"}
    assert routed == {(method, path) for method, path, _ in OPERATIONS}


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/api/openapi.json"])
async def test_who_asks_only_whether_it_is_there_may_ask_by_head(client, path):
    """The status of GET, and no body."""
    answer = await client.head(path)
    assert (answer.status, await answer.read()) == (200, b"")


async def test_the_document_is_served(client):
    """At /api/openapi.json."""
    assert await (await client.get("/api/openapi.json")).json() == DOCUMENT


@pytest.mark.parametrize(
    ("path", "operation"),
    [(path, op) for method, path, op in OPERATIONS if method == "get" and "stream" not in path],
)
async def test_answers_are_as_documented(client, recorded, ids, path, operation):
    """With its required parameters alone: status, content type and JSON are those documented."""
    params = {p["name"]: example(p) for p in operation.get("parameters", ()) if p["required"]}
    params.pop("name", None)
    answer = await client.get(path.replace("{name}", "billing"), params=params)
    content = operation["responses"][str(answer.status)]["content"]
    assert answer.status == 200
    assert answer.content_type in content
    if answer.content_type == "application/json" and path != "/api/openapi.json":
        checked(await answer.json(), operation, 200)


@pytest.mark.parametrize(
    ("path", "operation", "parameter"),
    [
        pytest.param(path, op, parameter, id=f"{path}?{parameter['name']}")
        for method, path, op in OPERATIONS
        if method == "get"
        for parameter in op.get("parameters", ())
        if parameter["in"] == "query"
    ],
)
async def test_documented_parameters_are_accepted(client, recorded, path, operation, parameter):
    """Each one beside the required ones; nonsense for it is refused as documented."""
    params = {p["name"]: example(p) for p in operation["parameters"]
              if p["in"] == "query" and p["required"]}  # fmt: skip
    if parameter["name"] in ("since", "until") and "alerts" not in path:
        params |= {name: EXAMPLES[name] for name in ("since", "until")}
    url = path.replace("{name}", "billing")
    answer = await client.get(url, params=params | {parameter["name"]: example(parameter)})
    assert answer.status == 200, await answer.text()
    checked(await answer.json(), operation, 200)
    answer = await client.get(url, params=params | {parameter["name"]: ""})
    assert answer.status == 400
    checked(await answer.json(), operation, 400)


@pytest.mark.parametrize(
    ("method", "path", "operation"), [pytest.param(*o, id=f"{o[0]} {o[1]}") for o in OPERATIONS]
)
async def test_undocumented_parameters_are_refused(client, method, path, operation):
    """By every route, as documented, so that a misspelt filter is never ignored."""
    answer = await client.request(method, filled(path, {}), params={"colour": "red"})
    assert answer.status == 400
    checked(await answer.json(), operation, 400)


@pytest.mark.parametrize(
    ("path", "operation"), [(path, op) for method, path, op in OPERATIONS if "requestBody" in op]
)
async def test_documented_bodies_are_accepted(client, ids, path, operation):
    """Every example, in each content type, is recorded; nonsense is refused as documented."""
    path = filled(path, ids)
    for kind, content in operation["requestBody"]["content"].items():
        body = content["example"]
        sent = {"data": body} if isinstance(body, str) else {"json": body}
        if isinstance(body, str):
            sent["headers"] = {"Content-Type": kind}
        answer = await client.post(path, **sent)
        assert answer.status == 200, await answer.text()
        checked(await answer.json(), operation, 200)
        if kind == "application/json" and operation["requestBody"]["required"]:
            answer = await client.post(path, json={})
            assert answer.status == 422
            checked(await answer.json(), operation, 422)
    checked(await (await client.post(path, data="{")).json(), operation, 400)


@pytest.mark.parametrize("kind", ["accuracy", "predictions", "outcomes"])
async def test_lists_are_answered_as_documented(client, kind):
    """Of items some of which, or all, were refused."""
    operation = DOCUMENT["paths"][f"{API}/{kind}"]["post"]
    example = operation["requestBody"]["content"]["application/json"]["example"]
    for items, status in (([example, {}], 200), ([example], 200), ([{}, {}], 422)):
        answer = await client.post(f"{API}/{kind}", json=items)
        assert answer.status == status
        checked(await answer.json(), operation, status)


def test_silences_match_by_what_is_documented():
    """The matchers of the document are those the engine knows."""
    from perfmon.alerts.episodes.silence import MATCHED

    assert set(DOCUMENT["components"]["schemas"]["Matchers"]["properties"]) == set(MATCHED)


def test_bodies_have_the_documented_fields():
    """The schema of a body lists exactly the fields that its items may have."""
    from perfmon import RUN_FIELDS
    from perfmon.records.measurements import (
        MEASUREMENT_ARGUMENTS,
        OUTCOME_ARGUMENTS,
        PREDICTION_ARGUMENTS,
    )

    for name, fields in (
        ("RunBody", RUN_FIELDS),
        ("AccuracyBody", MEASUREMENT_ARGUMENTS),
        ("PredictionBody", PREDICTION_ARGUMENTS),
        ("OutcomeBody", OUTCOME_ARGUMENTS),
    ):
        documented = DOCUMENT["components"]["schemas"][name]["properties"]
        assert set(documented) == set(fields), name


@pytest.mark.parametrize(
    ("method", "path", "operation"),
    [(method, path, op) for method, path, op in OPERATIONS if "{id}" in path],
)
async def test_an_unknown_id_is_refused_as_documented(client, ids, method, path, operation):
    """404 in the documented shape; a known one is answered as documented."""
    sent = {"json": {"by": "ann"}} if method == "post" else {}
    answer = await client.request(method, filled(path, {}), **sent)
    assert answer.status == 404
    checked(await answer.json(), operation, 404)
    answer = await client.request(method, filled(path, ids), **sent)
    assert answer.status == 200
    checked(await answer.json(), operation, 200)


async def test_an_unknown_agent_is_refused_as_documented(client):
    """404 in the documented shape."""
    path = f"{API}/metrics/agent/{{name}}"
    answer = await client.get(path.replace("{name}", "nobody"))
    assert answer.status == 404
    checked(await answer.json(), DOCUMENT["paths"][path]["get"], 404)


async def test_every_documented_metric_has_a_series(client, recorded):
    """The choices of `metric` are those that the monitor answers."""
    operation = DOCUMENT["paths"][f"{API}/timeseries"]["get"]
    metric = next(p for p in operation["parameters"] if p["name"] == "metric")
    for name in metric["schema"]["enum"]:
        answer = await client.get(f"{API}/timeseries?metric={name}&step=30m")
        assert (answer.status, (await answer.json())["metric"]) == (200, name)
