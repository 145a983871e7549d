"""The bus: who is called, in which order, and that no plugin can spoil it for another."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmon import AgentRun, InvalidRun, PluginError, hookimpl
from perfmon import hookspecs as specs
from perfmon.config.secret import Secret
from perfmon.plugins.bus import Bus
from perfmon.plugins.hooks import EVENTS, INPUTS


class Clock:
    """Monotonic seconds that pass only when told to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def bus(clock):
    made = Bus(deadline=30, clock=clock)
    yield made
    made.close(5)


@pytest.fixture
def release():
    """Set at the end, so that what hangs in a test ends with it."""
    event = threading.Event()
    yield event
    event.set()


def wait_for(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.002)


def run(number=1, **fields):
    return AgentRun(run_id=str(number), agent_name="a", agent_type="t", status="success", **fields)


class Listener:
    """Remembers the ids of the runs it was told of, in order."""

    def __init__(self):
        self.heard = []

    @hookimpl
    def runs_recorded(self, runs):
        self.heard += [run.run_id for run in runs]


class Raiser:
    """Fails whatever it is told or asked."""

    @hookimpl
    def runs_recorded(self, runs):
        raise ValueError("no")

    @hookimpl
    def score_outcome(self, predicted):
        raise SystemExit(3)


class Hanger:
    """Does not come back from its first call before it is released."""

    def __init__(self, release):
        self.release = release
        self.calls = 0

    def _hang(self):
        self.calls += 1
        if self.calls == 1:
            self.release.wait()

    @hookimpl
    def runs_recorded(self):
        self._hang()

    @hookimpl
    def price_run(self, run):
        self._hang()

    @hookimpl
    def score_outcome(self):
        self._hang()


class Scorer:
    """Answers with a constant."""

    def __init__(self, answer):
        self.answer = answer

    @hookimpl
    def score_outcome(self, predicted, actual):
        return self.answer


class Pricer:
    """A price for each run whose id is in its list."""

    def __init__(self, prices):
        self.prices = prices

    @hookimpl
    def price_run(self, run):
        return self.prices.get(run.run_id)


class Recorder:
    """Stands in for the monitor behind the input hooks."""

    @hookimpl
    def run_finished(self, run):
        if run is None:
            raise InvalidRun("run", run, "a run")


class Slow(Listener):
    """Takes each batch only when it is let."""

    def __init__(self, gate):
        super().__init__()
        self.gate = gate

    @hookimpl
    def runs_recorded(self, runs):
        self.gate.wait()
        super().runs_recorded(runs)


def test_one_raises_one_hangs_one_is_slow_and_the_others_hear_all(bus, clock, release):
    """The rest is told everything, in order, and the accounts say who did what."""
    gate = threading.Event()
    hanger, slow, good = Hanger(release), Slow(gate), Listener()
    for name, plugin in {"raiser": Raiser(), "hanger": hanger, "slow": slow, "good": good}.items():
        bus.register(plugin, name)
    for number in range(50):
        bus.publish("runs_recorded", runs=[run(number)])
    expected = [str(number) for number in range(50)]
    wait_for(lambda: good.heard == expected and bus.accounts()["raiser"]["failures"] == 50)
    assert slow.heard == []
    gate.set()
    wait_for(lambda: slow.heard == expected and hanger.calls == 1)
    clock.now = 31.0
    accounts = bus.accounts()
    assert not accounts["hanger"]["in_service"]
    assert accounts["hanger"]["dropped"] == 49
    assert "took longer than 30 s" in accounts["hanger"]["last_error"]
    assert accounts["raiser"]["last_error"].startswith("runs_recorded: ValueError: no (")
    assert (accounts["good"]["calls"], accounts["good"]["failures"]) == (50, 0)
    assert "hanger" not in dict(bus.implementations("runs_recorded"))


def test_the_last_registered_is_asked_first_and_the_first_answer_counts(bus):
    """A user's scorer comes before the built-in one, a failing or silent one is passed over."""
    for name, plugin in {"built-in": Scorer(0.5), "silent": Scorer(None), "bad": Raiser()}.items():
        bus.register(plugin, name)
    assert bus.ask_named("score_outcome", predicted=1, actual=1) == ("built-in", 0.5)
    bus.register(Scorer(0.9), "own")
    assert bus.hook.score_outcome(predicted=1, actual=1) == 0.9
    assert bus.ask_all("score_outcome", predicted=1, actual=1) == [0.9, 0.5]
    assert bus.accounts()["bad"]["failures"] == 2


def test_tryfirst_and_trylast_are_honoured(bus):
    """As pluggy orders them."""

    class First:
        @hookimpl(tryfirst=True)
        def score_outcome(self):
            return 1.0

    class Last:
        @hookimpl(trylast=True)
        def score_outcome(self):
            return 0.0

    for name, plugin in {"first": First(), "middle": Scorer(0.5), "last": Last()}.items():
        bus.register(plugin, name)
    assert [name for name, _ in bus.implementations("score_outcome")] == ["first", "middle", "last"]


def test_an_answer_that_is_not_allowed_counts_as_a_failure(bus):
    """The check's refusal is the plugin's, and the next one is asked."""

    def in_range(score):
        if not 0 <= score <= 1:
            raise ValueError(f"{score} is not in [0, 1]")
        return score

    bus.register(Scorer(0.5), "good")
    bus.register(Scorer(7), "wild")
    assert bus.ask("score_outcome", check=in_range, predicted=1, actual=1) == 0.5
    assert "7 is not in [0, 1]" in bus.accounts()["wild"]["last_error"]


def test_errors_that_are_answers_reach_who_asked(bus):
    """Storage that cannot be opened is told to the one who wants it open."""

    class Storage:
        @hookimpl
        def open_storage(self, url):
            raise PluginError(f"no driver for {url}")

    bus.register(Storage(), "sql")
    with pytest.raises(PluginError, match="no driver for x:"):
        bus.ask("open_storage", propagate=PluginError, url="x:")
    assert bus.ask("open_storage", url="x:") is None


def test_the_monitors_refusal_reaches_the_caller_and_nobody_elses_does(bus):
    """`hook.run_finished` behaves as `record_agent_run`, whatever plugins do with it."""
    heard = []

    class Nosy:
        @hookimpl
        def run_finished(self, run):
            heard.append(run.run_id)
            raise InvalidRun("run", run, "another run")

    bus.register(Recorder(), "monitor")
    bus.register(Nosy(), "nosy")
    bus.hook.run_finished(run=run(1))
    with pytest.raises(InvalidRun, match="must be a run"):
        bus.hook.run_finished()
    wait_for(lambda: bus.accounts()["nosy"]["failures"] == 1)
    assert heard == ["1"]


def test_a_question_about_many_is_answered_by_the_first_who_can(bus):
    """Each item gets the first plugin's answer, and the rest goes to the next."""
    bus.register(Pricer({"1": 1.0, "2": 2.0}), "general")
    bus.register(Pricer({"2": 20.0}), "special")
    answers = bus.ask_guarded("price_run", 30, [run(1), run(2), run(3)])
    assert answers == [1.0, 20.0, None]


def test_one_that_hangs_over_a_question_is_cut_off(release):
    """It costs one deadline, once; the next plugin answers in its stead."""
    bus = Bus()
    bus.register(Pricer({"1": 1.0, "2": 2.0}), "good")
    bus.register(Hanger(release), "hanger")
    assert bus.ask_guarded("price_run", 5.0, [run(1)]) == [1.0]
    assert not bus.accounts()["hanger"]["in_service"]
    assert bus.ask_guarded("price_run", 60.0, [run(2)]) == [2.0]
    assert bus.accounts()["hanger"]["calls"] == 0


def test_a_call_that_hangs_in_a_callers_thread_takes_its_plugin_out(bus, clock, release):
    """That thread is lost to it; the others are spared."""
    hanger = Hanger(release)
    bus.register(Scorer(0.5), "good")
    bus.register(hanger, "hanger")
    question = {"predicted": 1, "actual": 1}
    thread = threading.Thread(target=bus.ask, args=("score_outcome",), kwargs=question, daemon=True)
    thread.start()
    wait_for(lambda: hanger.calls == 1)
    clock.now = 31.0
    assert bus.ask("score_outcome", **question) == 0.5
    assert not bus.accounts()["hanger"]["in_service"]
    assert hanger.calls == 1


def test_a_backlog_is_bounded_and_counted():
    """What a plugin is too slow for is dropped for it alone."""
    gate = threading.Event()
    bus, slow, good = Bus(capacity=10), Slow(gate), Listener()
    bus.register(slow, "slow")
    bus.publish("runs_recorded", runs=[run(0)])
    wait_for(lambda: not bus._workers["slow"][0]._queue)
    bus.register(good, "good")
    for number in range(1, 8):
        bus.publish("runs_recorded", runs=[run(number)] * 3)
        wait_for(lambda expected=3 * number: len(good.heard) == expected)
    gate.set()
    bus.close(60)
    assert len(slow.heard) == 1 + 3 * 3
    assert bus.accounts()["slow"]["dropped"] == 4 * 3


def test_close_delivers_what_waits_and_the_bus_can_go_on(bus):
    """Nothing published is lost by an orderly end."""
    good = Listener()
    bus.register(good, "good")
    for _ in range(2):
        bus.publish("runs_recorded", runs=[run(n) for n in range(100)])
        bus.close(60)
    assert len(good.heard) == 200


def test_close_waits_no_longer_than_it_may(bus, release):
    """One that hangs does not hold up the end of the process."""
    bus.register(Hanger(release), "hanger")
    for _ in range(3):
        bus.publish("runs_recorded", runs=[run()])
    bus.close(0.05)
    assert bus.accounts()["hanger"]["dropped"] in {2, 3}


def test_each_plugin_has_a_list_of_its_own(bus):
    """One that empties what it is given takes nothing from the others."""

    class Thief:
        @hookimpl
        def runs_recorded(self, runs):
            runs.clear()

    good, runs = Listener(), [run()]
    bus.register(good, "good")
    bus.register(Thief(), "thief")
    bus.publish("runs_recorded", runs=runs)
    bus.close(60)
    assert good.heard == ["1"]
    assert len(runs) == 1


def test_coroutines_are_seen_through_to_their_end(bus):
    """Events and questions may be async; each runs on its plugin's thread."""

    class Async(Listener):
        @hookimpl
        async def runs_recorded(self, runs):
            await asyncio.sleep(0)
            super().runs_recorded(runs)

        @hookimpl
        async def price_run(self, run):
            await asyncio.sleep(0)
            return 2.0

    plugin = Async()
    bus.register(plugin, "async")
    bus.publish("runs_recorded", runs=[run()])
    assert bus.ask("price_run", run=run()) == 2.0
    bus.close(60)
    assert plugin.heard == ["1"]


class Judge:
    """Answers from far away, by what it is asked for; `deadline` is its own."""

    def __init__(self, deadline=60.0, together=1, release=None):
        self.deadline = deadline
        self.release = release
        self.together = asyncio.Barrier(together)

    @hookimpl
    async def score_outcome(self, predicted, actual):
        if predicted == "slow":
            await asyncio.sleep(60)
        if predicted == "stuck":
            self.release.wait()
        if predicted == "exit":
            raise SystemExit(3)
        if predicted == "cancel":
            raise asyncio.CancelledError
        await self.together.wait()
        return predicted


def ask_judge(bus, predicted):
    return bus.call_remote(bus.find("score_outcome", "judge"), (predicted, None))


def test_a_slow_answer_from_far_away_is_cut_off_and_its_plugin_stays(bus):
    """Its own deadline counts; it may be slow as often as it likes, and fail in any way."""
    bus.register(Judge(deadline=0.2), "judge")
    for _ in range(4):
        assert "no answer within 0.2 s" in ask_judge(bus, "slow").problem
    bus._remotes["judge"]._deadline = 60.0
    assert "it raised SystemExit" in ask_judge(bus, "exit").problem
    assert "it was cancelled" in ask_judge(bus, "cancel").problem
    assert ask_judge(bus, 0.5) == (0.5, None)
    assert ask_judge(bus, None) == (None, None)
    account = bus.accounts()["judge"]
    assert (account["calls"], account["failures"], account["in_service"]) == (8, 6, True)


def test_what_is_far_away_is_asked_by_many_at_once(bus):
    """Each waits for its own answer, and none for another's."""
    bus.register(Judge(together=20), "judge")
    with ThreadPoolExecutor(20) as pool:
        told = list(pool.map(lambda number: ask_judge(bus, number), range(40)))
    assert told == [(number, None) for number in range(40)]


def test_a_coroutine_that_cannot_be_stopped_takes_its_plugin_out(bus, release):
    """It blocks its thread; who asks next is told why there is no answer."""
    bus.register(Judge(deadline=0.2, release=release), "judge")
    bus._remotes["judge"]._grace = 0.1
    assert "took over 0.2 s and cannot be stopped" in ask_judge(bus, "stuck").problem
    assert "disabled" in ask_judge(bus, 0.5).problem
    assert bus.chain("score_outcome") == ()


def test_the_end_of_the_bus_is_the_end_of_what_waits_far_away(bus):
    """What is under way is cancelled, and no failure of the plugin; the bus can go on."""
    bus.register(Judge(deadline=60), "judge")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask_judge, bus, "slow")
        wait_for(lambda: bus._remotes["judge"]._open)
        bus.close(0.05)
        assert waiting.result().problem == "score_outcome: the monitor stopped"
    assert bus.accounts()["judge"]["failures"] == 0
    assert ask_judge(bus, 0.5).answer == 0.5


def test_arguments_by_place_reach_those_who_take_them_by_name(bus):
    """Some of them, in any order."""

    class Reversed:
        @hookimpl
        def score_outcome(self, actual, predicted):
            return actual - predicted

    class Half:
        @hookimpl
        def score_outcome(self, actual):
            return actual

    bus.register(Reversed(), "reversed")
    bus.register(Half(), "half", by_name=("score_outcome",))
    assert [one.plugin for one in bus.chain("score_outcome")] == ["reversed"]
    assert bus.call(bus.find("score_outcome", "reversed"), (1, 4)) == 3
    assert bus.call(bus.find("score_outcome", "half"), (1, 4)) == 4
    assert bus.find("score_outcome", "nobody") is None


def test_the_first_failure_and_then_every_hundredth_is_logged_without_secrets(bus, caplog):
    """A plugin that always fails fills no log, and no log holds a secret."""

    class Leaky:
        key = Secret("canary-5")

        @hookimpl
        def score_outcome(self):
            raise ValueError(f"bad key {self.key.reveal()} for https://me:canary@host/x?k=canary")

    bus.register(Leaky(), "leaky")
    with caplog.at_level(logging.WARNING, logger="perfmon"):
        for _ in range(150):
            bus.ask("score_outcome", predicted=1, actual=1)
    assert len([one for one in caplog.records if "'leaky'" in one.getMessage()]) == 2
    assert "'leaky' failed (101 so far)" in caplog.text
    assert "canary" not in caplog.text + bus.accounts()["leaky"]["last_error"]


def marked(name, function):
    function.__name__ = name
    return type("Plugin", (), {name: staticmethod(hookimpl(function))})()


@pytest.mark.parametrize(
    ("plugin", "words"),
    [
        (
            marked("run_recorded", lambda runs: None),
            "no such hook: 'run_recorded'; did you mean 'run",
        ),
        (marked("price_run", lambda cost: None), "price_run has no argument 'cost'; it has run"),
        (
            type("P", (), {"price_run": hookimpl(wrapper=True)(lambda self, run: (yield))})(),
            "price_run cannot be a wrapper",
        ),
    ],
)
def test_a_wrong_implementation_is_refused_in_one_line(bus, plugin, words):
    """Who, which hook, what is wrong; and nothing of it is registered."""
    with pytest.raises(PluginError, match=f"^plugin 'wrong': .*{words}"):
        bus.register(plugin, "wrong")
    assert bus.accounts() == {}


def test_a_name_is_taken_once(bus):
    """And given back by `unregister`."""
    bus.register(Scorer(1), "scorer")
    with pytest.raises(PluginError, match="'scorer' is already registered"):
        bus.register(Scorer(2), "scorer")
    bus.unregister("scorer")
    assert bus.implementations("score_outcome") == []
    bus.register(Scorer(2), "scorer")


def test_the_facade_knows_its_hooks_and_their_arguments(bus):
    """A slip of the caller's is told with what was meant."""
    assert "run_finished" in dir(bus.hook)
    with pytest.raises(AttributeError, match="did you mean 'run_finished'"):
        bus.hook.run_finishd()
    with pytest.raises(
        TypeError, match=r"run_finished has no argument 'runs' \(arguments: run\); did"
    ):
        bus.hook.run_finished(runs=[])


def test_every_hook_that_tells_what_happened_is_an_event(bus):
    """By their names: a past participle tells, a verb asks."""
    telling = ("ed", "ing", "known")
    hooks = {name for name in dir(specs) if hasattr(getattr(specs, name), "perfmon_spec")}
    assert hooks == set(bus.arguments)
    assert {hook for hook in hooks if hook.endswith(telling)} == INPUTS | EVENTS - {"deliver_alert"}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["good", "raises", "silent"]), max_size=6))
def test_whatever_the_others_do_the_first_good_answer_is_found(kinds):
    """The last registered that answers wins; all that listen hear all, in order."""
    bus, listeners = Bus(), []
    for number, kind in enumerate(kinds):
        plugin = {"good": Scorer(number), "raises": Raiser(), "silent": Listener()}[kind]
        bus.register(plugin, str(number))
        listeners += [plugin] if kind == "silent" else []
    expected = max((n for n, kind in enumerate(kinds) if kind == "good"), default=None)
    assert bus.ask("score_outcome", predicted=1, actual=1) == expected
    for number in range(3):
        bus.publish("runs_recorded", runs=[run(number)])
    bus.close(60)
    assert all(listener.heard == ["0", "1", "2"] for listener in listeners)
