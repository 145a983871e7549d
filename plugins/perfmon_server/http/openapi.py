"""The OpenAPI 3.1 document, generated from the routes the server uses."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from typing import Any

from perfmon_server.api import types as shapes
from perfmon_server.http.json_schema import Schema, Schemas
from perfmon_server.http.params import Param
from perfmon_server.http.route import JSON, Body, Route

_PROBLEMS = {
    400: "A parameter or the body is malformed.",
    401: "The API key is missing or wrong.",
    403: "The Host header is unknown, or the request comes from a page of another site.",
    404: "Not found.",
    408: "The body took too long to arrive.",
    413: "The body is larger than the configured limit.",
    422: "A field has a value that is not allowed.",
    429: "Too many requests are in progress; Retry-After says when to try again.",
    503: "Storage or the monitor is not available now; Retry-After says when to try again.",
}
_KEYS: list[dict[str, list[str]]] = [{"bearer": []}, {"header": []}, {"password": []}]


def document(routes: tuple[Route, ...]) -> dict[str, Any]:
    """What the server answers, as one JSON value."""
    schemas = Schemas()
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        operation = _operation(route, schemas)
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "perfmon",
            "version": _version(),
            "description": "The performance monitor for LLM agents."
            " Times are UTC; what was not measured is null.",
        },
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.components.items())),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "password": {"type": "http", "scheme": "basic"},
            },
        },
    }


def _version() -> str:
    try:
        return version(packages_distributions()["perfmon"][0])
    except (KeyError, PackageNotFoundError):
        return "0"


def _operation(route: Route, schemas: Schemas) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.answer.__name__ + ("_record" if route.method == "POST" else ""),
        "summary": route.summary,
        "responses": _responses(route, schemas),
        "security": [] if route.is_open else [{}, *_KEYS],
    }
    parameters = [_named(name, text) for name, text in route.names.items()]
    parameters += [_parameter(param) for param in route.params]
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = _body(route.body, schemas)
    return operation


def _named(name: str, description: str) -> Schema:
    schema = {"type": "string", "minLength": 1, "maxLength": 256}
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": schema,
    }


def _parameter(param: Param) -> Schema:
    return {
        "name": param.name,
        "in": "query",
        "required": param.required,
        "description": param.description,
        "schema": param.schema,
    }


def _body(body: Body, schemas: Schemas) -> Schema:
    content: dict[str, Any] = {}
    for number, kind in enumerate(body.contents):
        if number:
            content[kind] = {"schema": {"type": "string", "description": "One item a line."}}
            if body.example is not None:
                content[kind]["example"] = "".join(json.dumps(run) + "\n" for run in body.example)
        else:
            content[kind] = {"schema": schemas.of(body.shape), "example": body.example}
    return {"required": body.required, "content": content}


def _responses(route: Route, schemas: Schemas) -> Schema:
    content: dict[str, Any] = {}
    if route.shape is not None:
        content[JSON] = {"schema": schemas.of(route.shape)}
    for kind in route.contents:
        content[kind] = {"schema": {"type": "string"}}
    answers: Schema = {"200": {"description": route.summary, "content": content}}
    for status, shape in route.also.items():
        text = _PROBLEMS.get(status, route.summary)
        answers[str(status)] = {
            "description": text,
            "content": {JSON: {"schema": schemas.of(shape)}},
        }
    for status in _refused(route):
        answers.setdefault(str(status), _problem(status, schemas))
    return dict(sorted(answers.items()))


def _refused(route: Route) -> list[int]:
    usual = [400, 403, 503] + ([] if route.is_open else [401])
    with_body = [408, 413, 429] if route.body is not None else []
    return sorted({*usual, *with_body, *route.refuses})


def _problem(status: int, schemas: Schemas) -> Schema:
    answer: Schema = {
        "description": _PROBLEMS[status],
        "content": {JSON: {"schema": schemas.of(shapes.Problem)}},
    }
    if status in (429, 503):
        answer["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    if status == 401:
        answer["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return answer
