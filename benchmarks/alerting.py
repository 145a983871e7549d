"""Whether a page is real, and how soon it comes: simulated days, judged by the code that runs live.

The yardstick is a plain ratio: the share of failures of the last hour beyond the threshold.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.subject import Bench, run_alone
from benchmarks.table import Figure
from perfmon.alerts.backtest import backtest
from perfmon.alerts.groups import Grouping, Groups, SinkTerms
from perfmon.alerts.rules import watches
from perfmon.alerts.runs import Rows
from perfmon.alerts.watch import Watch
from perfmon.config import Config
from perfmon.records import to_micros

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
    """A threshold of the whole system; that of the success rate lets 20 % fail."""
    return [watch for watch in watches(CONFIG) if watch.rule == rule and not watch.by]


def measure(bench: Bench) -> Iterator[Figure]:
    for rate in bench.track("alerting", RATES):
        yield from _false_pages(bench, rate)
        yield from _outages(bench, rate)
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
        of_success = sum(episode.alert.rule == "success_rate_min" for episode in found)
        pages, warnings = pages + of_success, warnings + len(found) - of_success
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
    """Twelve hours of 60 % failures after two days of health, and a day after."""
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
