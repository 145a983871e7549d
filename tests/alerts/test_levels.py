"""What several rules say of one subject in one scope is one alert, whose level goes up and down."""

from __future__ import annotations

import json

import attrs
import pytest
from shapes import SECOND, Life, config, over, target, verdict

from perfmon import AlertLevel
from perfmon.alerts.episodes.machine import Machine
from perfmon.alerts.evidence.judge import judge
from perfmon.alerts.evidence.verdicts import Sample, State, Tally
from perfmon.alerts.grouping import Grouping, Groups
from perfmon.alerts.rules.compile import watches
from perfmon.delivery.messages import alert_labels
from perfmon.delivery.sinks import SinkTable
from perfmon.delivery.terms import SinkTerms

ERRORS = target("error_rate_max", agent="a")
SUCCESS = target("success_rate_min", agent="a")
EVERYTHING = target("error_rate_max", agent=None)
ALL = SinkTerms(name="all")
WARNING = SinkTerms(name="warning", min_level=AlertLevel.WARNING)
PAGER = SinkTerms(name="pager", min_level=AlertLevel.CRITICAL, most=None)


class Post:
    """A machine with its groups, and all that each sink was sent."""

    def __init__(self, *targets, sinks=(ALL, WARNING, PAGER), **settings):
        self.life = Life(*targets, **settings)
        self.groups = Groups(Grouping(), sinks)
        self.told = []

    def lasting(self, seconds, *verdicts, every=5.0):
        for _ in range(round(seconds / every)):
            changes = self.life.step(*verdicts, after=every)
            self.told += self.groups.step(self.life.now, changes.standings)

    def restart(self):
        self.life.restart()
        text = self.groups.to_json()
        self.groups = Groups.from_json(self.groups.grouping, self.groups.sinks, text)

    def kinds(self, sink):
        return [(m.kind, str(m.level)) for m in self.told if m.sink == sink]


def an_outage(post, restart=lambda: None):
    """Errors first, then too few successes; these clear first, the errors later."""
    post.lasting(60, verdict(ERRORS), over(SUCCESS))
    restart()
    post.lasting(600, verdict(ERRORS), verdict(SUCCESS))
    restart()
    post.lasting(600, verdict(ERRORS), over(SUCCESS))
    restart()
    post.lasting(120, over(ERRORS), over(SUCCESS))


@pytest.mark.parametrize("restarts", [False, True])
def test_an_outage_is_one_alert_that_rises_eases_and_is_over(restarts):
    """Nobody is paged when the more urgent rule clears; whoever only hears of those, hears it."""
    post = Post(ERRORS, SUCCESS)
    an_outage(post, post.restart if restarts else lambda: None)
    whole = [("firing", "warning"), ("escalated", "critical"), ("eased", "warning"),
             ("resolved", "warning")]  # fmt: skip
    assert post.kinds("all") == post.kinds("warning") == whole
    assert post.kinds("pager") == [("firing", "critical"), ("eased", "warning")]
    assert len({alert.alert_id for message in post.told for alert in message.alerts}) == 1


def test_the_end_tells_what_it_was():
    """Its highest level and its rules are in the details."""
    post = Post(ERRORS, SUCCESS)
    an_outage(post)
    (alert,) = post.told[-1].alerts
    assert (alert.state, alert.details["eased_from"]) == ("resolved", "critical")
    (risen,) = (m.alerts[0] for m in post.told if m.kind == "escalated" and m.sink == "all")
    assert (risen.rule, risen.details["rules"]) == (
        "success_rate_min", ["error_rate_max", "success_rate_min"],
    )  # fmt: skip


def test_labels_are_the_same_whichever_rule_leads():
    """A receiver that knows alerts by their labels sees one; only the severity changes."""
    post = Post(ERRORS, SUCCESS, sinks=(ALL,))
    an_outage(post)
    labels = [alert_labels(message.alerts[0]) for message in post.told]
    assert [one.pop("severity") for one in labels] == ["warning", "critical", "warning", "warning"]
    assert {tuple(sorted(one.items())) for one in labels} == {
        (("agent", "a"), ("alertname", "success_rate_min"), ("metric", "success_rate"),
         ("source", "perfmon")),
    }  # fmt: skip


def test_a_sink_that_heard_it_ease_hears_it_rise_again():
    """And of the end only if it was told to fire again."""
    post = Post(ERRORS, SUCCESS, sinks=(PAGER,))
    post.lasting(60, verdict(ERRORS), verdict(SUCCESS))
    post.lasting(120, verdict(ERRORS), over(SUCCESS))
    post.lasting(60, verdict(ERRORS), verdict(SUCCESS))
    post.lasting(120, over(ERRORS), over(SUCCESS))
    assert [kind for kind, _ in post.kinds("pager")] == [
        "firing", "eased", "escalated", "resolved",
    ]  # fmt: skip


def test_what_eased_is_wanted_by_whoever_was_told_of_it():
    """A sink's own filter lets it through once more, and takes it for the end."""
    post = Post(ERRORS, SUCCESS, sinks=(PAGER,))
    an_outage(post)
    table = SinkTable(min_level="critical")
    fired, eased = post.told
    assert table.wanted(fired) == fired
    assert table.wanted(eased) == eased
    assert [table.is_over(m.alerts[0]) for m in (fired, eased)] == [False, True]
    assert SinkTable(min_level="critical", send_resolved=False).wanted(eased) is None


def test_what_waits_goes_on_where_the_alert_about_it_fires_already():
    """An alert is not over, and begun again a minute later, because a rule has a `for`."""
    slow = target(
        "slow", {"name": "slow", "metric": "error_rate", "above": 0.1, "for": "1h", "family": "success"}
    )  # fmt: skip
    post = Post(slow, SUCCESS, sinks=(ALL,))
    post.lasting(300, verdict(slow), verdict(SUCCESS))
    post.lasting(4000, verdict(slow), over(SUCCESS))
    post.lasting(120, over(slow), over(SUCCESS))
    assert post.kinds("all") == [
        ("firing", "critical"), ("eased", "warning"), ("resolved", "warning"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("family", "alerts"), [(None, 3), ("own", 2), ("success", 2), ("latency", 3)]
)
def test_a_rule_is_one_alert_with_its_family(family, alerts):
    """By default it is one of its own; with a subject's name it joins the thresholds'."""
    rules = [
        {"name": "r1", "metric": "timeout_rate", "above": 0.1},
        {"name": "r2", "metric": "retry_rate", "above": 0.1, "level": "critical"},
    ]
    if family == "own":
        rules = [{**rule, "family": "own"} for rule in rules]
    elif family is not None:
        rules[0]["family"] = family
    own = [target(name, *rules) for name in ("r1", "r2")]
    life = Life(ERRORS, SUCCESS, *own)
    life.step(*map(verdict, life.targets))
    assert len(life.machine.alerts(life.now)) == alerts


def test_the_levels_of_a_rule_rise_and_ease_by_their_own_limits():
    """With `critical_at`, near that limit it stays critical, below it it eases after a while."""
    rule = {"name": "r", "metric": "error_rate", "above": 0.1, "critical_at": 0.5}
    own = target("r", rule)
    life = Life(own)

    def share(bad, runs=200):
        tallies = tuple(Tally(runs, (bad, bad)) for _ in own.watch.stretches)
        return judge(own, Sample(tallies), life.now)

    assert life.kinds(share(130)) == ["firing"]
    assert life.lasting(600, share(95)) == []  # no breach of 50%, and not settled below it
    assert life.lasting(120, share(40)) == ["eased"]
    assert life.lasting(60, share(130)) == ["escalated"]
    assert life.lasting(120, share(2)) == ["resolved"]


def test_every_threshold_of_a_subject_is_one_alert():
    """Successes and errors, latency and a single slow run, memory and a single big one."""
    joints = {}
    for watch in watches(config()):
        joints.setdefault(watch.joint, set()).add(watch.rule)
    assert sorted(map(sorted, joints.values())) == [
        ["accuracy_min"], ["cost_per_task_max"], ["error_rate_max", "success_rate_min"],
        ["latency_p95_max_ms", "latency_p95_max_ms: single run"],
        ["memory_max_mb", "memory_max_mb: single run"], ["token_per_task_max"],
    ]  # fmt: skip


def before_concerns(text, ids):
    """The state as it was when each rule's breach was an alert of its own."""
    raw = json.loads(text)
    for name in ("concerns", "dismissed", "over"):
        del raw[name]
    for episode in raw["episodes"]:
        for name in ("joint", "former_id", "ease_since", "fires", "lately", "seen"):
            del episode[name]
        episode["alert_id"] = ids[episode["rule"]]
    return json.dumps(raw)


@pytest.mark.parametrize("first", ["error_rate_max", "success_rate_min"])
def test_what_fires_at_the_upgrade_keeps_its_ids(first):
    """Each ends under its own, once, when it is over; nothing is announced again."""
    post = Post(ERRORS, SUCCESS, sinks=(ALL,))
    post.lasting(60, verdict(ERRORS), verdict(SUCCESS))
    ids = {"error_rate_max": "old-errors", "success_rate_min": "old-success"}
    told = json.loads(post.groups.to_json())
    ((plain, *rest),) = told["told"]["all"]
    told["told"]["all"] = [[{**plain, "alert_id": ids[rule]}, *rest] for rule in ids]
    post.life.machine = Machine.from_json(
        post.life.settings, before_concerns(post.life.machine.to_json(), ids)
    )
    post.groups = Groups.from_json(Grouping(), (ALL,), json.dumps(told))
    post.told = []
    post.lasting(600, verdict(ERRORS), verdict(SUCCESS))
    firing = post.life.machine.alerts(post.life.now)
    assert {alert.alert_id for alert in firing} == set(ids.values())
    assert post.told == []
    post.restart()
    other = {"error_rate_max": SUCCESS, "success_rate_min": ERRORS}[first]
    own = {"error_rate_max": ERRORS, "success_rate_min": SUCCESS}[first]
    post.lasting(600, over(own), verdict(other))
    assert {m.kind for m in post.told} <= {"resolved", "eased"}
    post.lasting(600, over(own), over(other))
    ended = [a.alert_id for m in post.told if m.kind == "resolved" for a in m.alerts]
    assert sorted(ended) == sorted(ids.values())
    assert {m.kind for m in post.told} <= {"resolved", "eased"}


def figures(own, bad, runs, **more):
    return attrs.evolve(
        verdict(own, value=bad / runs, bad=bad, sample_size=runs, **more),
        whole=(runs, bad), lately=float(bad),
    )  # fmt: skip


def test_the_whole_does_not_speak_up_when_the_part_that_explained_it_is_over():
    """It does when it gets worse again."""
    post = Post(ERRORS, EVERYTHING, sinks=(ALL,))
    post.lasting(300, figures(ERRORS, 60, 80), figures(EVERYTHING, 70, 400))
    post.lasting(300, over(ERRORS), figures(EVERYTHING, 62, 400))
    assert post.kinds("all") == [("firing", "warning"), ("resolved", "warning")]
    post.lasting(300, over(ERRORS), figures(EVERYTHING, 70, 400))
    assert post.kinds("all")[2:] == [("firing", "warning")]


def test_a_part_says_nothing_new_where_the_whole_spoke_first():
    """It is as bad as the whole; one that is worse than that is told."""
    other = target("error_rate_max", agent="b")
    post = Post(ERRORS, other, EVERYTHING, sinks=(ALL,))
    post.lasting(60, figures(EVERYTHING, 240, 400))
    post.lasting(60, figures(EVERYTHING, 240, 400), figures(ERRORS, 12, 20))
    assert post.kinds("all") == [("firing", "warning")]
    post.lasting(60, figures(EVERYTHING, 240, 400), figures(other, 99, 100))
    assert post.kinds("all") == [("firing", "warning")] * 2


def test_an_agent_that_is_slow_to_recover_is_no_news():
    """Its last runs are of the time of the system's outage."""
    post = Post(ERRORS, EVERYTHING, sinks=(ALL,))
    post.lasting(600, figures(EVERYTHING, 240, 400))
    post.lasting(90, over(EVERYTHING))
    begins = post.life.now - 20 * 3600 * SECOND
    own = attrs.evolve(figures(ERRORS, 9, 20), since=begins)
    post.lasting(300, over(EVERYTHING), own)
    assert [kind for kind, _ in post.kinds("all")] == ["firing", "resolved"]
    worse = attrs.evolve(figures(ERRORS, 12, 20), since=begins)
    post.lasting(60, over(EVERYTHING), worse)
    assert [kind for kind, _ in post.kinds("all")] == ["firing", "resolved", "firing"]


def test_where_an_absence_of_all_is_over_the_others_are_named_after_a_while():
    """The system came back with one agent; who is still missing is told after its limit."""
    rule = {"name": "quiet", "no_run_for": "5m"}
    one, everything = target("quiet", rule), target("quiet", rule, agent=None)
    post = Post(one, everything, sinks=(ALL,))
    quiet = [verdict(own, value=400.0, seen=1) for own in (one, everything)]
    back = attrs.evolve(over(everything), seen=2, value=1.0)
    post.lasting(60, *quiet)
    post.lasting(240, quiet[0], back)
    assert [kind for kind, _ in post.kinds("all")] == ["firing", "resolved"]
    post.lasting(300, quiet[0], back)
    assert [kind for kind, _ in post.kinds("all")] == ["firing", "resolved", "firing"]
    assert post.life.now > SECOND


def test_without_data_an_absence_goes_on():
    """It is over with a run that came after it began, and not by a clock that was set back."""
    rule = {"name": "quiet", "no_run_for": "5m"}
    own = target("quiet", rule)
    life = Life(own)
    assert life.kinds(verdict(own, value=400.0, seen=7)) == ["firing"]
    assert life.lasting(2 * 86_400, verdict(own, State.INSUFFICIENT, seen=7), every=60) == []
    assert life.lasting(600, attrs.evolve(over(own), seen=7)) == []
    assert life.lasting(120, attrs.evolve(over(own), seen=8)) == ["resolved"]
