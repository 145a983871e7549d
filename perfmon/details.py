"""The figures behind a breach: error classes, the worst agents and models, what grew."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from perfmon.alerts.advice import Details, Part
from perfmon.alerts.verdicts import Verdict
from perfmon.alerts.watch import Kind, Watch
from perfmon.queries import Queries
from perfmon.ranges import Asked
from perfmon.records import CellKey, Scope
from perfmon.summary import error_counts
from perfmon.window.cells import Cells, Stat, add_up
from perfmon.window.ragged import Floats
from perfmon.window.window import Answer

_MICROS = 1_000_000
_HOUR = 3600.0
_MOST = 10
_BAD = {"timeout_rate": Stat.TIMED_OUT, "retry_rate": Stat.RETRIED}


class DetailsOf:
    """Finds the details of a verdict: of its own stretch, and of the one before it."""

    def __init__(self, queries: Queries, now: Callable[[], int]) -> None:
        self._queries = queries
        self._now = now
        self._found: tuple[int, dict[tuple[Scope, int], tuple[Answer, Answer]]] = 0, {}

    def __call__(self, verdict: Verdict) -> Details:
        if verdict.watch.kind is Kind.CONFLICTS:  # it is about what is in no figure
            return Details()
        seconds = verdict.seconds if verdict.seconds > 0 else _HOUR
        width = round(seconds * _MICROS)
        cells, before = (answer.cells for answer in self._answers(verdict.scope, width))
        stats, earlier = add_up(cells.stats), add_up(before.stats)
        return Details(
            errors=_first(error_counts(cells)),
            errors_before=_first(error_counts(before)),
            runs=int(stats[Stat.RUNS]),
            runs_before=int(earlier[Stat.RUNS]),
            agents=_parts(cells, verdict.watch, lambda key: key.agent_name),
            models=_parts(cells, verdict.watch, lambda key: key.model),
            retry_rate=_share(stats, Stat.RETRIED, Stat.RETRIES_N),
            retry_rate_before=_share(earlier, Stat.RETRIED, Stat.RETRIES_N),
            # No run has an empty prompt: where there are no input tokens, nobody tells them.
            prompt_tokens=_share(stats, Stat.INPUT_TOKENS) or math.nan,
            prompt_tokens_before=_share(earlier, Stat.INPUT_TOKENS) or math.nan,
        )

    def _answers(self, scope: Scope, width: int) -> tuple[Answer, Answer]:
        """What the alerts of one scope and moment have in common is asked once."""
        until = self._now() + 1
        if self._found[0] != until:
            self._found = until, {}
        if (scope, width) not in self._found[1]:
            asked = Asked(until - width, until, True)
            self._found[1][scope, width] = (
                self._queries.answer(asked, scope, by_key=True),
                self._queries.answer(asked.before, scope, by_key=True),
            )
        return self._found[1][scope, width]


def _first(counts: dict[str, int]) -> dict[str, int]:
    return dict(list(counts.items())[:_MOST])


def _share(stats: Floats, stat: Stat, among: Stat = Stat.RUNS) -> float:
    return float(stats[stat] / stats[among]) if stats[among] else math.nan


def _parts(
    cells: Cells, watch: Watch, name_of: Callable[[CellKey], str | None]
) -> tuple[Part, ...]:
    """What each of them has of the bad runs, the worst first."""
    bad: dict[str, tuple[float, float]] = {}
    keys = cells.vocabulary.keys.values
    of_cell = _bad_runs(cells, watch)
    looked_at = cells.stats[:, Stat.RETRIES_N if watch.metric == "retry_rate" else Stat.RUNS]
    for row, key in enumerate(cells.keys.tolist()):
        name = name_of(keys[key])
        if name:
            held = bad.get(name, (0.0, 0.0))
            runs = float(looked_at[row])
            bad[name] = held[0] + float(of_cell[row]), held[1] + runs
    found = [Part(name, round(part), round(runs)) for name, (part, runs) in bad.items() if runs]
    return tuple(sorted(found, key=lambda part: (-part.bad, part.name))[:_MOST])


def _bad_runs(cells: Cells, watch: Watch) -> Floats:
    """How many runs of each cell are bad, in the sense of the watch."""
    if watch.kind is Kind.BEYOND:
        values, counts = cells.latencies.labels, cells.latencies.counts
        beyond = (values - watch.limits[-1].value) * watch.sign > 0
        owners = cells.latencies.owners()[beyond]
        return np.bincount(owners, counts[beyond], len(cells)).astype(np.float64)
    if watch.metric in _BAD:
        return cells.stats[:, _BAD[watch.metric]]
    return cells.stats[:, Stat.RUNS] - cells.stats[:, Stat.SUCCESS]
