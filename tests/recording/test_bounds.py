"""How large a field may be, and of which kind: the same on every way in, and never at a run's cost."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmon import AgentRun, InvalidRun, PerformanceMonitor
from perfmon.recording.importing import Columns, FileImport, Source
from perfmon.records.validation import (
    MAX_ERROR,
    MAX_ID,
    MAX_JSON,
    MAX_NAME,
    cut_text,
    metadata_text,
)

RUN = {"run_id": "r", "agent_name": "bot", "agent_type": "react", "status": "success"}
TEXTS = {"agent_type": MAX_NAME, "model": MAX_NAME, "task_type": MAX_NAME, "error_type": MAX_ERROR}
IDS = {"run_id": MAX_ID, "task_id": MAX_ID, "agent_name": MAX_NAME, "tenant": MAX_NAME}


@pytest.fixture
def monitor():
    made = PerformanceMonitor(storage_url="memory:")
    made.record_agent_run("first", "bot", "react", "success")  # its words are known now
    yield made
    made.stop()


def imported(monitor, fields, tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_text(json.dumps({"type": "run", "timestamp": 1.7e9} | fields) + "\n")
    return FileImport(monitor, Source(path, Columns())).run().rejected


def tracked(monitor, fields):
    with monitor.track(**{k: v for k, v in fields.items() if k != "status"}):
        pass


def _refused(call):
    try:
        call()
    except InvalidRun:
        return 1
    return 0


# Each records a run and returns how many were refused.
WAYS = {
    "one": lambda m, fields, _: _refused(lambda: m.record_agent_run(**fields)),
    "bulk": lambda m, fields, _: len(m.record_agent_runs([fields]).rejected),
    "known": lambda m, fields, _: len(m.record_agent_runs([RUN, fields]).rejected),
    "bytes": lambda m, fields, _: len(
        m.record_agent_runs(json.dumps([fields], ensure_ascii=False).encode()).rejected
    ),
    "hook": lambda m, fields, _: _refused(lambda: m.hook.run_finished(run=AgentRun(**fields))),
    "import": imported,
}


def stored(monitor):
    monitor.flush()
    from perfmon import Scope

    return {
        row[0]: AgentRun.from_row(row)
        for chunk in monitor.storage.read_runs(0, 2**62, Scope())
        for row in chunk
    }


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("letter", ["x", "é", "語", "🦜"])
@pytest.mark.parametrize("field", TEXTS)
def test_long_texts_lose_their_end_and_no_run(monitor, tmp_path, field, letter, way):
    """Bytes count, not characters; a whole letter is kept or not; the run is `cut`."""
    longest = TEXTS[field]
    fits = letter * (longest // len(letter.encode()))
    for number, text in enumerate((fits, fits + letter, fits * 9)):
        before = monitor.get_stats()["cut"]
        fields = RUN | {"run_id": f"r{number}", field: text}
        assert WAYS[way](monitor, fields, tmp_path) == 0
        assert monitor.get_stats()["cut"] - before == (number > 0)
        assert getattr(stored(monitor)[f"r{number}"], field) == fits


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("letter", ["x", "é", "🦜"])
@pytest.mark.parametrize("field", IDS)
def test_long_ids_and_names_are_refused(monitor, tmp_path, field, letter, way):
    """What tells runs apart is taken as it is, or not at all."""
    fits = letter * (IDS[field] // len(letter.encode()))
    assert WAYS[way](monitor, RUN | {field: fits}, tmp_path) == 0
    assert WAYS[way](monitor, RUN | {field: fits + letter}, tmp_path) == 1
    assert monitor.get_stats()["rejected"] >= (1 if way not in ("hook", "import") else 0)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("letter", ["x", "é", "\n", "🦜"])
def test_large_metadata_is_left_out_whole(monitor, tmp_path, letter, way):
    """At the same byte, first and later, and what it says of the task type is kept."""
    empty = len('{"task_type":"plan","k":""}')
    size = len(json.dumps(letter, ensure_ascii=False).encode()) - 2
    fits = letter * ((MAX_JSON - empty) // size)
    for number, text in enumerate((fits, fits + letter, fits, fits * 2)):
        metadata = {"task_type": "plan", "k": text}
        before = monitor.get_stats()["cut"]
        fields = RUN | {"run_id": f"r{number}", "cost": 0.4, "metadata": metadata}
        assert WAYS[way](monitor, fields, tmp_path) == 0
        is_cut = number in (1, 3)
        assert monitor.get_stats()["cut"] - before == is_cut
        run = stored(monitor)[f"r{number}"]
        assert run.metadata == (None if is_cut else metadata)
        assert (run.task_type, run.cost) == ("plan", 0.4)


async def test_rest_has_the_same_bounds(tmp_path):
    """A list, one object and lines: refused, cut and left out as everywhere."""
    from aiohttp.test_utils import TestClient, TestServer
    from perfmon_server import ServerConfig, make_app

    large = {"documents": ["ü" * 40_000]}
    items = [
        RUN | {"run_id": "1", "metadata": large, "model": "é" * 200},
        RUN | {"run_id": "é" * 300},
        RUN | {"run_id": "3", "task_type": "x" * 300, "error_type": "y" * 300},
    ]
    for number, content in enumerate(("application/json", "application/x-ndjson")):
        with PerformanceMonitor(storage_url=f"sqlite:///{tmp_path}/{number}.db") as monitor:
            async with TestClient(TestServer(make_app(monitor, ServerConfig()))) as client:
                lines = "\n".join(map(json.dumps, items))
                body = json.dumps(items) if number == 0 else lines
                answer = await client.post(
                    "/api/performance/runs", data=body, headers={"Content-Type": content}
                )
                told = await answer.json()
                assert (told["accepted"], [one["index"] for one in told["rejected"]]) == (2, [1])
                assert monitor.get_stats()["cut"] == told["cut"] == 2


def test_tracked_runs_have_the_same_bounds(monitor):
    """What is set on a tracked run costs it nothing."""
    with monitor.track("bot", "react", task_type="plan") as run:
        run.metadata, run.model = {"documents": "x" * 80_000}, "m" * 300
    (found,) = (run for run_id, run in stored(monitor).items() if run_id != "first")
    assert (found.task_type, found.model, found.metadata) == ("plan", "m" * 256, None)
    assert monitor.get_stats()["cut"] == 1


def test_metadata_of_measurements_and_predictions_costs_them_nothing(monitor):
    """Left out and counted, with a model whose end is left off."""
    large, long = {"k": "é" * 40_000}, "m" * 300
    measured = monitor.record_accuracy("bot", "t", 1, 1, metadata=large, model=long)
    assert measured.accuracy_score == 1
    monitor.record_prediction("bot", "u", 1, metadata=large, model=long, task_type=long)
    assert monitor.record_outcome("u", 1, metadata=large).measurements
    receipt = monitor.record_predictions(
        [{"agent_name": "bot", "task_id": "v", "predicted_outcome": 1, "metadata": large}]
    )
    assert receipt.accepted == 1
    assert monitor.get_stats()["cut"] == 4


def test_receipts_count_what_was_cut_of_measurements_predictions_and_outcomes(monitor):
    """As those of runs do; what is refused is not counted as cut."""
    large = {"agent_name": "bot", "task_id": "t", "metadata": {"k": "é" * 40_000}}
    small = large | {"metadata": {"k": 1}}
    bad = large | {"tenant": ""}
    told = {"predicted_outcome": 1}, {"actual_outcome": 1}
    for record, fields in (
        (lambda items: monitor.record_accuracies(items)[1], told[0] | told[1]),
        (monitor.record_predictions, told[0]),
        (lambda items: monitor.record_each_prediction(items)[1], told[0]),
        (lambda items: monitor.record_outcomes(items)[1], told[1]),
    ):
        before = monitor.get_stats()["cut"]
        receipt = record([one | fields for one in (large, small, bad)])
        assert (receipt.cut, len(receipt.rejected)) == (1, 1)
        assert monitor.get_stats()["cut"] - before == 1


@given(st.text(max_size=30), st.integers(4, 40))
def test_a_cut_text_is_the_longest_head_that_fits(value, longest):
    """Of whole characters; where it fits it is itself."""
    try:
        found = cut_text("model", value, longest)
    except InvalidRun:
        assert not value.strip() or any(c == "\0" or "\ud800" <= c <= "\udfff" for c in value)
        return
    if len(value.encode()) <= longest:
        assert found == value
    else:
        assert len(found.encode()) <= longest
        assert found in value
        assert found.strip()
        assert len(found.encode()) > longest - 4 or not value[: len(found) + 1].strip()


odd_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.dates(),
              st.decimals(), st.binary(max_size=3), st.complex_numbers()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.tuples(inner), st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=40)
@given(st.dictionaries(st.text(max_size=3), odd_values, max_size=3))
def test_metadata_is_written_alike_on_every_way(value):
    """Else the same run would be a conflict where it comes again by another way."""
    with_key = {"run_id": "r", "agent_name": "bot", "status": "success", "metadata": value}
    value.pop("task_type", None)
    monitor = PerformanceMonitor(storage_url="memory:")
    for _ in range(2):  # the words are known at the second time
        monitor.record_agent_run(**with_key, agent_type=None)
    receipt = monitor.record_agent_runs([with_key])
    assert (receipt.duplicates, receipt.conflicts) == (1, ())
    assert json.loads(metadata_text("metadata", value)) is not None
    monitor.stop()


ODD = [
    Decimal("sNaN"), Decimal("-sNaN"), Decimal("NaN"), Decimal("Infinity"), float("nan"),
    float("-inf"), np.float32("nan"), np.float64("inf"), 1j, 10**400, -(10**400), "1", "nan", True,
    Fraction(10**400, 3), np.array(1.0), np.array([1.0, 2.0]), np.bool_(1), b"1", [1], {},
]  # fmt: skip
AMOUNTS = (
    "duration_ms", "tokens_used", "input_tokens", "output_tokens", "cached_tokens", "cost",
    "memory_mb", "cpu_ms", "quality_score", "confidence", "api_calls", "retries", "timestamp",
)  # fmt: skip


@pytest.mark.parametrize("value", ODD, ids=repr)
def test_what_is_no_finite_number_is_refused_and_nothing_else_raised(monitor, value):
    """On every way in, whatever comparing it or adding it up raises."""
    for field in AMOUNTS:
        if field == "timestamp" and isinstance(value, str):
            continue
        fields = RUN | {field: value}
        for call in (
            lambda: monitor.record_agent_run(**fields),  # noqa: B023
            lambda: monitor.hook.run_finished(run=AgentRun(**fields)),  # noqa: B023
        ):
            with pytest.raises(InvalidRun, match=field):
                call()
        (refused,) = monitor.record_agent_runs([fields]).rejected
        assert refused.field == field
    with pytest.raises(InvalidRun, match="confidence"):
        monitor.record_accuracy("bot", "t", 1, 1, confidence=value)
    with pytest.raises(InvalidRun, match="confidence"):
        monitor.record_prediction("bot", "t", 1, confidence=value)


class Unaddable(float):
    """A number whose arithmetic fails in a way of its own."""

    def __add__(self, other):
        raise OSError("no arithmetic today")


def test_numbers_of_odd_classes_are_taken_by_their_value(monitor):
    """A subclass of float is one, whatever its methods do."""
    monitor.record_agent_run("r", "bot", "react", "success", input_tokens=Unaddable(5))
    assert stored(monitor)["r"].tokens_used == 5


@pytest.mark.parametrize("value", ["", 0, False, {}, [], 0.0, [None], " ", b"x"], ids=repr)
def test_a_wrong_tenant_is_not_the_default_one(monitor, value):
    """Whose something is, is never guessed; nor are other ids that were given."""
    one = {"agent_name": "bot", "task_id": "t"}
    measured = one | {"predicted_outcome": 1, "actual_outcome": 1}
    predicted, told = one | {"predicted_outcome": 1}, {"task_id": "t", "actual_outcome": 1}
    for call in (
        lambda: monitor.record_agent_run(**RUN, tenant=value),
        lambda: monitor.record_accuracy(**measured, tenant=value),
        lambda: monitor.record_accuracy(**measured, measurement_id=value),
        lambda: monitor.record_prediction(**predicted, tenant=value),
        lambda: monitor.record_outcome(**told, tenant=value),
        lambda: monitor.run_started("r", "bot", tenant=value),
    ):
        with pytest.raises(InvalidRun):
            call()
    for receipt in (
        monitor.record_agent_runs([RUN | {"tenant": value}]),
        monitor.record_accuracies([measured | {"tenant": value}])[1],
        monitor.record_accuracies([measured | {"measurement_id": value}])[1],
        monitor.record_predictions([predicted | {"tenant": value}]),
        monitor.record_outcomes([told | {"tenant": value}])[1],
        monitor.record_outcomes([told | {"outcome_id": value}])[1],
    ):
        assert len(receipt.rejected) == receipt.total == 1
    if value != {}:
        with pytest.raises(InvalidRun, match="metadata"):
            monitor.run_started("r", "bot", metadata=value)


def test_a_task_type_is_a_keyword_too(monitor):
    """It goes before the metadata's, which stays as it is, on every way in."""
    metadata = {"task_type": "search"}
    for number in range(2):
        monitor.record_agent_run(
            f"a{number}", "bot", "react", "success", task_type="plan", metadata=metadata
        )
        monitor.record_agent_runs([RUN | {"run_id": f"b{number}", "task_type": "plan"}])
        monitor.record_agent_run(f"c{number}", "bot", "react", "success", metadata=metadata)
    found = {run_id: (run.task_type, run.metadata) for run_id, run in stored(monitor).items()}
    for number in range(2):
        assert found[f"a{number}"] == ("plan", metadata)
        assert found[f"b{number}"] == ("plan", None)
        assert found[f"c{number}"] == ("search", metadata)
