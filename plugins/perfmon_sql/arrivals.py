"""Notes what each transaction inserted, so that other processes read only what they have not seen.

Ids of rows are given before a transaction commits, so that on PostgreSQL a lower one may be seen
after a higher one: an id that is left out is waited for, for as long as a transaction may take.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import attrs

from perfmon.storage import MEASUREMENT_FIELDS, News
from perfmon_sql.rows import MEASUREMENTS, RUNS, RowTable, select_between
from perfmon_sql.statements import Row, fetched

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import sqlalchemy as sa

    from perfmon.storage import Batch, Stored
    from perfmon_sql.rows import Span

_AT = MEASUREMENT_FIELDS.index("timestamp")
_MINUTE = 60_000_000
_LATEST_START = 60.0  # seconds after which an id that was left out is one that was rolled back
_BACK = 200  # how many are read again at the start, for transactions that were in progress
_ROWS = 50_000  # rows fetched at once
_SOME = 500


@attrs.frozen
class Bookmark:
    """How far somebody has come.

    Attributes:
        low: all up to here was seen, or will never be.
        seen: what was seen beyond it.
        left_out: since when (monotonic seconds) each id between them is waited for.
    """

    low: int
    seen: frozenset[int] = frozenset()
    left_out: tuple[tuple[int, float], ...] = ()

    def and_seen(self, ids: Iterable[int], now: float) -> Bookmark:
        """Further on, by what was seen."""
        seen = self.seen.union(ids)
        left_out = dict(self.left_out)
        low, last = self.low, max(seen, default=self.low)
        while low < last:
            following = low + 1
            if following not in seen and now - left_out.setdefault(following, now) < _LATEST_START:
                break
            low = following
        for one in range(low + 1, min(last, low + _BACK)):
            if one not in seen:
                left_out.setdefault(one, now)
        return Bookmark(
            low,
            frozenset(one for one in seen if one > low),
            tuple((one, since) for one, since in left_out.items() if one > low),
        )


def note_arrival(
    connection: sa.Connection,
    writer: int,
    batch: Batch,
    stored: Stored,
    spans: tuple[Sequence[Span], Sequence[Span]],
    mark: str,
) -> None:
    """Say in the transaction what it put in; nothing where it put in nothing."""
    pairs = zip(batch.amended, stored.amended, strict=True)
    minutes = sorted({row[_AT] // _MINUTE * _MINUTE for (row, _), done in pairs if done})
    if not (spans[0] or spans[1] or minutes):
        return
    connection.exec_driver_sql(
        f"INSERT INTO arrivals (writer, at, runs, measurements, amended) "
        f"VALUES ({', '.join([mark] * 5)})",
        (writer, time.time_ns() // 1_000, *(json.dumps(part) for part in (*spans, minutes))),
    )


def read_news(
    connection: sa.Connection, writer: int, place: Bookmark | None, since: int, mark: str
) -> News:
    """What others put in after a place; None is from now on."""
    now = time.monotonic()
    if place is None:
        last = fetched(connection, "SELECT coalesce(max(id), 0) FROM arrivals")[0][0]
        first = max(last - _BACK, 0)
        rows = _after(connection, first, mark)
        # What is missing at the beginning was forgotten long ago.
        low = rows[0][0] - 1 if rows else last
        return News(Bookmark(low).and_seen([row[0] for row in rows], now))
    rows = _after(connection, place.low - 1, mark)
    if place.low and (not rows or rows[0][0] != place.low) and _is_cut(connection, place):
        return attrs.evolve(read_news(connection, writer, None, since, mark), is_whole=False)
    news = News(place, has_more=len(rows) == _BACK + _SOME)
    took: list[int] = []
    for number, wrote, runs, measurements, amended in rows:
        if number <= place.low or number in place.seen:
            continue
        if len(news.runs) + len(news.measurements) >= _ROWS:
            news.has_more = True
            break
        took.append(number)
        if wrote != writer:
            news.runs.extend(_rows(connection, RUNS, runs, since, mark))
            news.measurements.extend(_rows(connection, MEASUREMENTS, measurements, since, mark))
            news.minutes.update(one for one in json.loads(amended) if one + _MINUTE > since)
    news.place = place.and_seen(took, now)
    return news


def _after(connection: sa.Connection, low: int, mark: str) -> list[Row]:
    return fetched(
        connection,
        "SELECT id, writer, runs, measurements, amended FROM arrivals "
        f"WHERE id > {mark} ORDER BY id LIMIT {_BACK + _SOME}",
        (low,),
    )


def _is_cut(connection: sa.Connection, place: Bookmark) -> bool:
    """Whether what comes after the place was forgotten, or another database is there."""
    first, last = fetched(connection, "SELECT min(id), max(id) FROM arrivals")[0]
    return last is None or last < place.low or first > place.low + 1


def _rows(
    connection: sa.Connection, target: RowTable, spans: str, since: int, mark: str
) -> Iterable[Row]:
    statement = select_between(target, mark)
    for first, last in json.loads(spans):
        for row in fetched(connection, statement, (first, last, since)):
            yield row[:-1]


BUT_NEWEST = " AND id < (SELECT max(id) FROM arrivals)"
"""For what is forgotten: SQLite counts the next id from the newest."""
