"""Figures as people read them: one way, that neither hides a failure nor turns the order round."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfmon import METRICS, ago, change, figure, interval, percent
from perfmon.metrics.formatting import UNKNOWN, brief_count, count, lasted, many, moment, sized

UNITS = sorted({metric.unit for metric in METRICS.values()} | {"s", "x", "score", "failures"})
_MILLISECONDS = {"d": 86_400_000.0, "h": 3_600_000.0, "min": 60_000.0, "s": 1000.0, "ms": 1.0}
_THOUSANDS = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
values = (
    st.floats(0, 1) | st.floats(0.99, 1) | st.floats(0, 1e-3) | st.floats(0, 200_000)
    | st.floats(-1e18, 1e18) | st.integers(-1000, 100_000).map(float)
)  # fmt: skip


def read(text, unit):
    """The number a figure shows; one that is less than the least shown is half of that."""
    sign, text = (-1, text[1:]) if text.startswith("-") else (1, text)
    part, text = (0.5, text[1:]) if text.startswith("<") else (1, text)
    plain = text.replace("$", "").replace(",", "").replace("%", "")
    if unit in ("ms", "s"):
        parts = re.findall(r"([\d.e+]+) (\w+)", plain)
        number = sum(float(size) * _MILLISECONDS[name] for size, name in parts)
    else:
        number = float(plain.split()[0])
    return sign * part * number


@given(values, values, st.sampled_from(UNITS))
def test_the_larger_value_never_reads_as_the_smaller(one, other, unit):
    """Whatever the digits or the unit that a value is written in."""
    low, high = sorted((one, other))
    assert read(figure(low, unit), unit) <= read(figure(high, unit), unit)


@given(st.floats(0, 1, exclude_max=True, exclude_min=True))
def test_a_part_never_reads_as_all_or_nothing(share):
    """Neither as a share nor as a score, with decimals or without."""
    for shown in (figure(share, "share"), percent(share, 0), percent(share, 3)):
        assert shown.startswith("<") or 0 < float(shown[:-1]) < 100
    assert figure(100 * share, "score") == "100.0" or 100 * share < 100
    assert figure(math.nextafter(100, 0), "score") == "99.9"


@given(values, st.sampled_from(UNITS))
def test_a_figure_is_short_and_has_no_negative_nothing(value, unit):
    """Many of them fit a line of 80 columns; below 0 there is a minus, and no "-0 ms"."""
    shown = figure(value, unit)
    assert len(shown) <= 30
    assert not re.fullmatch(r"-\$?[0.,]+\D*", shown)
    assert figure(-0.0, unit) == figure(0.0, unit)


@given(st.floats(0, 1e14), st.floats(0, 1e14))
def test_brief_counts_keep_the_order(one, other):
    """To three digits."""

    def size(text):
        number, *unit = text.replace(",", "").split()
        return float(number) * (_THOUSANDS[unit[0]] if unit else 1)

    low, high = sorted((one, other))
    assert size(brief_count(low)) <= size(brief_count(high)) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [(0.618, "share", "61.8%"), (0.999, "share", "99.9%"), (0.9996, "share", "99.96%"),
     (0.0004, "share", "0.04%"), (1.0, "share", "100.0%"), (0.0, "share", "0.0%"),
     (1 - 1e-12, "share", "99.9999%"), (1e-12, "share", "<0.0001%"), (-0.25, "share", "-25.0%"),
     (1.2, "$", "$1.20"), (18_896.9755, "$", "$18,896.98"), (0.0123, "$", "$0.0123"),
     (0.5, "$", "$0.50"), (0.9999, "$", "$1.00"), (0, "$", "$0.00"), (1e-12, "$", "<$0.00000001"),
     (-1.5, "$", "-$1.50"),
     (0, "ms", "0 ms"), (0.25, "ms", "0.25 ms"), (820.4, "ms", "820 ms"), (999.6, "ms", "1 s"),
     (5200, "ms", "5.2 s"), (59_999, "ms", "1 min"), (90_000, "ms", "1 min 30 s"),
     (1_084_641, "ms", "18 min 5 s"), (7_200_000, "ms", "2 h"), (723_785_651, "ms", "8 d 9 h"),
     (-0.0, "ms", "0 ms"), (1e-9, "ms", "<0.001 ms"),
     (5400, "s", "1 h 30 min"), (0, "s", "0 s"), (3.2, "x", "3.2 times"), (1, "runs", "1 run"),
     (1234.5, "tokens", "1,234 tokens"), (0.25, "runs/min", "0.25 runs/min"), (512, "MiB", "512 MiB"),
     (13_440_032_237, "", "13,440,032,237"), (math.nan, "ms", UNKNOWN), (None, "$", UNKNOWN),
     (math.inf, "share", UNKNOWN), (87.26, "score", "87.3"), (99.99, "score", "99.9")],
)  # fmt: skip
def test_a_figure_is_written_by_its_unit(value, unit, shown):
    """Few digits, cents as money has them, durations in the units that fit."""
    assert figure(value, unit) == shown


def test_counts_and_intervals():
    """What is not known is left out or a dash."""
    assert [count(number) for number in (None, 0, 1234.0)] == [UNKNOWN, "0", "1,234"]
    assert [brief_count(number) for number in (9_999, 13_440_032_237)] == ["9,999", "13.4 G"]
    assert (many(1, "run"), many(1200, "run")) == ("1 run", "1,200 runs")
    assert interval((0.71, 0.94)) == "71.0% to 94.0%"
    assert interval((0.5, 2.0), "$") == "$0.50 to $2.00"
    assert [interval(ends) for ends in (None, (None, 1.0), (math.nan, 1.0))] == ["", "", ""]
    assert (sized(0.86, 42), sized(None, 0)) == ("86.0% (42)", UNKNOWN)


def test_changes_have_a_sign():
    """None where nothing is known of them, or nothing changed."""
    shown = [change(ratio) for ratio in (0.12, -0.031, 0.0, None, math.nan)]
    assert shown == ["+12.0%", "-3.1%", "0.0%", "", ""]


def test_times_are_utc_and_durations_have_two_units():
    """Whichever way a time is given."""
    at = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    assert moment(at) == moment("2026-01-02T03:04:05.678Z") == "2026-01-02 03:04:05 UTC"
    assert moment(None) == UNKNOWN
    assert [lasted(s) for s in (-1, 0, 59, 90_061)] == ["0 s", "0 s", "59 s", "1 d 1 h"]
    assert [ago(s) for s in (1, 59, 11_100)] == ["just now", "59 s ago", "3 h ago"]
