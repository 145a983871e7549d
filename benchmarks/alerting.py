"""Whether a page is real, and how soon it comes: simulated days, judged by the code that runs live.

The yardstick is a plain ratio: the share of failures of the last hour beyond the threshold. The
whole default configuration is watched too, for three agents and for all together, through outages
of one agent, of all, and of speed: how many messages page for one outage, and whether any does when
it is over.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.subject import Bench, run_alone
from benchmarks.table import Figure
from perfmon.alerts.backtest.backtest import backtest
from perfmon.alerts.backtest.rows import Rows
from perfmon.alerts.grouping import Grouping, Groups
from perfmon.alerts.rules.compile import watches
from perfmon.alerts.rules.rule import Watch
from perfmon.config.config import Config
from perfmon.delivery.terms import SinkTerms
from perfmon.records import AlertLevel, to_micros
from perfmon.records.validation import RUN_FIELDS

RATES = (3, 12, 60, 300)
HEALTHY, OUTAGE, THRESHOLD = 0.05, 0.60, 0.20
_SECOND = 1_000_000
_HOUR, _DAY = 3_600 * _SECOND, 86_400 * _SECOND
_START = 1_767_225_600 * _SECOND  # 2026-01-01, on the grid of any interval
_PIECE = 90  # days simulated at once
_LASTS = 12 * _HOUR

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
CONFIG = Config()


class Outage(NamedTuple):
    """How one was found: after how long, after how many runs, with how many firing messages."""

    minutes: float
    runs: int
    messages: int


def watched(rule: str = "success_rate_min") -> list[Watch]:
    """A threshold of the whole system; that of the success rate lets 20% fail."""
    return [watch for watch in watches(CONFIG) if watch.rule == rule and not watch.by]


def measure(bench: Bench) -> Iterator[Figure]:
    for rate in bench.track("alerting", RATES):
        yield from _false_pages(bench, rate)
        yield from _outages(bench, rate)
        yield from _whole(bench, rate)
        yield from _hovering(bench, rate)


def _runs(rate: float, days: float, seed: int) -> tuple[Ints, np.random.Generator]:
    random = np.random.default_rng(seed)
    count = random.poisson(rate * 24 * days)
    at = _START + np.sort(random.integers(0, round(days * _DAY), count))
    return at, random


def _false_pages(bench: Bench, rate: int) -> Iterator[Figure]:
    days = bench.size(180, 900)
    pages = warnings = plain = 0
    for piece in range(days // _PIECE):
        at, random = _runs(rate, _PIECE, 1000 * rate + piece)
        failed = random.random(len(at)) < HEALTHY
        rows = Rows.of_shares(at, failed)
        both = [*watched(), *watched("error_rate_max")]
        found = backtest(CONFIG, both, rows, _START, _end(_PIECE)).episodes
        critical = sum(episode.level is AlertLevel.CRITICAL for episode in found)
        pages, warnings = pages + critical, warnings + len(found) - critical
        plain += _plain_episodes(at, failed)
    yield Figure(f"{rate} runs/h: false pages in 30 days", pages * 30 / days, "", 0.1,
                 yardstick="a plain ratio", beside=plain * 30 / days)  # fmt: skip
    yield Figure(f"{rate} runs/h: false warnings at a limit of 15 %", warnings * 30 / days)


def _outages(bench: Bench, rate: int) -> Iterator[Figure]:
    outages = bench.size(40, 200)
    found = [outage for seed in range(outages) if (outage := _outage(rate, seed)) is not None]
    yield Figure(
        f"{rate} runs/h: outages found of {outages}", len(found), "", outages, at_least=True
    )
    minutes = statistics.median(outage.minutes for outage in found)
    runs = statistics.median(outage.runs for outage in found)
    quick = minutes <= 20
    yield Figure(f"{rate} runs/h: median detection", minutes, "min", 20 if quick else None)
    yield Figure(f"{rate} runs/h: median detection", runs, "runs", None if quick else 15)
    told = statistics.fmean(outage.messages for outage in found)
    yield Figure(f"{rate} runs/h: firing messages an outage", told, "", 1.1)


def _outage(rate: int, seed: int) -> Outage | None:
    """Twelve hours of 60% failures after two days of health, and a day after."""
    at, random = _runs(rate, 3.5, 7_000_000 + 1000 * rate + seed)
    begins = _START + 2 * _DAY
    down = (at >= begins) & (at < begins + _LASTS)
    failed = random.random(len(at)) < np.where(down, OUTAGE, HEALTHY)
    groups = Groups(Grouping(), [SinkTerms(name="pager")])
    tested = backtest(CONFIG, watched(), Rows.of_shares(at, failed), _START, _end(3.5), groups)
    told = [to_micros(m.created_at) for m in tested.messages if m.kind in ("firing", "escalated")]
    told = [moment for moment in told if moment >= begins]
    if not told or told[0] >= begins + _LASTS:
        return None
    runs = int(((at >= begins) & (at <= told[0])).sum())
    return Outage((told[0] - begins) / 60 / _SECOND, runs, len(told))


class Kind(NamedTuple):
    """What goes wrong: for the first agent or for all, and whether runs fail or are slow."""

    name: str
    agents: int
    slow: bool


KINDS = (
    Kind("one of three agents fails", 1, slow=False),
    Kind("all agents fail", 3, slow=False),
    Kind("one of three agents is slow", 1, slow=True),
)


class Heard(NamedTuple):
    """Messages of an outage that fire, to a sink of everything and to one of critical alerts;
    those that fire when it is over and was told already; and those that rise or ease.
    """

    firing: int
    critical: int
    again: int
    changes: int


def _whole(bench: Bench, rate: int) -> Iterator[Figure]:
    """All seven thresholds and the single runs, of the system and of three agents, together."""
    outages = bench.size(2, 20) if rate < max(RATES) else bench.size(1, 6)
    for kind in KINDS:
        heard = [_heard(rate, seed, kind) for seed in range(outages)]
        which = f"{rate} runs/h, {kind.name}"
        yield Figure(f"{which}: firing messages an outage",
                     statistics.fmean(one.firing for one in heard), "", 1.1)  # fmt: skip
        if not kind.slow:
            yield Figure(f"{which}: to a sink of critical alerts",
                         statistics.fmean(one.critical for one in heard), "", 1.1)  # fmt: skip
        yield Figure(f"{which}: pages again when it is over",
                     statistics.fmean(one.again for one in heard), "", 0)  # fmt: skip
        yield Figure(f"{which}: messages that it rises or eases",
                     statistics.fmean(one.changes for one in heard))  # fmt: skip


def _heard(rate: int, seed: int, kind: Kind) -> Heard:
    """Twelve hours of trouble after a day of health, and twelve hours after."""
    rows, begins = _columns(rate, seed, kind)
    sinks = [SinkTerms(name="all"), SinkTerms(name="critical", min_level=AlertLevel.CRITICAL)]
    groups = Groups(Grouping(), sinks)
    watching = watches(CONFIG)
    tested = backtest(CONFIG, watching, rows, _START, _end(2), groups, together=True)
    messages = [m for m in tested.messages if to_micros(m.created_at) >= begins]
    firing = [m for m in messages if m.kind == "firing"]
    ends = begins + _LASTS
    again = [
        m for m in firing
        if to_micros(m.created_at) >= ends
        and any(o.sink == m.sink and o.created_at < m.created_at for o in firing)
    ]  # fmt: skip
    return Heard(
        sum(m.sink == "all" for m in firing),
        sum(m.sink == "critical" for m in firing),
        len(again),
        sum(m.sink == "all" and m.kind in ("escalated", "eased") for m in messages),
    )


def _columns(rate: int, seed: int, kind: Kind) -> tuple[Rows, int]:
    """Runs of three agents with durations, costs, tokens and memory, and when trouble begins."""
    at, random = _runs(rate, 2, 3_000_000 + 1000 * rate + seed)
    begins, count = _START + _DAY, len(at)
    agents = random.integers(0, 3, count)
    hit = (at >= begins) & (at < begins + _LASTS) & (agents < kind.agents)
    failed = random.random(count) < np.where(hit & (not kind.slow), OUTAGE, HEALTHY)
    slower = np.where(hit & kind.slow, 10, 1)
    columns: dict[str, Any] = {
        "run_id": map(str, range(count)),
        "tenant": ["default"] * count,
        "agent_name": [f"agent-{number}" for number in agents],
        "timestamp": at.tolist(),
        "status": failed.astype(int).tolist(),
        "duration_ms": (random.lognormal(7, 0.6, count) * slower).tolist(),
        "tokens_used": random.lognormal(6.5, 0.5, count).tolist(),
        "cost": random.lognormal(-4, 0.5, count).tolist(),
        "memory_mb": random.lognormal(5, 0.3, count).tolist(),
        **dict.fromkeys(("api_calls", "retries", "timed_out"), [0] * count),
    }
    names = [columns.get(name, [None] * count) for name in RUN_FIELDS]
    return Rows(list(zip(*names, strict=True))), begins


def _hovering(bench: Bench, rate: int) -> Iterator[Figure]:
    days = bench.size(30, 180)
    at, random = _runs(rate, days, 9_000_000 + rate)
    failed = random.random(len(at)) < THRESHOLD
    groups = Groups(Grouping(), [SinkTerms(name="pager")])
    tested = backtest(CONFIG, watched(), Rows.of_shares(at, failed), _START, _end(days), groups)
    told = [message.kind for message in tested.messages]
    reminders = told.count("reminder")
    plain = 2 * _plain_episodes(at, failed)
    yield Figure(f"{rate} runs/h: messages in 30 days at the threshold",
                 (len(told) - reminders) * 30 / days, "", 60,
                 yardstick="a plain ratio", beside=plain * 30 / days)  # fmt: skip
    yield Figure(f"{rate} runs/h: and reminders", reminders * 30 / days)


def _plain_episodes(at: Ints, failed: Flags) -> int:
    """How often the share of the last hour rises above the threshold, seen each minute."""
    minutes = np.arange(at[0], at[-1], 60 * _SECOND)
    sums = np.concatenate([[0], np.cumsum(failed)])
    last, first = (
        np.searchsorted(at, minutes, "right"),
        np.searchsorted(at, minutes - _HOUR, "right"),
    )
    beyond = sums[last] - sums[first] > THRESHOLD * (last - first)
    return int((beyond[1:] & ~beyond[:-1]).sum())


def _end(days: float) -> int:
    return _START + round(days * _DAY)


if __name__ == "__main__":
    run_alone("alerting", measure)
