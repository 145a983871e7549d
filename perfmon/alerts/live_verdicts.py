"""Live verdicts, at a cost proportional to new data.

A verdict holds until something comes in for its scope, or what it is from leaves.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterable
from typing import NamedTuple

import attrs

from perfmon.alerts.evidence.judge import clear, evaluate
from perfmon.alerts.evidence.verdicts import State, Verdict
from perfmon.alerts.live_samples import EVER, LiveSamples, next_minute
from perfmon.alerts.rules.rule import Kind
from perfmon.alerts.rules.targets import Target
from perfmon.alerts.screening import harmless
from perfmon.records import Scope
from perfmon.window.live import LiveWindow

_MANY = 500  # targets to be looked at anew: so many are screened first


_Counts = dict[tuple[str, int, float, int], tuple[int, int] | None]


class _Kept(NamedTuple):
    """A verdict, the version of what it is from, when it was found, and until when it holds."""

    verdict: Verdict
    version: int
    looked_at: int
    good_until: int


class LiveVerdicts:
    """Judges targets; remembers verdicts for as long as nothing can have changed them."""

    def __init__(self, samples: LiveSamples, window: LiveWindow) -> None:
        self._samples = samples
        self._window = window
        self._kept: dict[str, _Kept] = {}
        self._given: dict[str, Verdict] = {}
        self._given_at = 0
        # What alerts are compared by, since the last look and the one before.
        self._counts: _Counts = {}
        self._counts_before: _Counts = {}
        self._left: frozenset[str] = frozenset()  # whose turn is first the next time
        self._versions: dict[Scope, int] = {}  # of the evaluation that goes on

    def verdicts(
        self,
        targets: Iterable[Target],
        now: int,
        *,
        first: Collection[str] = (),
        seconds: float = math.inf,
    ) -> list[Verdict]:
        """One for each target, from what has been taken in.

        Args:
            targets: what to look at.
            now: the time, in microseconds.
            first: the keys that must have a verdict, such as those of what fires.
            seconds: for how long to look; what is left (`waiting`) is for the next time. Of many
                targets those that may be in breach are looked at before the others.
        """
        most = next_minute(now) if self._window.is_ahead(now) else EVER
        kept, anew = self._sorted_out(targets, now)
        if len(anew) > _MANY:
            anew = self._screened(anew, kept, now, most, first)
        anew.sort(key=lambda target: (target.key not in first, target.key not in self._left))
        until = time.monotonic() + seconds
        for done, target in enumerate(anew):
            if time.monotonic() > until and target.key not in first:
                self._left = frozenset(target.key for target in anew[done:])
                break
            kept[target.key] = self._looked_at(target, now, most)
        else:
            self._left = frozenset()
        self._kept = kept  # without those that are no targets any more
        self._versions = {}
        self._samples.end(now)
        self._given = {key: _as_of(one, now) for key, one in kept.items()}
        self._given_at = now
        self._counts, self._counts_before = {}, self._counts
        return list(self._given.values())

    @property
    def waiting(self) -> int:
        """How many targets the last look had no time for."""
        return len(self._left)

    def latest(self, key: str) -> Verdict | None:
        """The verdict that was given last about a key."""
        return self._given.get(key)

    def count(self, key: str, since: int, limit: float) -> tuple[int, int] | None:
        """The runs of a target since a time until the last look, and how many are bad by a limit.

        None where its verdict is not of a share or a quantile, or memory does not reach back.
        """
        verdict = self._given.get(key)
        if verdict is None or verdict.watch.kind not in (Kind.SHARE, Kind.BEYOND):
            return None
        scope, watch, until = verdict.scope, verdict.watch, self._given_at + 1
        since = max(since, until - self._window.retention)
        wanted = (key, since, limit, self._window.version(scope))
        if wanted not in self._counts:
            found = self._counts_before.get(wanted)
            if found is None:
                alone = attrs.evolve(watch, limits=(watch.limits[0]._replace(value=limit),))
                found = self._samples.counted(Target(key, alone, scope), since, until)
            self._counts[wanted] = found
        return self._counts[wanted]

    def _sorted_out(
        self, targets: Iterable[Target], now: int
    ) -> tuple[dict[str, _Kept], list[Target]]:
        """What is known and holds still, and what is to be looked at anew."""
        kept: dict[str, _Kept] = {}
        anew = []
        for target in targets:
            known = self._kept.get(target.key)
            if (
                known is not None
                and known.looked_at <= now < known.good_until
                and known.version == self._version(target.scope)
            ):
                kept[target.key] = known
            else:
                anew.append(target)
        return kept, anew

    def _screened(
        self,
        anew: list[Target],
        kept: dict[str, _Kept],
        now: int,
        most: int,
        first: Collection[str],
    ) -> list[Target]:
        """Those to look at; the harmless are done with."""
        # Versions first: what comes in between is looked at the next time.
        versions = {target.scope: self._version(target.scope) for target in anew}
        fine = harmless([one for one in anew if one.key not in first], self._window)
        for target in anew:
            if target.key in fine:
                kept[target.key] = _Kept(clear(target), versions[target.scope], now, most)
        return [target for target in anew if target.key not in fine]

    def _looked_at(self, target: Target, now: int, most: int) -> _Kept:
        version = self._version(target.scope)
        samples = self._samples
        samples.begin(now, most)
        (verdict,) = evaluate([target], samples, now)
        if verdict.state is State.BREACH or samples.found_at < now:
            verdict = attrs.evolve(verdict, at=samples.found_at)
        until = now if verdict.state is State.FAILED else samples.good_until
        return _Kept(verdict, version, now, until)

    def _version(self, scope: Scope) -> int:
        known = self._versions.get(scope)
        if known is None:
            known = self._versions[scope] = self._window.version(scope)
        return known


def _as_of(kept: _Kept, now: int) -> Verdict:
    """A verdict that still holds is one of now; one of what is looked up seldom is of then."""
    verdict = kept.verdict
    holds = verdict.state is State.BREACH and verdict.at == kept.looked_at != now
    if not holds:
        return verdict
    # Nothing came since: the same runs are all there are up to now.
    since = verdict.bounds[0]
    return attrs.evolve(verdict, at=now, bounds=(since, next_minute(now) if since else 0))
