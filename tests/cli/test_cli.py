"""The command line as people use it: what it prints, how it fails, and that it cleans up."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from perfmon import Config, PerformanceMonitor
from perfmon.cli import cli

HEADER = "run_id,agent_name,agent_type,status,timestamp,duration_ms,tokens_used,cost_usd,error_type"
SIX_MISTAKES = """
[monitor]
window_size_minutes = "60"
durabilty = "process"
[alerts]
evaluation_interval = "soon"
[alerts.thresholds]
accuracy_min = 70
[plugins.server]
port = 99999
[plugins.slak]
webhook_url = "https://example.org"
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Every test works in an empty folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def perfmon(*arguments, code=0):
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == code, (result.output, result.exception)
    assert "Traceback" not in result.output
    return result


@pytest.fixture
def runs(here):
    """A file of 100 runs of two agents in the last minutes, a tenth of them failures."""
    now = time.time()
    rows = [
        f"r{n},agent-{n % 2},t,{'success,' if n % 10 else 'failure,'}{now - n},{n},100,0.01,"
        f"{'' if n % 10 else 'broken'}"
        for n in range(100)
    ]
    path = here / "runs.csv"
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return path


def test_help_shows_every_command_and_examples():
    """`perfmon --help` lists all subcommands, and each has a help of its own."""
    text = perfmon("--help").stdout
    for command in ("serve", "import", "report", "alerts", "check", "plugins", "init", "demo"):
        assert re.search(rf"^  {command} ", text, re.MULTILINE)
        assert "Usage: perfmon" in perfmon(command, "--help").stdout
    assert "perfmon import runs.csv.gz" in text


def test_version_is_the_distributions():
    """`--version` tells the program and its version."""
    assert re.fullmatch(r"perfmon, version \d+\.\d+\.\d+\S*\n", perfmon("--version").stdout)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["imprt"], 2, "No such command 'imprt'"),
        (["import"], 2, "Missing argument 'FILE...'"),
        (["report", "--since", "soon"], 2, "'soon' is not a time"),
        (["report", "--format", "pdf"], 2, "'pdf' is not one of"),
        (["import", "x", "--map", "cost"], 2, "'cost' must be FIELD=COLUMN"),
        (["import", "x", "--type", "guess"], 2, "'guess' is not one of"),
        (["import", "missing.csv"], 1, "missing.csv: No such file or directory"),
        (["import", "."], 1, ".: Is a directory"),
        (["report", "--config", "missing.toml"], 1, "missing.toml: no such file"),
        (["report", "--storage", "odd://x"], 1, "odd"),
        (["report", "--storage", "sqlite:////no/such/folder/x.db"], 1, "/no/such/folder"),
        (["report", "--storage", "postgresql://postgres@127.0.0.1:1/x"], 1, "127.0.0.1"),
        (["report", "--since", "2026-01-02", "--until", "2026-01-01"], 2, "before --until"),
        (["report", "--since", "2999-01-01"], 2, "(default: now)"),
        (["serve", "--port", "99999"], 2, "99999"),
    ],
)
def test_expected_failures_are_one_line(arguments, code, words):
    """Wrong use is exit code 2, what cannot be done 1, each one line with the program's name."""
    result = perfmon(*arguments, code=code)
    assert result.stdout == ""
    assert words in result.stderr
    assert re.fullmatch(r"perfmon: .+\n", result.stderr)


def test_config_stands_before_or_after_the_subcommand(here, runs):
    """Either way, and from ./monitor.toml without being named, the same storage is meant."""
    other = here / "other.toml"
    other.write_text(f'[monitor]\nstorage = "sqlite:///{here}/other.db"\n')
    perfmon("--config", other, "import", runs)
    assert "100 duplicate" in perfmon("import", runs, "--config", other).stdout
    other.rename(here / "monitor.toml")
    assert "100 duplicate" in perfmon("import", runs).stdout


def test_import_tells_what_became_of_each_line(here, runs):
    """Accepted, duplicate and rejected are counted; the first ten refusals have line and reason."""
    lines = runs.read_text().splitlines(keepends=True)
    with runs.open("a") as file:
        file.write(
            "bad,a,t,done,5,1,1,1,\n"
            + "worse,a,t,success,5,-1,1,1,\n" * 11
            + "r1,agent-1,t,success,5,,,,\n"
            + lines[1]
        )
    text = perfmon("import", runs).stdout
    assert "100 accepted, 1 duplicate, 1 conflict, 12 rejected" in text
    assert "  line 102: status = 'done': must be success, failure or partial\n" in text
    assert "  line 103: duration_ms = -1: must be a finite number of at least 0\n" in text
    assert "  and 2 more\n" in text
    assert (
        "  line 114: run r1 is already stored with different content (timestamp, duration_ms, tokens_used, cost);"
        " the first is kept\n"
    ) in text


def test_import_says_when_rows_are_too_old_to_stay(here, runs):
    """Retention removes them, whenever they were imported; younger ones are not worth a word."""
    assert "note:" not in perfmon("import", runs).stdout
    runs.write_text("run_id,agent_name,status,timestamp\nold,x,success,86400\n")
    text = " ".join(perfmon("import", runs).stdout.split())
    assert "note: the oldest row is from 1970-01-02; a running monitor deletes rows older" in text
    assert (
        "than 30 days (keep_runs_days), and hourly aggregates after 730 (keep_cells_days)" in text
    )


def test_import_of_nothing_good_fails(here):
    """When every line is refused, the exit code is 1."""
    path = here / "bad.csv"
    path.write_text("run_id,agent_name,status\na,x,success\n")
    result = perfmon("import", path, code=1)
    assert "line 2: timestamp is missing" in result.stdout
    assert result.stderr == "perfmon: every line was rejected\n"


def test_import_takes_several_files_of_both_kinds(here, runs):
    """JSON lines with runs and measurements go along with CSV; each file has its line."""
    lines = here / "more.jsonl"
    when = time.time()
    lines.write_text(
        json.dumps({"type": "run", "run_id": "j", "agent_name": "x", "status": "success", "timestamp": when}) + "\n"
        + json.dumps({"type": "accuracy", "agent_name": "x", "task_id": "j", "predicted_outcome": {"a": 1},
                      "actual_outcome": {"a": 1}, "timestamp": when}) + "\n"
    )  # fmt: skip
    text = perfmon("import", runs, lines).stdout
    assert "runs.csv: 100 accepted" in text
    assert "more.jsonl: 2 accepted, 0 duplicate" in text
    assert "\n  accepted: 1 run, 1 measurement\n" in text
    assert "more.jsonl: 0 accepted, 2 duplicate" in perfmon("import", lines).stdout


def test_import_tells_predictions_from_outcomes(here):
    """`--type prediction` makes two things of a row that has its outcome, and says so."""
    path = here / "forecasts.csv"
    path.write_text("agent_name,task_id,p,a,timestamp\nx,1,5,5,100\nx,2,5,,100\nx,3,5,,100\n")
    arguments = ("import", path, "--map", "predicted_outcome=p", "--map", "actual_outcome=a")
    text = perfmon(*arguments, "--type", "prediction").stdout
    assert "4 accepted, 0 duplicate, 0 rejected" in text
    assert "\n  accepted: 3 predictions, 1 outcome\n" in text
    assert "accepted:" not in perfmon(*arguments, "--type", "prediction").stdout
    with closing(sqlite3.connect(here / "perfmon.db")) as database:
        count = "SELECT count(*) FROM measurements WHERE state = "
        assert [database.execute(f"{count}{state}").fetchone()[0] for state in (4, 8)] == [2, 1]


def test_report_is_the_reports_dictionary(here, runs):
    """JSON is exactly what `generate_report` gives, and reads back as JSON."""
    perfmon("import", runs)
    report = json.loads(perfmon("report", "--format", "json").stdout)
    with PerformanceMonitor(storage_url="sqlite:///perfmon.db") as monitor:
        assert report.keys() == monitor.generate_report().keys()
    assert report["system_metrics"]["total_tasks"] == 100
    assert report["system_metrics"]["errors"] == {"broken": 10}
    assert report["agent_metrics"].keys() == {"agent-0", "agent-1"}


def test_report_takes_a_range_or_a_window(here, runs):
    """A range and a window each count only their own runs; both at once are refused."""
    (here / "old.csv").write_text(
        HEADER
        + "\n"
        + "".join(f"o{n},a,t,success,{time.time() - 7200},1,1,1,\n" for n in range(40))
    )
    perfmon("import", runs, "old.csv")
    counts = [
        json.loads(perfmon("report", "--format", "json", *asked).stdout)["system_metrics"][
            "total_tasks"
        ]
        for asked in (
            ["--window-minutes", 60],
            ["--since", "2020-01-01"],
            ["--until", "2020-01-01"],
        )
    ]
    assert counts == [100, 140, 0]
    perfmon("report", "--window-minutes", 5, "--since", "2020-01-01", code=2)


def test_report_is_for_one_tenant_on_demand(runs):
    """`--tenant` of import and report go together."""
    perfmon("import", runs, "--tenant", "acme")
    text = perfmon("report", "--tenant", "acme", "--format", "json").stdout
    assert json.loads(text)["system_metrics"]["total_tasks"] == 100
    text = perfmon("report", "--tenant", "other", "--format", "json").stdout
    assert json.loads(text)["system_metrics"]["total_tasks"] == 0


@pytest.mark.parametrize(
    ("form", "start"), [("text", "perfmon report\n"), ("markdown", "# perfmon"), ("html", "<!DOCTYPE html>")]
)  # fmt: skip
def test_report_writes_a_file(here, runs, form, start):
    """`-o` puts any format into a file and keeps the terminal's output empty."""
    perfmon("import", runs)
    assert perfmon("report", "--format", form, "-o", "out").stdout == ""
    written = (here / "out").read_text()
    assert written.startswith(start)
    assert "agent-0" in written


def test_a_report_of_nothing_says_so():
    """An empty storage gives a report without figures, not an error."""
    text = perfmon("report").stdout
    assert "no data" in text
    assert re.search(r"^Number of runs +0\b", text, re.MULTILINE)


def test_check_tells_all_mistakes_at_once(here):
    """Six mistakes, in the core's tables and in plugins', are six lines with their places."""
    (here / "monitor.toml").write_text(SIX_MISTAKES)
    lines = perfmon("check", code=1).stderr.splitlines()
    assert len(lines) == 6
    for line, key in zip(
        sorted(lines, key=lambda line: int(line.split(":")[2])),
        ("window_size_minutes", "durabilty", "evaluation_interval", "accuracy_min", "port", "slak"),
        strict=True,
    ):
        assert line.startswith("perfmon: monitor.toml:")
        assert key in line


def test_other_commands_tell_mistakes_too(here):
    """A broken configuration stops any command with the same lines, exit code 1."""
    (here / "monitor.toml").write_text('[monitor]\ndurability = "proces"\n')
    for command in (["report"], ["serve"], ["plugins"], ["import", "x.csv"]):
        (here / "x.csv").write_text(HEADER)
        assert 'durability = "proces"' in perfmon(*command, code=1).stderr


def test_check_reads_the_table_of_a_plugin_in_one_file(here):
    """Which that plugin itself reads only when a monitor starts; no more of it is run."""
    (here / "mine").mkdir()
    (here / "mine" / "loud.py").write_text(
        "import attrs\n"
        "from perfmon import hookimpl\n"
        "@attrs.frozen\n"
        "class Loud:\n"
        "    level: int = 1\n"
        "@hookimpl\n"
        "def monitor_started(monitor):\n"
        "    monitor.config.table('loud', Loud)\n"
        "    open('started', 'w').close()\n"
    )
    table = '[monitor]\nstorage = "memory:"\n[plugins]\npaths = ["mine"]\n[plugins.loud]\n'
    (here / "monitor.toml").write_text(f"{table}level = 'x'\nlevle = 2\n")
    lines = perfmon("check", code=1).stderr.splitlines()
    assert len(lines) == 2
    assert "monitor.toml:6: [plugins.loud] level = " in lines[0]
    assert "did you mean 'level'" in lines[1]
    (here / "monitor.toml").write_text(f"{table}level = 2\n")
    assert "no errors found" in perfmon("check").stdout
    assert not (here / "started").exists()


def test_check_of_a_good_configuration(here):
    """All is well, with storage and plugins named; a literal secret is a warning only."""
    (here / "monitor.toml").write_text('[plugins.server]\napi_key = "abcdefghijklmnop"\n')
    text = perfmon("check").stdout
    assert "warning: monitor.toml:2: [plugins.server] api_key" in text
    assert "abcdefghijklmnop" not in text
    assert "no errors found" in text
    assert "sqlite" in text


def test_check_tells_that_storage_does_not_answer(here):
    """An unreachable database is one line and exit code 1, without its password."""
    (here / "monitor.toml").write_text(
        '[monitor]\nstorage = "postgresql://me:hush@127.0.0.1:1/x"\n'
    )
    result = perfmon("check", code=1)
    assert "127.0.0.1" in result.stderr
    assert "hush" not in result.output


def test_plugins_are_listed_with_their_state(here):
    """What is on, off or broken is told, and a broken one is an error line at the end."""
    (here / "mine").mkdir()
    (here / "mine" / "good.py").write_text(
        "from perfmon import hookimpl\n@hookimpl\ndef score_outcome(predicted, actual): return None\n"
    )
    (here / "mine" / "bad.py").write_text("import no_such_module_anywhere\n")
    (here / "monitor.toml").write_text(
        '[plugins]\npaths = ["mine"]\n[plugins.trend]\nenabled = false\n'
    )
    result = perfmon("plugins", code=1)
    for row in (
        r"good +on .*score_outcome",
        r"bad +failed",
        r"trend +off",
        r"sql +on .*open_storage",
    ):
        assert re.search(row, result.stdout)
    assert "no_such_module_anywhere" in result.stderr


def test_a_scorer_that_is_only_named_is_shown_as_such(here):
    """By `plugins` and by `check`, which also tells of a name that is none."""
    text = '[monitor]\nstorage = "memory:"\n[agents.a.outcomes]\nscorer = "exact"\n'
    (here / "monitor.toml").write_text(text)
    assert re.search(r"exact +named .*score_outcome", perfmon("plugins").stdout)
    assert "exact (when named)" in perfmon("check").stdout
    (here / "monitor.toml").write_text(text.replace("exact", "exakt"))
    told = perfmon("check", code=1).stderr
    assert "monitor.toml:4: [agents.a.outcomes] scorer: no such plugin" in told
    assert "did you mean 'exact'?" in told


def test_plugins_add_commands(here):
    """A plugin's own subcommand is listed and runs; one that raises keeps nobody from --help."""
    (here / "mine").mkdir()
    (here / "mine" / "hello.py").write_text(
        "import click\nfrom perfmon import hookimpl\n"
        "@hookimpl\ndef add_commands(cli):\n"
        "    cli.add_command(click.Command('hello', callback=lambda: click.echo('hello there')))\n"
    )
    (here / "mine" / "rude.py").write_text(
        "from perfmon import hookimpl\n@hookimpl\ndef add_commands(cli): raise RuntimeError('no')\n"
    )
    (here / "monitor.toml").write_text('[plugins]\npaths = ["mine"]\n')
    result = perfmon("--help")
    assert "hello" in result.stdout
    assert "rude" in result.stderr
    assert perfmon("hello").stdout == "hello there\n"


def test_init_writes_a_configuration_that_works(here):
    """The file has comments, passes check, and is never overwritten unasked."""
    perfmon("init")
    text = (here / "monitor.toml").read_text()
    assert text.count("#") > 10
    assert "no errors found" in perfmon("check").stdout
    config, defaults = Config.load(here / "monitor.toml"), Config()
    assert (config.alerts, config.agents) == (defaults.alerts, {})
    assert (config.monitor, config.scores) == (defaults.monitor, defaults.scores)
    (here / "monitor.toml").write_text("# mine\n")
    assert "monitor.toml already exists" in perfmon("init", code=1).stderr
    assert (here / "monitor.toml").read_text() == "# mine\n"
    perfmon("init", "--force")
    assert (here / "monitor.toml").read_text() == text


@contextmanager
def process(*arguments, program="from perfmon.cli import main; main()"):
    """The real program in a process of its own, killed at the end if it still runs."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as started:
        try:
            yield started
        finally:
            started.kill()


def wait_for_url(started):
    for line in started.stdout:
        if found := re.search(r"http://\S+", line):
            return found[0]
    raise AssertionError(started.stderr.read())


def get(url):
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read().decode()


def end(started):
    """Ctrl-C; returns the exit code and how long it took."""
    began = time.monotonic()
    started.send_signal(signal.SIGINT)
    return started.wait(60), time.monotonic() - began


def test_serve_answers_until_it_is_interrupted(here, runs):
    """The server tells its URL, has the runs of its storage, and ends well on Ctrl-C."""
    perfmon("import", runs)
    with process("serve", "--port", 0) as started:
        url = wait_for_url(started)
        found = json.loads(get(f"{url}/api/performance/metrics/system"))
        assert found["metrics"]["total_tasks"] == 100
        code, seconds = end(started)
        assert (code, started.stderr.read()) == (0, "")
        assert seconds < 30


@pytest.mark.parametrize("when", ["at its import", "monitor_started", "add_routes"])
def test_a_hangup_before_the_server_is_up_is_remembered(here, when):
    """It ends nothing, and the configuration is read again as soon as that can be done."""
    arguments = {"monitor_started": "monitor", "add_routes": "app"}
    hook = when if when in arguments else "monitor_stopping"
    (here / "parts").mkdir()
    (here / "parts" / "early.py").write_text(
        "import os, signal\n"
        "from perfmon import hookimpl\n"
        "def hang_up():\n"
        "    if os.environ.setdefault('HUNG_UP', 'now') == 'now':\n"
        "        os.environ['HUNG_UP'] = 'once'\n"
        "        os.kill(os.getpid(), signal.SIGHUP)\n"
        f"@hookimpl\ndef {hook}({arguments.get(hook, 'monitor')}):\n    hang_up()\n"
        + ("hang_up()\n" if hook != when else "")
    )
    (here / "monitor.toml").write_text('[plugins]\npaths = ["parts"]\n')
    with process("serve", "--port", 0) as started:
        url = wait_for_url(started)
        assert "ready" in get(f"{url}/readyz")
        told = started.stderr.readline()
        assert "monitor.toml: " in told
        code, _ = end(started)
        assert code == 0


def test_plugins_show_the_accounts_of_the_running_server(here, runs, free_port, monkeypatch):
    """While the configured server runs, calls and failures of its plugins are shown."""
    monkeypatch.setattr("perfmon.cli.check._PATIENCE", 60.0)
    (here / "monitor.toml").write_text(f"[plugins.server]\nport = {free_port()}\n")
    with process("serve") as started:
        url = wait_for_url(started)
        text = perfmon("plugins").stdout
        assert f"as counted by the server at {url}" in text
        assert re.search(r"Calls +Failures", text)
        end(started)


def test_plugins_ask_no_server_but_their_own(here, free_port, monkeypatch):
    """One of another configuration, of another folder's storage, or of another program."""
    monkeypatch.setattr("perfmon.cli.check._PATIENCE", 60.0)
    port, elsewhere = free_port(), here / "elsewhere"
    elsewhere.mkdir()
    table = f"[plugins.server]\nport = {port}\n"
    for folder in (here, elsewhere):
        (folder / "monitor.toml").write_text(table)
    with process("serve", "--config", elsewhere / "monitor.toml") as started:
        wait_for_url(started)
        text = perfmon("plugins").stdout
        assert f"the server at http://127.0.0.1:{port} runs another configuration" in text
        assert "Calls" not in text
        assert "as counted by" in perfmon("plugins", "-c", elsewhere / "monitor.toml").stdout
        end(started)
    answer = b"HTTP/1.0 200 OK\r\n\r\n[1]"
    with closing(socket.create_server(("127.0.0.1", port))) as other:

        def reply():
            with other.accept()[0] as connection:
                connection.recv(65_536)
                connection.sendall(answer)

        thread = threading.Thread(target=reply)
        thread.start()
        assert "server at" not in perfmon("plugins").stdout
        thread.join()


def test_a_port_in_use_is_one_line(here):
    """Somebody else's port ends `serve` with one line and exit code 1."""
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        result = perfmon("serve", "--port", other.getsockname()[1], code=1)
    assert "in use" in result.stderr
    assert result.stderr.count("\n") == 1


def test_serve_needs_its_server(here):
    """A configuration that turns the server off is told so."""
    (here / "monitor.toml").write_text("[plugins.server]\nenabled = false\n")
    assert "[plugins.server]" in perfmon("serve", code=1).stderr


def test_demo_serves_a_history_and_leaves_nothing_behind(here, tmp_path):
    """Runs, agents and a page are there once the URL is printed; the file goes at the end."""
    with process("demo", "--port", 0, "--hours", 1) as started:
        folder = re.search(r"sqlite:///(/.*)/demo\.db", started.stdout.readline())[1]
        assert Path(folder).is_dir()
        url = wait_for_url(started)
        assert len(json.loads(get(f"{url}/api/performance/metrics/agents"))["agents"]) == 12
        assert "support-triage" in get(url)
        code, _ = end(started)
        assert (code, started.stderr.read()) == (0, "")
    assert not Path(folder).exists()
    assert not list(tmp_path.iterdir())


def test_demo_keeps_its_history_where_it_is_told(here):
    """With --storage the history stays, and has the same number of runs as was printed."""
    with process(
        "demo", "--port", 0, "--hours", 1, "--no-live", "--storage", "sqlite:///kept.db"
    ) as started:
        told = int(started.stdout.readline().split()[0].replace(",", ""))
        wait_for_url(started)
        end(started)
    report = json.loads(
        perfmon(
            "report", "--storage", "sqlite:///kept.db", "--since", "2020-01-01", "--format", "json"
        ).stdout
    )
    assert report["system_metrics"]["total_tasks"] == told > 100


def stored(path):
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path, timeout=60)) as connection:
        try:
            return connection.execute("SELECT count(*) FROM runs").fetchone()[0]
        except sqlite3.OperationalError:
            return 0


# Reads no further than half of the file before the interruption has come.
HELD = """
import signal, time
from perfmon.cli import main
from perfmon.recording.importing.files import Source

rows = Source._rows

def held(source, reader):
    for number, item in enumerate(rows(source, reader)):
        while number == 30_000 and signal.getsignal(signal.SIGINT) != signal.default_int_handler:
            time.sleep(0.01)
        yield item

Source._rows = held
main()
"""


def test_an_interrupted_import_can_be_repeated(here):
    """Ctrl-C ends after the batch in hand, exit code 130; a repeat adds the rest, none twice."""
    path, rows = here / "many.csv", 60_000
    path.write_text(
        HEADER + "\n" + "".join(f"r{n},a,t,success,{1e9 + n},1,1,1,\n" for n in range(rows))
    )
    with process("import", path, program=HELD) as started:
        deadline = time.monotonic() + 60
        while stored(here / "perfmon.db") < 2000:
            assert time.monotonic() < deadline, started.stderr.read()
            time.sleep(0.02)
        code, _ = end(started)
        told = int(re.search(r"([\d,]+) accepted", started.stdout.read())[1].replace(",", ""))
        assert "interrupted" in started.stderr.read()
    assert code == 130
    assert stored(here / "perfmon.db") == told < rows
    assert f"{rows - told:,} accepted, {told:,} duplicate" in perfmon("import", path).stdout


def test_the_demo_tells_of_a_port_in_use_before_it_begins():
    """One line that says what to do, and no history made up for nothing."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = perfmon("demo", "--port", str(port), code=1)
    assert f"127.0.0.1:{port}" in done.stderr
    assert "--port" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("url", ["memory:", "sqlite://", "sqlite:///:memory:"])
def test_a_storage_that_keeps_nothing_is_not_imported_into_nor_taken_for_an_empty_one(runs, url):
    """What was imported would be gone with the command; and its report is said to be of nothing."""
    told = perfmon("import", runs, "--storage", url, code=1)
    assert "stores nothing" in told.stderr
    assert "accepted" not in told.output.replace(told.stderr, "")
    assert "stores nothing" in perfmon("report", "--storage", url).stderr


def test_a_sqlite_url_without_a_file_is_refused(runs):
    """Three slashes and nothing behind them would be a database in memory."""
    for command in (("import", runs), ("report",)):
        told = perfmon(*command, "--storage", "sqlite:///", code=1)
        assert "has no file name" in told.stderr
