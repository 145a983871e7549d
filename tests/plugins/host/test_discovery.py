"""Finding and loading plugins: only what is wanted, and one line for whatever goes wrong."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from perfmon import PluginError
from perfmon.config.config import Config
from perfmon.plugins.bus import Bus
from perfmon.plugins.discovery import Plugins, install_hint

SCORER = """from perfmon import hookimpl

@hookimpl
def score_outcome(predicted, actual):
    return 0.25
"""
CONFIGURED = """import attrs
from perfmon import hookimpl

@attrs.frozen
class Table:
    answer: float = 0.5

class Plugin:
    def __init__(self, config):
        self.table = config.table("other", Table)

    @hookimpl
    def score_outcome(self, predicted, actual):
        return self.table.answer
"""


@pytest.fixture
def files(tmp_path):
    """Writes plugin files into a folder; returns the configuration that names it."""
    folder = tmp_path / "my_plugins"
    folder.mkdir()

    def write(tables=None, **texts):
        for name, text in texts.items():
            (folder / f"{name}.py").write_text(text)
        return Config.from_mapping({"plugins": {"paths": [str(folder)], **(tables or {})}})

    return write


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Installs a distribution of one module with one plugin, as pip would leave it."""

    def install(text, name="other", value=None, requires=()):
        site = tmp_path / "site"
        info = site / "acme_perfmon-1.5.dist-info"
        info.mkdir(parents=True)
        module = f"acme_{name}"
        (site / f"{module}.py").write_text(text)
        lines = ["Metadata-Version: 2.1", "Name: acme-perfmon", "Version: 1.5"]
        lines += [f"Requires-Dist: {requirement}" for requirement in requires]
        (info / "METADATA").write_text("\n".join(lines))
        (info / "entry_points.txt").write_text(f"[perfmon]\n{name} = {value or module}\n")
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.delitem(sys.modules, module, raising=False)

    return install


def loaded(config, also=()):
    bus, plugins = Bus(), Plugins(config, also)
    plugins.register_all(bus)
    return bus, plugins


def failures(config, also=()):
    """The lines of what cannot be loaded."""
    with pytest.raises(PluginError) as found:
        loaded(config, also)
    return str(found.value).splitlines()


def states(plugins):
    return {plugin["name"]: plugin["state"] for plugin in plugins.describe()}


def test_the_defaults_are_on_and_nothing_else():
    """Storage, scorers, trend, recommendations and the log need no table."""
    bus, plugins = loaded(Config())
    on = {name for name, state in states(plugins).items() if state == "on"}
    assert on == {"sql", "scorers", "trend", "recommend", "log"}
    assert bus.hook.score_outcome(predicted=90, actual=100) == pytest.approx(0.9)


def test_what_is_not_wanted_is_not_imported():
    """`import` costs and risks only what the configuration asks for."""
    code = (
        "import json, sys; from perfmon.plugins.bus import Bus; from perfmon.config.config import Config;"
        "from perfmon.plugins.discovery import Plugins;"
        "Plugins(Config.from_mapping({'plugins': {'trend': {'enabled': False}}})).register_all(Bus());"
        "print(json.dumps([m in sys.modules for m in"
        " ('perfmon_sql', 'perfmon_trend', 'perfmon_server', 'aiohttp', 'sqlalchemy')]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [True, False, False, False, False]


def test_a_table_turns_a_plugin_on_or_off(installed):
    """Present is on, `enabled = false` is off, absent is available."""
    installed(CONFIGURED, value="acme_other:Plugin")
    for table, state in (
        ({"other": {}}, "on"),
        ({"other": {"enabled": False}}, "off"),
        ({}, "available"),
    ):
        _, plugins = loaded(Config.from_mapping({"plugins": table}))
        assert states(plugins)["other"] == state


def test_a_class_is_made_with_its_configuration(installed):
    """And takes its own table, which `describe` then shows as on, with its hooks."""
    installed(CONFIGURED, value="acme_other:Plugin")
    bus, plugins = loaded(Config.from_mapping({"plugins": {"other": {"answer": 0.75}}}))
    assert bus.hook.score_outcome(predicted=1, actual=1) == 0.75
    assert type(plugins.get("other")).__name__ == "Plugin"
    (shown,) = [plugin for plugin in plugins.describe() if plugin["name"] == "other"]
    assert shown == {
        "name": "other", "origin": "acme-perfmon 1.5", "state": "on",
        "hooks": ["score_outcome"], "error": None,
    }  # fmt: skip


def test_files_are_asked_before_installed_plugins_and_those_before_ours(files, installed):
    """The nearer to the user, the earlier."""
    installed(CONFIGURED, value="acme_other:Plugin")
    bus, _ = loaded(files({"other": {}}, mine=SCORER))
    order = [name for name, _ in bus.implementations("score_outcome")]
    assert order == ["mine", "other", "scorers"]


def test_what_was_asked_for_comes_before_what_is_on_by_itself():
    """`[plugins.exact]` is asked before the default scorers."""
    bus, _ = loaded(Config.from_mapping({"plugins": {"exact": {}}}))
    order = [name for name, _ in bus.implementations("score_outcome")]
    assert order == ["exact", "scorers"]


def test_a_file_is_no_module_of_anybody_elses(files):
    """my_plugins/json.py leaves json alone, and a name with _ is no plugin."""
    _, plugins = loaded(files(json=SCORER, _shared="raise SystemExit"))
    assert states(plugins)["json"] == "on"
    assert sys.modules["json"] is json
    assert "_shared" not in states(plugins)


def test_a_file_can_be_turned_off(files):
    """A table of its name does it, and nothing of it runs."""
    _, plugins = loaded(files({"bad": {"enabled": False}}, bad="raise ValueError"))
    assert states(plugins)["bad"] == "off"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("x = 1\ndef f(:\n", "bad.py:2: SyntaxError: invalid syntax"),
        ("import os\n\n1 / 0\n", "bad.py:3: ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)\n", "bad.py:1: SystemExit: 3"),
        ("import nowhere_at_all\n", "bad.py:1 needs the module 'nowhere_at_all', which is not"),
        ("import psycopg_missing as p\n", "pip install psycopg_missing"),
        ("x = 1\n", "bad.py: implements no hook; mark its functions with @hookimpl"),
        (SCORER.replace("score_outcome", "score_outcom"), "bad.py: plugin 'bad': no such hook"),
        (SCORER.replace("actual", "truth"), "has no argument 'truth'; it has predicted, actual"),
    ],
)
def test_a_broken_file_is_one_line_and_stops_no_other(files, text, line):
    """File, line and error; the other plugins are on all the same."""
    bus, plugins = Bus(), Plugins(files(bad=text, good=SCORER))
    with pytest.raises(PluginError) as found:
        plugins.register_all(bus)
    assert line in str(found.value)
    assert len(str(found.value).splitlines()) == 1
    assert states(plugins)["bad"] == "failed"
    assert bus.hook.score_outcome(predicted=1, actual=1) == 0.25


def test_an_unknown_plugin_is_told_with_its_place_and_the_known_ones(tmp_path):
    """A slip in a table's name is no silent nothing."""
    file = tmp_path / "monitor.toml"
    file.write_text("[plugins]\n\n[plugins.trand]\n")
    (line,) = failures(Config.load(file))
    assert line.startswith(f"{file}:3: [plugins.trand]: no such plugin; known plugins:")
    assert "scorers" in line
    assert line.endswith("; did you mean 'trend'?")


def test_a_missing_library_is_told_with_the_extra_to_install(installed):
    """The plugin, the module, and the distribution's own extra for it."""
    requires = ['missing-lib[fast]>=2; extra == "fancy"', 'missing-lib; extra == "all"']
    installed("import missing_lib\n", requires=requires)
    (line,) = failures(Config.from_mapping({"plugins": {"other": {}}}))
    assert line.startswith("plugin 'other' of acme-perfmon 1.5: ")
    assert line.endswith(
        "acme_other.py:1 needs the module 'missing_lib', which is not installed:"
        ' pip install "acme-perfmon[fancy]"'
    )


@pytest.mark.parametrize(
    ("name", "module", "table"),
    [
        ("similarity", "rapidfuzz", {}),
        ("json_schema", "jsonschema", {"actual_is_schema": True}),
        ("email", "aiosmtplib", {}),
        ("apprise", "apprise", {}),
    ],
)
def test_our_own_plugins_name_the_extra_they_need(monkeypatch, name, module, table):
    """Their library is imported when they are made, and its absence is one line."""
    monkeypatch.setitem(sys.modules, module, None)
    (line,) = failures(Config.from_mapping({"plugins": {name: table}}))
    assert f"perfmon_{name}.py:" in line
    extra = name.replace("_", "-")
    assert line.endswith(
        f'needs the module {module!r}, which is not installed: pip install "agent-perfmon[{extra}]"'
    )


def test_our_own_extras_are_read_from_the_metadata():
    """psycopg comes with the extra for PostgreSQL; what no extra has, by its name."""
    assert install_hint("psycopg") == 'pip install "agent-perfmon[postgres]"'
    assert install_hint("jsonschema.validators") == 'pip install "agent-perfmon[json-schema]"'
    assert install_hint("other_thing.part") == "pip install other_thing"


@pytest.mark.parametrize(
    ("text", "value", "words"),
    [
        (SCORER, "acme_other:Missing", "has no attribute 'Missing'"),
        (SCORER, "acme_gone", "No module named 'acme_gone'; reinstall acme-perfmon"),
        (CONFIGURED, "acme_other:Plugin", '[plugins.other] answer = "x": must be a number'),
        (
            "class P:\n def __init__(self, c):\n  c.x\n",
            "acme_other:P",
            "acme_other.py:3: Attribute",
        ),
    ],
)
def test_an_installed_plugin_that_cannot_be_made_is_one_line(installed, text, value, words):
    """A wrong entry point, a lost module, mistakes in its table, an error in its making."""
    installed(text, value=value)
    (line,) = failures(Config.from_mapping({"plugins": {"other": {"answer": "x"}}}))
    assert words in line


def test_everything_wrong_is_told_at_once(files):
    """Unknown, missing, broken and twice taken names in one go."""
    config = files({"nobody": {}}, trend=SCORER, bad="1 / 0")
    config.plugin_paths.append("/no/such/folder")
    lines = failures(config, also=["serverr"])
    assert len(lines) == 5
    for words in ("'trend' is already used by agent-perfmon", "no such folder: /no/such/folder", "nobody]",
                  "plugin 'serverr': no such plugin; known plugins:", "bad.py:1"):  # fmt: skip
        assert any(words in line for line in lines)


def test_a_plugin_that_is_not_on_says_so():
    """`get` names its state, or the nearest name."""
    _, plugins = loaded(Config())
    for name, words in (("server", "it is available"), ("trand", "did you mean 'trend'")):
        with pytest.raises(PluginError, match=words):
            plugins.get(name)


def outcomes(**table):
    """The tables of an agent whose outcomes say this."""
    return {"agents": {"a": {"outcomes": table}}}


def test_a_scorer_that_is_only_named_answers_where_it_is_named(installed):
    """It is loaded, and stays out of the chain; a table of its own puts it in, unless it says so."""
    installed(CONFIGURED, value="acme_other:Plugin")
    named = outcomes(fields={"x": {"predicted": "y", "scorer": "other"}})
    for tables, state, chain in (
        (named, "named", ["scorers"]),
        ({"plugins": {"other": {"enabled": "named"}}}, "named", ["scorers"]),
        ({"plugins": {"other": {}}, **named}, "on", ["other", "scorers"]),
    ):
        bus, plugins = loaded(Config.from_mapping(tables))
        assert states(plugins)["other"] == state
        assert [name for name, _ in bus.implementations("score_outcome")] == chain
        scorer = bus.find("score_outcome", "other")
        assert bus.call(scorer, (1, 2)) == 0.5


def test_a_default_scorer_is_out_of_the_chain_only_if_its_table_says_so():
    """To name it changes nothing for the others."""
    _, plugins = loaded(Config.from_mapping(outcomes(scorer="scorers")))
    assert states(plugins)["scorers"] == "on"
    config = Config.from_mapping({"plugins": {"scorers": {"enabled": "named"}}})
    assert loaded(config)[0].implementations("score_outcome") == []


def test_a_scorer_that_is_named_and_cannot_be_asked_is_one_line(tmp_path):
    """Unknown, turned off, or no scorer: the place that names it, and what could be meant."""
    file = tmp_path / "monitor.toml"
    file.write_text("""[agents.a.outcomes]
scorer = "exakt"
[agents.a.outcomes.fields]
x = { predicted = "y", scorer = "trend" }
z = { predicted = "y", scorer = "exact" }
[plugins.exact]
enabled = false
""")
    unknown, wrong, off = failures(Config.load(file))
    assert unknown.startswith(f"{file}:2: [agents.a.outcomes] scorer: no such plugin;")
    assert unknown.endswith("did you mean 'exact'?")
    place = f"{file}:4: [agents.a.outcomes.fields.x] scorer"
    assert wrong == f"{place}: plugin 'trend' is not a scorer; scorers: scorers"
    place = f"{file}:5: [agents.a.outcomes.fields.z] scorer"
    assert off == f"{place}: plugin 'exact' is turned off in {file}:6: [plugins.exact]"
