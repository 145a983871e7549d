"""The result of a batch, stored with its rows: a commit may succeed and its reply be lost."""

from __future__ import annotations

import time
import zlib
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from perfmon.storage import Stored
from perfmon_sql.statements import fetched

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import sqlalchemy as sa

    from perfmon.storage import Batch

_NOT_KNOWN = b""
_encode = msgspec.msgpack.encode


class _CommitAnswer(msgspec.Struct, array_like=True):
    """A `Stored`, a bit a row."""

    runs: bytes
    measurements: bytes
    amended: bytes
    conflicts: tuple[tuple[int, tuple[str, ...]], ...] = ()


_decoder = msgspec.msgpack.Decoder(_CommitAnswer)


class Commits:
    """The answers of transactions, by their batch's token, as long as one may be asked for.

    One storage needs one row: that of its last commit, which the next one overwrites, and a row
    more for each commit that was never answered.
    """

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._in_doubt: set[int] = set()
        self._settled: int | None = None

    def earlier(self, connection: sa.Connection, batch: Batch) -> Stored | None:
        """What an earlier try of the batch stored, if its answer was lost; else None.

        Where the earlier transaction is still on its way, this waits for its end: the row of its
        token is in it.
        """
        if batch.token not in self._in_doubt:
            return None
        if self._insert(connection, batch.token, _NOT_KNOWN):
            return None
        found = fetched(
            connection, f"SELECT answer FROM commits WHERE token = {self._mark}", (batch.token,)
        )
        return _unpacked(bytes(found[0][0]), batch)

    def note(self, connection: sa.Connection, batch: Batch, stored: Stored) -> None:
        """Keep the answer in the transaction that it is about."""
        answer, mark = _packed(stored), self._mark
        old = batch.token if batch.token in self._in_doubt else self._settled
        if old is not None:
            changed = connection.exec_driver_sql(
                f"UPDATE commits SET token = {mark}, at = {mark}, answer = {mark} "
                f"WHERE token = {mark}",
                (batch.token, time.time_ns() // 1_000, answer, old),
            )
            if changed.rowcount:
                return
        self._insert(connection, batch.token, answer)

    def doubt(self, batch: Batch) -> None:
        """The transaction failed, as far as anybody heard."""
        self._in_doubt.add(batch.token)
        # Whether its row was overwritten is as uncertain.
        self._settled = None

    def settle(self, batch: Batch) -> None:
        """Its answer is known: the row may be overwritten."""
        self._in_doubt.discard(batch.token)
        self._settled = batch.token

    def _insert(self, connection: sa.Connection, token: int, answer: bytes) -> bool:
        """Whether the token was not there."""
        marks = ", ".join([self._mark] * 3)
        put = connection.exec_driver_sql(
            f"INSERT INTO commits (token, at, answer) VALUES ({marks}) ON CONFLICT DO NOTHING",
            (token, time.time_ns() // 1_000, answer),
        )
        return bool(put.rowcount)


def _packed(stored: Stored) -> bytes:
    runs, measurements, amended = (np.packbits(mask).tobytes() for mask in stored[:3])
    return zlib.compress(_encode(_CommitAnswer(runs, measurements, amended, stored.conflicts)), 1)


def _unpacked(answer: bytes, batch: Batch) -> Stored:
    told = _decoder.decode(zlib.decompress(answer))
    return Stored(
        _mask(told.runs, batch.runs),
        _mask(told.measurements, batch.measurements),
        _mask(told.amended, batch.amended),
        told.conflicts,
    )


def _mask(bits: bytes, rows: Sequence[object]) -> npt.NDArray[np.bool_]:
    return np.unpackbits(np.frombuffer(bits, np.uint8), count=len(rows)).astype(bool)
