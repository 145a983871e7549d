"""One outage is told once: alerts are compared over the same time, and memory is no news."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from shapes import SECOND, Life, config, over, target, verdict

from perfmon import AlertLevel
from perfmon.alerts.backtest.backtest import backtest
from perfmon.alerts.backtest.rows import Rows
from perfmon.alerts.grouping import Grouping, Groups, SinkTerms
from perfmon.alerts.rules.compile import watches
from perfmon.records import to_micros
from perfmon.records.validation import RUN_FIELDS

HOUR = 3_600 * SECOND
BEGIN = 1_767_225_600 * SECOND
HEALTHY, TROUBLE, ALL = 1.5, 2.0, 5.5  # hours: until it begins, how long it lasts, of all
ERRORS = target("error_rate_max", agent="a")
SUCCESS = target("success_rate_min", agent="a")
EVERYTHING = target("error_rate_max", agent=None)
EVERY_SUCCESS = target("success_rate_min", agent=None)


def an_outage(seed, failing, rate=300):
    """Runs of three agents, of which so many have a bad time."""
    dice, count = np.random.default_rng(seed), round(rate * ALL)
    at = np.sort(dice.integers(0, round(ALL * HOUR), count))
    agents = dice.integers(0, 3, count)
    hit = (at >= HEALTHY * HOUR) & (at < (HEALTHY + TROUBLE) * HOUR) & (agents < failing)
    failed = dice.random(count) < np.where(hit, 0.6, 0.05)
    runs = []
    for number in range(count):
        known = {
            "run_id": str(number), "tenant": "default", "agent_name": f"a{agents[number]}",
            "timestamp": BEGIN + int(at[number]), "status": int(failed[number]), "timed_out": 0,
        }  # fmt: skip
        runs.append(tuple(known.get(name) for name in RUN_FIELDS))
    return Rows(runs)


def told(seed, failing):
    """Whom the messages that fire name, and how many hours after the trouble began."""
    made = config()
    watched = [watch for watch in watches(made) if watch.family == "success"]
    groups = Groups(Grouping(), [SinkTerms(name="all")])
    tested = backtest(
        made, watched, an_outage(seed, failing), BEGIN, BEGIN + round(ALL * HOUR), groups,
        together=True,
    )  # fmt: skip
    return [
        (message.alerts[0].agent_name, (to_micros(message.created_at) - BEGIN) / HOUR - HEALTHY)
        for message in tested.messages
        if message.kind == "firing"
    ]


@pytest.mark.parametrize("seed", [1, 4, 6])
def test_where_all_agents_fail_the_system_says_so_once(seed):
    """No agent speaks up meanwhile, nor when it is over and only a longer window remembers."""
    ((name, after),) = told(seed, failing=3)
    assert name is None
    assert after < 0.1


def test_an_agent_that_was_first_and_then_the_system_are_two():
    """Others fail as well is news, and told soon; that each of them does is not."""
    (first, _), (second, after) = told(2, failing=3)
    assert (first, second) == ("a0", None)
    assert after < 0.25


def test_an_agent_that_fails_alone_speaks_for_the_system():
    """The system's alert is explained by it, from the first look to the last."""
    assert [name for name, _ in told(0, failing=1)] == ["a0"]


# By given verdicts


class Post:
    """A machine with a sink, and how many runs there are since when."""

    def __init__(self, *targets):
        self.life = Life(*targets)
        self.groups = Groups(Grouping(), [SinkTerms(name="all")])
        self.counts = {EVERYTHING.key: (400, 240), EVERY_SUCCESS.key: (400, 240)}
        self.told = []

    def lasting(self, seconds, *verdicts):
        for _ in range(round(seconds / 5)):
            self.life.now += 5 * SECOND
            changes = self.life.machine.step(self.life.now, verdicts, None, self.count)
            for message in self.groups.step(self.life.now, changes.standings):
                self.told.append((message.kind, message.alerts[0].agent_name))

    def count(self, key, _since, _limit):
        return self.counts.get(key, (14, 3))

    @property
    def firing(self):
        return [name for kind, name in self.told if kind == "firing"]


def figures(post, own, bad, runs, seconds, **more):
    """A breach by the runs of the last so many seconds."""
    now = post.life.now
    found = verdict(own, value=bad / runs, bad=bad, sample_size=runs, seconds=seconds)
    begins = now + 1 - round(seconds * SECOND)
    return attrs.evolve(
        found, at=now, bounds=(begins, now + 1), since=begins, lately=float(bad),
        **{"whole": (runs, bad), **more},
    )  # fmt: skip


def test_a_part_is_held_against_the_whole_of_the_same_time():
    """The whole's hour is better than its last quarter, which is as bad as the part's."""
    post = Post(ERRORS, EVERYTHING)
    post.lasting(60, figures(post, EVERYTHING, 78, 313, 3600.0))
    whole = figures(post, EVERYTHING, 78, 313, 3600.0)
    own = figures(post, ERRORS, 18, 25, 900.0, whole=(97, 23))
    post.counts = {EVERYTHING.key: (75, 52), ERRORS.key: (97, 23)}
    post.lasting(60, whole, own)
    assert post.firing == [None]
    post.counts = {EVERYTHING.key: (75, 20), ERRORS.key: (97, 23)}
    post.lasting(60, whole, own)
    assert post.firing == [None, "a"]


def test_a_part_that_is_slow_to_recover_needs_runs_of_its_own_to_speak_up():
    """Three bad ones more in a window that remembers the outage are no breach by themselves."""
    post = Post(ERRORS, EVERYTHING)
    post.lasting(300, figures(post, EVERYTHING, 240, 400, 3600.0))
    post.lasting(60, figures(post, EVERYTHING, 240, 400, 3600.0), figures(post, ERRORS, 9, 20, 7e4))
    post.lasting(90, over(EVERYTHING), figures(post, ERRORS, 9, 20, 7e4))
    assert post.told == [("firing", None), ("resolved", None)]
    post.lasting(60, over(EVERYTHING), figures(post, ERRORS, 14, 20, 7e4))
    assert post.firing == [None]
    post.counts[ERRORS.key] = 12, 8
    post.lasting(60, over(EVERYTHING), figures(post, ERRORS, 14, 20, 7e4))
    assert post.firing == [None, "a"]


def test_a_part_whose_breach_is_all_of_later_speaks_up():
    """All of the stretch that shows it began when the other one was over: it goes on failing."""
    post = Post(ERRORS, EVERYTHING)
    both = figures(post, EVERYTHING, 240, 400, 3600.0), figures(post, ERRORS, 60, 100, 3600.0)
    post.counts[ERRORS.key] = 20, 4
    post.lasting(60, both[0])
    post.lasting(300, *both)
    post.lasting(600, over(EVERYTHING), both[1])
    assert post.firing == [None]
    post.lasting(60, over(EVERYTHING), figures(post, ERRORS, 12, 20, 300.0))
    assert post.firing == [None, "a"]


def test_a_whole_that_eases_does_not_hand_over_to_the_part_it_spoke_for():
    """Both are easing by now; that they are equally urgent again is no news."""
    post = Post(ERRORS, SUCCESS, EVERYTHING, EVERY_SUCCESS)
    calm = [over(EVERY_SUCCESS), over(SUCCESS)]
    post.lasting(60, figures(post, EVERY_SUCCESS, 13, 20, 25_000.0), *calm[1:])
    whole = figures(post, EVERYTHING, 13, 20, 25_000.0)
    own = figures(post, ERRORS, 7, 17, 80_000.0)
    post.lasting(
        60, figures(post, EVERY_SUCCESS, 13, 20, 25_000.0), whole, own,
        figures(post, SUCCESS, 7, 17, 80_000.0),
    )  # fmt: skip
    # The whole eases first, while its part is critical; then the part does, by memory still bad.
    eased = attrs.evolve(verdict(EVERYTHING), state=verdict(EVERYTHING).state.CLEAR, level=None)
    post.lasting(120, eased, calm[0], own, figures(post, SUCCESS, 7, 17, 80_000.0))
    post.lasting(300, eased, *calm, own)
    alerts = {a.agent_name: a for a in post.life.machine.alerts(post.life.now)}
    assert {a.level for a in alerts.values()} == {AlertLevel.WARNING}
    assert post.firing == [None]


def test_what_an_older_version_kept_quiet_is_judged_in_the_same_way():
    """Its state has all that it takes; one without it begins to count at this look."""
    post = Post(ERRORS, EVERYTHING)
    both = figures(post, EVERYTHING, 240, 400, 3600.0), figures(post, ERRORS, 9, 20, 7e4)
    post.lasting(60, both[0])
    post.lasting(60, *both)
    post.lasting(90, over(EVERYTHING), both[1])
    post.life.restart()
    for concern in post.life.machine.memory.in_concern():
        concern.fades_since = concern.least = None
    post.lasting(60, over(EVERYTHING), figures(post, ERRORS, 14, 20, 7e4))
    assert post.firing == [None]
