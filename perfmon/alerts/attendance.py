"""Absence alerts: which agents are expected, when each last ran, and when perfmon was down.

It lives in storage, so that a restart neither forgets whom it watched nor begins to count anew.
Little is written: whom, once; and now and then that the monitor is alive.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any

import attrs

from perfmon.alerts.episodes.episode import Episode
from perfmon.alerts.rules.rule import DIMENSIONS, Kind, Watch
from perfmon.alerts.rules.targets import Target, alert_key, labels
from perfmon.errors import StorageError
from perfmon.records import Scope
from perfmon.storage.storage import Storage

_KIND = "absence"
_LIFE = "monitor"
MOST = 10_000
_MOST_GAPS = 500
_LEAST_GAP = 1_000_000  # microseconds: a restart takes a moment
_ALIVE_EVERY = 30.0  # seconds at most between two signs of life; an eighth of the shortest limit
_log = logging.getLogger("perfmon")


@attrs.define
class _Awaited:
    """Whom an absence is watched for; `seen` is when the last run ended, 0 where there was none."""

    rule: str
    labels: dict[str, str]
    seen: int = 0

    @property
    def is_kept_elsewhere(self) -> bool:
        """Whether storage knows the last run anyway: it does of a tenant and of an agent."""
        return set(self.labels) <= {"tenant", "agent"}


class Attendance:
    """Of one monitor; its state is in storage, for the next monitor to decide.

    Args:
        since: since when this monitor would have seen runs (microseconds).

    Attributes:
        first: since when somebody watches that storage at all.
        left_out: how many there was no room for at the last look.
    """

    def __init__(self, storage: Storage, watched: Iterable[Watch], since: int) -> None:
        self._storage = storage
        self._since = since
        self.first = since
        self.left_out = 0
        self._rules: dict[str, list[Watch]] = {}
        self._known: dict[str, _Awaited] = {}
        self._gaps: list[tuple[int, int]] = []
        self._alive_at: int | None = None
        self._alive_every = _ALIVE_EVERY
        self._is_read = False
        self.reload(watched)

    @property
    def is_on(self) -> bool:
        """Whether any rule is about absence."""
        return bool(self._rules)

    def reload(self, watched: Iterable[Watch]) -> None:
        """Go on under other rules."""
        self._rules = {}
        for watch in watched:
            if watch.kind is Kind.NO_RUNS:
                self._rules.setdefault(watch.rule, []).append(watch)
        limits = [one.limits[0].value for own in self._rules.values() for one in own]
        self._alive_every = min([_ALIVE_EVERY, *(limit / 8 for limit in limits)])

    def forget(self) -> None:
        """Read it anew the next time: another one may have decided meanwhile."""
        self._is_read = False

    # What is evaluated

    def targets(
        self,
        found: list[Target],
        episodes: Iterable[Episode],
        last_run: Callable[[Scope], int | None],
    ) -> list[Target]:
        """What there is to look at, with whom it watches already, seen or not.

        Args:
            found: the targets of what ran recently.
            episodes: what fires; whom it is about is watched.
            last_run: when the last run of a scope ended.
        """
        if not self.is_on:
            return found
        self._read()
        here = {target.key: target for target in found if target.watch.kind is Kind.NO_RUNS}
        new, self.left_out = {}, 0
        for key, target in here.items():
            if key in self._known:
                continue
            if len(self._known) >= MOST:
                self.left_out += 1
                continue
            new[key] = self._known[key] = _Awaited(target.watch.rule, labels(target.scope))
        for episode in episodes:
            if episode.kind is Kind.NO_RUNS and episode.key not in self._known:
                new[episode.key] = _Awaited(episode.rule, dict(episode.labels), episode.seen)
                self._known[episode.key] = new[episode.key]
        missed, gone = [], []
        for key, one in self._known.items():
            meant = here.get(key) or self._target(key, one)
            if meant is None:
                gone.append(key)
                continue
            one.seen = max(one.seen, last_run(meant.scope) or 0)
            if key not in here:
                missed.append(meant)
        self._save(new, gone)
        if self.left_out:
            left = {key for key in here if key not in self._known}
            found = [target for target in found if target.key not in left]
        return found + missed

    def _target(self, key: str, one: _Awaited) -> Target | None:
        """What a rule watches it for, where it still does."""
        for watch in self._rules.get(one.rule, ()):
            matches = all(fnmatchcase(one.labels.get(name, ""), glob) for name, glob in watch.globs)
            if set(watch.by) == set(one.labels) and matches:
                scope = Scope(**{DIMENSIONS[name]: value for name, value in one.labels.items()})
                if alert_key(watch.rule, scope) == key:
                    return Target(key, watch, scope)
        return None

    def seen(self, key: str) -> int | None:
        """When the last run of a target ended (microseconds), or None."""
        known = self._known.get(key)
        return known.seen or None if known is not None else None

    def unwatched(self, since: int, until: int) -> int:
        """For how long nobody watched in that time, in microseconds."""
        missed = 0
        for began, ended in reversed(self._gaps):
            if ended <= since:
                break
            missed += max(0, min(ended, until) - max(began, since))
        return missed

    # Storage

    def _read(self) -> None:
        if self._is_read:
            return
        known = {}
        for key, body in self._storage.read_notes(_KIND).items():
            raw = _object(body)
            if key != _LIFE and isinstance(raw.get("labels"), dict):
                known[key] = _Awaited(
                    str(raw.get("rule")), raw["labels"], int(raw.get("seen") or 0)
                )
        life = _object(self._storage.read_notes(_LIFE).get(_LIFE, "{}"))
        self._known = known
        self.first = int(life.get("first") or self._since)
        self._gaps = [(int(began), int(ended)) for began, ended in life.get("gaps") or ()]
        alive_at = life.get("alive_at")
        if alive_at is not None and self._since - alive_at > _LEAST_GAP:
            self._gap(int(alive_at), self._since)
        self._alive_at = None  # say so at once
        self._is_read = True

    def _gap(self, began: int, ended: int) -> None:
        if self._gaps and began < self._gaps[-1][1]:
            return  # another one was alive by then, and said so
        self._gaps.append((began, ended))
        if len(self._gaps) > _MOST_GAPS:
            # What was between the oldest two is not counted either.
            (first, _), (_, second) = self._gaps[:2]
            self._gaps[:2] = [(first, second)]

    def _save(self, new: dict[str, _Awaited], gone: list[str]) -> None:
        for key in gone:
            del self._known[key]
        if new or gone:
            bodies = {key: _body(one) for key, one in new.items()}
            self._storage.save_notes(_KIND, bodies, gone)

    def alive(self, now: int, *, is_last: bool = False) -> None:
        """Somebody watches; written now and then, and at the end."""
        if not self.is_on or (not self._is_read and not is_last):
            return
        self._read()
        last = self._alive_at
        is_due = last is None or not 0 <= now - last < self._alive_every * 1e6
        if not (is_due or is_last):
            return
        own = {k: _body(one) for k, one in self._known.items() if not one.is_kept_elsewhere}
        if own:
            self._storage.save_notes(_KIND, own)
        life = {"first": self.first, "alive_at": now, "gaps": self._gaps}
        self._storage.save_notes(_LIFE, {_LIFE: json.dumps(life)})
        self._alive_at = now

    def stop(self, now: int) -> None:
        """The last sign of life."""
        try:
            self.alive(now, is_last=True)
        except StorageError as problem:
            _log.debug("the last sign of life could not be stored yet: %s", problem)


def _body(one: _Awaited) -> str:
    return json.dumps(attrs.asdict(one))


def _object(body: str) -> dict[str, Any]:
    try:
        raw = json.loads(body)
    except ValueError:
        raw = None
    return raw if isinstance(raw, dict) else {}
