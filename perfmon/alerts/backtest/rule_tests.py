"""Unit tests of rules: given runs, and the alerts expected at given times.

The file has the tables of `monitor.toml` that matter, and the tests; `perfmon alerts test --help`
shows one.

A text with numbers behind stars is a series: `success*3 failure` is four runs. The shorter series
of a table begin again. Times are from the test's beginning.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from itertools import cycle
from typing import Any, Literal

import attrs

from perfmon.alerts.backtest.rows import Rows
from perfmon.alerts.episodes.machine import Machine
from perfmon.alerts.episodes.timing import Settings, micros
from perfmon.alerts.evidence.judge import evaluate
from perfmon.alerts.rules.compile import watches
from perfmon.alerts.rules.targets import targets
from perfmon.config.config import Config
from perfmon.config.reader import Reader
from perfmon.config.toml import tables_of
from perfmon.config.validators import Duration, a_while, some_text, whole
from perfmon.errors import ConfigError, InvalidRun
from perfmon.metrics.formatting import lasted
from perfmon.records import AlertLevel, PerformanceAlert
from perfmon.records.validation import RUN_FIELDS, checked_run

_BEGIN = 1_767_225_600 * 1_000_000  # 2026-01-01T00:00:00Z, a Thursday
_MOST = 1_000_000
_OPTIONAL = (
    "duration_ms", "tokens_used", "input_tokens", "output_tokens", "cached_tokens", "cost",
    "memory_mb", "cpu_ms", "quality_score", "confidence", "error_type", "task_id",
    "api_calls", "retries",
)  # fmt: skip
_TAKEN = ("timed_out", "model", *_OPTIONAL)


@attrs.frozen(kw_only=True)
class SeriesTable:
    """One of `[[tests.runs]]`: runs of an agent at equal distances.

    Attributes:
        agent, agent_type, model, tenant: whose they are.
        status: a series of `success`, `failure` and `partial`.
        every, from_: seconds between two runs, and from the beginning to the first.
        count: how many; None is as many as the longest series has.
        values: other fields of a run, each a number or a series.
    """

    agent: str = attrs.field(default="agent", validator=some_text)
    agent_type: str | None = None
    model: str | None = None
    tenant: str = attrs.field(default="default", validator=some_text)
    status: str = attrs.field(default="success", validator=some_text)
    every: Duration = attrs.field(validator=a_while)
    from_: Duration = 0.0
    count: int | None = attrs.field(default=None, validator=whole(1, _MOST))
    values: dict[str, Any] = attrs.Factory(dict)

    def rows(self, begin: int) -> Iterator[tuple[Any, ...]]:
        """The runs as rows; `ValueError` for values that are none."""
        series = {"status": _series(self.status)}
        series.update((name, _series(value)) for name, value in self.values.items())
        unknown = sorted(set(self.values) - set(_TAKEN))
        if unknown:
            raise ValueError(f"values has {unknown[0]!r}, which is none of {', '.join(_TAKEN)}")
        count = max(map(len, series.values())) if self.count is None else self.count
        repeated = {name: cycle(values) for name, values in series.items()}
        for number in range(count):
            at = begin + micros(self.from_) + number * micros(self.every)
            yield self._row(number, at, {name: next(own) for name, own in repeated.items()})

    def _row(self, number: int, at: int, values: Mapping[str, Any]) -> tuple[Any, ...]:
        run = {
            **dict.fromkeys(_OPTIONAL), "timed_out": False,
            "run_id": f"{self.agent}-{number}", "agent_name": self.agent, "tenant": self.tenant,
            "agent_type": self.agent_type, "model": self.model, "task_type": None,
            "metadata": None, "timestamp": at / 1e6, **values,
        }  # fmt: skip
        checked = checked_run(run, now_us=None)
        row = dict(zip(RUN_FIELDS, checked, strict=True))
        return tuple({**row, "timestamp": at}[name] for name in RUN_FIELDS)


def _series(value: Any) -> list[Any]:
    """`500*2 900` is [500, 500, 900]; anything but text is itself."""
    if not isinstance(value, str):
        return [value]
    found: list[Any] = []
    for item in value.split():
        word, star, times = item.partition("*")
        if star and not times.isdigit():
            raise ValueError(f"{item!r} must be a value, or a value * how often")
        found += [_plain(word)] * (int(times) if star else 1)
        if len(found) > _MOST:
            raise ValueError(f"a series has at most {_MOST:,} values")
    return found or [None]


def _plain(word: str) -> Any:
    if word in ("true", "false"):
        return word == "true"
    try:
        return float(word)
    except ValueError:
        return None if word == "_" else word


@attrs.frozen(kw_only=True)
class ExpectedAlert:
    """One expected alert; fields left out are not compared."""

    rule: str = attrs.field(validator=some_text)
    agent: str | None = None
    agent_type: str | None = None
    model: str | None = None
    tenant: str | None = None
    level: AlertLevel | None = None
    state: Literal["pending", "firing"] = "firing"
    inhibited: bool | None = None

    def fits(self, alert: PerformanceAlert) -> bool:
        """Whether an alert is this one; a dimension left out must be none of the alert's."""
        return (
            (self.rule, self.state) == (alert.rule, alert.state)
            and (self.agent, self.agent_type) == (alert.agent_name, alert.agent_type)
            and (self.model, self.tenant) == (alert.model, alert.tenant)
            and self.level in (None, alert.level)
            and self.inhibited in (None, alert.inhibited_by is not None)
        )

    def __str__(self) -> str:
        named = [self.agent and f"agent {self.agent}", self.agent_type, self.model, self.tenant]
        whose = ", ".join(word for word in named if word) or "the whole system"
        return f"{self.rule} of {whose}, {self.state}{f', {self.level}' if self.level else ''}"


@attrs.frozen(kw_only=True)
class ExpectTable:
    """One of `[[tests.expect]]`: all alerts there must be at a time, but what is inhibited.

    `rules` looks at those of some rules only.
    """

    at: Duration
    alerts: list[ExpectedAlert] = attrs.Factory(list)
    rules: list[str] | None = None


@attrs.frozen(kw_only=True)
class Case:
    """One of `[[tests]]`."""

    name: str = attrs.field(validator=some_text)
    runs: list[SeriesTable] = attrs.Factory(list)
    expect: list[ExpectTable] = attrs.Factory(list)


@attrs.frozen(kw_only=True)
class _Document:
    tests: list[Case] = attrs.Factory(list)


def read_cases(
    text: str, source: str = "rules.toml", base: Config | None = None
) -> tuple[Config, list[Case]]:
    """The configuration and the tests of such a file; `ConfigError` with all mistakes in it.

    Of a file that has nothing but tests, the configuration is `base`.
    """
    raw = tables_of(source, text)
    rest = {name: table for name, table in raw.items() if name != "tests"}
    mistakes: list[str] = []
    config, document = base or Config(), _Document()
    try:
        config = Config.from_mapping(rest, source) if rest or base is None else base
    except ConfigError as problem:
        mistakes += problem.mistakes
    try:
        document = Reader(source, text).table(_Document, {"tests": raw.get("tests", [])})
    except ConfigError as problem:
        mistakes += problem.mistakes
    if mistakes:
        raise ConfigError(mistakes)
    return config, document.tests


def run_case(config: Config, case: Case) -> list[str]:
    """What is not as expected, a sentence each; nothing where all is."""
    try:
        memory = micros(config.monitor.retention_hours * 3600.0)
        rows = Rows([row for table in case.runs for row in table.rows(_BEGIN)], by_minute=memory)
    except (ValueError, InvalidRun) as problem:
        return [f"{case.name}: runs: {problem}"]
    replay = _CaseReplay(config, rows)
    problems: list[str] = []
    for expected in sorted(case.expect, key=lambda expect: expect.at):
        problems += _differences(case, expected, replay.at(_BEGIN + micros(expected.at)))
    return problems


class _CaseReplay:
    """All targets of a test together, evaluated wherever on the grid something may change."""

    def __init__(self, config: Config, rows: Rows) -> None:
        watched = watches(config)
        settings = attrs.evolve(Settings.of(config.alerts, watched), max_step=math.inf)
        self._machine = Machine(settings)
        self._rows = rows
        self._targets = targets(watched, rows.keys)
        self._by_key = {target.key: target for target in self._targets}
        self._step = step = micros(config.alerts.evaluation_interval)
        edges = {_BEGIN}
        for target in self._targets:
            edges.update((-(-rows.track(target).edges() // step) * step).tolist())
        # The last look before a change tells how long things have been as they were.
        self._times = sorted(edges | {edge - step for edge in edges})
        self._now = _BEGIN - step

    def at(self, time: int) -> list[PerformanceAlert]:
        """What is pending or fires at a time not before the last one."""
        while (found := self._next()) is not None and found <= time:
            self._now = found
            verdicts = evaluate(self._targets, self._rows, found)
            self._machine.step(found, verdicts, count=self._count)
        return self._machine.alerts(time)

    def _count(self, key: str, since: int, limit: float) -> tuple[int, int]:
        return self._rows.track(self._by_key[key]).count_since(since, self._now, limit)

    def _next(self) -> int | None:
        place = bisect_right(self._times, self._now)
        times = self._times[place : place + 1]
        edge = self._machine.next_edge()
        if edge is not None:
            times.append(-(-edge // self._step) * self._step)
        return min((time for time in times if time > self._now), default=None)


def _differences(
    case: Case, expected: ExpectTable, alerts: list[PerformanceAlert]
) -> Iterator[str]:
    place = f"{case.name}: at {lasted(expected.at)}"
    left = [a for a in alerts if expected.rules is None or a.rule in expected.rules]
    got = [_told(alert) for alert in left if alert.inhibited_by is None]
    count = 0
    for one in expected.alerts:
        found = next((alert for alert in left if one.fits(alert)), None)
        if found is None:
            count += 1
            yield f"{place}: missing: {one}"
        else:
            left.remove(found)
    for alert in (alert for alert in left if alert.inhibited_by is None):
        count += 1
        yield f"{place}: not expected: {_told(alert)}: {alert.message}"
    if count:
        wanted = [str(one) for one in expected.alerts]
        yield f"{place}: expected: {'; '.join(wanted) or 'nothing'}"
        yield f"{place}: got: {'; '.join(got) or 'nothing'}"


def _told(alert: PerformanceAlert) -> str:
    """In the words of what was expected."""
    return str(
        ExpectedAlert(
            rule=alert.rule, agent=alert.agent_name, agent_type=alert.agent_type,
            model=alert.model, tenant=alert.tenant, level=alert.level,
            state="pending" if alert.state == "pending" else "firing",
        )
    )  # fmt: skip
