"""Whatever is wrong in a configuration is told in one go, and nothing that is not."""

from __future__ import annotations

import copy
import re

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from perfmon import Config, ConfigError
from perfmon.cli import cli

GOOD = {
    "monitor": {"storage": "sqlite:///x.db", "keep_runs_days": 10, "keep_cells_days": 20},
    "scores": {"latency_ms": 10, "latency_limit_ms": 20},
    "agents": {"a": {"outcomes": {"scorer": "exact", "synonyms": {"yes": ["y"]}}}, "b": {}},
    "alerts": {
        "thresholds": {},
        "rules": [
            {"name": "one", "metric": "error_rate", "above": 0.1, "critical_at": 0.5},
            {"name": "two", "metric": "latency_p95_ms", "above": 10},
            {"name": "three", "no_run_for": "5m"},
            {"name": "four", "objective": 0.9, "burn": [{"factor": 2, "long": "1h"}]},
            {"name": "five", "metric": "cost_trend", "is": "degrading"},
            {"name": "six", "budget": 5, "per": "day"},
        ],
    },
    "plugins": {},
}  # fmt: skip
# None of these hides another: each is told of any of them together.
MISTAKES = [
    ("monitor.storage", "nowhere", "must be a URL"),
    ("monitor.durability", "proces", "did you mean 'process'"),
    ("monitor.keep_cells_days", 5, "keep_cells_days must be at least keep_runs_days"),
    ("monitor.retention_hour", 5, "did you mean 'retention_hours'"),
    ("scores.latency_limit_ms", 5, "latency_limit_ms must be above latency_ms"),
    ("scores.latency", True, "latency = true: unknown key"),
    ("agents.a.outcomes.synonyms", {"yes": ["y"], "no": ["Y"]}, "must give each value one meaning"),
    ("agents.a.outcomes.confidence", 5, "confidence = 5: must be text"),
    ("agents.b.specialties", "x", 'specialties = "x": must be a list'),
    ("alerts.evaluation_interval", "soon", '"soon": must be a duration'),
    ("alerts.group_by", ["tenant", "tenant"], "must not repeat a name"),
    ("alerts.thresholds.accuracy_min", 70, "must be a number in [0, 1]"),
    ("alerts.rules.0.below", 0.01, "must have exactly one of above and below"),
    ("alerts.rules.0.level", "warn", "did you mean 'warning'"),
    ("alerts.rules.1.no_run_for", "5m", "found above and no_run_for"),
    ("alerts.rules.1.for", 5, "for = 5: must be a duration"),
    ("alerts.rules.2.name", "four", "'four' is used by 3 and 4"),
    ("alerts.rules.2.per", "day", "per goes with budget"),
    ("alerts.rules.3.metric", "error_rate", "metric must be success_rate"),
    ("alerts.rules.3.colour", 5, "colour = 5: unknown key"),
    ("alerts.rules.4.is", "degradin", "did you mean 'degrading'"),
    ("alerts.rules.5.critical_at", 1, "critical_at = 1 must be above the budget of 5"),
    ("alerts.rules.5.agent", "", 'agent = "": must be text'),
    ("plugins.paths", "x", "must be a list of folders"),
    ("plugins.slack", 5, "must be a table [plugins.slack]"),
]


def with_mistakes(mistakes):
    made = copy.deepcopy(GOOD)
    for path, value, _ in mistakes:
        *tables, key = path.split(".")
        table = made
        for name in tables:
            table = table[int(name)] if name.isdigit() else table.setdefault(name, {})
        table[key] = value
    return made


def told(mapping):
    try:
        Config.from_mapping(mapping)
    except ConfigError as problem:
        return problem.mistakes
    return []


def test_the_good_one_is_well():
    """And so is each of the tables that are changed below."""
    assert told(GOOD) == []


@given(st.lists(st.sampled_from(MISTAKES), unique_by=lambda mistake: mistake[0]))
def test_mistakes_together_are_told_as_each_of_them_alone(mistakes):
    """No one hides another, and no one makes another up."""
    lines = told(with_mistakes(mistakes))
    for _, _, words in mistakes:
        assert sum(words in line for line in lines) == 1, (words, lines)
    # Those of one table as a whole may share a line.
    assert len(lines) <= len(mistakes)


@pytest.mark.parametrize(
    ("rule", "lines"),
    [
        ({"name": "x", "metrik": "error_rate", "above": 1}, ["metrik"]),
        ({"name": "x", "metric": "error_rate", "abve": 0.5}, ["abve"]),
        ({"metric": "error_rate"}, ["name: is missing"]),
        ({"name": "x", "metric": "eror_rate", "above": 5, "critical_at": 2},
         ["critical_at = 2 must be above 5", "eror_rate"]),
        ({"name": "x", "metric": "error_rate", "above": "high", "critical_at": 20},
         ["critical_at = 20 can never fire", "must be a number"]),
        ({"name": "x", "budget": "much", "objective": 0.9}, ["found budget and objective", "much"]),
        ("rule", ["must be a table"]),
    ],
)  # fmt: skip
def test_what_a_mistake_leaves_open_is_not_judged(rule, lines):
    """Of a rule that has one, what is sure is told, and no more."""
    found = told({"alerts": {"rules": [rule]}})
    assert len(found) == len(lines)
    for line, words in zip(
        sorted(found, key=lambda one: "critical_at = " not in one), lines, strict=True
    ):
        assert words in " ".join(found), line


EVERYTHING = """
[monitor]
storage = "odd://x"
keep_runs_days = 10
keep_cells_days = 5
[agents.a.outcomes]
scorer = "exakt"
confidence = 5
[[alerts.rules]]
name = "a"
metric = "error_rate"
above = 0.1
no_run_for = "5m"
level = "warn"
[[alerts.rules]]
name = "a"
metric = "error_rate"
above = 0.5
for = 5
[plugins]
paths = ["none"]
[plugins.slak]
[plugins.labels]
synonyms = { a = ["x", "y"], b = ["x", "y"] }
[plugins.email]
host = 5
username = "me"
from = "a@b.c"
to = ["a@b.c"]
"""


def test_check_tells_core_plugins_and_storage_in_one_go(tmp_path, monkeypatch):
    """In the order of the file; what is left out of it, such as a good storage, is told as well."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "monitor.toml"
    for storage in ('"odd://x"', '"postgresql://postgres@127.0.0.1:1/x"'):
        path.write_text(EVERYTHING.replace('"odd://x"', storage))
        result = CliRunner().invoke(cli, ["check"])
        assert result.exit_code == 1
        lines = result.stderr.splitlines()
        for words in (
            "[monitor]: keep_cells_days must be at least",
            "scorer: no such plugin; known plugins:",
            "confidence = 5: must be text",
            "found above and no_run_for",
            'level = "warn": must be one of',
            "'a' is used by 1 and 2",
            "for = 5: must be a duration",
            "no such folder",
            "[plugins.slak]: no such plugin",
            "[plugins.labels.synonyms]: 'x' already belongs to 'a'",
            "[plugins.labels.synonyms]: 'y' already belongs to 'a'",
            "[plugins.email] host = 5: must be text",
            "[plugins.email]: username and password must be given together",
            "127.0.0.1"
            if "127" in storage
            else "monitor.toml:3: [monitor] storage: no plugin supports",
        ):
            assert sum(words in line for line in lines) == 1, (words, lines)
        assert len(lines) == 14
        numbers = [
            int(n) for n in re.findall(r"(?m)^perfmon: monitor\.toml:(\d+): ", result.stderr)
        ]
        assert numbers == sorted(numbers)
        assert len(numbers) == 14
    assert not (tmp_path / "perfmon.db").exists()
