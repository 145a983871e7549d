"""Files as runs and measurements: every cell, clock and mapping, and what becomes of bad lines."""

from __future__ import annotations

import gzip
import json
from collections import Counter

import pytest

from perfmon import PerfmonError, PerformanceMonitor, Receipt, Rejection
from perfmon.recording.importing import Columns, FileImport, ImportFileError, Source, moment
from perfmon.testing import ManualClock

NOON = 1_767_268_800.0  # 2026-01-01T12:00:00Z
HEADER = "run_id,agent_name,agent_type,status,started_at,duration_ms"


class Collector:
    """Takes batches in as a monitor does, and refuses the run ids it is told."""

    def __init__(self, refused=()):
        self.refused = refused
        self.runs = []
        self.measurements = []
        self.predictions = []
        self.outcomes = []
        self.batches = []

    def record_agent_runs(self, runs, *, wait=True):
        runs = list(runs)
        self.batches.append(len(runs))
        bad = [index for index, run in enumerate(runs) if run["run_id"] in self.refused]
        self.runs += [run for index, run in enumerate(runs) if index not in bad]
        rejected = tuple(Rejection(index=i, field="run_id", message=f"run {i}") for i in bad)
        return Receipt(accepted=len(runs) - len(bad), rejected=rejected)

    def record_accuracies(self, items, *, wait=True):
        self.measurements += (items := list(items))
        return items, Receipt(accepted=len(items))

    def record_predictions(self, items, *, wait=True):
        self.predictions += (items := list(items))
        return Receipt(accepted=len(items))

    def record_outcomes(self, items):
        self.outcomes += (items := list(items))
        return items, Receipt(accepted=len(items))


@pytest.fixture
def collector():
    return Collector()


@pytest.fixture
def load(tmp_path, collector):
    def load(text, mapping=None, name="runs.csv", **options):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        source = Source(path, Columns(mapping, **options))
        return FileImport(collector, source).run()

    return load


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-01-01T12:00:00Z", NOON),
        ("2026-01-01T12:00:00+00:00", NOON),
        ("2026-01-01T13:00:00+01:00", NOON),
        ("2026-01-01 12:00:00", NOON),
        ("2026-01-01T12:00:00.1234567Z", NOON + 0.123456),
        ("2026-01-01", NOON - 12 * 3600),
        ("1767268800.5", NOON + 0.5),
    ],
)
def test_moment_reads_every_clock(text, seconds):
    """Zones, naive stamps (UTC), seven digits, dates and epoch seconds are all told apart."""
    assert moment(text) == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize("text", ["20260101", "yesterday", "2026-13-01", "1_767_268_800"])
def test_moment_refuses_or_counts_what_is_no_iso_text(text):
    """Text that is neither ISO 8601 nor a number is refused; compact dates are not guessed at."""
    if text == "20260101":
        assert moment(text) == 20_260_101
    else:
        with pytest.raises(ValueError):
            moment(text)


def test_csv_stamp_is_the_start_plus_the_duration(load, collector):
    """A run ended when it started plus its duration; without a duration, when it started."""
    load(f"{HEADER}\na,x,t,success,2026-01-01T12:00:00Z,1500\nb,x,t,success,2026-01-01T12:00:00Z,")
    assert [run["timestamp"] for run in collector.runs] == [NOON + 1.5, NOON]
    assert "duration_ms" not in collector.runs[1]


def test_csv_blank_is_unknown_and_zero_is_zero(load, collector):
    """A blank cell gives no value at all, and a cell of 0 gives 0."""
    load(
        "run_id,agent_name,status,timestamp,tokens_used,cost_usd\na,x,success,5,0,\nb,x,success,5,,0.0"
    )
    first, second = collector.runs
    assert first["tokens_used"] == 0
    assert "cost" not in first
    assert second["cost"] == 0
    assert "tokens_used" not in second


def test_csv_meta_columns_are_metadata(load, collector):
    """`meta_x` goes to metadata as text, and is not mistaken for a field of that name."""
    load("run_id,agent_name,status,timestamp,meta_timed_out,meta_task_type\na,x,success,5,1,sql")
    assert collector.runs[0]["metadata"] == {"timed_out": "1", "task_type": "sql"}
    assert "timed_out" not in collector.runs[0]


def test_mapping_fills_a_field_from_any_column(load, collector):
    """A mapped column fills its field; a meta column stays in metadata too."""
    text = "id,bot,ok,when,meta_late,price\na,x,success,2026-01-01T12:00Z,1,3"
    mapping = {"run_id": "id", "agent_name": "bot", "status": "ok", "timestamp": "when",
               "timed_out": "meta_late", "metadata.price": "price"}  # fmt: skip
    load(text, mapping)
    run = collector.runs[0]
    assert (run["run_id"], run["agent_name"], run["timestamp"]) == ("a", "x", NOON)
    assert run["timed_out"] is True
    assert run["metadata"] == {"late": "1", "price": "3"}


def test_mapping_of_unknown_fields_and_columns_is_refused(load):
    """A field that does not exist, or a column that is not there, is one clear error."""
    with pytest.raises(PerfmonError, match="--map prize: no such field"):
        load("run_id\na", {"prize": "run_id"})
    with pytest.raises(PerfmonError, match=r"no column 'bot' \(columns: run_id\)"):
        load("run_id\na", {"agent_name": "bot"})


def test_csv_without_a_needed_column_says_how_to_name_it(load):
    """A header without agent_name ends the import at once, with the option to use."""
    with pytest.raises(PerfmonError, match="--map agent_name=COLUMN"):
        load("run_id,status,bot\na,success,x")


def test_what_is_no_csv_is_told_in_one_plain_line(load):
    """Bytes that are none of a text reach no terminal, and a list of JSON says what to do."""
    with pytest.raises(PerfmonError, match="no column for run_id") as refused:
        load(b"\x1b[31m\x07\xff\x85" * 200 + b"\n1\n")
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 500
    for text in ('[{"run_id": "a"}]', "[\n  {}\n]", "[]"):
        with pytest.raises(PerfmonError, match="is a single JSON array; import takes JSON lines"):
            load(text)


def test_two_columns_of_one_name_are_refused_where_they_are_read(load, collector):
    """Nobody knows which of them is meant; those that nobody reads may be as they are."""
    with pytest.raises(PerfmonError, match="two columns are named 'status'"):
        load("run_id,agent_name,status,timestamp,status\na,x,success,5,failure")
    load("run_id,agent_name,status,timestamp,note,note\na,x,success,5,1,2")
    assert len(collector.runs) == 1


def test_refusals_are_told_in_the_order_of_the_file(tmp_path):
    """Also those that the monitor finds, later than what cannot be read."""
    path = tmp_path / "runs.csv"
    bad = "".join(f"{n},x,t,success,soon,1\n" for n in range(12))
    path.write_text(f"{HEADER}\na,x,t,success,5,1\n{bad}b,x,t,success,5,1\n")
    tally = FileImport(Collector(refused=("a", "b")), Source(path, Columns())).run()
    assert tally.rejected == 14
    assert [refused.line for refused in tally.first] == list(range(2, 12))


def test_an_import_of_bad_lines_alone_can_be_interrupted(tmp_path, collector):
    """Though no batch is ever sent."""
    path = tmp_path / "runs.csv"
    path.write_text(HEADER + "\n" + "n,x,t,success,soon,1\n" * 9000)
    tally = FileImport(collector, Source(path, Columns()), interrupted=lambda: True).run()
    assert tally.rejected == 2000


def test_rows_without_a_clock_need_a_default_time(load, collector):
    """Without --default-time such rows are refused with the reason, with it they take it."""
    text = "run_id,agent_name,status\na,x,success\n"
    assert "--default-time" in load(text).first[0].reason
    load(text, default_time=NOON)
    assert [run["timestamp"] for run in collector.runs] == [NOON]


def test_bad_lines_are_counted_with_their_number(load, collector):
    """Each bad line is refused for itself, with its line (quoted line breaks count) and why."""
    rows = ['a,"x\ny",t,success,5,1', "b,x,t,success,5,fast", "", "c,x", "d,x,t,success,soon,1"]
    tally = load("\n".join([HEADER, *rows]))
    assert [run["run_id"] for run in collector.runs] == ["a"]
    assert [(refused.line, refused.reason) for refused in tally.first] == [
        (4, "duration_ms = 'fast': must be a number"),
        (6, "2 cells where the header has 6"),
        (7, "started_at = 'soon': must be a time in ISO 8601 or epoch seconds"),
    ]


def test_what_the_monitor_refuses_has_its_line(tmp_path):
    """A refusal by the monitor is traced back from the batch's index to the file's line."""
    path = tmp_path / "runs.csv"
    path.write_text(HEADER + "\na,x,t,success,5,1\nb,x,t,success,5,1\n")
    tally = FileImport(Collector(refused=("b",)), Source(path, Columns())).run()
    assert (tally.accepted, tally.rejected, tally.first[0].line) == (1, 1, 3)


def test_only_the_first_ten_refusals_are_kept(load):
    """The count goes on, the list does not."""
    tally = load("run_id,agent_name,status\n" + "a,x,success\n" * 25)
    assert (tally.rejected, len(tally.first)) == (25, 10)


def test_json_lines_carry_runs_and_measurements(load, collector):
    """A line says what it is, or its fields do; null outcomes and typed values pass untouched."""
    lines = [
        {"type": "run", "run_id": "a", "agent_name": "x", "status": "success", "timestamp": NOON},
        {"type": "accuracy", "agent_name": "x", "task_id": "t", "predicted_outcome": None,
         "actual_outcome": [True, 1], "timestamp": "2026-01-01T12:00:00"},
        {"agent_name": "x", "task_id": "u", "predicted_outcome": 1, "actual_outcome": 1, "timestamp": 5},
    ]  # fmt: skip
    tally = load("\n".join(map(json.dumps, lines)), name="all.jsonl")
    assert tally.accepted == 3
    assert [item["predicted_outcome"] for item in collector.measurements] == [None, 1]
    assert collector.measurements[0]["actual_outcome"] == [True, 1]
    assert collector.measurements[0]["timestamp"] == NOON


def test_json_lines_refuse_what_is_no_object(load):
    """Broken JSON, other values and unknown types are refused, each with its line."""
    tally = load('{"type": "run"\n[1]\n{"type": "span"}\n', name="all.jsonl")
    assert [refused.line for refused in tally.first] == [1, 2, 3]
    assert tally.first[2].reason == (
        "type = 'span': must be one of run, accuracy, prediction, outcome"
    )


def test_measurement_ids_are_stable_and_distinct(load, collector):
    """The same line always has the same id, whatever the default time; another has another."""
    line = '{"agent_name":"x","task_id":"t","predicted_outcome":%d,"actual_outcome":2}\n'
    load(line % 1 + line % 2, name="a.jsonl", default_time=NOON)
    load(line % 1, name="b.jsonl", default_time=NOON + 60)
    first, second, again = [item["measurement_id"] for item in collector.measurements]
    assert first == again != second


FORECASTS = "agent_name,id,p,a,when,known,feedback_source,model\n"
FORECAST = {"task_id": "id", "predicted_outcome": "p", "actual_outcome": "a", "timestamp": "when"}


def test_csv_rows_are_what_their_outcomes_make_them(load, collector):
    """Both are a measurement, one of them alone a prediction or an outcome; JSON keeps its type."""
    text = (
        "x,1,0.5,1,2026-01-01,,audit,m\nx,2,yes,no,2026-01-01,,,\n"
        "x,3,0.1,,2026-01-01,,audit,m\nx,4,,null,2026-01-01,,audit,m\nx,5, , ,2026-01-01,,,"
    )
    tally = load(FORECASTS + text, FORECAST)
    measured = [(m["predicted_outcome"], m["actual_outcome"]) for m in collector.measurements]
    assert measured == [(0.5, 1), ("yes", "no")]
    midnight = NOON - 12 * 3600
    assert collector.predictions == [
        dict(agent_name="x", task_id="3", predicted_outcome=0.1, model="m", timestamp=midnight)
    ]
    (told,) = collector.outcomes
    assert len(told.pop("outcome_id")) == 32
    assert told == dict(
        agent_name="x", task_id="4", actual_outcome=None, feedback_source="audit",
        timestamp=midnight,
    )  # fmt: skip
    assert tally.by_kind == Counter(accuracy=2, prediction=1, outcome=1)
    assert [refused.reason for refused in tally.first] == ["predicted_outcome is missing"]


def test_a_type_given_is_the_type_of_every_row(load, collector):
    """A prediction has its outcome beside it, and as an accuracy row must have it."""
    text = FORECASTS + "x,1,0.5,1,2026-01-01,2026-01-02,audit,m\nx,2,0.5,,2026-01-01,,,"
    mapping = FORECAST | {"outcome_timestamp": "known"}
    assert load(text, mapping, kind="prediction").accepted == 3
    assert [item["task_id"] for item in collector.predictions] == ["1", "2"]
    assert all("actual_outcome" not in item for item in collector.predictions)
    (told,) = collector.outcomes
    assert (told["actual_outcome"], told["feedback_source"], told["agent_name"]) == (
        1,
        "audit",
        "x",
    )
    assert told["timestamp"] - collector.predictions[0]["timestamp"] == 24 * 3600
    tally = load(text, mapping, kind="accuracy")
    assert tally.first[0].reason == "actual_outcome is missing"
    assert collector.measurements[0]["timestamp"] == told["timestamp"]


@pytest.mark.parametrize(
    ("header", "kind"),
    [("agent_name,task_id,predicted_outcome,timestamp", "predictions"),
     ("task_id,actual_outcome,timestamp", "outcomes"),
     ("run_id,agent_name,status,predicted_outcome,timestamp", "runs")],
)  # fmt: skip
def test_csv_kind_goes_by_its_columns(load, collector, header, kind):
    """Predictions alone, outcomes alone (of any agent), and runs that mention one of them."""
    load(header + "\n" + ",".join("5" for _ in header.split(",")))
    assert len(getattr(collector, kind)) == 1
    assert "agent_name" in header or "agent_name" not in collector.outcomes[0]


def test_csv_of_a_type_says_which_column_it_needs(load):
    """A file of runs is none of outcomes."""
    with pytest.raises(PerfmonError, match="--map actual_outcome=COLUMN"):
        load("task_id,p\na,1", kind="outcome")


def test_json_lines_carry_predictions_and_outcomes(load, collector):
    """A line says what it is, or its fields do; a null beside a prediction is not known yet."""
    common = {"agent_name": "x", "timestamp": NOON}
    lines = [
        {"type": "prediction", **common, "task_id": "a", "predicted_outcome": None},
        {"type": "prediction", **common, "task_id": "b", "predicted_outcome": 1, "actual_outcome": None},
        {"type": "prediction", **common, "task_id": "c", "predicted_outcome": 1, "actual_outcome": 2,
         "outcome_id": "own", "outcome_timestamp": "2026-01-02T00:00:00Z"},
        {"type": "outcome", "task_id": "a", "actual_outcome": None, "timestamp": NOON},
        {**common, "task_id": "d", "predicted_outcome": 1},
        {"task_id": "d", "actual_outcome": 1, "timestamp": NOON},
    ]  # fmt: skip
    assert load("\n".join(map(json.dumps, lines)), name="all.jsonl").accepted == 7
    assert [item["task_id"] for item in collector.predictions] == ["a", "b", "c", "d"]
    told = {item["task_id"]: item for item in collector.outcomes}
    assert {task: item["actual_outcome"] for task, item in told.items()} == {
        "a": None,
        "c": 2,
        "d": 1,
    }
    assert (told["c"]["outcome_id"], told["c"]["timestamp"]) == ("own", NOON + 12 * 3600)


@pytest.mark.parametrize("given", ["outcome", "prediction"])
def test_outcome_ids_are_stable_and_distinct(load, collector, given):
    """The same line always has the same id, whatever the default time; another has another."""
    line = '{"agent_name":"x","task_id":"t","predicted_outcome":1,"actual_outcome":%d}\n'
    load(line % 1 + line % 2, name="a.jsonl", kind=given, default_time=NOON)
    load(line % 1, name="b.jsonl", kind=given, default_time=NOON + 60)
    first, second, again = [item["outcome_id"] for item in collector.outcomes]
    assert first == again != second


def test_gzip_is_told_by_its_bytes(load, collector):
    """A gzipped file is read whatever its name is, with a byte order mark too."""
    load(gzip.compress(b"\xef\xbb\xbf" + f"{HEADER}\na,x,t,success,5,1".encode()), name="odd.txt")
    assert collector.runs[0]["run_id"] == "a"


def test_truncated_gzip_keeps_what_came_before(tmp_path, collector):
    """A file cut short is an error that says after which line; what came before is recorded."""
    rows = "".join(f"{n},x,t,success,{n},{n * 7919 % 1000}\n" for n in range(1, 9000))
    whole = gzip.compress(f"{HEADER}\n{rows}".encode())
    path = tmp_path / "cut.csv.gz"
    path.write_bytes(whole[: len(whole) * 3 // 4])
    importing = FileImport(collector, Source(path, Columns()))
    with pytest.raises(ImportFileError, match="unreadable after line"):
        importing.run()
    assert importing.tally.accepted == len(collector.runs) > 1000


def test_interruption_ends_after_the_batch_in_hand(tmp_path, collector):
    """Asked to stop, an import finishes its batch and counts exactly what it sent."""
    path = tmp_path / "runs.csv"
    path.write_text(HEADER + "\n" + "".join(f"{n},x,t,success,5,1\n" for n in range(9000)))
    tally = FileImport(
        collector, Source(path, Columns()), interrupted=lambda: len(collector.runs) >= 4000
    ).run()
    assert tally.accepted == len(collector.runs) == 4000


def test_tenant_is_for_rows_that_name_none(load, collector):
    """--tenant fills in, it does not overrule."""
    text = "run_id,agent_name,status,timestamp,tenant\na,x,success,5,\nb,x,success,5,own"
    load(text, tenant="acme")
    assert [run["tenant"] for run in collector.runs] == ["acme", "own"]


def test_columns_nobody_takes_are_told(tmp_path):
    """An unknown column is left out, and said to be."""
    path = tmp_path / "runs.csv"
    path.write_text("run_id,agent_name,status,timestamp,colour\na,x,success,5,red\n")
    source = Source(path, Columns())
    FileImport(Collector(), source).run()
    assert source.left_out == ["colour"]


def test_a_missing_file_is_one_clear_error(tmp_path):
    """The error names the file and the system's reason."""
    with pytest.raises(ImportFileError, match=r"nothing\.csv: No such file"):
        Source(tmp_path / "nothing.csv", Columns())


# What a monitor makes of it


@pytest.fixture
def take(tmp_path):
    """Imports text into a monitor whose storage stays, at a time at which none of it is old."""
    url = f"sqlite:///{tmp_path}/p.db"
    with PerformanceMonitor(storage_url=url, clock=ManualClock(1000.0)) as monitor:

        def take(text, mapping=FORECAST, kind="prediction"):
            path = tmp_path / "forecasts"
            path.write_text(text)
            return FileImport(monitor, Source(path, Columns(mapping, kind=kind))).run()

        take.monitor = monitor
        yield take


def accuracy(take):
    """Measurements that count, predictions that wait, and the share whose outcome is known."""
    summary = take.monitor.get_accuracy(since=0)
    return summary.overall.count, summary.waiting, summary.overall.coverage


def test_a_file_whose_outcomes_come_in_may_be_imported_again(take):
    """Each time what is new is measured, nothing twice, and a changed outcome is a correction."""
    rows = ["x,1,5,5,100,,,", "x,2,5,,100,,,", "x,3,5,,100,,,"]
    for _ in range(2):
        take(FORECASTS + "\n".join(rows))
        assert accuracy(take) == (1, 2, pytest.approx(1 / 3))
    rows[1] = "x,2,5,10,100,,,"
    tally = take(FORECASTS + "\n".join(rows))
    assert (tally.accepted, tally.duplicates) == (1, 4)
    assert accuracy(take) == (2, 1, pytest.approx(2 / 3))
    rows[1] = "x,2,5,5,100,,,"
    take(FORECASTS + "\n".join(rows))
    assert accuracy(take) == (2, 1, pytest.approx(2 / 3))
    assert take.monitor.get_accuracy(since=0).overall.accuracy == 1


def test_a_file_counts_once_whatever_its_rows_are_called(take):
    """Imported as it is, and again as predictions, it has the same measurements."""
    text = FORECASTS + "x,1,5,10,100,,,m\nx,2,5,,100,,,m"
    take(text, kind=None)
    assert accuracy(take)[:2] == (1, 1)
    take(text.replace("x,2,5,,", "x,2,5,10,"), kind="prediction")
    assert accuracy(take)[:2] == (2, 0)
    assert take.monitor.get_accuracy(since=0).overall.accuracy == 0.5


def test_the_order_inside_a_file_does_not_matter(take):
    """Outcomes before and after their predictions, in batches apart, are all measured."""
    told = [dict(task_id=f"t{n}", actual_outcome=n, timestamp=100) for n in range(2100)]
    made = [dict(agent_name="x", task_id=f"t{n}", predicted_outcome=n, timestamp=90)
            for n in range(2100)]  # fmt: skip
    lines = "\n".join(json.dumps(item) for item in [*told[:1000], *made, *told[1000:]])
    for _ in range(2):
        take(lines, mapping=None, kind=None)
        assert accuracy(take) == (2100, 0, 1.0)


def test_a_refused_prediction_keeps_its_outcome_back(take):
    """A line is taken in whole or not: mended, it counts as if it had been right at once."""
    text = "agent_name,id,p,a,when,confidence\nx,1,5,10,100,7\nx,2,5,10,100,1"
    tally = take(text)
    assert (tally.accepted, tally.rejected, tally.first[0].line) == (2, 1, 2)
    assert "confidence" in tally.first[0].reason
    assert take.monitor.record_prediction("x", "1", 5)
    take.monitor.flush()
    assert accuracy(take)[:2] == (1, 1)


def test_rows_without_a_clock_are_repeats_on_another_day(tmp_path):
    """The time that an import assumes for them is not their content; another status is."""
    path, clock = tmp_path / "runs.csv", ManualClock()
    monitor = PerformanceMonitor(storage_url="memory:", clock=clock)
    fates = []
    for status in ("success", "success", "failure"):
        path.write_text(f"run_id,agent_name,status\nr1,bot,{status}\nr2,bot,success\n")
        columns = Columns({}, default_time=clock())
        tally = FileImport(monitor, Source(path, columns)).run()
        fates.append((tally.accepted, tally.duplicates, tally.conflicts))
        clock.advance(3 * 86_400)
    assert fates == [(2, 0, 0), (0, 2, 0), (0, 1, 1)]
    monitor.stop()
