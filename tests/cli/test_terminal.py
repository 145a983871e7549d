"""A terminal or a file that does not have a letter ends no command, and loses no data."""

from __future__ import annotations

import html
import json
import os
import subprocess
import sys
import time

import pytest

NAME, ERROR = "café ☕", "naïve ✓"


@pytest.fixture
def perfmon(tmp_path):
    """Runs `python -m perfmon` in an empty folder, with output in an encoding."""

    def perfmon(*arguments, encoding="utf-8", **environment):
        variables = os.environ | {"PYTHONIOENCODING": encoding} | environment
        done = subprocess.run(
            [sys.executable, "-m", "perfmon", *map(os.fspath, arguments)],
            cwd=tmp_path, env=variables, capture_output=True, check=False,
        )  # fmt: skip
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        return done

    runs = (
        f"run_id,agent_name,status,timestamp,error_type\n1,{NAME},failure,{time.time()},{ERROR}\n"
    )
    (tmp_path / "runs.csv").write_text(runs, encoding="utf-8")
    assert perfmon("import", "runs.csv").returncode == 0
    return perfmon


@pytest.mark.parametrize("encoding", ["latin-1", "cp437", "ascii:strict"])
def test_every_command_gets_by_with_the_letters_there_are(perfmon, tmp_path, encoding):
    """Text has question marks; JSON and HTML escape what the terminal does not have."""
    commands = ("report", "plugins", "alerts", "check", "alerts silences", "--help")
    for command in commands if encoding.startswith("ascii") else commands[:1]:
        assert perfmon(*command.split(), encoding=encoding).returncode == 0
    lookup = encoding.partition(":")[0]
    report = json.loads(
        perfmon("report", "--format", "json", encoding=encoding).stdout.decode(lookup)
    )
    assert report["agent_metrics"].keys() == {NAME}
    assert report["system_metrics"]["errors"] == {ERROR: 1}
    page = perfmon("report", "--format", "html", encoding=encoding).stdout.decode(lookup)
    assert NAME in html.unescape(page)
    perfmon("report", "--format", "json", "-o", "out.json", encoding=encoding)
    assert NAME in (tmp_path / "out.json").read_text(encoding="utf-8")


def test_a_plain_locale_is_enough(perfmon):
    """LANG=C, where Python would take bytes as they are."""
    plain = {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for command in ("report", "import runs.csv"):
        assert perfmon(*command.split(), encoding="", **plain).returncode == 0


def test_a_file_name_that_is_no_text_is_told(perfmon, tmp_path):
    """Whatever bytes it has."""
    path = tmp_path / os.fsdecode(b"caf\xe9.csv")
    path.write_text("run_id,agent_name,status\nr,a,success\n")
    done = perfmon("import", path)
    assert done.returncode == 1
    assert b"line 2: timestamp is missing" in done.stdout
