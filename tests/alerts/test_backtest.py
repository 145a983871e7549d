"""Rules over the past: exactly what live evaluation would have done."""

from __future__ import annotations

import random
import re
from pathlib import Path

import attrs
import numpy as np
import pytest
from shapes import SECOND, config, key

from perfmon import ConfigError
from perfmon.alerts.backtest.backtest import _code, backtest, codes
from perfmon.alerts.backtest.rows import Rows, period_start
from perfmon.alerts.backtest.rule_tests import read_cases, run_case
from perfmon.alerts.episodes.machine import Machine
from perfmon.alerts.episodes.timing import Settings
from perfmon.alerts.evidence.judge import judge
from perfmon.alerts.rules.compile import watches
from perfmon.alerts.rules.targets import alert_key, targets
from perfmon.records import from_micros
from perfmon.records.measurements import MEASUREMENT_FIELDS, RowState
from perfmon.records.validation import checked_run

START = 1_767_225_600
ROOT = Path(__file__).parent.parent.parent
RULES = (
    {"name": "daily", "budget": 3, "per": "hour"},
    {"name": "quiet", "no_run_for": "10m"},
    {"name": "stuck", "started_and_not_ended_for": "2m"},
    {"name": "rare", "metric": "total_tasks", "below": 3, "for": "1m"},
    {"name": "slo", "objective": 0.9, "burn": [{"factor": 2, "long": "1h"}]},
    {"name": "two", "metric": "error_rate", "above": 0.3, "critical_at": 0.5, "for": "2m"},
)


def row(at, *, failed=False, agent="a", **fields):
    run = {
        "run_id": f"{agent}{at}", "agent_name": agent, "agent_type": None,
        "status": "failure" if failed else "success", "timestamp": float(at), **fields,
    }  # fmt: skip
    return checked_run(run, None)


def some_runs(seed, count=250):
    """Runs of an agent that has a bad time in the middle, with gaps."""
    dice, at, rows = random.Random(seed), START, []
    for number in range(count):
        at += dice.choice([1, 20, 60, 60, 90]) + (2000 if dice.random() < 0.01 else 0)
        bad = count / 3 < number < count / 2
        rows.append(row(
            at, failed=dice.random() < (0.7 if bad else 0.05),
            duration_ms=dice.lognormvariate(9.5 if bad else 7, 1), cost=dice.random() / 10,
            memory_mb=2000 if dice.random() < 0.01 else 100,
        ))  # fmt: skip
    return rows


def lived(made, rows, since, until):
    """Every look of a live monitor, one every five seconds, for each alert by itself."""
    watched, found, alerts = watches(made), [], {}
    for target in targets(watched, rows.keys):
        alerts.setdefault(alert_key(target.watch.joint, target.scope), []).append(target)
    for own in alerts.values():
        machine = Machine(Settings.of(made.alerts, watched))
        for now in range(since, until, 5 * SECOND):
            verdicts = [judge(target, rows(target, now), now) for target in own]
            found += [
                (now, change.kind, change.alert.key, peak(change.alert))
                for change in machine.step(now, verdicts).changes
                if change.kind in ("firing", "resolved")
            ]
    return sorted(found)


def peak(alert):
    return alert.details.get("eased_from", alert.level)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_backtest_is_what_live_evaluation_was(seed):
    """To the second, for every kind of rule: stepping only where something changes loses nothing."""
    made, rows = config(*RULES), Rows(some_runs(seed))
    since, until = START * SECOND, (START + 5 * 3600) * SECOND
    tested = backtest(made, watches(made), rows, since, until)
    happened = []
    for episode in tested.episodes:
        key = episode.alert.key
        happened.append((episode.started_at, "firing", key, episode.alert.level))
        if episode.ended_at is not None:
            happened.append((episode.ended_at, "resolved", key, episode.level))
    assert sorted(happened) == lived(made, rows, since, until)
    rules = {episode.alert.rule for episode in tested.episodes}
    assert {"daily", "quiet", "stuck", "two"} < rules
    assert {"slo: critical", "slo"} & rules


@pytest.mark.parametrize("seed", range(3))
def test_many_looks_at_once_come_to_the_same(seed):
    """The quick way for shares and quantiles, beside the verdicts."""
    made, rows = config(*RULES), Rows(some_runs(seed))
    times = np.arange(START, START + 5 * 3600, 97, dtype=np.int64) * SECOND
    for target in targets(watches(made), rows.keys):
        quick = codes(rows.track(target), times)
        slow = [_code(judge(target, rows(target, int(now)), int(now))) for now in times]
        assert quick.tolist() == slow


def test_it_says_how_often_and_how_long():
    """A line for each rule and scope."""
    made = config({"name": "quiet", "no_run_for": "10m", "by": []})
    rows = Rows([row(START + at) for at in (0, 60, 3600, 3660, 9000)])
    own = [w for w in watches(made) if w.rule == "quiet"]
    tested = backtest(made, own, rows, START * SECOND, (START + 9100) * SECOND)
    assert tested.summary() == [
        "quiet: the whole system: would have fired 2 times; the longest lasted 1 h 19 min",
    ]


def test_a_window_takes_in_the_last_runs_of_a_day():
    """Twenty of them where it has fewer, and none that is older."""
    rows = Rows([row(START + hour * 3600, failed=True) for hour in range(30)])
    (own,) = [t for t in targets(watches(config()), []) if t.watch.rule == "error_rate_max"]
    at = START + 29 * 3600
    assert [tally.runs for tally in rows(own, at * SECOND).tallies] == [20, 20, 20, 24]
    assert [tally.runs for tally in rows(own, (at + 80_000) * SECOND).tallies] == [2, 2, 2, 2]


def test_accuracy_comes_from_measurements():
    """Of those that count, by the time at which the outcome was known."""
    fields = dict.fromkeys(MEASUREMENT_FIELDS)
    rows = [
        tuple({**fields, "agent_name": "a", "tenant": "default", "timestamp": (START + n) * SECOND,
               "accuracy_score": 0.0, "state": RowState.MEASURED if n else RowState.FAILED}.values())
        for n in range(9)
    ]  # fmt: skip
    sampled = Rows(measurements=rows)
    assert [k.agent_name for k in sampled.keys] == ["a"]
    made = config()
    tested = backtest(made, watches(made), sampled, START * SECOND, (START + 60) * SECOND)
    assert {e.alert.rule for e in tested.episodes} == {"accuracy_min"}


@pytest.mark.parametrize(
    ("period", "start"),
    [("hour", "2026-01-28T13"), ("day", "2026-01-28T00"), ("week", "2026-01-26T00"),
     ("month", "2026-01-01T00")],
)  # fmt: skip
def test_periods_are_the_calendars(period, start):
    """In UTC, weeks from Monday."""
    now = (START + 27 * 86_400 + 13 * 3600 + 55) * SECOND
    assert f"{from_micros(period_start(now, period)):%Y-%m-%dT%H}" == start


# Tests of rules

CASES = """
[[alerts.rules]]
name = "slow billing"
metric = "latency_p95_ms"
above = 2000
agent = "billing-*"
for = "1m"

[[tests]]
name = "an hour of slow runs"
[[tests.runs]]
agent = "billing-eu"
every = "1m"
values = { duration_ms = "500*60 4000*60 500*120" }
[[tests.expect]]
at = "1h"
[[tests.expect]]
at = "1h30m"
alerts = [{ rule = "slow billing", agent = "billing-eu", level = "warning" }]
[[tests.expect]]
at = "4h"
alerts = []
"""


def test_rules_can_be_tested_by_given_runs():
    """Which alerts there must be at which times, and no others."""
    made, (case,) = read_cases(CASES)
    assert run_case(made, case) == []


def test_the_examples_of_the_manual_hold():
    """Its rules are well, and its test passes."""
    guide = (ROOT / "docs" / "guides" / "alerts.md").read_text()
    blocks = re.findall(r"^```toml\n(.*?)^```$", guide, re.DOTALL | re.MULTILINE)
    rules = next(block for block in blocks if "[[alerts.rules]]" in block)
    tests = next(block for block in blocks if "[[tests]]" in block)
    assert len(read_cases(rules)[0].alerts.rules) == 3
    made, (case,) = read_cases(tests)
    assert run_case(made, case) == []


def test_a_test_that_fails_says_what_is_otherwise():
    """What is missing and what was not expected, with the time."""
    made, (case,) = read_cases(
        CASES.replace('at = "1h"\n', 'at = "1h"\nalerts = [{ rule = "x" }]\n')
    )
    assert run_case(made, case) == [
        "an hour of slow runs: at 1 h: missing: x of the whole system, firing",
        "an hour of slow runs: at 1 h: expected: x of the whole system, firing",
        "an hour of slow runs: at 1 h: got: nothing",
    ]
    later = [attrs.evolve(one, alerts=[]) for one in case.expect if one.alerts][-1:]
    problem, *_ = run_case(made, attrs.evolve(case, expect=later))
    assert problem.startswith("an hour of slow runs: at 1 h 30 min: not expected: slow billing")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[tests]]\nnam = 'a'\n", "rules.toml:2: [[tests]] 1: nam"),
        ("[[tests]]\nname = 'a'\n[[tests.runs]]\nevery = '0s'\n", "must be a duration above 0"),
        ("[[alerts.rules]]\nname = 'a'\n[[tests]]\nname = 5\n", "exactly one condition"),
        ("[[alerts.rules]]\nname = 'a'\n[[tests]]\nname = 5\n", "must be text"),
        ("[[tests]\n", "not valid TOML"),
    ],
)
def test_mistakes_in_such_a_file_are_told_at_once(text, words):
    """Those of the rules and those of the tests."""
    with pytest.raises(ConfigError, match=words.replace("[", r"\[")):
        read_cases(text)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("status = 'success*3 failed'", "status = 'failed': must be success, failure or partial"),
        ("status = 'success*x'", "'success*x' must be a value, or a value * how often"),
        ("values = { cots = 5 }", "values has 'cots', which is none of"),
    ],
)
def test_values_that_no_run_has_are_a_failure(line, words):
    """With what is allowed."""
    text = f"[[tests]]\nname = 'a'\n[[tests.runs]]\nevery = '1m'\n{line}\n"
    made, (case,) = read_cases(text)
    (problem,) = run_case(made, case)
    assert words in problem


def test_runs_of_shares_alone_are_like_others():
    """The quick way in, for simulations."""
    made = config()
    rows = some_runs(5)
    at = np.array([r[6] for r in rows], np.int64)
    quick = Rows.of_shares(at, np.array([r[7] for r in rows]) == 1, key())
    (own,) = [t for t in targets(watches(made), []) if t.watch.rule == "success_rate_min"]
    now = int(at[-1])
    assert judge(own, quick(own, now), now) == judge(own, Rows(rows)(own, now), now)
