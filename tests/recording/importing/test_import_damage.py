"""Damaged files: what is no row is told by its line, and costs nothing but itself."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import attrs
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmon import PerformanceMonitor
from perfmon.cli import cli
from perfmon.errors import PerfmonError
from perfmon.recording.importing import Columns, FileImport, ImportFileError, Source
from perfmon.recording.importing.lines import Lines
from perfmon.records import Receipt

NAMES = ["run_id", "agent_name", "status", "timestamp", "meta_note"]
HEADER = ",".join(NAMES)
NOON = 1_767_268_800


class Collector:
    """Takes runs in as a monitor does."""

    def __init__(self):
        self.runs = []
        self.measurements = []

    def record_agent_runs(self, runs, *, wait=True):
        self.runs += (runs := list(runs))
        return Receipt(accepted=len(runs))

    def record_accuracies(self, items, *, wait=True):
        self.measurements += (items := list(items))
        return items, Receipt(accepted=len(items))

    def record_predictions(self, items, *, wait=True):
        raise AssertionError

    record_outcomes = record_predictions


@pytest.fixture
def load(tmp_path):
    """Imports bytes; gives the runs by id, the refused lines with their reasons, and the tally."""

    def load(content, encoding=None, mapping=None, **options):
        path = tmp_path / "file"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        collector = Collector()
        columns = Columns(mapping, **options)
        importing = FileImport(collector, source := Source(path, columns, encoding))
        tally = importing.run()
        assert importing.expected == tally.total
        assert source.unaccounted == 0
        load.measurements = collector.measurements
        runs = {run["run_id"]: run for run in collector.runs}
        assert len(runs) == tally.accepted - len(collector.measurements)
        return runs, {refused.line: refused.reason for refused in tally.first}, tally

    return load


@pytest.fixture
def perfmon(tmp_path, monkeypatch):
    """Runs the command in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def perfmon(*arguments, code=0):
        result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
        assert result.exit_code == code, (result.output, result.exception)
        assert "Traceback" not in result.output
        return result

    return perfmon


def lines_of(**bad):
    """Twenty good lines, some of them replaced: `r5=...`."""
    return [bad.get(f"r{n}", f"r{n},bot,success,{NOON + n},") for n in range(20)]


def text_of(end="\n", **bad):
    return end.join([HEADER, *lines_of(**bad), ""])


def others(*bad):
    return {f"r{n}" for n in range(20)} - set(bad)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("bad", "column"),
    [
        ({"r5": f'r5,"bot,success,{NOON},x'}, "agent_name"),
        ({"r5": f'"r5,bot,success,{NOON},x'}, "run_id"),
        ({"r19": f'r19,bot,success,{NOON},"'}, "meta_note"),
        ({"r5": f'r5,bot,success,{NOON},"not', "r6": f'r6,bot,failure,{NOON},"so'}, "meta_note"),
        ({"r5": f'r5,bot,success,{NOON},"a ""b"" c', "r9": f'r9,bot,"success,{NOON},'}, "meta"),
    ],
)  # fmt: skip
def test_a_quote_that_is_never_closed_costs_its_own_line(load, end, bad, column):
    """Whichever column it stands in, and whatever ends the lines."""
    runs, refused, _ = load(text_of(end, **bad))
    assert runs.keys() == others(*bad)
    assert [f"r{line - 2}" for line in refused] == list(bad)
    first = next(iter(refused.values()))
    assert first.startswith(f"in {column}")
    assert "a quote is opened and not closed before the next row" in first


def test_two_stray_quotes_that_fit_each_other_hide_no_row(load):
    """The second one ends its cell as it should, with whole rows in between or none."""
    for last in (6, 15):
        closing_line = {f"r{last}": f'r{last},bot,failure,{NOON},so"'}
        runs, refused, _ = load(text_of(r5=f'r5,bot,failure,{NOON},"not', **closing_line))
        assert runs.keys() == others("r5")
        assert list(refused) == [7]
        assert runs[f"r{last}"]["metadata"] == {"note": 'so"'}


def test_accuracy_rows_are_found_again_by_their_clock(load):
    """They have no status, by which a run is known."""
    rows = [f"bot,t{n},yes,no,2026-01-01T00:00:{n:02}Z" for n in range(9)]
    rows[3] = 'bot,t3,"yes,no,2026-01-01'
    head = "agent_name,task_id,predicted_outcome,actual_outcome,timestamp"
    _, refused, tally = load("\n".join([head, *rows]))
    assert (tally.accepted, list(refused)) == (8, [5])


def test_accuracy_rows_without_a_clock_are_found_again_by_their_agent(load):
    """What else looks like a row may be a part of an outcome."""
    rows = [f"bot,t{n},yes,no" for n in range(9)]
    rows[3], rows[6] = 'bot,t3,yes,"no', 'bot,t6,yes,no"'
    rows[8] = 'bot,t8,yes,"a,b,c,d\nx,y,z,z"'
    head = "agent_name,task_id,predicted_outcome,actual_outcome"
    _, refused, tally = load("\n".join([head, *rows]), default_time=NOON)
    assert (tally.accepted, list(refused)) == (8, [5])


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (r'"{\"a\": 1}"', r"escaped with a backslash (\")"),
        (r'"[\"x\",\"y\"]"', r"escaped with a backslash (\")"),
        (r'"say \"hi\""', r"escaped with a backslash (\")"),
        ('"he said "no" again"', "in meta_note a quote is followed by 'n' instead of ','"),
        ('"a" ', "in meta_note a quote is followed by ' ' instead of ','"),
        ("a,b", "6 cells where the header has 5"),
    ],
)
def test_quotes_inside_quotes_are_told_with_the_right_way(load, cell, words):
    """Nothing is guessed, and the next line is read."""
    runs, refused, tally = load(text_of(r5=f"r5,bot,success,{NOON},{cell}"))
    assert runs.keys() == others("r5")
    assert (list(refused), tally.damaged) == ([7], 1)
    assert words in refused[7]
    if "\\" in cell or "quote" in words:
        assert '("")' in refused[7]


@pytest.mark.parametrize(
    "note",
    [
        "one\ntwo",
        "one\r\ntwo\rthree",
        'Traceback:\n  File "x", line 1, in <module>\n    f(a, b, c, d)\nValueError: a,b,c,d',
        '"', '""\n""', "\n", "a\\", 'ends with "quote"', "\n" * 5000, "r7,bot,success,soon,", ",,,,",
    ],
)  # fmt: skip
def test_what_is_quoted_by_the_rules_is_read_to_the_letter(load, note):
    """Line breaks, quotes and separators of any kind."""
    out = io.StringIO()
    rows = [line.split(",") for line in lines_of()]
    rows[5][4] = note
    csv.writer(out).writerows([NAMES, *rows])
    runs, refused, _ = load(out.getvalue())
    assert (runs.keys(), refused) == (others(), {})
    assert runs["r5"]["metadata"] == {"note": note}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize("packed", [False, True])
def test_unicode_files_are_read_with_and_without_their_mark(load, encoding, packed):
    """CSV and JSON lines, gzipped too; UTF-16 without a mark is told by its zeros."""
    table = text_of(r5=f"r5,café ☕,success,{NOON},ü")
    line = {"run_id": "r5", "agent_name": "café ☕", "status": "success", "timestamp": NOON}
    for text in (table, "\n".join([json.dumps(line, ensure_ascii=False), json.dumps(line)[:30]])):
        content = text.encode(encoding)
        runs, refused, _ = load(gzip.compress(content) if packed else content)
        assert runs["r5"]["agent_name"] == "café ☕"
        assert list(refused) == ([] if text is table else [2])


@pytest.mark.parametrize(
    ("encoding", "name"),
    [("windows-1252", "Zoë"), ("iso-8859-15", "5€"), ("shift_jis", "東京"), ("koi8-r", "бот")],
)
def test_another_encoding_is_named(load, encoding, name):
    """With it everything is read right; without it keys are refused, never made the same."""
    other = name[:-1] + "x"
    content = text_of(r5=f"r5,{name},success,{NOON},", r6=f"r6,{other},success,{NOON},")
    runs, refused, _ = load(content.encode(encoding), encoding)
    assert (runs["r5"]["agent_name"], runs["r6"]["agent_name"], refused) == (name, other, {})
    runs, refused, tally = load(content.encode(encoding))
    bad = {"r5", "r6"} if any(ord(letter) > 127 for letter in other) else {"r5"}
    assert runs.keys() == others(*bad)
    assert tally.damaged == len(bad)
    assert re.match(r"agent_name = '.*\\x..*': must be text in UTF-8 \(.*--encoding", refused[7])


@pytest.mark.parametrize("field", ["run_id", "agent_name", "tenant", "task_id"])
@pytest.mark.parametrize("bad", [b"\xe9", b"\xff\xfe", b"\0"])
def test_bad_bytes_in_a_key_refuse_the_row(load, field, bad):
    """In CSV and in JSON lines alike."""
    row = {"run_id": b"r", "agent_name": b"a", "status": b"success", "timestamp": b"2026-01-01",
           "tenant": b"t", "task_id": b"k"}  # fmt: skip
    row[field] += bad
    for content in (
        b",".join(name.encode() for name in row) + b"\n" + b",".join(row.values()) + b"\n",
        b"{" + b",".join(b'"%s": "%s"' % (n.encode(), v) for n, v in row.items()) + b"}\n",
    ):
        runs, refused, tally = load(content)
        assert (runs, tally.rejected, tally.damaged) == ({}, 1, 1)
        assert all(letter < "\ud800" or letter > "\udfff" for letter in refused.popitem()[1])


@pytest.mark.parametrize("bad", [b"\xe9", b"\xc3"])
def test_bad_bytes_in_a_message_are_mended(load, bad):
    """The run counts; what is compared keeps its difference."""
    head = b"run_id,agent_name,status,timestamp,error_type,meta_note,model\n"
    table = head + b"r,a,failure,5,no %s,so %s,m-%s\n" % (bad, bad, bad)
    line = (
        b'{"run_id": "r", "agent_name": "a", "status": "failure", "timestamp": 5, '
        b'"error_type": "no %s", "meta_note": ["so %s"], "model": "m-%s"}' % (bad, bad, bad)
    )
    for content in (table, line):
        runs, refused, _ = load(content)
        assert refused == {}
        assert runs["r"]["error_type"] == "no \ufffd"
        assert runs["r"]["metadata"]["note"] in ("so \ufffd", ["so \ufffd"])
        assert runs["r"]["model"] == f"m-\\x{bad[0]:02x}"
    runs, _, _ = load(head + b"r,a,failure,5,a\0b,c\0d,m\n")
    assert runs["r"]["error_type"] == "a\ufffdb"


def test_outcomes_with_bad_bytes_do_not_become_equal(load):
    """Two letters that cannot be read are still two."""
    line = b'{"agent_name":"a","task_id":"t","predicted_outcome":"\xe9","actual_outcome":"\xe8"}'
    load(line, default_time=NOON)
    (measurement,) = load.measurements
    assert measurement["predicted_outcome"] != measurement["actual_outcome"]


@pytest.mark.parametrize(
    "before",
    [
        "\n\n\n", " \t \r\n", "\ufeff", "\ufeff\n", "sep=,\n", '"sep=,"\n', "SEP=,\r\n",
        "# one\n#two\n\n", "\ufeff# one\nsep=,\n\n", "# a, b, c, d, e\n", "# ",
    ],
)  # fmt: skip
def test_what_stands_before_a_header_does_not_hide_it(load, before):
    """Blank lines, comments, a byte order mark, a spreadsheet's separator, a commented header."""
    runs, refused, _ = load(before + text_of(r5="short"))
    assert runs.keys() == others("r5")
    assert list(refused) == [before.count("\n") + 7]


@pytest.mark.parametrize("title", ["Runs of January", "Runs;all;of them", "a,b", '"x'])
def test_a_foreign_line_before_the_header_is_refused_by_itself(load, title):
    """It is told, and the table below it is read."""
    runs, refused, tally = load(f"{title}\n\n{text_of()}")
    assert runs.keys() == others()
    assert list(refused) == [tally.damaged] == [1]
    assert "precedes the header" in refused[1]


def test_json_lines_may_begin_with_foreign_lines(load):
    """Comments are passed over, half a line is refused."""
    line = json.dumps({"run_id": "r", "agent_name": "a", "status": "success", "timestamp": 5})
    for before in ("# log\n", "\ufeff\n", 'tus": "success"}\n', "Export\n"):
        runs, refused, _ = load(f"{before}{line}\n")
        assert runs.keys() == {"r"}
        assert list(refused) == ([1] if before.strip("\ufeff\n") else [])


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators_are_told_from_the_header(load, separator):
    """Also of a file whose cells hold the others, and with quotes around them."""
    out = io.StringIO()
    rows = [line.split(",") for line in lines_of()]
    rows[5][4] = "a,b;c\td|e"
    csv.writer(out, delimiter=separator).writerows([NAMES, *rows])
    runs, refused, _ = load(out.getvalue())
    assert (runs.keys(), refused) == (others(), {})
    assert runs["r5"]["metadata"] == {"note": "a,b;c\td|e"}


def test_a_line_that_is_too_long_costs_only_itself(load):
    """It is not held in memory; of CSV and of JSON lines."""
    many = "x" * (1 << 25)
    runs, refused, _ = load(text_of(r5=f"r5,bot,success,{NOON},{many}"))
    assert runs.keys() == others("r5")
    assert "a line of more than 16,777,216 characters" in refused[7]
    line = '{"run_id": "%s", "agent_name": "a", "status": "success", "timestamp": 5}\n'
    runs, refused, _ = load(line % "a" + line % many + line % "b")
    assert (runs.keys(), list(refused)) == ({"a", "b"}, [2])


def test_a_row_of_a_whole_file_ends_somewhere(load):
    """A quote that swallows lines which are no rows either is given up in time."""
    text = text_of(r0=f'r0,bot,success,{NOON},"x') + "no row at all\n" * 300_000
    runs, refused, tally = load(text)
    assert runs.keys() == others("r0")
    assert (tally.rejected, next(iter(refused))) == (300_001, 2)


@pytest.mark.parametrize("row", ['{n}",bot,"success,1,', '{n},bot,"""x,1,', '{n},bot,success,1,"x'])
def test_many_quotes_do_not_make_many_readings(load, monkeypatch, row):
    """Though each of them would go on to the end of the file."""
    given = Counter()
    following = Lines.next

    def counted(lines):
        given["lines"] += 1
        return following(lines)

    monkeypatch.setattr(Lines, "next", counted)
    _, _, tally = load("\n".join([HEADER, *(row.format(n=n) for n in range(5000))]))
    assert tally.rejected == 5000
    assert given["lines"] < 6 * 5000


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "idna", "punycode"])
def test_an_encoding_that_it_cannot_be_is_one_line(load, encoding):
    """Of the file, and what is wrong with it."""
    with pytest.raises(ImportFileError, match=f"not {encoding.upper()} text: "):
        load(text_of(), encoding)


# Against a slow reader


def slow_lines(text):
    return re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$", text)


def slow_record(lines):
    """The cells of the record that begins with the first line, and how many lines it has."""
    cells, cell, state = [], "", "start"
    for count, line in enumerate(lines, 1):
        body = line.rstrip("\r\n")
        for char in body:
            if state == "quoted":
                state = "quote" if char == '"' else state
                cell += "" if char == '"' else char
            elif state == "quote":
                if char == '"':
                    cell, state = cell + '"', "quoted"
                elif char == ",":
                    cells, cell, state = [*cells, cell], "", "start"
                else:
                    return None
            elif char == ",":
                cells, cell, state = [*cells, cell], "", "start"
            elif char == '"' and state == "start":
                state = "quoted"
            else:
                cell, state = cell + char, "plain"
        if state != "quoted":
            return [*cells, cell], count
        cell += line[len(body) :]
    return None


def slow_is_row(line):
    read = slow_record([line])
    if read is None or len(read[0]) != len(NAMES):
        return False
    run_id, agent, status, stamp, _ = read[0]
    is_good = bool(run_id and agent) and status in ("success", "failure", "partial")
    return is_good and re.fullmatch(r"\d+", stamp) is not None


def slow_rows(text):
    """Rows of the header's width, and the numbers of the lines that are none."""
    lines, rows, refused, at = slow_lines(text), [], [], 0
    while at < len(lines):
        read = slow_record(lines[at:])
        if read is not None and len(read[0]) == 1 and not read[0][0].strip():
            at += read[1]
        elif (
            read is None
            or len(read[0]) != len(NAMES)
            or any(map(slow_is_row, lines[at + 1 : at + read[1]]))
        ):
            refused.append(at + 2)
            at += 1
        else:
            rows.append((at + 2, read[0]))
            at += read[1]
    return rows, refused


cells = st.text(st.sampled_from('ab",\n\r\\é ;'), max_size=6)
tables = st.lists(st.tuples(st.sampled_from(["success", "failure"]), cells), max_size=8)
damages = st.lists(
    st.tuples(st.sampled_from(["put", "take", "twice"]), st.floats(0, 1), st.sampled_from('",\n\r"\\x')),
    max_size=4,
)  # fmt: skip


def damaged(text, damage):
    kind, where, char = damage
    at = int(where * len(text))
    if kind == "put":
        return text[:at] + char + text[at:]
    return text[:at] + text[at + 1 :] if kind == "take" else text[:at] + text[at:][:9] + text[at:]


@settings(max_examples=200, deadline=None)
@given(table=tables, damage=damages, end=st.sampled_from(["\n", "\r\n"]))
def test_random_damage_costs_what_a_slow_strict_reader_says(tmp_path_factory, table, damage, end):
    """The same rows with the same cells, the same lines refused, and nothing beside them."""
    out = io.StringIO()
    rows = [(f"r{n}", "bot", status, 10**9 + n, note) for n, (status, note) in enumerate(table)]
    csv.writer(out, lineterminator=end).writerows(rows)
    body = out.getvalue()
    for one in damage:
        body = damaged(body, one)
    path = tmp_path_factory.getbasetemp() / "damaged.csv"
    path.write_text(f"{HEADER}\n{body}", encoding="utf-8", newline="")
    source = Source(path, Columns(default_time=5))
    items = list(source.items())
    expected, refused = slow_rows(body)
    assert [item.line for item in items if item.is_damaged] == refused
    read = {item.line: item.fields for item in items if item.kind == "run"}
    found = {line: row for line, row in expected if line in read}
    # The others have a value that is not allowed, such as a stamp that is no number.
    bad = [item.line for item in items if item.kind == "refused" and not item.is_damaged]
    assert sorted([*found, *bad]) == [line for line, _ in expected]
    assert {line: [fields.get("run_id", ""), fields.get("agent_name", "")]
            for line, fields in read.items()} == {line: row[:2] for line, row in found.items()}  # fmt: skip
    notes = {line: fields.get("metadata", {}).get("note", "") for line, fields in read.items()}
    assert notes == {line: row[4] for line, row in found.items()}
    assert len(items) == len(expected) + len(refused)
    assert source.unaccounted == 0


# The command


def stored(path):
    with closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT count(*) FROM runs").fetchone()[0]


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        ({}, 0),
        ({"r5": f'r5,bot,failure,{NOON},"not'}, 1),
        ({"r5": "r5,bot"}, 1),
        ({"r5": f"r5,bot,finished,{NOON},"}, 0),
    ],
)
def test_damage_is_an_exit_code_of_1(tmp_path, perfmon, bad, code):
    """A row with a value that is not allowed is refused, too, but the file is whole."""
    path = tmp_path / "runs.csv"
    path.write_text(text_of(**bad))
    result = perfmon("import", path, code=code)
    assert f"{20 - len(bad)} accepted, 0 duplicate, {len(bad)} rejected" in result.stdout
    assert result.stderr == (
        "perfmon: 1 malformed line, see above; the others were imported\n" * code
    )
    assert stored(tmp_path / "perfmon.db") == 20 - len(bad)


def test_the_encoding_is_an_option(tmp_path, perfmon):
    """One that is none is told, with a word that is meant."""
    path = tmp_path / "runs.csv"
    path.write_bytes(text_of(r5=f"r5,Zoë,success,{time.time()},").encode("cp1252"))
    assert "19 accepted" in perfmon("import", path, code=1).stdout
    assert "1 accepted, 19 duplicate" in perfmon("import", path, "--encoding", "cp1252").stdout
    for name, words in (
        ("windows-125", "did you mean 'windows-1252'?"),
        ("base64", "unknown text encoding"),
    ):
        assert words in perfmon("import", path, "--encoding", name, code=2).stderr


def test_rows_that_are_not_accounted_for_are_a_bug_that_is_told(tmp_path, perfmon, monkeypatch):
    """The parts are compared with the rows of the file at the end of each import."""
    path = tmp_path / "runs.csv"
    path.write_text(text_of())
    record = PerformanceMonitor.record_agent_runs

    def forgetful(monitor, runs, **options):
        receipt = record(monitor, runs, **options)
        return attrs.evolve(receipt, accepted=receipt.accepted - 1)

    monkeypatch.setattr(PerformanceMonitor, "record_agent_runs", forgetful)
    result = perfmon("import", path, code=1)
    assert (
        "1 of its rows are neither accepted, duplicate, conflicting nor rejected" in result.stderr
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\x03\x04\x14\0\0\0", "a zip archive or a spreadsheet"),
        (b"\xfd7zXZ\0\0\x04", "compressed with xz"),
        (b"SQLite format 3\0\x10\0", "an SQLite database"),
        (b"PAR1\x15\x04", "a Parquet file"),
        (b'{\n  "run_id": "r",\n  "agent_name": "a"\n}\n', "JSON spread over several lines"),
        (b'run_id,agent_name,status,"timestamp\n1,a,success,\n', "line 1: not a header"),
    ],
)
def test_what_is_no_table_is_told_by_what_it_is(tmp_path, content, words):
    """Rather than by columns that are not there, or by each of its lines."""
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(PerfmonError, match=words):
        list(Source(tmp_path / "file", Columns()).items())


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("lines", [
    "run_id,agent_name,status,timestamp\n跑一,%s,success,2026-01-01\n" % ("机器人" * 60),
    '{"run_id":"跑一","agent_name":"%s","status":"success","timestamp":"2026-01-01"}\n'
    % ("机器人" * 60),
])  # fmt: skip
def test_utf_16_without_a_mark_is_seen_among_other_letters(tmp_path, encoding, lines):
    """Few letters of its beginning are ASCII."""
    (tmp_path / "file").write_bytes(lines.encode(encoding))
    (item,) = Source(tmp_path / "file", Columns()).items()
    assert (item.kind, item.fields["agent_name"]) == ("run", "机器人" * 60)


def test_a_file_that_cannot_be_read_costs_no_other(tmp_path, monkeypatch):
    """Whatever is wrong with it as a whole; it is told, and the exit code is 1."""
    monkeypatch.chdir(tmp_path)
    good = "run_id,agent_name,status,timestamp\n%d,a,success,2026-01-01\n"
    Path("header.csv").write_text("a,b\n1,2\n")
    Path("one.csv").write_text(good % 1)
    Path("archive.zip").write_bytes(b"PK\x03\x04")
    Path("torn.csv.gz").write_bytes(gzip.compress((good % 2).encode())[:-12])
    Path("two.csv").write_text(good % 3)
    names = ["header.csv", "one.csv", "archive.zip", "torn.csv.gz", "two.csv"]
    result = CliRunner().invoke(cli, ["import", *names, "--storage", "sqlite:///p.db"])
    assert result.exit_code == 1
    assert [line.split(":")[1].strip() for line in result.stderr.splitlines()] == [
        "header.csv", "archive.zip", "torn.csv.gz",
    ]  # fmt: skip
    for name in ("one.csv", "two.csv"):
        assert f"{name}: 1 accepted, 0 duplicate, 0 rejected" in result.stdout
