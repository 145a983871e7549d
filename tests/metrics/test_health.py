"""The scores: their formulas, their grades, and what happens to parts that were not measured."""

from __future__ import annotations

import math

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfmon import PerformanceMetrics
from perfmon.metrics.health import (
    Targets,
    efficiency,
    health_score,
    health_status,
    health_word,
    reliability,
    specialization,
)
from perfmon.metrics.intervals import wilson

shares = st.floats(0, 1) | st.just(math.nan)
amounts = st.floats(0, 1e12) | st.just(math.nan)
GOOD = PerformanceMetrics(
    total_tasks=100, success_rate=0.9, error_rate=0.1, avg_latency_ms=2000.0, avg_accuracy=0.8
)


def test_health_weighs_success_latency_errors_and_accuracy():
    """40, 30, 20 and 10 points, for latency against twice its p95 threshold."""
    assert health_score(GOOD, 5000) == pytest.approx(40 * 0.9 + 30 * 0.8 + 20 * 0.5 + 10 * 0.8)


def test_health_gives_full_marks_where_accuracy_was_not_measured():
    """Nobody is blamed for outcomes that are not known yet."""
    unknown = attrs.evolve(GOOD, avg_accuracy=math.nan)
    assert health_score(unknown, 5000) == pytest.approx(36 + 24 + 10 + 10)


def test_health_shares_out_the_points_of_an_unknown_latency():
    """Seventy points become a hundred."""
    unknown = attrs.evolve(GOOD, avg_latency_ms=math.nan)
    assert health_score(unknown, 5000) == pytest.approx((36 + 10 + 8) / 0.7)


def test_health_has_no_score_without_runs():
    """Nothing happened is not all is well, even where outcomes came in."""
    assert health_score(PerformanceMetrics(), 5000) is None
    assert health_score(PerformanceMetrics(avg_accuracy=1.0, accuracy_count=3), 5000) is None


def test_health_is_0_and_100_at_its_ends():
    """Every part is clamped by itself."""
    worst = PerformanceMetrics(
        total_tasks=1, success_rate=0.0, error_rate=1.0, avg_latency_ms=1e9, avg_accuracy=0.0
    )
    best = PerformanceMetrics(total_tasks=1, success_rate=1.0, error_rate=0.0, avg_latency_ms=0.0)
    assert (health_score(worst, 5000), health_score(best, 5000)) == (0.0, 100.0)


@pytest.mark.parametrize(
    ("score", "word", "status"),
    [
        (100, "Excellent", "healthy"),
        (90, "Excellent", "healthy"),
        (89.9, "Good", "healthy"),
        (70, "Good", "healthy"),
        (69.9, "Fair", "degraded"),
        (50, "Fair", "degraded"),
        (49.9, "Poor", "unhealthy"),
        (0, "Poor", "unhealthy"),
        (None, "no_data", "no_data"),
    ],
)
def test_grades(score, word, status):
    """A score has a word for people and a status for machines."""
    assert (health_word(score), health_status(score)) == (word, status)


def test_reliability_is_the_success_rate():
    """And unknown where nothing ran."""
    assert reliability(GOOD) == 0.9
    assert math.isnan(reliability(PerformanceMetrics()))


@pytest.mark.parametrize(
    ("latency", "quality", "success", "expected"),
    [
        (1000, 1.0, 1.0, 1.0),
        (3000, 0.5, 0.8, 0.3 * 0.5 + 0.4 * 0.5 + 0.3 * 0.8),
        (10, 0.5, 0.8, 0.3 + 0.2 + 0.24),
        (60_000, 0.5, 0.8, 0.2 + 0.24),
        (math.nan, 0.5, 0.8, (0.2 + 0.24) / 0.7),
        (3000, math.nan, 0.8, (0.15 + 0.24) / 0.6),
        (math.nan, math.nan, 0.8, 0.8),
    ],
)
def test_efficiency(latency, quality, success, expected):
    """Latency, quality and success, with the weights of what is unknown shared out."""
    metrics = PerformanceMetrics(
        avg_latency_ms=latency, avg_quality_score=quality, success_rate=success
    )
    assert efficiency(metrics) == pytest.approx(expected)


def test_efficiency_has_targets():
    """An agent that may take minutes is measured in minutes."""
    metrics = PerformanceMetrics(avg_latency_ms=90_000.0)
    assert efficiency(metrics, Targets(latency_ms=60_000, latency_limit_ms=120_000)) == 0.5
    assert efficiency(metrics, Targets(latency_ms=60_000, latency_limit_ms=60_000)) == 0.0


@pytest.mark.parametrize(
    ("success", "quality", "spread", "expected"),
    [
        (0.9, 0.8, 0.2, (0.9 + 0.8 + 0.75) / 3),
        (0.9, 0.8, 0.0, (0.9 + 0.8 + 1) / 3),
        (0.9, 0.1, 0.3, (0.9 + 0.1 + 0) / 3),
        (0.9, 0.0, 0.0, 0.45),
        (0.9, math.nan, math.nan, 0.9),
        (math.nan, math.nan, math.nan, math.nan),
    ],
)
def test_specialization(success, quality, spread, expected):
    """The mean of success, quality and consistency, as far as they were measured."""
    assert specialization(success, quality, spread) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(1, 1, 0.207, 1.0), (3, 10, 0.108, 0.603), (10, 50, 0.112, 0.330), (0, 20, 0.0, 0.161)],
)
def test_wilson(successes, n, low, high):
    """The published figures, to the third digit."""
    assert wilson(successes, n) == pytest.approx((low, high), abs=5e-4)


@given(st.integers(1, 10**9).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_wilson_interval_holds_the_share_and_mirrors(counts):
    """It lies in [0, 1] around the share, and failures have the mirrored one."""
    successes, n = counts
    low, high = wilson(successes, n)
    assert 0 <= low <= successes / n <= high <= 1
    assert wilson(n - successes, n) == pytest.approx((1 - high, 1 - low), abs=1e-9)


@given(shares, amounts, shares, shares, shares)
def test_no_measurement_leaves_the_scale(success, latency, errors, accuracy, quality):
    """Scores stay on their scale for any metrics, and are NaN for none."""
    metrics = PerformanceMetrics(
        total_tasks=3,
        success_rate=success,
        avg_latency_ms=latency,
        error_rate=errors,
        avg_accuracy=accuracy,
        avg_quality_score=quality,
    )
    assert 0 <= health_score(metrics, 5000) <= 100
    known = not all(math.isnan(value) for value in (latency, quality, success))
    assert known == (0 <= efficiency(metrics) <= 1)
