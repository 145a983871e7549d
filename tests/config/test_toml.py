"""Where a mistake stands in a file, whatever else is written there."""

from __future__ import annotations

import pytest

from perfmon import Config, ConfigError


def mistakes(tmp_path, text):
    file = tmp_path / "monitor.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as found:
        Config.load(file)
    return [line.removeprefix(f"{tmp_path}/") for line in found.value.mistakes]


@pytest.mark.parametrize(
    "before",
    [
        '# a """ alone\n', "# ''' alone\n", "# don't\n", 'x = "a" # """\n',
        "x = '\"\"\"'\n", 'x = "\'\'\'"\n', 'x = "\\"\\"\\"" # """\n', 'x = """a\n#b"""\n',
        'x = """a\\"""\nretention_hours = 1\n[monitor]\n"""\n', 'x = """"a"""""\n',
        "x = '''\\'''\n", "x = '''a\n\"\"\"\n'''\n", 'x = """\n\'\'\'\n""" # """\n', 'x = ""\n',
        "x = [\n  [1],\n  [ 2 ]\n]\n", 'x = [\n "]", # [\n]\n', "x = { y = '}' }\n",
    ],
)  # fmt: skip
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_line_of_a_mistake_is_right(tmp_path, before, end):
    """Behind comments, texts and lists that look like something else."""
    text = f"[plugins.a]\n{before}[monitor]\nretention_hours = 0\n"
    line = text.count("\n")
    (found,) = mistakes(tmp_path, text.replace("\n", end))
    assert found.startswith(f"monitor.toml:{line}: [monitor] retention_hours = 0: ")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[monitor", 1), ("\n\n[monitor", 3), ('[monitor]\nstorage = "x\n', 2), ("[monitor]\nx", 2),
        ('[monitor]\nx = """a\nb\n\n', 3), ("[alerts]\nx = [\n1,\n", 3), ("[a]\nb =", 2),
        ("[a]\nx = 2026-13-01\n", 2),
    ],
)  # fmt: skip
def test_a_file_that_ends_early_has_a_line(tmp_path, text, line):
    """The last one, where the end is what is wrong."""
    (found,) = mistakes(tmp_path, text)
    assert found.startswith(f"monitor.toml:{line}: not valid TOML: ")


def test_a_byte_order_mark_is_taken_and_another_encoding_told(tmp_path):
    """UTF-8 with or without a mark; of anything else the line, or what it is."""
    text = "[monitor]\nretention_hours = 5\n"
    (tmp_path / "monitor.toml").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert Config.load(tmp_path / "monitor.toml").monitor.retention_hours == 5
    assert mistakes(tmp_path, text.encode("utf-16")) == [
        "monitor.toml: is UTF-16 text; save it as UTF-8"
    ]
    assert mistakes(tmp_path, b"[monitor]\n# caf\xe9\n") == [
        "monitor.toml:2: is not UTF-8 text; save it as UTF-8"
    ]
