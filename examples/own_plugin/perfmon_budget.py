"""Adds up what each agent spends, and recommends a look at those over their budget."""

from __future__ import annotations

from collections import defaultdict

import attrs

from perfmon import Recommendation, hookimpl


@attrs.frozen(kw_only=True)
class BudgetConfig:
    """The table `[plugins.budget]`.

    Attributes:
        dollars: what an agent may spend while the monitor runs.
    """

    dollars: float = attrs.field(default=10.0, validator=attrs.validators.gt(0))


class Budget:
    """A class is made with the configuration, and takes its own table from it."""

    def __init__(self, config):
        self._dollars = config.table("budget", BudgetConfig).dollars
        self.spent = defaultdict(float)

    @hookimpl
    def runs_recorded(self, runs):
        """Called in batches, on a thread of its own, behind the recording path."""
        for run in runs:
            self.spent[run.agent_name] += run.cost or 0.0

    @hookimpl
    def recommend(self, report):
        """Asked for each report; its answers stand beside those of the other plugins."""
        del report
        return [
            Recommendation(
                text=f"Agent {name!r} has spent ${spent:,.2f} of its ${self._dollars:,.2f}",
                reason="it is over its budget",
                expected_effect="a cheaper model, or fewer runs, would keep it within",
                agent_name=name,
            )
            for name, spent in dict(self.spent).items()
            if spent > self._dollars
        ]
