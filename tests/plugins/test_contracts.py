"""Every plugin that ships is found by its entry point and holds to what `perfmon.testing` asks."""

from __future__ import annotations

import copy
import inspect
import re
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfmon import Config, Score, Series
from perfmon.records import Point
from perfmon.testing import check_plugin, check_scorer

ROOT = Path(__file__).resolve().parent.parent.parent
TABLES_OF_OPTIONS = "".join(
    (ROOT / "docs" / "plugins" / f"{name}.md").read_text() for name in ("sinks", "scorers")
)
ENTRIES = {entry.name: entry for entry in entry_points(group="perfmon")}


def hooks_of(name: str) -> set[str]:
    """What a plugin implements, seen without making it."""
    loaded = ENTRIES[name].load()
    return {hook for hook, found in inspect.getmembers(loaded) if hasattr(found, "perfmon_impl")}


OURS = [name for name, entry in ENTRIES.items() if entry.dist.name == "agent-perfmon"]
# The server is run, it observes nothing: it has no hook.
WITH_HOOKS = [name for name in OURS if name != "server"]
SINKS = [name for name in WITH_HOOKS if "deliver_alert" in hooks_of(name)]
# Those that answer at once; a judge is asked from afar, and has tests of its own.
SCORERS = [
    name
    for name in WITH_HOOKS
    if "score_outcome" in hooks_of(name)
    and not inspect.iscoroutinefunction(ENTRIES[name].load().score_outcome)
]
# What a scorer is tried with, where its defaults answer for few outcomes.
TABLES = {"json_schema": {"actual_is_schema": True}}

# Options that monitor.toml shows an example of, for want of a default.
EXAMPLES = {
    "synonyms", "partial", "schema", "schema_file", "port", "username", "password", "secret",
    "old_secrets", "headers", "proxy",
}  # fmt: skip
OF_ANY_SINK = {"min_level", "send_resolved", "timeout", "allow_private", "proxy"}
SIGNING_KEY = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
ENVIRONMENT = {
    "SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T/B/X",
    "SMTP_PASSWORD": "x", "WEBHOOK_SECRET": SIGNING_KEY, "WEBHOOK_SECRET_OLD": SIGNING_KEY,
    "WEBHOOK_AUTHORIZATION": "Bearer x", "APPRISE_URL": "json://127.0.0.1/",
    "PAGERDUTY_ROUTING_KEY": "0123456789abcdef0123456789abcdef",
}  # fmt: skip
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from([10**400, 1e308, 5e-324, 0, 1, 0.5, "type", "$ref", "#", "a", "A"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["type", "items", "$ref", "enum", "minimum", "a", "1"]), inner
        )
    ),
    max_leaves=8,
)  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def _environment():
    """Holds the secrets that monitor.toml's examples name."""
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in ENVIRONMENT.items():
            patch.setenv(variable, value)
        yield


def made(name: str, **table: object) -> object:
    loaded = ENTRIES[name].load()
    tables = {name: needed_by(name) | TABLES.get(name, {}) | table}
    config = Config.from_mapping({"plugins": tables})
    return loaded(config) if isinstance(loaded, type) else loaded


@pytest.mark.parametrize("name", WITH_HOOKS)
def test_a_plugin_registers(name):
    """Its entry point loads, and each of its hooks exists with the arguments it takes."""
    assert check_plugin(made(name), name)


VARIANTS = [(name, {}) for name in SCORERS] + [
    ("scorers", {"lists": "sequence", "tolerance": 0.1, "ignore_case": True, "weights": {"a": 0}}),
    ("scorers", {"lists": "set", "absolute_tolerance": 1, "ignore_punctuation": True}),
    ("similarity", {"method": "token_sort", "ignore_case": True}),
    ("similarity", {"method": "token_set", "ignore_punctuation": True}),
    ("similarity", {"method": "partial"}),
    ("labels", {"synonyms": {"a": ["approve"]}, "partial": {"a": {"0": 0.5}}}),
    ("ranking", {"metric": "precision"}),
    ("ranking", {"metric": "recall", "k": 0}),
    ("ranking", {"metric": "reciprocal_rank", "k": 1}),
    ("probability", {"rule": "log"}),
    ("numeric_cost", {"scale": 100, "over": 0, "under": 1e300, "tolerance": 0.1}),
    ("json_schema", {"actual_is_schema": False, "schema": {"items": {"multipleOf": 0.1}}}),
]


@pytest.mark.parametrize(("name", "table"), VARIANTS, ids=str)
def test_a_scorer_answers_for_any_outcome(name, table):
    """In [0, 1], for any JSON value whatever, and the same when asked again."""
    check_scorer(made(name, **table).score_outcome)


@given(st.sampled_from(VARIANTS), json_values, json_values)
def test_a_scorer_answers_for_any_two_values(variant, predicted, actual):
    """None or in [0, 1]; an equal prediction is right, wherever the actual outcome is asked."""
    name, table = variant
    score = made(name, **table).score_outcome
    assert 0 <= value_of(score(predicted=predicted, actual=actual), 0) <= 1
    if name not in ("json_schema", "probability"):
        assert value_of(score(predicted=copy.deepcopy(actual), actual=actual), 1) == 1


def value_of(answer, otherwise):
    if answer is None:
        return otherwise
    return answer.value if isinstance(answer, Score) else answer


@pytest.mark.parametrize("name", ["trend"])
def test_a_trend_detector_answers_for_any_series(name):
    """One of the four words, also where a window is empty."""
    empty, some = Point(0, 60, float("nan"), 0), Point(60, 120, 0.5, 100)
    for points in ((), (some,), (empty, empty), (empty, some), (some, empty), (some, some)):
        series = Series(metric="success_rate", higher_is_better=True, points=points)
        trend = made(name).detect_trend(series)
        assert trend.direction in {"improving", "stable", "degrading", "insufficient_data"}


@pytest.mark.parametrize("name", SINKS)
def test_a_sink_says_how_it_is_called(name):
    """With messages, as a coroutine, and for how long; or for every alert of a message."""
    sink = made(name)
    assert inspect.iscoroutinefunction(sink.deliver_alert)
    assert list(inspect.signature(sink.deliver_alert).parameters) == ["message"]
    assert name == "log" or 1 < sink.deadline < 120
    assert getattr(sink, "every_alert", False) in (True, False)
    assert getattr(sink, "resend_every", None) is None or sink.resend_every >= 10


def test_sinks_that_leave_nothing_out():
    """Those for which an alert that is not named is an alert that is over, or lost."""
    whole = {name for name in SINKS if getattr(made(name), "every_alert", False)}
    assert whole == {"log", "pagerduty", "alertmanager"}
    again = {name: made(name).resend_every for name in SINKS if hasattr(made(name), "resend_every")}
    assert again == {"alertmanager": 60}


@pytest.mark.parametrize("name", [*SCORERS, *SINKS])
def test_every_option_is_documented(name):
    """monitor.toml, its comments read as values, and the manual's table have each of them."""
    options = set(options_of(name))
    assert shipped(name).keys() == options
    (row,) = re.findall(rf"^\| `{name}` \| .+ \|(.*)\|$", TABLES_OF_OPTIONS, re.MULTILINE)
    shared = OF_ANY_SINK if name in SINKS else set()
    assert set(re.findall(r"`(\w+)`", row)) == options - shared


@pytest.mark.parametrize("name", [*SCORERS, *SINKS])
def test_the_options_of_monitor_toml_are_the_defaults(name):
    """But for the examples of options that have no default, and what a plugin must be told."""
    table, needed = shipped(name), needed_by(name)
    assert config_of(name, **table)
    defaults = {key: value for key, value in table.items() if key not in EXAMPLES}
    assert config_of(name, **defaults | needed) == config_of(name, **needed)


@attrs.frozen
class NoOptions:
    """Of a plugin that has none."""


def shipped(name):
    """A plugin's table in monitor.toml, whether or not it is commented out."""
    text = (ROOT / "monitor.toml").read_text().partition("\n[plugins]\n")[2]
    uncommented = re.sub(r"^# (?=\[(plugins|agents)\.|[\w.\"]+ = )", "", text, flags=re.MULTILINE)
    return Config.from_mapping(
        {"plugins": tomllib.loads("[plugins]\n" + uncommented)["plugins"]}
    ).plugins[name]


def config_class(name):
    module = inspect.getmodule(ENTRIES[name].load())
    classes = [cls for _, cls in inspect.getmembers(module, inspect.isclass) if attrs.has(cls)]
    found = [cls for cls in classes if cls.__name__.endswith("Config")]
    return next((cls for cls in found if cls is not Config), NoOptions)


def needed_by(name):
    """What a plugin cannot be without, as monitor.toml shows it."""
    fields = attrs.fields(config_class(name))
    needed = [field.name.rstrip("_") for field in fields if field.default is attrs.NOTHING]
    return {option: shipped(name)[option] for option in needed}


def options_of(name):
    return [field.name.rstrip("_") for field in attrs.fields(config_class(name))]


def config_of(name, **table):
    cls = config_class(name)
    return Config.from_mapping({"plugins": {name: table}}).table(name, cls)


def test_what_is_checked_here():
    """Whatever ships, by what it does: a sink or scorer that is added is found by its hooks."""
    assert set(SINKS) > {"log", "slack"}
    assert set(SCORERS) > {"scorers", "exact"}
    assert set(WITH_HOOKS) - {*SINKS, *SCORERS} == {"sql", "trend", "recommend", "judge"}
