"""The simulated agents and the models they run on. All of them are made up."""

from __future__ import annotations

import attrs


@attrs.frozen
class Model:
    """A language model: dollars for a million tokens in and out, and its speed against 1.0."""

    name: str
    price_in: float
    price_out: float
    pace: float


@attrs.frozen(kw_only=True)
class Profile:
    """How an agent behaves.

    Attributes:
        hourly: runs an hour, the mean of a day.
        median_ms, spread: of the lognormal latency; a spread above 1 is a heavy tail.
        tokens_in, tokens_out: medians.
        success: share of runs that succeed on a quiet day; a part of the rest is partial.
        quality: mean of the quality score, or None where nobody scores it.
        outcome: what it predicts: `number`, `label`, `fields`, `items`, `estimate`, or None.
        right: share of its predictions that turn out right.
        overstates: how much of its doubt it keeps to itself, in [0, 1]; 0 is honest.
        answered: share of its predictions whose outcome the users ever tell.
        audited: share of those that an auditor looks at, too.
        checked: its predictions are compared at once and automatically, and nobody is asked.
        nocturnal: runs at night rather than by day.
    """

    name: str
    kind: str
    models: tuple[Model, ...]
    tasks: tuple[str, ...]
    hourly: float
    median_ms: float
    spread: float
    tokens_in: float
    tokens_out: float
    success: float
    quality: float | None = None
    outcome: str | None = None
    right: float = 0.9
    overstates: float = 0.0
    answered: float = 0.8
    audited: float = 0.0
    checked: bool = False
    nocturnal: bool = False


LARGE = Model("atlas-large", 3.0, 15.0, 1.6)
MEDIUM = Model("atlas-medium", 0.8, 4.0, 1.0)
SMALL = Model("atlas-small", 0.1, 0.4, 0.5)
OTHER = Model("boreal-2", 1.1, 4.4, 1.1)

REGRESSED = "invoice-extractor"
"""The agent that gets slower and worse over the last hours of a history."""
LOST = OTHER
"""The model whose provider is down for a while."""

TEAM = (
    Profile(
        name="support-triage", kind="classifier", models=(SMALL, MEDIUM),
        tasks=("billing", "shipping", "account"), hourly=420, median_ms=650, spread=0.5,
        tokens_in=900, tokens_out=60, success=0.985, quality=0.9, outcome="label", right=0.93,
    ),
    Profile(
        name="support-answers", kind="writer", models=(MEDIUM, LARGE),
        tasks=("billing", "shipping", "account"), hourly=260, median_ms=2400, spread=0.7,
        tokens_in=2600, tokens_out=420, success=0.965, quality=0.86,
    ),
    Profile(
        name=REGRESSED, kind="extractor", models=(MEDIUM,), tasks=("invoice", "receipt"),
        hourly=180, median_ms=1500, spread=0.5, tokens_in=3400, tokens_out=300, success=0.97,
        quality=0.92, outcome="fields", right=0.9, audited=0.15,
    ),
    Profile(
        name="contract-reviewer", kind="analyst", models=(LARGE,), tasks=("nda", "lease", "supply"),
        hourly=14, median_ms=38_000, spread=0.9, tokens_in=42_000, tokens_out=2600, success=0.93,
        quality=0.84, outcome="items", right=0.8, answered=0.3,
    ),
    Profile(
        name="code-review", kind="coder", models=(LARGE, OTHER), tasks=("python", "go", "sql"),
        hourly=70, median_ms=12_000, spread=0.9, tokens_in=14_000, tokens_out=900, success=0.94,
        quality=0.8,
    ),
    Profile(
        name="bug-fixer", kind="coder", models=(LARGE,), tasks=("python", "go"), hourly=22,
        median_ms=95_000, spread=1.1, tokens_in=120_000, tokens_out=7000, success=0.72,
        quality=0.66,
    ),
    Profile(
        name="demand-forecast", kind="forecaster", models=(SMALL,), tasks=("daily", "weekly"),
        hourly=60, median_ms=900, spread=0.4, tokens_in=1800, tokens_out=90, success=0.99,
        outcome="number", right=0.75,
    ),
    Profile(
        name="fraud-screen", kind="classifier", models=(SMALL, OTHER), tasks=("card", "transfer"),
        hourly=340, median_ms=320, spread=0.6, tokens_in=700, tokens_out=20, success=0.992,
        outcome="label", right=0.96, audited=0.1,
    ),
    Profile(
        name="meeting-notes", kind="writer", models=(MEDIUM, OTHER), tasks=("minutes", "actions"),
        hourly=45, median_ms=9000, spread=0.6, tokens_in=18_000, tokens_out=1100, success=0.96,
        quality=0.88,
    ),
    Profile(
        name="web-researcher", kind="researcher", models=(OTHER, LARGE), tasks=("market", "person"),
        hourly=35, median_ms=28_000, spread=1.0, tokens_in=30_000, tokens_out=1500, success=0.87,
        quality=0.74, outcome="items", right=0.7, overstates=0.8,
    ),
    Profile(
        name="nightly-tagger", kind="classifier", models=(SMALL,), tasks=("catalogue",),
        hourly=190, median_ms=450, spread=0.4, tokens_in=500, tokens_out=30, success=0.99,
        outcome="label", right=0.95, checked=True, nocturnal=True,
    ),
    Profile(
        name="data-analyst", kind="analyst", models=(LARGE, MEDIUM), tasks=("sql", "chart"),
        hourly=28, median_ms=16_000, spread=0.9, tokens_in=9000, tokens_out=1200, success=0.9,
        quality=0.78, outcome="estimate", right=0.8,
    ),
)  # fmt: skip
