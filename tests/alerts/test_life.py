"""The life of an alert: from a breach to its end, and what keeps it quiet."""

from __future__ import annotations

import attrs
import pytest
from shapes import SECOND, T0, Life, over, target, verdict

from perfmon import AlertLevel, InvalidRun
from perfmon.alerts.episodes.machine import Machine
from perfmon.alerts.evidence.verdicts import State
from perfmon.alerts.rules.targets import Target, alert_key
from perfmon.alerts.wording.advice import Details, Part
from perfmon.records import Scope

ERRORS = target("error_rate_max", agent="a")
SUCCESS = target("success_rate_min", agent="a")
OTHER = target("error_rate_max", agent="b")
MINE = target("mine", {"name": "mine", "metric": "error_rate", "above": 0.1})
SYSTEM = target("error_rate_max", agent=None)
SLOW = target("r", {"name": "r", "metric": "cost_per_task", "above": 1, "for": "5m"})


def firing(life, own=ERRORS, **figures):
    """The alert of a breach that has just begun to fire."""
    (change,) = life.step(verdict(own, **figures)).changes
    assert change.kind == "firing"
    return change.alert


def undecided(own, state):
    return verdict(own, state, value=float("nan"))


def test_a_breach_fires_at_once_by_default():
    """`for` is 0; the alert says what it is about."""
    alert = firing(Life(ERRORS), value=0.5, sample_size=40, bad=20)
    assert (alert.state, alert.rule, alert.agent_name) == ("firing", "error_rate_max", "a")
    assert (alert.started_at, alert.resolved_at) == (alert.timestamp, None)
    assert (alert.current_value, alert.sample_size, alert.threshold) == (0.5, 40, 0.15)


def test_a_breach_is_pending_for_as_long_as_its_rule_says():
    """And fires when that is over."""
    life = Life(SLOW)
    assert life.kinds(verdict(SLOW)) == ["pending"]
    assert life.lasting(295, verdict(SLOW)) == []
    assert life.kinds(verdict(SLOW), after=5) == ["firing"]


def test_a_break_begins_pending_anew():
    """It was never said, so its end is not either."""
    life = Life(SLOW)
    life.lasting(200, verdict(SLOW))
    assert life.kinds(over(SLOW), after=5) == ["cancelled"]
    assert life.kinds(verdict(SLOW), after=5) == ["pending"]


def test_a_short_gap_does_not_end_an_alert():
    """It is kept firing for a minute, and is the same episode after it."""
    life = Life(ERRORS)
    alert = firing(life)
    assert life.lasting(50, over(ERRORS)) == []
    assert life.lasting(50, verdict(ERRORS)) == []
    assert life.lasting(60, over(ERRORS)) == []
    (change,) = life.step(over(ERRORS), after=5).changes
    assert (change.kind, change.reason, change.alert.alert_id) == (
        "resolved",
        "clear",
        alert.alert_id,
    )
    assert change.alert.details["duration_seconds"] == 165


def test_a_share_between_its_limits_keeps_firing():
    """Clear, and not settled."""
    life = Life(ERRORS)
    firing(life)
    assert life.lasting(7200, verdict(ERRORS, State.CLEAR)) == []


def test_a_higher_level_is_told_at_once_and_stays():
    """An episode has the highest level it reached."""
    life = Life(ERRORS)
    firing(life)
    (change,) = life.step(verdict(ERRORS, level=AlertLevel.CRITICAL), after=5).changes
    assert (change.kind, change.alert.level) == ("escalated", AlertLevel.CRITICAL)
    assert life.lasting(60, verdict(ERRORS)) == []
    assert life.machine.alerts(life.now)[0].level is AlertLevel.CRITICAL


@pytest.mark.parametrize("state", [State.NO_DATA, State.INSUFFICIENT])
def test_without_data_nothing_fires_and_nothing_ends_for_an_hour(state):
    """And then it is closed with that reason."""
    life = Life(ERRORS)
    assert life.kinds(undecided(ERRORS, state)) == []
    firing(life)
    assert life.lasting(3600, undecided(ERRORS, state)) == []
    (change,) = life.step(undecided(ERRORS, state), after=5).changes
    assert (change.kind, change.reason) == ("resolved", state.value)
    assert "closed after 1 h" in change.alert.message


def test_a_failed_look_decides_nothing():
    """It holds the time of what is pending, and keeps what fires."""
    life = Life(SLOW, ERRORS)
    life.step(verdict(SLOW), verdict(ERRORS))
    failed = [undecided(SLOW, State.FAILED), undecided(ERRORS, State.FAILED)]
    assert set(life.lasting(7200, *failed)) == {"firing"}  # those of the failures themselves
    assert life.lasting(295, verdict(SLOW), verdict(ERRORS)) == ["resolved"] * 2
    assert life.kinds(verdict(SLOW), verdict(ERRORS), after=5) == ["firing"]


def test_three_failed_evaluations_are_an_alert():
    """Of the rule, once, with the reason, until it works again."""
    life = Life(ERRORS, OTHER)
    failed = [attrs.evolve(undecided(t, State.FAILED), words="OSError: no") for t in life.targets]
    assert life.kinds(*failed) + life.kinds(*failed, after=5) == []
    (change,) = life.step(*failed, after=5).changes
    assert change.kind == "firing"
    assert change.alert.rule == "error_rate_max: evaluation failed"
    assert "OSError: no" in change.alert.message
    assert life.kinds(over(ERRORS), over(OTHER), after=5) == ["resolved"]


def test_reminders_come_while_it_is_evident():
    """A critical one every four hours; nobody is reminded of what may be over."""
    life = Life(SUCCESS)
    firing(life, SUCCESS)
    assert life.lasting(4 * 3600 - 5, verdict(SUCCESS), every=5) == []
    assert life.kinds(verdict(SUCCESS), after=5) == ["reminder"]
    assert life.lasting(8 * 3600, verdict(SUCCESS, State.CLEAR), every=5) == []
    assert life.kinds(verdict(SUCCESS), after=5) == []


def test_nobody_is_reminded_of_what_somebody_cares_for():
    """Until it is worse."""
    life = Life(ERRORS, repeat={AlertLevel.WARNING: 600.0})
    alert = firing(life)
    assert life.machine.acknowledge(alert.alert_id, "ann").acknowledged_by == "ann"
    assert life.lasting(1200, verdict(ERRORS)) == []
    change = life.step(verdict(ERRORS, level=AlertLevel.CRITICAL), after=5).changes[0]
    assert change.alert.acknowledged_by is None
    assert life.machine.acknowledge("nothing", "ann") is None


def test_an_alert_that_flaps_is_held_longer_and_says_so():
    """From the fourth time in a day on it must be clear for an hour."""
    life = Life(ERRORS)
    for _ in range(3):
        firing(life)
        assert life.lasting(65, over(ERRORS)) == ["resolved"]
        life.now += 5 * SECOND
    alert = firing(life)
    assert alert.details["episodes_in_24h"] == 4
    assert "fired 4 times in 24 hours" in alert.message
    assert life.lasting(3600, over(ERRORS)) == []
    assert life.kinds(over(ERRORS), after=5) == ["resolved"]


def test_the_higher_level_speaks_for_the_scope():
    """A rule of one's own about the same; another agent's are another thing."""
    life = Life(MINE, SUCCESS, OTHER)
    standings = life.step(verdict(MINE), verdict(SUCCESS), verdict(OTHER)).standings
    inhibited = {s.alert.rule: s.alert.inhibited_by for s in standings}
    assert inhibited == {"mine": SUCCESS.key, "success_rate_min": None, "error_rate_max": None}


def inhibited(*verdicts):
    life = Life(ERRORS, OTHER, SYSTEM)
    standings = life.step(*verdicts).standings
    return {s.alert.agent_name for s in standings if s.alert.inhibited_by is not None}


def figures_of(own, bad, runs):
    return verdict(own, value=bad / runs, bad=bad, sample_size=runs)


def test_an_agent_that_explains_it_speaks_for_the_system():
    """Without its runs there would be no breach; where there would, both speak."""
    explained = inhibited(figures_of(ERRORS, 60, 80), figures_of(SYSTEM, 70, 400))
    assert explained == {None}
    assert inhibited(figures_of(ERRORS, 20, 40), figures_of(SYSTEM, 200, 400)) == set()


def test_several_agents_may_explain_it_together():
    """What is left without all of them is what counts."""
    parts = [figures_of(ERRORS, 40, 60), figures_of(OTHER, 40, 60)]
    assert inhibited(*parts, figures_of(SYSTEM, 90, 400)) == {None}


def test_runs_of_parts_within_parts_count_once():
    """A model of an agent of a tenant is within the agent, and the agent is no part twice."""
    scopes = (
        Scope(tenant="t"),
        Scope(tenant="u", agent_name="b"),
        Scope(tenant="u", agent_name="b", model="m"),
    )
    tenant, agent, model = (
        Target(alert_key("error_rate_max", scope), ERRORS.watch, scope) for scope in scopes
    )
    parts = [figures_of(tenant, 10, 20), figures_of(agent, 40, 60), figures_of(model, 40, 50)]
    standings = Life(tenant, agent, model, SYSTEM).step(*parts, figures_of(SYSTEM, 120, 400))
    (whole,) = [s.alert for s in standings.standings if s.alert.tenant is None]
    assert whole.inhibited_by is None


def test_where_nothing_runs_no_agent_is_named():
    """With silence the whole speaks for its parts."""
    rule = {"name": "quiet", "no_run_for": "15m"}
    one, everything = target("quiet", rule), target("quiet", rule, agent=None)
    standings = Life(one, everything).step(verdict(one), verdict(everything)).standings
    assert {s.alert.agent_name: s.alert.inhibited_by for s in standings} == {
        "a": everything.key, None: None,
    }  # fmt: skip


def test_a_silence_keeps_quiet_until_its_end():
    """It has matchers, an author and a comment; the alert is still there."""
    life = Life(ERRORS, repeat={AlertLevel.WARNING: 600.0})
    made = life.machine.silence({"agent": "a*"}, T0, T0 + 1000 * SECOND, "ann", "known")
    assert firing(life).silenced_by == made.silence_id
    assert life.lasting(995, verdict(ERRORS)) == []
    assert life.kinds(verdict(ERRORS), after=5) == ["reminder"]
    assert life.machine.silences == ()


def test_a_silence_can_be_ended():
    """Once."""
    life = Life(ERRORS)
    made = life.machine.silence({"rule": "error*"}, T0, T0 + 1000 * SECOND, "ann")
    firing(life)
    assert life.machine.unsilence(made.silence_id)
    assert not life.machine.unsilence(made.silence_id)
    assert life.machine.alerts(life.now)[0].silenced_by is None


@pytest.mark.parametrize(
    ("matchers", "until", "by"),
    [
        ({}, 1, "ann"),
        ({"agnt": "a"}, 1, "ann"),
        ({"agent": "a"}, 0, "ann"),
        ({"agent": "a"}, 1, " "),
    ],
)
def test_a_silence_must_make_sense(matchers, until, by):
    """It silences something, for some time to come, and is somebody's."""
    with pytest.raises(InvalidRun):
        Life().machine.silence(matchers, T0, T0 + until, by)


def test_a_rule_that_is_gone_closes_its_alerts():
    """With that reason."""
    life = Life(ERRORS)
    firing(life)
    life.restart(attrs.evolve(life.settings, rules=frozenset()))
    (change,) = life.step(after=5).changes
    assert (change.kind, change.reason) == ("resolved", "the rule was removed")


def test_a_clock_that_goes_back_fires_and_ends_nothing():
    """Nor does one that goes forward: what nobody watched counts for a minute at most."""
    life = Life(SLOW, ERRORS)
    life.step(verdict(SLOW), verdict(ERRORS))
    for jump in (-86_400, 86_400, 3 * 86_400, -86_400):
        assert life.kinds(verdict(SLOW), over(ERRORS), after=jump + 5) in ([], ["resolved"])
    assert [a.state for a in life.machine.alerts(life.now)] == ["pending"]


def test_an_end_is_never_before_its_beginning():
    """Where the clock went back in between, the time that passed is what was watched."""
    life = Life(ERRORS)
    firing(life)
    life.step(over(ERRORS), after=-7200)
    life.lasting(55, over(ERRORS))
    (change,) = life.step(over(ERRORS), after=5).changes
    assert change.kind == "resolved"
    assert change.alert.details["duration_seconds"] == 60


def test_a_step_done_again_makes_the_same_ids():
    """After a crash before anything was stored."""
    first, again = Life(ERRORS), Life(ERRORS)
    assert firing(first) == firing(again)


def test_everything_survives_a_restart():
    """What is pending, what fires, what was noted, and who was told."""
    life = Life(SLOW, OTHER, SUCCESS)
    known = Details(runs=7, retry_rate=0.0, models=(Part("m", 1, 2),))
    life.step(verdict(SLOW), verdict(OTHER), verdict(SUCCESS), describe=lambda _: known)
    life.machine.silence({"agent": "b"}, life.now, life.now + SECOND, "ann")
    before, alerts = life.machine.to_json(), life.machine.alerts(0)
    life.restart()
    assert life.machine.to_json() == before
    assert [a.details for a in life.machine.alerts(0)] == [a.details for a in alerts]
    assert [alert.details.get("retry_rate") for alert in alerts].count(0.0) == 2
    assert [alert.details.get("runs") for alert in life.machine.alerts(0)].count(7) == 2


def test_details_that_cannot_be_had_do_not_stop_an_alert():
    """It goes out without them."""

    def describe(_verdict):
        raise OSError

    assert [c.kind for c in Life(ERRORS).step(verdict(ERRORS), describe=describe).changes] == [
        "firing"
    ]


def test_a_state_of_another_version_is_read():
    """As far as it is understood; what is no state at all is refused."""
    life = Life(ERRORS)
    life.step(verdict(ERRORS))
    text = life.machine.to_json().replace('"version": 1', '"version": 99')
    again = Machine.from_json(life.settings, text)
    assert again.alerts(life.now) == life.machine.alerts(life.now)
    with pytest.raises(ValueError, match="not an object"):
        Machine.from_json(life.settings, "[]")


def test_the_machine_says_when_it_wants_to_be_asked():
    """The next time at which the same verdicts would change something."""
    life = Life(SLOW, ERRORS)
    assert life.machine.next_edge() is None
    life.step(verdict(SLOW))
    assert life.machine.next_edge() == life.now + 300 * SECOND
    life.step(verdict(ERRORS))
    life.step(over(ERRORS), after=5)
    assert life.machine.next_edge() == life.now + 60 * SECOND
