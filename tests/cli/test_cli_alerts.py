"""`perfmon alerts` as people use it, on a storage of its own and beside a monitor that watches."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from perfmon import AlertLevel, PerformanceMonitor
from perfmon.cli import cli
from perfmon.cli.alert_trials import EXAMPLE
from perfmon.testing.stored_alerts import resolved
from perfmon.testing.stored_alerts import stored_alert as make_alert
from perfmon.testing.stored_alerts import stored_message as make_message

STORAGE = "sqlite:///runs.db"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Every test works in an empty folder of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "monitor.toml").write_text(f'[monitor]\nstorage = "{STORAGE}"\n')
    return tmp_path


def alerts(*arguments, code=0):
    result = CliRunner().invoke(cli, ["alerts", *map(str, arguments)])
    assert result.exit_code == code, (result.output, result.exception)
    assert "Traceback" not in result.output
    return result


def narrow(*arguments):
    """What is said, in lines of at most 80 columns."""
    text = alerts(*arguments).stdout
    assert max(map(len, text.splitlines())) <= 80
    return text


def storage(action):
    with PerformanceMonitor(storage_url=STORAGE, enable_auto_alerts=False) as monitor:
        return action(monitor)


@pytest.fixture
def kept():
    """Three that fire and three that are over, with a message about one of them."""
    now = datetime.now(UTC)
    made = [
        make_alert(
            n, alert_id=f"{n}abc{n:016}", level=list(AlertLevel)[n % 3], agent_name=f"agent-{n % 2}", tenant=None,
            started_at=now - timedelta(hours=9 - n), recommendation="Retry less.",
            message=f"agent agent-{n % 2}: " + "error rate 40.0% of very many runs " * 5,
        )
        for n in range(6)
    ]  # fmt: skip
    made[:3] = [resolved(alert) for alert in made[:3]]
    message = make_message("m1", made[5], sink="slack")
    storage(lambda monitor: monitor.storage.save_alerts(made, None, [message]))
    return made


def test_the_list_says_level_state_since_who_and_what(kept):
    """The latest first, within 80 columns, with enough of each id to go on with."""
    text = narrow()
    heads = [line for line in text.splitlines() if not line.startswith(" ")]
    assert [line[-8:] for line in heads] == [alert.alert_id[:8] for alert in reversed(kept)]
    assert re.match(r"CRITICAL  firing    since \d{4}-\d\d-\d\d \d\d:\d\d, 4 h ", heads[0])
    assert re.match(r"CRITICAL  resolved  \d{4}-", heads[3])
    assert "  agent agent-1: error rate 40.0%" in text


def test_the_list_is_narrowed_down(kept):
    """By state, level, agent and time; what a limit leaves out is counted."""
    ids = [alert.alert_id for alert in reversed(kept)]

    def listed(*options):
        found = json.loads(alerts(*options, "--format", "json").stdout)
        return [alert["alert_id"] for alert in found["alerts"]], found["total_count"]

    assert listed() == (ids, 6)
    assert listed("--state", "firing") == (ids[:3], 3)
    assert listed("--level", "critical") == ([ids[0], ids[3]], 2)
    assert listed("--agent", "agent-1") == ([ids[0], ids[2], ids[4]], 3)
    assert listed("--since", "1h") == (ids[:3], 3)
    assert listed("--since", kept[5].started_at.isoformat())[1] == 3
    assert listed("--limit", 2) == (ids[:2], 6)
    assert alerts("--limit", 2).stdout.endswith("and 4 more (raise --limit to see them)\n")
    assert alerts("--state", "pending").stdout == "no alerts\n"


def test_one_is_shown_with_its_deliveries(kept):
    """By the beginning of its id; text for people and JSON for programs."""
    storage(lambda m: m.storage.note_delivery(
        "m1", m.now_us(), retry_at=m.now_us() + 60_000_000, error="slack answered 429"))  # fmt: skip
    text = narrow("show", "5abc")
    assert f"Id: {kept[5].alert_id}" in text
    assert "Retry less." in text
    assert re.search(r"slack: firing: next attempt .* \(1 attempt\)\n    slack answered 429", text)
    found = json.loads(alerts("show", kept[5].alert_id, "--format", "json").stdout)
    (delivery,) = found["deliveries"]
    assert (found["agent_name"], delivery["sink"], delivery["state"]) == (
        "agent-1", "slack", "waiting"
    )  # fmt: skip
    assert delivery["due_at"].endswith("Z")
    assert "no notifications sent" in alerts("show", "1abc").stdout


def test_acknowledging_and_silencing_are_heard_by_a_running_monitor(here):
    """Through storage: it marks its alerts, and goes back to sending when the silence ends."""
    text = f'[monitor]\nstorage = "{STORAGE}"\n[alerts]\nevaluation_interval = "100ms"\n'
    (here / "monitor.toml").write_text(text)
    with PerformanceMonitor("monitor.toml") as monitor:
        run = {"agent_name": "billing-eu", "status": "failure"}
        monitor.record_agent_runs([run | {"run_id": f"r{n}"} for n in range(50)], wait=True)
        (alert, *_) = monitor.get_alerts(agent_name="billing-eu")
        said = alerts("ack", alert.alert_id[:10], "--by", "ann").stdout
        assert said == f"{alert.alert_id}: acknowledged by ann\n"
        assert monitor.get_alert(alert.alert_id).alert.acknowledged_by == "ann"
        made = alerts("silence", "--agent", "billing-*", "--for", "2h", "--comment", "known").stdout
        assert "agent billing-*" in made
        assert ": known" in made
        (silence,) = monitor.get_silences()
        assert silence.ends_at - silence.starts_at == pytest.approx(
            timedelta(hours=2), abs=timedelta(seconds=5)
        )
        machine = monitor._parts.evaluator._state.machine
        monitor.record_agent_runs([run | {"run_id": f"s{n}"} for n in range(5)], wait=True)
        end = time.monotonic() + 60
        while True:
            marks = {(e.acknowledged_by, e.silenced_by) for e in machine.memory.concerns.values()
                     if e.alert_id == alert.alert_id}  # fmt: skip
            if marks == {("ann", silence.silence_id)}:
                break
            assert time.monotonic() < end, marks
            time.sleep(0.02)
        assert "acknowledged by ann; silenced by" in narrow()
        assert silence.silence_id[:8] in narrow("silences")
        over = alerts("unsilence", silence.silence_id[:6]).stdout
        assert over == f"{silence.silence_id}: ended\n"
        assert monitor.get_silences() == []
        assert alerts("silences").stdout == "no silences\n"


def test_the_command_line_decides_nothing(here):
    """A report or a list under other rules leaves the alerts of a running monitor alone."""
    with PerformanceMonitor("monitor.toml") as monitor:
        run = {"agent_name": "a", "status": "failure"}
        monitor.record_agent_runs([run | {"run_id": f"r{n}"} for n in range(50)], wait=True)
        before = {a.alert_id for a in monitor.get_alerts()}
        version = monitor.storage.read_alert_state().version
        (here / "other.toml").write_text("[alerts.thresholds]\nsuccess_rate_min = 0\n")
        for command in (["report"], ["alerts"]):
            options = ["--config", "other.toml", "--storage", STORAGE]
            result = CliRunner().invoke(cli, [*command, *options])
            assert result.exit_code == 0, result.output
        assert {a.alert_id for a in monitor.get_alerts(state="firing")} == before
        assert monitor.storage.read_alert_state().version == version


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["show", "zzz"], 1, "no alert 'zzz' (list them with perfmon alerts)"),
        (["show", ""], 1, "no alert ''"),
        (["ack", "zzz"], 1, "no alert 'zzz'"),
        (["ack", "5abc", "--by", " "], 1, "by = ' '"),
        (["unsilence", "zzz"], 1, "no silence 'zzz'"),
        (["silence", "--for", "2h"], 2, "specify which alerts"),
        (["silence", "--agent", "a"], 2, "either --for or --until"),
        (["silence", "--agent", "a", "--for", "1h", "--until", "now"], 2, "either --for or"),
        (["silence", "--agent", "a", "--for", "soon"], 2, "'soon' must be a duration"),
        (["silence", "--agent", "a", "--for", "0s"], 2, "'0s' must be a duration"),
        (["silence", "--agent", "a", "--until", "2001-01-01"], 2, "--until must end in the future"),
        (
            ["silence", "--agent", "a", "--for", "99999999d"],
            2,
            "--for must end in the future",
        ),
        (["silence", "--agent", "a", "--for", "1h", "--by", ""], 1, "by = ''"),
        (["--since", "soon"], 2, "'soon' is not a time"),
        (["--state", "gone"], 2, "'gone' is not one of"),
        (["--storage", "odd://x"], 1, "odd"),
        (["--storage", "odd://x", "silences"], 1, "odd"),
        (["shwo"], 2, "No such command 'shwo'"),
        (
            ["send-test", "slack"],
            1,
            "'slack' is not enabled (plugin state: available); a table [plugins.slack]",
        ),
        (["send-test", "slck"], 1, "no sink 'slck' (enabled sinks: log)"),
        (["test", "missing.toml"], 1, "missing.toml: cannot be read: No such file"),
        (["test"], 2, "Missing argument 'FILE...'"),
        (["backtest", "--rule", "latency_p95_max"], 1, "did you mean 'latency_p95_max_ms'"),
        (["backtest", "--rule", "xyz"], 1, "known rules: accuracy_min, cost_per_task_max, "),
        (["backtest", "--since", "2026-01-02", "--until", "2026-01-01"], 2, "before --until"),
    ],
)
def test_a_mistake_is_one_line(kept, arguments, code, words):
    """On stderr, with the program's name."""
    result = alerts(*arguments, code=code)
    assert words in result.stderr
    assert result.stderr.startswith("perfmon: ")
    assert result.stderr.count("\n") == 1
    assert storage(lambda monitor: monitor.get_silences()) == []


def test_an_id_that_is_not_clear_is_refused():
    """Rather than any of those it begins."""
    made = [make_alert(n, alert_id=f"abc{n}") for n in range(3)]
    storage(lambda monitor: monitor.storage.save_alerts(made))
    assert "the IDs of 3 alerts begin with it" in alerts("ack", "abc", code=1).stderr


def test_every_command_has_help():
    """With what it is for, and its options."""
    listed = alerts("--help").stdout
    names = ("show", "ack", "silence", "silences", "unsilence", "send-test", "test", "backtest")
    for name in names:
        assert re.search(rf"^  {name} ", listed, re.MULTILINE)
        assert f"Usage: cli alerts {name}" in alerts(name, "--help").stdout.replace(
            "perfmon", "cli"
        )


# Sinks


def test_a_test_message_is_sent(here):
    """Past the queue, with the sink's own settings; what became of it in words."""
    example = here.parent / "own_sink.py"
    example.write_text(
        "from perfmon import hookimpl\n"
        "where = []\n"
        "@hookimpl\n"
        "def monitor_started(monitor):\n"
        "    where.append(monitor.config.plugins['own_sink']['file'])\n"
        "@hookimpl\n"
        "def deliver_alert(alert):\n"
        "    with open(where[0], 'a') as file:\n"
        "        file.write(alert.message)\n"
    )
    folder = here / "mine"
    folder.mkdir()
    example.rename(folder / "own_sink.py")
    (here / "monitor.toml").write_text(
        f'[monitor]\nstorage = "{STORAGE}"\n[plugins]\npaths = ["mine"]\n'
        '[plugins.own_sink]\nfile = "said.txt"\n'
    )
    assert "own_sink: delivered in" in alerts("send-test", "own_sink").stdout
    assert "perfmon test message" in (here / "said.txt").read_text()
    (here / "monitor.toml").write_text(
        f'[monitor]\nstorage = "{STORAGE}"\n[plugins]\npaths = ["mine"]\n'
        '[plugins.own_sink]\nfile = "no/such/folder"\n'
    )
    failed = alerts("send-test", "own_sink", code=1)
    assert "own_sink: not delivered: FileNotFoundError" in failed.stderr


# Rules


def test_rules_are_tested_by_files(here):
    """What is as expected is ok; the file's own rules count."""
    (here / "rules.toml").write_text(EXAMPLE)
    said = alerts("test", "rules.toml").stdout
    assert said == "ok  rules.toml: an hour of slow runs\n1 test, 0 failed\n"


def test_the_help_shows_an_example():
    """The one that is tried here, line by line."""
    shown = [line.strip() for line in alerts("test", "--help").stdout.splitlines()]
    assert "\n".join(shown).endswith(EXAMPLE.rstrip())


def test_a_rule_that_does_other_things_fails_its_test(here):
    """Exit code 1, with what was expected and what there was."""
    (here / "rules.toml").write_text(EXAMPLE.replace('"warning" }', '"critical" }'))
    said = alerts("test", "rules.toml", code=1).stdout
    assert "FAILED  rules.toml: an hour of slow runs" in said
    assert "at 1 h 30 min: missing: slow billing of agent billing-eu, firing, critical" in said
    assert "expected: slow billing of agent billing-eu, firing, critical" in said
    assert "got: slow billing of agent billing-eu, firing, warning" in said
    assert said.endswith("1 test, 1 failed\n")


def test_a_file_of_tests_alone_is_about_the_configuration(here):
    """The rules of monitor.toml are tested where they stand."""
    rules, _, tests = EXAMPLE.partition("[[tests]]")
    (here / "tests.toml").write_text(f"[[tests]]{tests}")
    alerts("test", "tests.toml", code=1)
    (here / "monitor.toml").write_text(rules)
    alerts("test", "tests.toml")


def test_mistakes_in_a_test_file_are_told(here):
    """All of them, with their places; other files are tested all the same."""
    (here / "bad.toml").write_text('[[tests]]\nname = "x"\nrnus = []\n[[tests.expect]]\nat = 5\n')
    (here / "good.toml").write_text(EXAMPLE)
    (here / "empty.toml").write_text("")
    result = alerts("test", "bad.toml", "good.toml", "empty.toml", code=1)
    assert "rnus" in result.stderr
    assert "bad.toml:5" in result.stderr
    assert "empty.toml: no [[tests]] found" in result.stderr
    assert result.stdout.endswith("3 tests, 2 failed\n")


def history(hours, outage, every=60.0):
    """Stores runs of the last hours, a minute apart, that fail in an outage of so many hours."""
    now = time.time()
    runs = [
        {"run_id": f"r{n}", "agent_name": "a", "timestamp": now - hours * 3600 + n * every,
         "status": "failure" if outage[0] <= n * every / 3600 < outage[1] else "success"}
        for n in range(int(hours * 3600 / every))
    ]  # fmt: skip
    storage(lambda monitor: monitor.record_agent_runs(runs, wait=True))


def test_a_backtest_tells_what_would_have_fired(here):
    """How often and how long, by rule and scope; one rule alone where it is asked for."""
    history(20, (5, 8))
    said = alerts("backtest", "--since", "20h").stdout
    assert re.search(r"^success_rate_min: agent a: would have fired once; the longest lasted 3 h", said,
                     re.MULTILINE)  # fmt: skip
    assert "error_rate_max: the whole system: would have fired once" in said
    alone = alerts("backtest", "--since", "20h", "--rule", "error_rate_max").stdout
    assert set(re.findall(r"^\w+", alone, re.MULTILINE)) == {"error_rate_max"}
    quiet = alerts("backtest", "--since", "20h", "--until", "16h").stdout
    assert quiet == "nothing would have fired in 240 runs\n"
    none = alerts("backtest", "--since", "10d", "--until", "9d").stdout
    assert none == "nothing would have fired: no runs are stored for this period\n"


def test_a_backtest_knows_the_runs_before_its_range(here):
    """A breach that began before it fires at its first look."""
    history(20, (5, 8))
    said = alerts("backtest", "--since", "14h", "--until", "13h", "--rule", "error_rate_max").stdout
    assert re.search(
        r"agent a: would have fired once; the longest lasted (59|1) .*, still firing", said
    )


def test_a_backtest_says_what_it_cannot_tell(here):
    """A rule over what stored runs do not tell is named, and the others are answered."""
    (here / "monitor.toml").write_text(
        f'[monitor]\nstorage = "{STORAGE}"\n'
        '[[alerts.rules]]\nname = "odd"\nmetric = "error_rate"\nis = "anomalous"\n'
        '[[alerts.rules]]\nname = "open"\nmetric = "predictions_waiting"\nabove = 5\n'
    )
    history(20, (5, 8))
    said = alerts("backtest", "--since", "20h").stdout
    assert "odd: skipped" in said
    assert "open: skipped" in said
    assert "error_rate_max: agent a: would have fired once" in said
