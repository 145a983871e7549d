"""Silences: alerts muted for a while, with author and reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from hashlib import blake2s

import attrs

from perfmon.errors import InvalidRun
from perfmon.records import PerformanceAlert

MATCHED = ("rule", "metric", "level", "agent", "agent_type", "model", "tenant", "key", "alert_id")
"""What a silence may go by; a value is a glob."""


@attrs.frozen(kw_only=True)
class SilenceInForce:
    """Alerts that match are evaluated and listed, and not sent.

    Attributes:
        silence_id: deterministic, so that doing it twice is doing it once.
        matchers: globs by name, all of which must match; what an alert has not is empty text.
        created_at, ends_at: microseconds; it is over at its end.
        by, comment: whose it is, and why.
    """

    silence_id: str
    matchers: dict[str, str]
    created_at: int
    ends_at: int
    by: str
    comment: str = ""

    @classmethod
    def made(
        cls, matchers: Mapping[str, str], now: int, until: int, by: str, comment: str = ""
    ) -> SilenceInForce:
        """A checked one.

        Raises:
            InvalidRun: nothing to match by, an unknown name, an end that is past, or no author.
        """
        unknown = sorted(set(matchers) - set(MATCHED))
        if not matchers or unknown:
            found = unknown[0] if unknown else dict(matchers)
            raise InvalidRun("matchers", found, f"globs by at least one of {', '.join(MATCHED)}")
        if until <= now:
            raise InvalidRun("until", until, "a time in the future")
        if not by.strip():
            raise InvalidRun("by", by, "a name")
        parts = [f"{name}={value}" for name, value in sorted(matchers.items())]
        text = "\0".join([*parts, str(now), str(until), by])
        return cls(
            silence_id=blake2s(text.encode(), digest_size=8).hexdigest(),
            matchers=dict(matchers), created_at=now, ends_at=until, by=by, comment=comment,
        )  # fmt: skip

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an alert of these labels is silenced."""
        return all(fnmatchcase(labels.get(name, ""), glob) for name, glob in self.matchers.items())


def silenced_by(alert: PerformanceAlert, silences: Iterable[SilenceInForce]) -> str | None:
    """The silence an alert is under: of several the one that ends first."""
    labels = {
        "rule": alert.rule, "metric": alert.metric, "level": alert.level.value, "key": alert.key,
        "agent": alert.agent_name, "agent_type": alert.agent_type, "model": alert.model,
        "tenant": alert.tenant, "alert_id": "" if alert.state == "pending" else alert.alert_id,
    }  # fmt: skip
    known = {name: value for name, value in labels.items() if value is not None}
    found = [(one.ends_at, one.silence_id) for one in silences if one.matches(known)]
    return min(found)[1] if found else None
