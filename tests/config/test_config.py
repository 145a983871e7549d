"""monitor.toml: what it may say, and how every mistake in it is told."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from perfmon import AlertLevel, ConfigError
from perfmon.config import AccuracyTable, FieldTable, OutcomesTable
from perfmon.config.config import Config, Duration, Secret
from perfmon.config.secret import read_secret, redacted
from perfmon.config.validators import duration_seconds

ROOT = Path(__file__).parent.parent.parent


@attrs.frozen(kw_only=True)
class SinkConfig:
    """A plugin's table with one field of each kind."""

    url: Secret
    port: int = attrs.field(default=25, validator=attrs.validators.ge(1))
    timeout: Duration = 5.0
    to: list[str] = attrs.Factory(list)
    min_level: AlertLevel = AlertLevel.INFO


def written(folder: Path, text: str) -> Path:
    file = folder / "monitor.toml"
    file.write_text(text)
    return file


def mistakes(folder: Path, text: str) -> list[str]:
    """What is wrong in a file, each line without its folder."""
    with pytest.raises(ConfigError) as found:
        Config.load(written(folder, text))
    return [line.removeprefix(f"{folder}{os.sep}") for line in found.value.mistakes]


def refused(table: dict) -> list[str]:
    with pytest.raises(ConfigError) as found:
        Config.from_mapping({"plugins": {"sink": table}}, source="m").table("sink", SinkConfig)
    return found.value.mistakes


def test_the_shipped_file_is_the_defaults():
    """monitor.toml loads without a warning, says what the defaults are, and turns on no example."""
    config = Config.load(ROOT / "monitor.toml")
    assert config.monitor == Config().monitor
    assert (config.alerts, config.agents) == (Config().alerts, {})
    assert (config.accuracy, config.scores) == (Config().accuracy, Config().scores)
    assert config.warnings == []


def test_the_examples_of_the_shipped_file_are_well():
    """Without their comment signs, they are rules and agents that can be."""
    text = (ROOT / "monitor.toml").read_text()
    start, end = text.index("# [[alerts.rules]]"), text.index("[accuracy]")
    rules = re.sub(r"(?m)^# (?=\[|[a-z_]+ = |  \{|\])", "", text[start:end])
    named = [rule.name for rule in Config.from_mapping(tomli.loads(rules)).alerts.rules]
    assert named[0] == "slow billing agent"
    assert len(named) == text[start:end].count("[[alerts.rules]]") == 7
    start, end = text.index("# [agents.billing"), text.index("[plugins]\n")
    agents = re.sub(r"(?m)^# (?=\[|[a-z_\".]+ = )", "", text[start:end])
    assert Config.from_mapping(tomli.loads(agents)).specialties["billing-assistant"] == [
        "invoice",
        "refund",
    ]


def test_the_shipped_file_names_every_key():
    """Each key of the core's tables stands in monitor.toml, if only as a comment."""
    text = (ROOT / "monitor.toml").read_text()
    config = Config()
    tables = (config.monitor, config.alerts, config.alerts.thresholds, config.scores)
    kinds = [*map(type, tables), AccuracyTable, OutcomesTable, FieldTable]
    keys = [field.name.rstrip("_") for kind in kinds for field in attrs.fields(kind)]
    assert [key for key in keys if key not in text] == []


def test_six_mistakes_get_six_lines_with_places_and_hints(tmp_path):
    """Nothing stops at the first mistake, and each says where, what and what is allowed."""
    text = """[monitor]
window_size_minute = 60
retention_hours = "24"
max_runs_in_memory = true
[alert]
[alerts]
for = 5
[alerts.thresholds]
success_rate_min = 1.8
"""
    assert mistakes(tmp_path, text) == [
        (
            "monitor.toml:2: [monitor] window_size_minute = 60: unknown key;"
            " did you mean 'window_size_minutes'?"
        ),
        'monitor.toml:3: [monitor] retention_hours = "24": must be a whole number from 1 to 8784',
        (
            "monitor.toml:4: [monitor] max_runs_in_memory = true:"
            " must be a whole number from 1 to 1000000000"
        ),
        "monitor.toml:5: [alert]: unknown table; did you mean 'alerts'?",
        (
            "monitor.toml:7: [alerts] for = 5:"
            ' must be a duration such as "500ms", "5s", "2m", "4h" or "1d"'
        ),
        "monitor.toml:9: [alerts.thresholds] success_rate_min = 1.8: must be a number in [0, 1]",
    ]


def test_each_rule_is_told_apart(tmp_path):
    """A mistake in one of many rules names its number and its line."""
    text = """[[alerts.rules]]
name = "a"
metric = "error_rate"
above = 0.1
[[alerts.rules]]
name = "b"
metric = "eror_rate"
level = "warn"
[[alerts.rules]]
metric = "error_rate"
"""
    assert mistakes(tmp_path, text) == [
        (
            'monitor.toml:7: [[alerts.rules]] 2: metric = "eror_rate":'
            " must be a number of PerformanceMetrics; did you mean 'error_rate'?"
        ),
        (
            'monitor.toml:8: [[alerts.rules]] 2: level = "warn":'
            ' must be one of "info", "warning", "critical"; did you mean \'warning\'?'
        ),
        "monitor.toml:9: [[alerts.rules]] 3: name: is missing; it is required",
    ]


def test_a_rule_has_one_limit_and_a_name_of_its_own():
    """What only the whole table can tell is told of the table."""
    rule = {"name": "a", "metric": "error_rate", "above": 1}
    for rules, words in (
        ([{**rule, "below": 0}], "exactly one of above and below"),
        ([rule, rule], "unique names; 'a' is used by 1 and 2"),
    ):
        with pytest.raises(ConfigError, match=words):
            Config.from_mapping({"alerts": {"rules": rules}})


def test_a_rule_speaks_the_words_of_thresholds_and_of_metrics():
    """`latency_p95_ms` is the field `p95_latency_ms`."""
    rule = {"name": "a", "metric": "latency_p95_ms", "above": 2000, "for": "5m"}
    (made,) = Config.from_mapping({"alerts": {"rules": [rule]}}).alerts.rules
    assert (made.field, made.above, made.for_) == ("p95_latency_ms", 2000.0, 300.0)
    assert made.level is AlertLevel.WARNING


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "[monitor]\nx = = 1\n",
            "monitor.toml:2: not valid TOML: Invalid value (at line 2, column 5)",
        ),
        ("[monitor\n", "monitor.toml:1: not valid TOML: "),
        ("storage = 'memory:'\n", "monitor.toml:1: storage: belongs in the table [monitor]"),
        ("[plugins]\nslack = 1\n", "monitor.toml:2: [plugins] slack: must be a table"),
        ("[plugins]\npaths = 'x'\n", 'monitor.toml:2: [plugins] paths = "x": must be a list'),
        (
            "[plugins.a]\nenabled = 1\n",
            "monitor.toml:2: [plugins.a] enabled = 1: must be true, false",
        ),
        ("[plugins.a]\nenabled = 'name'\n", 'or "named" (a scorer used only where named); did'),
        ("[agents.a]\nspecialities = []\n", "unknown key; did you mean 'specialties'?"),
        ("monitor = 5\n", "monitor.toml:1: monitor = 5: must be a table"),
        ("[monitor]\nkeep_cells_days = 1\n", "keep_cells_days must be at least keep_runs_days"),
        ("[monitor]\nstorage = 'nowhere'\n", "must be a URL such as"),
    ],
)
def test_one_mistake_is_one_line(tmp_path, text, line):
    """Whatever is wrong, it is one line and no traceback."""
    (found,) = mistakes(tmp_path, text)
    assert line in found


def test_a_file_that_cannot_be_read_is_one_line(tmp_path):
    """A missing file, a folder and a picture are told as what they are."""
    picture = tmp_path / "picture.toml"
    picture.write_bytes(b"\x89PNG\xff")
    for path in (tmp_path / "none.toml", tmp_path, picture):
        with pytest.raises(ConfigError) as found:
            Config.load(path)
        assert len(found.value.mistakes) == 1
        assert str(path) in found.value.mistakes[0]


def test_lines_are_found_behind_texts_of_several_lines(tmp_path):
    """What looks like a key inside a text is not taken for one."""
    text = '[plugins.a]\nx = """\nretention_hours = 1\n[monitor]\n"""\n[monitor]\nretention_hours = 0\n'
    assert mistakes(tmp_path, text)[0].startswith("monitor.toml:7: [monitor] retention_hours = 0")


def test_plugin_folders_are_relative_to_the_file(tmp_path):
    """The file says where its plugins are, wherever the process was started."""
    config = Config.load(written(tmp_path, "[plugins]\npaths = ['mine', '/opt/theirs']\n"))
    assert config.plugin_paths == [str(tmp_path / "mine"), "/opt/theirs"]


def test_a_plugins_table_is_checked_like_the_rest():
    """Types, attrs' own validators, enums, lists and required keys, all at once."""
    table = {
        "prot": 1,
        "port": 0,
        "timeout": "soon",
        "to": "me",
        "min_level": "info",
        "enabled": True,
    }
    assert refused(table) == [
        "m: [plugins.sink] prot = 1: unknown key; did you mean 'port'?",
        "m: [plugins.sink] url: is missing; it is required",
        "m: [plugins.sink] port = 0: must be >= 1",
        (
            'm: [plugins.sink] timeout = "soon": must be a duration such as'
            ' "500ms", "5s", "2m", "4h" or "1d"'
        ),
        'm: [plugins.sink] to = "me": must be a list',
    ]


def test_a_table_turns_a_plugin_on_and_off():
    """Present is on, `enabled = false` is off, absent is neither, and "named" is in between."""
    tables = {"a": {}, "b": {"enabled": False}, "d": {"enabled": "named"}}
    config = Config.from_mapping({"plugins": tables})
    assert [config.plugin_enabled(name) for name in "abcd"] == [True, False, None, "named"]


def test_a_field_is_mapped_in_short_or_in_full():
    """The name of the predicted field alone, or a table with it."""
    fields = {"result": "recommendation", "sum": {"predicted": "total", "weight": 2}}
    config = Config.from_mapping({"agents": {"a": {"outcomes": {"fields": fields}}}})
    result, total = config.agents["a"].outcomes.fields.values()
    assert (result.predicted, result.weight, result.scorer) == ("recommendation", 1.0, None)
    assert (total.predicted, total.weight) == ("total", 2.0)


def test_every_mistake_in_outcomes_is_told_with_its_place(tmp_path):
    """Of the agent's table, of its synonyms and of each field."""
    text = """[accuracy]
source_priorty = ["audit"]
confidence_fields = ["c", "c"]
[agents."billing-*".outcomes]
scorr = "exact"
source_priority = ["audit", 5]
synonyms = { approve = ["yes"], reject = ["YES"] }
[agents.a.outcomes.fields]
result = 5
other = { predicted = "x", weight = 0, synonyms = { yes = [[]] } }
third = { scorer = "exact" }
"""
    field = "monitor.toml:{}: [agents.a.outcomes.fields"
    assert mistakes(tmp_path, text) == [
        (
            'monitor.toml:2: [accuracy] source_priorty = ["audit"]: unknown key;'
            " did you mean 'source_priority'?"
        ),
        (
            'monitor.toml:3: [accuracy] confidence_fields = ["c", "c"]: must not repeat a name;'
            " 'c' occurs twice"
        ),
        (
            'monitor.toml:5: [agents.billing-*.outcomes] scorr = "exact": unknown key;'
            " did you mean 'scorer'?"
        ),
        "monitor.toml:6: [agents.billing-*.outcomes] source_priority, item 2 = 5: must be text",
        (
            "monitor.toml:7: [agents.billing-*.outcomes.synonyms]: must give each value one meaning;"
            " 'YES' means both 'approve' and 'reject'"
        ),
        field.format(9) + "] result = 5: must be text, or a table with predicted = ...",
        field.format(10) + ".other] weight = 0: must be a number above 0",
        (
            field.format(10) + ".other.synonyms]:"
            " must map words to lists of text, numbers, true or false"
        ),
        field.format(11) + ".third] predicted: is missing; it is required",
    ]


def test_an_agents_outcomes_are_found_by_name_and_by_glob():
    """Its own name first, whatever comes before it; then the first glob of the file that fits."""
    tables = {
        "billing-*": {"outcomes": {"confidence": "first"}},
        "*": {"outcomes": {"confidence": "second"}},
        "billing-eu": {"outcomes": {"confidence": "own"}},
        "billing-us": {"specialties": ["refund"]},
    }
    config = Config.from_mapping({"agents": tables})
    for agent, word in (
        ("billing-eu", "own"), ("billing-us", "first"), ("billing-x", "first"), ("b", "second"),
    ):  # fmt: skip
        assert config.outcomes_of(agent).confidence == word
    assert Config().outcomes_of("b") is None


def test_whose_outcome_counts_is_said_for_all_and_for_an_agent():
    """The agent's own list is instead of the general one."""
    tables = {"a": {"outcomes": {"source_priority": ["user"]}}, "b": {"outcomes": {}}}
    config = Config.from_mapping({"agents": tables})
    assert config.source_priority_of("a") == ["user"]
    for agent in "bc":
        assert config.source_priority_of(agent) == ["audit", "system", "user", "automated"]


def test_named_scorers_are_told_with_the_first_place_that_names_them(tmp_path):
    """The whole outcome's, and each field's."""
    text = """[agents.a.outcomes]
scorer = "exact"
[agents.a.outcomes.fields]
x = { predicted = "y", scorer = "numeric" }
z = { predicted = "y", scorer = "exact" }
"""
    places = Config.load(written(tmp_path, text)).named_scorers
    assert {name: place.removeprefix(f"{tmp_path}{os.sep}") for name, place in places.items()} == {
        "exact": "monitor.toml:2: [agents.a.outcomes] scorer",
        "numeric": "monitor.toml:4: [agents.a.outcomes.fields.x] scorer",
    }


def test_secrets_come_from_the_environment_and_from_files(tmp_path, monkeypatch):
    """Both are read, neither is shown, and only a literal is warned of."""
    monkeypatch.setenv("SINK_URL", "https://canary.example/env")
    file = tmp_path / "url"
    file.write_text("https://canary.example/file\n")
    file.chmod(0o600)
    given = ({"env": "SINK_URL"}, {"file": str(file)}, "https://canary.example/literal")
    for source, value in zip(("env", "file", "literal"), given, strict=True):
        config = Config.from_mapping({"plugins": {"sink": {"url": value}}}, source="m")
        sink = config.table("sink", SinkConfig)
        assert sink.url.reveal() == f"https://canary.example/{source}"
        assert "canary" not in f"{sink} {sink.url!r} {sink.url!s} {config!r} {config.warnings}"
        assert len(config.warnings) == (source == "literal")


def test_a_secret_that_cannot_be_had_says_why(tmp_path, monkeypatch):
    """Unset, missing, empty or readable by everybody."""
    monkeypatch.delenv("UNSET", raising=False)
    file = tmp_path / "url"
    file.write_text("open")
    file.chmod(0o644)
    assert "variable UNSET is not set" in refused({"url": {"env": "UNSET"}})[0]
    assert "No such file" in refused({"url": {"file": str(tmp_path / "none")}})[0]
    assert "is readable by everyone" in refused({"url": {"file": str(file)}})[0]
    assert "must be text, { env =" in refused({"url": {"vault": "x"}})[0]


def test_a_mistake_never_shows_a_secret():
    """A secret below the wrong key, or of the wrong kind, stays hidden."""
    lines = refused({"webhook": "canary-1", "url": ["canary-2"], "to": ["ok", 5]})
    assert len(lines) == 3
    assert "canary" not in "".join(lines)


def test_a_database_password_is_hidden_and_warned_of():
    """A storage URL is text, but its password is nobody's business."""
    mapping = {"monitor": {"storage": "postgresql://me:canary@host/db"}}
    config = Config.from_mapping(mapping)
    assert config.monitor.storage == "postgresql://me:canary@host/db"
    assert "canary" not in f"{config!r}{config.warnings}"
    assert len(config.warnings) == 1


def test_known_secrets_are_cut_out_of_any_text():
    """Errors of libraries quote URLs; a secret in them is replaced."""
    secret = Secret("T000/B000/canary")
    text = f"cannot post to https://hooks.example/{secret.reveal()}?a=1 as https://me:pw@host/"
    assert redacted(text) == "cannot post to https://hooks.example/***?*** as https://***@host/"


def test_keywords_win_over_the_file_and_are_checked_like_it():
    """`with_overrides` replaces what is given, and tells all that is wrong."""
    config = Config.from_mapping({"alerts": {"thresholds": {"accuracy_min": 0.9}}})
    changed = config.with_overrides(
        30, {"error_rate_max": 0.5}, "memory:", enable_auto_alerts=False
    )
    assert (changed.monitor.window_size_minutes, changed.monitor.storage) == (30, "memory:")
    assert changed.alerts.thresholds.error_rate_max == 0.5
    assert changed.alerts.thresholds.accuracy_min == 0.9
    assert not changed.alerts.enabled
    with pytest.raises(ConfigError) as found:
        config.with_overrides("60", {"sucess_rate_min": 1, "error_rate_max": 5}, "x")
    assert len(found.value.mistakes) == 4


@given(st.floats(0, 1e6), st.sampled_from(["ms", "s", "m", "h", "d", "w"]))
def test_durations_are_read_as_they_are_written(count, unit):
    """The count times the unit, in seconds."""
    factor = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}[unit]
    assert duration_seconds(f"{count:.3f}{unit}") == float(f"{count:.3f}") * factor


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["monitor", "storage", "rules", "x\ny", "paths"]), inner)
    ),
    max_leaves=6,
)


@given(
    st.dictionaries(st.sampled_from(["monitor", "alerts", "plugins", "agents", "x"]), json_values)
)
def test_any_mapping_is_taken_or_refused_in_lines(mapping):
    """Nothing but `ConfigError` ever comes out, and each mistake is one line."""
    lines = []
    try:
        Config.from_mapping(mapping)
    except ConfigError as problem:
        lines = problem.mistakes or [""]
    assert all(len(line.splitlines()) == 1 for line in lines)


def test_importing_configuration_is_light():
    """cattrs and tomli are imported when a file is read, not before."""
    code = (
        "import sys, perfmon.config.config; print('cattrs' in sys.modules, 'tomli' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\n\n"])
def test_secrets_of_environment_and_file_are_read_alike(tmp_path, ending):
    """The line break that `echo` and editors leave belongs to neither."""
    (tmp_path / "key").write_text(f"s3cret-key{ending}", newline="")
    (tmp_path / "key").chmod(0o600)
    for source in ({"env": "KEY"}, {"file": "key"}):
        assert (
            read_secret(source, tmp_path, {"KEY": f"s3cret-key{ending}"}).reveal() == "s3cret-key"
        )


@pytest.mark.parametrize("text", ["", "\n", "two\nlines", "nul\0"])
def test_a_secret_that_cannot_be_one_is_refused(tmp_path, text):
    """From either source, with the source and without the value."""
    (tmp_path / "key").write_text(text)
    (tmp_path / "key").chmod(0o600)
    for source in ({"env": "KEY"}, {"file": "key"}):
        with pytest.raises(ValueError, match=r"KEY|key") as caught:
            read_secret(source, tmp_path, {"KEY": text})
        assert "two" not in str(caught.value)
