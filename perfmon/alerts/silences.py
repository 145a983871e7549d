"""Silences set by users: checked, and kept in storage."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from perfmon.alerts.episodes.silence import SilenceInForce
from perfmon.errors import InvalidRun
from perfmon.metrics.ranges import Moment
from perfmon.records import Silence, from_micros, to_micros
from perfmon.records.validation import stamp, text
from perfmon.storage.storage import Storage

_LONGEST_COMMENT = 1_000


class Silences:
    """The silences of a storage, which all monitors on it heed."""

    def __init__(self, storage: Storage, now: Callable[[], int]) -> None:
        self._storage = storage
        self._now = now

    def silence(
        self, matchers: Mapping[str, str], until: Moment, by: str, comment: str, starts: Moment
    ) -> Silence:
        """Mute matching alerts; they are still evaluated and listed.

        Raises:
            InvalidRun: no matchers, an unknown one, an end in the past, or no author.
        """
        now = self._now()
        _check_matchers(matchers)
        author = text("by", by)
        said = "" if comment == "" else text("comment", comment, _LONGEST_COMMENT)
        begins = now if starts is None else stamp("starts_at", starts, None)
        ends = stamp("until", until, None)
        if ends <= max(now, begins):
            raise InvalidRun("until", until, "a time in the future and after starts_at")
        made = SilenceInForce.made(matchers, max(now, begins), ends, author, said)
        silence = Silence(
            silence_id=made.silence_id,
            matchers=dict(made.matchers),
            starts_at=from_micros(begins),
            ends_at=from_micros(made.ends_at),
            author=author,
            comment=said,
        )
        self._storage.save_silence(silence)
        return silence

    def silences(self) -> list[Silence]:
        """Those that are not over."""
        return self._storage.read_silences(self._now())

    def unsilence(self, silence_id: str) -> None:
        """End a silence.

        Raises:
            InvalidRun: there is none of this id that is not over.
        """
        if not self._storage.end_silence(silence_id, self._now()):
            raise InvalidRun("silence_id", silence_id, "the ID of an active or scheduled silence")

    def in_force(self, now: int) -> list[SilenceInForce]:
        """Those that have begun and are not over."""
        found = [_hush(silence) for silence in self._storage.read_silences(now)]
        return [one for one in found if one.created_at <= now]


def _check_matchers(matchers: object) -> None:
    """What they may be about, `SilenceInForce.made` says."""
    globs = matchers.values() if isinstance(matchers, Mapping) else ()
    if not globs or not all(isinstance(glob, str) and glob for glob in globs):
        raise InvalidRun("matchers", matchers, "globs by name, such as agent = 'billing-*'")


def _hush(silence: Silence) -> SilenceInForce:
    return SilenceInForce(
        silence_id=silence.silence_id,
        matchers={name: str(value) for name, value in silence.matchers.items()},
        created_at=to_micros(silence.starts_at),
        ends_at=to_micros(silence.ends_at),
        by=silence.author,
        comment=silence.comment,
    )
