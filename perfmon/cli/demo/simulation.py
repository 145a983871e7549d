"""Simulated days of an agent team: the same for the same seed, end and length."""

from __future__ import annotations

import heapq
import math
from random import Random
from typing import TYPE_CHECKING, Any

from perfmon.cli.demo.outcomes import expected_score, outcome, second_opinion
from perfmon.cli.demo.team import LOST, REGRESSED, TEAM, Model, Profile

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUR = 3600.0
_STEP = 60.0
_BURST_STARTS = 1 / (9 * HOUR)  # by agent and second
_BURST_SECONDS = (180.0, 900.0)
_OUTAGE = (5.5 * HOUR, 0.6 * HOUR)  # so long before the end of the history, for so long
_REGRESSION = 9 * HOUR
_PREDICTED = 0.2  # share of the runs that make a prediction which anybody keeps
_DISAGREES = 0.2  # share of what an auditor looks at


def simulate(seed: int, until: float, hours: float = 24) -> Iterator[dict[str, Any]]:
    """A history in the order of time: runs, predictions, outcomes and measurements.

    Args:
        seed: the same seed, end and length give the same history.
        until: epoch seconds of its end, shortly before which the incidents lie.
        hours: its length.
    """
    return Simulation(seed, since=until - hours * HOUR, incidents=until).advance(until)


class Simulation:
    """A team at work from `since` on, as far as it is advanced.

    Args:
        seed: of all that is left to chance.
        since: epoch seconds.
        incidents: when the history ends: one model is down some hours before, one agent slowly
            gets worse until then (and stays so).
    """

    def __init__(self, seed: int, since: float, incidents: float) -> None:
        self._rng = Random(seed)  # noqa: S311 - reproducible, not secret
        self._prefix = f"demo-{seed}-{int(since):x}"
        self._now = since
        self._incidents = incidents
        self._made = 0
        self._bursts: dict[str, float] = {}
        # What is known to happen later: (when, in which order it was made, what).
        self._ahead: list[tuple[float, int, dict[str, Any]]] = []

    def advance(self, until: float) -> Iterator[dict[str, Any]]:
        """What happens up to `until`, in the order of time."""
        while self._now < until:
            end = min(self._now + _STEP, until)
            for profile in TEAM:
                self._work(profile, self._now, end)
            self._now = end
            while self._ahead and self._ahead[0][0] < end:
                yield heapq.heappop(self._ahead)[2]

    def _work(self, profile: Profile, start: float, end: float) -> None:
        rng = self._rng
        if rng.random() < _BURST_STARTS * (end - start):
            self._bursts[profile.name] = start + rng.uniform(*_BURST_SECONDS)
        rate = profile.hourly * _rhythm(start, profile.nocturnal) / HOUR
        for _ in range(_poisson(rng, rate * (end - start))):
            run = self._run(profile, rng.uniform(start, end))
            self._add(run)
            if run["status"] != "failure" and rng.random() < _PREDICTED:
                self._predict(profile, run)

    def _add(self, event: dict[str, Any]) -> None:
        self._made += 1
        heapq.heappush(self._ahead, (event["timestamp"], self._made, event))

    def _run(self, profile: Profile, when: float) -> dict[str, Any]:
        rng = self._rng
        model = rng.choice(profile.models)
        size = rng.lognormvariate(0, 0.4)
        tokens_in = int(profile.tokens_in * size)
        tokens_out = int(profile.tokens_out * rng.lognormvariate(0, 0.6))
        latency = profile.median_ms * model.pace * size * rng.lognormvariate(0, profile.spread)
        run = {
            "type": "run",
            "run_id": f"{self._prefix}-{self._made}",
            "agent_name": profile.name,
            "agent_type": profile.kind,
            "status": "success",
            "duration_ms": round(latency * (1 + 2.5 * self._regressed(profile, when)), 3),
            "input_tokens": tokens_in,
            "output_tokens": tokens_out,
            "cost": round((tokens_in * model.price_in + tokens_out * model.price_out) / 1e6, 6),
            "memory_mb": round(120 + 60 * rng.random() + tokens_in / 2000, 1),
            "model": model.name,
            "timestamp": round(when, 6),
            "metadata": {"task_type": rng.choice(profile.tasks)},
        }
        self._end(run, profile, model, when)
        return run

    def _end(self, run: dict[str, Any], profile: Profile, model: Model, when: float) -> None:
        rng = self._rng
        if model is LOST and self._is_away(when):
            # A dead provider is noticed fast, after a retry or two, and nothing is billed.
            run.update(
                status="failure",
                error_type="provider_unavailable",
                cost=0.0,
                input_tokens=0,
                output_tokens=0,
                retries=rng.randint(1, 3),
                duration_ms=round(rng.lognormvariate(6, 0.3), 3),
            )
            return
        success = profile.success - 0.12 * self._regressed(profile, when)
        in_burst = self._bursts.get(profile.name, 0) > when
        luck = rng.random() / (0.35 if in_burst else 1)
        if luck < success:
            if profile.quality is not None:
                run["quality_score"] = _share(rng.gauss(profile.quality, 0.06))
            run["retries"] = int(rng.random() < 0.02)
        elif luck < success + (1 - success) / 4:
            run["status"] = "partial"
        else:
            self._fail(run, in_burst=in_burst)

    def _fail(self, run: dict[str, Any], *, in_burst: bool) -> None:
        rng = self._rng
        error = "rate_limited" if in_burst and rng.random() < 0.8 else rng.choice(_ERRORS)
        run.update(status="failure", error_type=error, retries=rng.randint(0, 2))
        if error == "timeout":
            run.update(timed_out=True, duration_ms=max(run["duration_ms"], 120_000.0))

    def _predict(self, profile: Profile, run: dict[str, Any]) -> None:
        """What the run predicts, and whatever comes of it later."""
        kind, rng = profile.outcome, self._rng
        if kind is None:
            return
        chance = rng.betavariate(8 * profile.right, 8 * (1 - profile.right))
        is_right = rng.random() < chance - 0.25 * self._regressed(profile, run["timestamp"])
        predicted, actual = outcome(rng, kind, right=is_right)
        honest = expected_score(kind, chance)
        prediction = {
            "agent_name": profile.name,
            "task_id": run["run_id"],
            "predicted_outcome": predicted,
            "confidence": _share(honest + (1 - honest) * profile.overstates),
            "model": run["model"],
            "task_type": run["metadata"]["task_type"],
            "timestamp": run["timestamp"],
        }
        if profile.checked:
            measured = {
                "type": "accuracy",
                "measurement_id": f"{run['run_id']}-check",
                "actual_outcome": actual,
                "feedback_source": "automated",
            }
            self._add({**prediction, **measured, "timestamp": self._later(run["timestamp"], 60)})
            return
        self._add({"type": "prediction", **prediction})
        if rng.random() < profile.answered:
            told = self._later(run["timestamp"], 1_800)
            self._tell(run, "user", actual, told)
            if rng.random() < profile.audited:
                if rng.random() < _DISAGREES:
                    actual = second_opinion(rng, actual)
                self._tell(run, "audit", actual, self._later(told, 3_600))

    def _later(self, when: float, median: float) -> float:
        """Reality takes its time: minutes to hours."""
        return round(when + min(self._rng.lognormvariate(math.log(median), 1.0), 8 * HOUR), 6)

    def _tell(self, run: dict[str, Any], source: str, actual: Any, when: float) -> None:
        told = {
            "outcome_id": f"{run['run_id']}-{source}",
            "agent_name": run["agent_name"],
            "task_id": run["run_id"],
            "actual_outcome": actual,
            "feedback_source": source,
            "timestamp": when,
        }
        self._add({"type": "outcome", **told})

    def _regressed(self, profile: Profile, when: float) -> float:
        """0 for an agent as it should be, up to 1 at the end of its regression."""
        if profile.name != REGRESSED:
            return 0.0
        return min(max((when - self._incidents + _REGRESSION) / _REGRESSION, 0.0), 1.0)

    def _is_away(self, when: float) -> bool:
        before, length = _OUTAGE
        return 0 <= when - (self._incidents - before) < length


_ERRORS = ("timeout", "malformed_answer", "tool_error", "context_too_long", "malformed_answer")


def _rhythm(when: float, nocturnal: bool) -> float:
    """How busy a time of day is against the day's mean: a wave with its crest at 14:00 UTC."""
    wave = math.cos((when / HOUR - 14) * math.pi / 12)
    return 1 - 0.9 * wave if nocturnal else 1 + 0.8 * wave


def _poisson(rng: Random, mean: float) -> int:
    """A Poisson variate by Knuth's multiplication (The Art of Computer Programming, 3.4.1)."""
    limit, product, count = math.exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count


def _share(value: float) -> float:
    return round(min(max(value, 0.0), 1.0), 4)
