"""The contract of sinks: messages of every kind, odd ones too, and no error but `DeliveryError`."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from perfmon.errors import DeliveryError
from perfmon.records import AlertLevel, AlertMessage, MetricType, PerformanceAlert

_AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
_ODD = (
    "<!channel> <script>alert(1)</script> & {{7*7}} %s",
    "Subject: x\r\nBcc: everybody@example.org\r\n\r\nhello\x00\x1b[31m\u2028",
    "\ud800 \N{RIGHT-TO-LEFT OVERRIDE}desrever 🦜 ünïcödé",
    "x" * 100_000,
    "",
)


def make_alert(number: int = 1, **changes: Any) -> PerformanceAlert:
    """An alert of the agent `agent-1`; fields as in `PerformanceAlert`."""
    fields: dict[str, Any] = {
        "alert_id": f"episode-{number}",
        "key": f"key-{number}",
        "rule": "error_rate_max",
        "level": AlertLevel.CRITICAL,
        "metric_type": MetricType.ERROR_RATE,
        "metric": "error_rate",
        "message": f"agent agent-{number}: error rate 40.0% is above 15.0%",
        "current_value": 0.4,
        "threshold": 0.15,
        "interval": (0.3, 0.5),
        "sample_size": 120,
        "agent_name": f"agent-{number}",
        "timestamp": _AT,
        "started_at": _AT,
        "recommendation": "look at the error classes",
        "details": {"errors": {"Timeout": 48}},
    }
    return PerformanceAlert(**fields | changes)


def make_message(*alerts: PerformanceAlert, **changes: Any) -> AlertMessage:
    """A message with these alerts, or with one."""
    fields: dict[str, Any] = {
        "message_id": "message-1",
        "sink": "sink",
        "group": "group-1",
        "kind": "firing",
        "alerts": alerts or (make_alert(),),
        "created_at": _AT,
        "link": "http://127.0.0.1:8787/?a=1&b=2",
    }
    return AlertMessage(**fields | changes)


def check_sink(
    deliver: Callable[..., Any], *, deadline: float = 10.0, patience: float = 2.0
) -> list[DeliveryError]:
    """Give a `deliver_alert` implementation messages of every kind, and one again.

    They are firing, escalated, reminders, resolved, tests; of one alert and of a thousand; with
    text that tries to be markup, headers or control characters, and with numbers that are none.
    Called in a running event loop it would wait for itself: use `asyncio.to_thread` there.

    Args:
        deliver: takes `alert`, `message` or both; may be async.
        deadline: how many seconds each call may take.
        patience: how many seconds an async one may take to end once it is cancelled.

    Returns:
        The errors it raised, all of them `DeliveryError`.

    Raises:
        AssertionError: it raised anything else, took too long, or was not to be cancelled.
    """
    errors: list[DeliveryError] = []
    for message in _messages():
        shown = f"deliver_alert of a {message.kind} message of {len(message.alerts)} alerts"
        started = time.monotonic()
        try:
            _called(deliver, message, deadline, shown)
        except DeliveryError as problem:
            text = str(problem)
            assert text.isprintable(), f"{shown}: its error is not one line: {text!r}"
            errors.append(problem)
        except AssertionError:
            raise
        except Exception as problem:
            raise AssertionError(f"{shown} raised {type(problem).__name__}: {problem}") from problem
        assert time.monotonic() - started <= deadline, f"{shown} took over {deadline:g} s"
    if inspect.iscoroutinefunction(deliver):
        asyncio.run(_cancelled(deliver, patience))
    return errors


def _called(
    deliver: Callable[..., Any], message: AlertMessage, deadline: float, shown: str
) -> None:
    answer = deliver(**_arguments(deliver, message))
    if not inspect.isawaitable(answer):
        return

    async def in_time() -> None:
        try:
            async with asyncio.timeout(deadline) as limit:
                await answer
        except TimeoutError:
            assert not limit.expired(), f"{shown} took over {deadline:g} s"
            raise

    asyncio.run(in_time())


async def _cancelled(deliver: Callable[..., Any], patience: float) -> None:
    task = asyncio.ensure_future(deliver(**_arguments(deliver, make_message(message_id="last"))))
    await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=patience)
    assert done, f"deliver_alert did not end within {patience:g} s of being cancelled"
    problem = None if task.cancelled() else task.exception()
    fits = problem is None or isinstance(problem, DeliveryError)
    assert fits, f"deliver_alert raised {problem!r} when it was cancelled"


def _arguments(deliver: Callable[..., Any], message: AlertMessage) -> dict[str, Any]:
    given = {"alert": message.alerts[0], "message": message}
    return {name: given[name] for name in inspect.signature(deliver).parameters if name in given}


def _messages() -> Iterator[AlertMessage]:
    over = make_alert(state="resolved", resolved_at=_AT + timedelta(minutes=12))
    yield make_message()
    yield make_message(attempt=2)
    for number, kind in enumerate(("escalated", "reminder", "test")):
        yield make_message(message_id=f"kind-{number}", kind=kind)
    yield make_message(over, message_id="over", kind="resolved")
    yield make_message(make_alert(2), over, message_id="mixed", left_out=7, link=None)
    for level in AlertLevel:
        yield make_message(make_alert(level=level), message_id=f"level-{level.value}")
    for number, text in enumerate(_ODD):
        yield make_message(_odd(text), message_id=f"odd-{number}", group=text[:200])
    bare = attrs.evolve(
        make_alert(),
        current_value=float("nan"),
        threshold=float("inf"),
        interval=(0.0, 1e300),
        agent_name=None,
        started_at=None,
        recommendation=None,
        rule="",
        metric="",
        details={},
    )
    yield make_message(bare, message_id="bare", link=None)
    thousand = [make_alert(number) for number in range(1_000)]
    yield make_message(*thousand, message_id="thousand", left_out=1_000_000)


def _odd(text: str) -> PerformanceAlert:
    return make_alert(
        message=text,
        agent_name=text,
        agent_type=text,
        model=text,
        tenant=text,
        unit=text[:99],
        recommendation=text,
        acknowledged_by=text,
        details={text: text, "n": 10**400},
    )
