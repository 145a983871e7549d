"""Accuracy from cells: means with intervals, coverage, numeric errors, sources."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import attrs
import numpy as np

from perfmon.accuracy.calibration import BinSums, Calibration, calibration
from perfmon.metrics.intervals import mean_interval, mean_share
from perfmon.metrics.summary import agent_groups
from perfmon.records import NAN, AccuracyMeasurement, CellKey
from perfmon.records.equality import same_value
from perfmon.records.measurements import ANY_AGENT
from perfmon.window import slots
from perfmon.window.cells import FIRST_EXTREME, Cells, Stat
from perfmon.window.ragged import Floats, merge_labels

GROUPS = ("agent_name", "agent_type", "model", "task_type", "tenant")
_NONE = "(none)"


@attrs.frozen(kw_only=True)
class AccuracyFigures:
    """How right some agents were, in some window.

    Attributes:
        count: measurements that count.
        accuracy: the mean of their scores in [0, 1], NaN of nothing.
        interval: its 95% interval: Wilson's where all scores are 0 or 1, else Student's.
        labelled: predictions whose outcome is known.
        predictions: all of them, those that still wait too.
        coverage: labelled out of all predictions, in [0, 1]; NaN where nothing was predicted.
        unmapped: measurements left out because no field of the prediction is one of the outcome.
    """

    count: int = 0
    accuracy: float = NAN
    interval: tuple[float, float] = (NAN, NAN)
    labelled: int = 0
    predictions: int = 0
    coverage: float = NAN
    unmapped: int = 0


@attrs.frozen(kw_only=True)
class CalibrationFigures:
    """How far the confidence of one agent can be believed: a `Calibration` without its bins."""

    count: int
    confidence: float
    accuracy: float
    expected_calibration_error: float
    brier_score: float
    verdict: str
    sentence: str


@attrs.frozen(kw_only=True)
class NumericErrors:
    """How far numbers were off: predicted - actual, in the outcomes' own unit.

    Attributes:
        count: measurements of which both outcomes are numbers.
        mean_error: the bias; positive is too high.
        mean_absolute_error, root_mean_square_error: NaN of nothing.
    """

    count: int = 0
    mean_error: float = NAN
    mean_absolute_error: float = NAN
    root_mean_square_error: float = NAN


@attrs.frozen(kw_only=True)
class Disagreement:
    """A task of which several sources told different outcomes.

    Attributes:
        sources: what each source told last, by its name.
        scores: the score that each gives, NaN where it has none.
    """

    tenant: str
    agent_name: str
    task_id: str
    predicted_outcome: Any
    sources: dict[str, Any]
    scores: dict[str, float]


@attrs.frozen(kw_only=True)
class AccuracySummary:
    """How right agents were, how far that is known, and how far they knew it themselves.

    Attributes:
        overall: everything that counts.
        by_agent, by_agent_type, by_model, by_task_type, by_tenant: the same for each.
        by_source: for each feedback source, what it says itself, superseded or not.
        unmapped: measurements left out because no field of the prediction is one of the outcome.
        superseded: predictions that their agent replaced by another before the outcome.
        waiting: predictions that wait for their outcome now, of any age.
        oldest_waiting: since when the oldest of them does.
        errors: of numbers.
        calibration: confidence against reality.
        calibration_by_agent: the same for each agent that gave a confidence, in short.
        scoring_cost: what the scoring itself cost, in US dollars.
        compared_sources: tasks with several sources that were compared: the newest 500 at most,
            of the newest 20,000 measurements.
        disagreeing: of how many of them the sources told different things.
        disagreements: these, the newest hundred at most.
        suggestions: how to map what is unmapped, as lines of monitor.toml.
    """

    overall: AccuracyFigures = attrs.Factory(AccuracyFigures)
    by_agent: dict[str, AccuracyFigures] = attrs.Factory(dict)
    by_agent_type: dict[str, AccuracyFigures] = attrs.Factory(dict)
    by_model: dict[str, AccuracyFigures] = attrs.Factory(dict)
    by_task_type: dict[str, AccuracyFigures] = attrs.Factory(dict)
    by_tenant: dict[str, AccuracyFigures] = attrs.Factory(dict)
    by_source: dict[str, AccuracyFigures] = attrs.Factory(dict)
    unmapped: int = 0
    superseded: int = 0
    waiting: int = 0
    oldest_waiting: datetime | None = None
    errors: NumericErrors = attrs.Factory(NumericErrors)
    calibration: Calibration = attrs.field(factory=lambda: calibration_of(np.zeros(0)))
    calibration_by_agent: dict[str, CalibrationFigures] = attrs.Factory(dict)
    scoring_cost: float = 0.0
    compared_sources: int = 0
    disagreeing: int = 0
    disagreements: tuple[Disagreement, ...] = ()
    suggestions: tuple[str, ...] = ()
    window_start: datetime | None = None
    window_end: datetime | None = None


def figures_of(stats: Floats) -> AccuracyFigures:
    """The figures of one row of statistics."""
    count, total, squares = stats[[Stat.ACCURACY_N, Stat.ACCURACY, Stat.ACCURACY_SQ]].tolist()
    labelled = float(stats[Stat.DIRECT] + stats[Stat.ANSWERED])
    everything = labelled + float(stats[Stat.WAITING])
    return AccuracyFigures(
        count=int(count),
        accuracy=mean_share(count, total),
        interval=mean_interval(count, total, squares),
        labelled=int(labelled),
        predictions=int(everything),
        coverage=labelled / everything if everything else NAN,
        unmapped=int(stats[Stat.UNMAPPED]),
    )


def grouped(cells: Cells) -> dict[str, dict[str, AccuracyFigures]]:
    """The figures by each of `GROUPS`, of all that have any."""
    keys, stats = _by_key(cells)
    return {group: _by(keys, stats, lambda key: getattr(key, group)) for group in GROUPS}  # noqa: B023


def _by_key(cells: Cells) -> tuple[list[CellKey], Floats]:
    """The keys, and the sums of each over all slices; extremes are left at 0."""
    # A cell of nothing but amendments has as many measurements as before.
    measured = np.flatnonzero(cells.stats[:, Stat.ACCURACY_N : Stat.UNMAPPED + 1].any(axis=1))
    present, row_of = np.unique(cells.keys[measured], return_inverse=True)
    sums = np.zeros((len(present), cells.stats.shape[1]))
    if len(measured):
        order = np.argsort(row_of, kind="stable")
        firsts = np.searchsorted(row_of[order], np.arange(len(present)))
        rows = cells.stats[measured[order], :FIRST_EXTREME]
        sums[:, :FIRST_EXTREME] = np.add.reduceat(rows, firsts, axis=0)
    known = cells.vocabulary.keys.values
    return [known[number] for number in present.tolist()], sums


def _by(
    keys: list[CellKey], stats: Floats, name_of: Callable[[CellKey], str | None]
) -> dict[str, AccuracyFigures]:
    rows: dict[str, list[int]] = {}
    for row, key in enumerate(keys):
        if key.agent_name != ANY_AGENT:
            rows.setdefault(name_of(key) or _NONE, []).append(row)
    found = {name: figures_of(stats[places].sum(axis=0)) for name, places in rows.items()}
    return {
        name: figures
        for name, figures in sorted(found.items())
        if figures.count or not math.isnan(figures.coverage)
    }


def sums_of(cells: Cells) -> Floats:
    """All slots of all cells together (see `perfmon.window.slots`)."""
    if not len(cells.outcomes.labels):
        return np.zeros(0)
    labels = cells.outcomes.labels.astype(np.int64)
    sums: Floats = np.bincount(labels, weights=cells.outcomes.counts).astype(np.float64)
    return sums


def superseded_of(sums: Floats) -> int:
    return int(_slot(sums, slots.REPLACED))


def _slot(sums: Floats, place: int) -> float:
    return float(sums[place]) if place < len(sums) else 0.0


def errors_of(sums: Floats) -> NumericErrors:
    count = _slot(sums, slots.NUMERIC_N)
    if not count:
        return NumericErrors()
    return NumericErrors(
        count=int(count),
        mean_error=_slot(sums, slots.ERROR) / count,
        mean_absolute_error=_slot(sums, slots.ABS_ERROR) / count,
        root_mean_square_error=math.sqrt(max(_slot(sums, slots.ERROR_SQ), 0.0) / count),
    )


def calibration_of(sums: Floats) -> Calibration:
    """Confidence against reality."""
    firsts = range(slots.FIRST_BIN, slots.FIRST_SOURCE, slots.IN_BIN)
    in_bin = range(slots.IN_BIN)
    return calibration([BinSums(*(_slot(sums, first + n) for n in in_bin)) for first in firsts])


def calibration_by_agent(cells: Cells) -> dict[str, CalibrationFigures]:
    """The same for each agent that gave a confidence, by name."""
    if not len(cells.outcomes.labels):
        return {}
    names, group = agent_groups(cells.keys, cells.vocabulary)
    entries = cells.outcomes
    bins = (entries.labels >= slots.FIRST_BIN) & (entries.labels < slots.FIRST_SOURCE)
    owners = group[entries.owners()[bins]]
    sums = merge_labels(owners, entries.labels[bins], entries.counts[bins], len(names))
    found = {}
    for row, name in enumerate(names):
        labels, values = sums.row(row)
        if len(labels):
            of_agent = np.bincount(labels.astype(np.int64), weights=values).astype(np.float64)
            found[name] = _figures(calibration_of(of_agent))
    return {name: found[name] for name in sorted(found) if found[name].count}


def _figures(whole: Calibration) -> CalibrationFigures:
    names = [field.name for field in attrs.fields(CalibrationFigures)]
    return CalibrationFigures(**{name: getattr(whole, name) for name in names})


def by_source(sums: Floats, names: Iterable[str]) -> dict[str, AccuracyFigures]:
    """What each source says, by its name; coverage is a matter of all of them together."""
    found = {}
    for number, name in enumerate(names):
        first = slots.FIRST_SOURCE + number * slots.IN_SOURCE
        count, total, squares = (_slot(sums, first + place) for place in range(slots.IN_SOURCE))
        if count > 0:
            found[name] = AccuracyFigures(
                count=int(count),
                accuracy=mean_share(count, total),
                interval=mean_interval(count, total, squares),
            )
    return dict(sorted(found.items()))


def disagreements(tasks: Iterable[list[AccuracyMeasurement]]) -> list[Disagreement]:
    """Those of tasks with several sources of which the sources do not say the same."""
    found = []
    for measurements in tasks:
        last = {one.feedback_source: one for one in measurements}
        first = next(iter(last.values()))
        if not all(same_value(one.actual_outcome, first.actual_outcome) for one in last.values()):
            found.append(
                Disagreement(
                    tenant=first.tenant,
                    agent_name=first.agent_name,
                    task_id=first.task_id,
                    predicted_outcome=first.predicted_outcome,
                    sources={name: one.actual_outcome for name, one in last.items()},
                    scores={name: one.accuracy_score for name, one in last.items()},
                )
            )
    return found
