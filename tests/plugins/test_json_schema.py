"""Conformance to a JSON Schema: each mistake is told at load, and nothing touches the network."""

from __future__ import annotations

import json
import socket
import urllib.request

import pytest
from perfmon_json_schema import JsonSchemaScorer

from perfmon import Config, ConfigError, Score

ORDER = {
    "type": "object",
    "required": ["items"],
    "properties": {"items": {"type": "array", "items": {"$ref": "#/$defs/item"}}},
    "$defs": {"item": {"type": "object", "properties": {"price": {"minimum": 0}}}},
}
DRAFT_4 = "http://json-schema.org/draft-04/schema#"


@pytest.fixture(autouse=True)
def network(monkeypatch):
    """Whoever opens a connection fails the test, and is told of here."""
    tried = []

    def refuse(*given, **_):
        tried.append(given)
        raise OSError("no network here")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    yield tried
    assert tried == []


def scorer(**table):
    return JsonSchemaScorer(Config.from_mapping({"plugins": {"json_schema": table}})).score_outcome


def refused(**table):
    with pytest.raises(ConfigError) as found:
        scorer(**table)
    (line,) = found.value.mistakes
    return line


def test_a_prediction_conforms_or_not():
    """1 or 0, with the first violation and where it is; the actual outcome does not matter."""
    score = scorer(schema=ORDER)
    assert score({"items": [{"price": 1}]}, "anything") == Score(1.0)
    assert score({"items": [{}, {"price": -1}]}, None) == Score(
        0.0, note="at $.items[1].price: -1 is less than the minimum of 0"
    )
    assert score([], None).note == "at $: [] is not of type 'object'"


def test_the_schema_may_be_a_file_beside_the_configuration(tmp_path):
    """Relative to monitor.toml, wherever the process runs."""
    (tmp_path / "order.json").write_text(json.dumps(ORDER))
    (tmp_path / "monitor.toml").write_text('[plugins.json_schema]\nschema_file = "order.json"\n')
    score = JsonSchemaScorer(Config.load(tmp_path / "monitor.toml")).score_outcome
    assert (score({"items": []}, 0).value, score({}, 0).value) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("text", "words"), [(None, "No such file"), ("{", "is not JSON"), ('{"type": 1}', "type")]
)
def test_a_file_that_is_no_schema_is_told(tmp_path, text, words):
    """It is not there, not JSON, or not a schema: one line, with the line of monitor.toml."""
    if text:
        (tmp_path / "order.json").write_text(text)
    file = tmp_path / "monitor.toml"
    file.write_text('[plugins.json_schema]\nschema_file = "order.json"\n')
    with pytest.raises(ConfigError, match=words) as found:
        JsonSchemaScorer(Config.load(file))
    assert str(found.value).startswith(f"{file}:2: [plugins.json_schema] schema_file")


def test_the_actual_outcome_may_be_the_schema():
    """Where it is one; else the question is passed on."""
    score = scorer(actual_is_schema=True)
    assert score(1, {"type": "integer"}) == Score(1.0)
    assert score("1", {"type": "integer"}).note == "at $: '1' is not of type 'integer'"
    for nothing in (1, None, ["type"], {"type": "number of sorts"}, {"$ref": "https://x.test/"}):
        assert score(1, nothing) is None


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "strin"}, "schema: is no valid JSON Schema: at $.type: 'strin' is not valid"),
        ({"pattern": "("}, "at $.pattern: '(' is not a 'regex'"),
        ({"$schema": "urn:mine"}, "its $schema is not a known draft: 'urn:mine'"),
        ({"$ref": "#"}, "refers to itself, or is nested, without end"),
        ({"$ref": "#/$defs/gone"}, "its $ref '#/$defs/gone' is not within the schema"),
        ({"items": {"$ref": "https://schemas.test/a"}}, "$ref 'https://schemas.test/a' is not"),
        ({"$schema": DRAFT_4, "not": {"$ref": "file:///a"}}, "$ref 'file:///a' is not within"),
        ({"$ref": "#/x", "x": {"$ref": "https://schemas.test/a"}}, "and nothing is loaded"),
    ],
)
def test_a_schema_that_cannot_be_used_is_told_at_load(schema, words):
    """Before anything is scored: where it stands and what is wrong with it."""
    line = refused(schema=schema)
    assert line.startswith("configuration: [plugins.json_schema] schema")
    assert words in line


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, "there is none"),
        ({"schema": {}, "actual_is_schema": True}, "there is schema and actual_is_schema"),
    ],
)
def test_one_schema_is_needed(table, words):
    """Neither none nor two."""
    assert words in refused(**table)


def test_the_draft_is_the_one_the_schema_names():
    """What draft 4 says with true, later ones say with a number."""
    assert (
        scorer(schema={"$schema": DRAFT_4, "minimum": 1, "exclusiveMinimum": True})(1, 0).value == 0
    )
    assert "exclusiveMinimum" in refused(schema={"minimum": 1, "exclusiveMinimum": True})


def test_a_draft_itself_may_be_referred_to():
    """They come with the library, and are not loaded from anywhere either."""
    score = scorer(schema={"$ref": "https://json-schema.org/draft/2020-12/schema"})
    assert (score({"type": "string"}, 0).value, score({"type": 1}, 0).value) == (1.0, 0.0)


def test_no_reference_is_followed_out_of_the_schema_while_scoring():
    """One that only the way through another reveals ends with a note, and without a request."""
    schema = {"properties": {"a": {"$ref": "#/x"}}, "x": {"$ref": "https://schemas.test/a"}}
    answer = scorer(schema=schema)({"a": 1}, None)
    assert answer.value == 0
    assert "schemas.test" in answer.note


def test_what_cannot_be_checked_does_not_conform():
    """Endless nesting and numbers beyond a float get a note, not an exception."""
    deep = 1
    for _ in range(5_000):
        deep = [deep]
    score = scorer(schema={"items": {"$ref": "#"}, "multipleOf": 0.1})
    assert score(deep, None).note == "is nested too deeply to be validated"
    assert score(10**400, None).note.startswith("cannot be checked: ")


def test_a_note_is_a_line_of_bounded_length():
    """Whatever the prediction says, and also where it says nothing that can be encoded."""
    note = scorer(schema={"type": "null"})({"\ud800\n": "x" * 10_000}, None).note
    assert len(note.encode()) <= 300
    assert "\n" not in note
    surrogate = scorer(schema={"additionalProperties": {"type": "null"}})({"\ud800": 1}, None)
    assert surrogate.note.startswith(r"at $.\ud800: 1 is not")
