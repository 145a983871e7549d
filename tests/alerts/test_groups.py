"""What goes out: one message for many, and to each sink what it was not told."""

from __future__ import annotations

import attrs
import pytest
from shapes import SECOND, T0, Life, over, target, verdict

from perfmon import AlertLevel
from perfmon.alerts.grouping import Grouping, Groups
from perfmon.alerts.rules.targets import Target, alert_key
from perfmon.delivery.terms import SinkTerms
from perfmon.records import Scope

SLACK = SinkTerms(name="slack")
PAGER = SinkTerms(name="pager", min_level=AlertLevel.CRITICAL, most=None)
ERRORS = target("error_rate_max", agent="a")
SUCCESS = target("success_rate_min", agent="b")


class Post:
    """A machine with its groups: what is sent while the same is seen."""

    def __init__(self, *targets, sinks=(SLACK,), grouping=None, **settings):
        self.life = Life(*targets, **settings)
        self.groups = Groups(grouping or Grouping(), sinks)

    def step(self, *verdicts, after=0.0):
        changes = self.life.step(*verdicts, after=after)
        return self.groups.step(self.life.now, changes.standings)

    def lasting(self, seconds, *verdicts, every=1.0):
        found = []
        for _ in range(round(seconds / every)):
            found += self.step(*verdicts, after=every)
        return found

    def restart(self):
        self.life.restart()
        text = self.groups.to_json()
        self.groups = Groups.from_json(self.groups.grouping, self.groups.sinks, text)
        assert self.groups.to_json() == text


def many(count):
    own = target("error_rate_max")
    scopes = [Scope(agent_name=f"agent-{number:04}") for number in range(count)]
    return [Target(alert_key(own.watch.rule, scope), own.watch, scope) for scope in scopes]


def told(messages):
    return [(m.sink, m.kind, [alert.state for alert in m.alerts]) for m in messages]


def test_the_first_message_waits_two_seconds_for_company():
    """And has all that came in the meantime, the most urgent first."""
    post = Post(ERRORS, SUCCESS)
    assert post.step(verdict(ERRORS)) == []
    assert post.step(verdict(ERRORS), verdict(SUCCESS), after=1) == []
    (message,) = post.step(verdict(ERRORS), verdict(SUCCESS), after=1)
    assert (message.kind, message.group, message.left_out) == ("firing", "all", 0)
    assert [alert.rule for alert in message.alerts] == ["success_rate_min", "error_rate_max"]
    assert post.lasting(300, verdict(ERRORS), verdict(SUCCESS)) == []


def test_a_thousand_alerts_are_one_message():
    """With twenty of them and the count of the rest; so are their ends."""
    crowd = many(1000)
    post = Post(*crowd)
    breaches, ends = [verdict(t) for t in crowd], [over(t) for t in crowd]
    (message,) = post.lasting(30, *breaches, every=2)
    assert (len(message.alerts), message.left_out) == (20, 980)
    (message,) = post.lasting(90, *ends, every=5)
    assert (message.kind, len(message.alerts), message.left_out) == ("resolved", 20, 980)


def test_a_group_is_heard_every_thirty_seconds_at_most():
    """However the alerts come and go."""
    crowd = many(60)
    post = Post(*crowd)
    sent = []
    for second in range(60):
        found = post.step(*[verdict(t) for t in crowd[: second + 1]], after=1)
        sent += [(second, len(message.alerts) + message.left_out) for message in found]
    assert sent == [(2, 3), (32, 30)]


def test_a_sink_without_a_limit_gets_every_alert():
    """Such as one whose receiver keeps an account of each."""
    crowd = many(100)
    (message,) = Post(*crowd, sinks=[attrs.evolve(SLACK, most=None)]).lasting(
        3, *[verdict(t) for t in crowd]
    )
    assert (len(message.alerts), message.left_out) == (100, 0)


def test_each_sink_has_its_own_level_and_account():
    """What one was never told is not resolved to it."""
    post = Post(ERRORS, SUCCESS, sinks=(SLACK, PAGER))
    begun = post.lasting(3, verdict(ERRORS), verdict(SUCCESS))
    assert {m.sink: len(m.alerts) for m in begun} == {"slack": 2, "pager": 1}
    ended = post.lasting(100, over(ERRORS), over(SUCCESS))
    assert {m.sink: len(m.alerts) for m in ended} == {"slack": 2, "pager": 1}
    assert post.groups.told("slack") == post.groups.told("pager") == {}


def test_a_rise_is_told_as_one_and_to_those_it_reaches():
    """A sink of critical alerts hears of it for the first time then."""
    post = Post(ERRORS, sinks=(SLACK, PAGER))
    assert told(post.lasting(40, verdict(ERRORS))) == [("slack", "firing", ["firing"])]
    worse = verdict(ERRORS, level=AlertLevel.CRITICAL)
    assert told(post.lasting(40, worse)) == [
        ("slack", "escalated", ["firing"]), ("pager", "firing", ["firing"]),
    ]  # fmt: skip


def test_a_reminder_is_told_once():
    """When it is due."""
    post = Post(ERRORS, repeat={AlertLevel.WARNING: 600.0})
    assert [m.kind for m in post.lasting(1000, verdict(ERRORS))] == ["firing", "reminder"]


def test_what_is_silenced_is_not_told_and_its_end_is_if_it_was():
    """A silence that ends while the alert fires lets it be heard."""
    post = Post(ERRORS)
    post.life.machine.silence({"agent": "a"}, T0, T0 + 100 * SECOND, "ann")
    assert post.lasting(99, verdict(ERRORS)) == []
    assert told(post.lasting(10, verdict(ERRORS))) == [("slack", "firing", ["firing"])]
    post.life.machine.silence({"agent": "a"}, post.life.now, T0 + 1000 * SECOND, "ann")
    assert told(post.lasting(100, over(ERRORS))) == [("slack", "resolved", ["resolved"])]


def test_what_was_silenced_all_its_life_is_never_told():
    """Neither its beginning nor its end."""
    post = Post(ERRORS)
    post.life.machine.silence({"agent": "a"}, T0, T0 + 1000 * SECOND, "ann")
    assert post.lasting(50, verdict(ERRORS)) + post.lasting(100, over(ERRORS)) == []


def test_what_is_inhibited_is_told_when_it_is_so_no_longer():
    """The system's alert, after the agent's that explained it."""
    one = target("error_rate_max", agent="a")
    everything = target("error_rate_max", agent=None)
    post = Post(one, everything)
    explained = [verdict(one, bad=60, sample_size=80), verdict(everything, bad=70, sample_size=400)]
    (first,) = post.lasting(60, *explained)
    assert [alert.agent_name for alert in first.alerts] == ["a"]
    found = post.lasting(100, over(one), verdict(everything, bad=300, sample_size=400))
    assert [[a.agent_name for a in m.alerts] for m in found if m.kind == "firing"] == [[None]]


def test_groups_are_by_what_they_have_in_common():
    """The tenant by default; a message of each."""
    rule = {"name": "r", "metric": "error_rate", "above": 0.1, "tenant": "*"}
    own = target("r", rule).watch
    scopes = [Scope(tenant=tenant, agent_name="a") for tenant in ("t1", "t2")]
    both = [Target(alert_key("r", scope), own, scope) for scope in scopes]
    found = Post(*both).lasting(3, *map(verdict, both))
    assert [m.group for m in found] == ["tenant=t1", "tenant=t2"]
    by_agent = Post(*both, grouping=Grouping(group_by=("agent", "level")))
    (message,) = by_agent.lasting(3, *map(verdict, both))
    assert message.group == "agent=a,level=warning"


def test_a_rule_may_wait_longer():
    """The shortest wait of a group's alerts counts."""
    patient = target("r", {"name": "r", "metric": "error_rate", "above": 0.1, "group_wait": "1m"})
    assert Post(patient).lasting(59, verdict(patient)) == []
    post = Post(patient, ERRORS)
    assert len(post.lasting(3, verdict(patient), verdict(ERRORS))) == 1


def test_a_step_done_again_makes_the_same_message():
    """With the same id, and another one for other news."""
    posts = [Post(ERRORS), Post(ERRORS)]
    first, again = (post.lasting(3, verdict(ERRORS)) for post in posts)
    assert first == again
    (end,) = posts[0].lasting(100, over(ERRORS))
    assert end.message_id != first[0].message_id


@pytest.mark.parametrize("moment", [1, 2, 3, 20, 70, 90])
def test_a_restart_says_nothing_twice_and_forgets_nothing(moment):
    """Wherever in an episode it comes."""
    post, found = Post(ERRORS), []
    for second in range(150):
        found += post.step(verdict(ERRORS) if second < 60 else over(ERRORS), after=1)
        if second == moment:
            post.restart()
    assert told(found) == [("slack", "firing", ["firing"]), ("slack", "resolved", ["resolved"])]


def test_an_end_that_waits_survives_a_restart():
    """The group was heard a moment ago, so its end waits."""
    post = Post(
        target("r", {"name": "r", "metric": "error_rate", "above": 0, "keep_firing_for": "0s"})
    )
    (own,) = post.life.targets
    post.lasting(3, verdict(own))
    assert post.lasting(5, over(own)) == []
    post.restart()
    assert told(post.lasting(40, over(own))) == [("slack", "resolved", ["resolved"])]


def test_an_alert_that_nobody_knows_any_more_is_resolved_to_those_who_were_told():
    """As where the state of the machine was lost and that of the groups was not."""
    post = Post(ERRORS)
    post.lasting(3, verdict(ERRORS))
    found = [m for second in range(60) for m in post.groups.step(T0 + second * SECOND, [])]
    assert told(found) == [("slack", "resolved", ["resolved"])]
    assert found[0].alerts[0].details["reason"] == "it is no longer known"


def test_a_clock_that_goes_back_does_not_hold_messages():
    """The interval counts from now then."""
    post = Post(ERRORS, SUCCESS)
    post.lasting(3, verdict(ERRORS))
    post.step(verdict(ERRORS), after=-86_400)
    assert len(post.lasting(31, verdict(ERRORS), verdict(SUCCESS))) == 1


def test_a_state_of_another_version_is_read():
    """As far as it is understood; what is no state at all is refused."""
    assert Groups.from_json(Grouping(), [SLACK], '{"version": 7}').told("slack") == {}
    with pytest.raises(ValueError, match="not an object"):
        Groups.from_json(Grouping(), [SLACK], "7")
