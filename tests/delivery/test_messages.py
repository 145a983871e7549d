"""What messages say in words."""

from __future__ import annotations

from perfmon.delivery.messages import alert_facts
from perfmon.testing import make_alert
from perfmon.testing.stored_alerts import resolved


def test_what_is_over_needs_no_advice():
    """It comes with what fires, and says how long that lasted once it is over."""
    alert = make_alert(recommendation="Run fewer at once.")
    facts = alert_facts(alert)
    assert (facts["Recommendation"], "Lasted" in facts) == ("Run fewer at once.", False)
    facts = alert_facts(resolved(alert, 300))
    assert (facts["Lasted"], "Recommendation" in facts) == ("5 min", False)
