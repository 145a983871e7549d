"""`monitor.hook`: each hook as a function, and how each is called."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

from perfmon.config.validators import did_you_mean

INPUTS = frozenset({"run_started", "run_finished", "outcome_known"})
"""The monitor's own implementation comes first, at once, and may refuse."""
EVENTS = frozenset({
    "monitor_started", "monitor_stopping", "runs_recorded", "accuracy_recorded",
    "alert_raised", "alert_resolved", "deliver_alert",
})  # fmt: skip
"""Told to each plugin on a thread of its own; nobody waits. All other hooks are questions."""


class Calls(Protocol):
    """The ways in which the bus calls a hook, and what it knows of all hooks."""

    @property
    def arguments(self) -> Mapping[str, tuple[str, ...]]:
        """The names of the arguments of each hook."""
        ...

    @property
    def first_answer(self) -> Collection[str]:
        """The questions of which the first answer counts."""
        ...

    def enter(self, hook: str, arguments: dict[str, Any]) -> None:
        """An input: the monitor's own implementation first, which may refuse it."""
        ...

    def publish(self, hook: str, /, **arguments: Any) -> None:
        """An event: nobody waits."""
        ...

    def ask(self, hook: str, /, **arguments: Any) -> Any:
        """A question: the first answer."""
        ...

    def ask_all(self, hook: str, /, **arguments: Any) -> list[Any]:
        """A question: every answer."""
        ...


class Hooks:
    """The façade over the bus: `hook.run_finished(run=...)`, by keywords only.

    Inputs and events return None, questions the first answer or a list of all, as hookspecs say.
    """

    def __init__(self, bus: Calls) -> None:
        self._bus = bus

    def __getattr__(self, hook: str) -> Callable[..., Any]:
        if hook not in self._bus.arguments:
            hint = did_you_mean(hook, self._bus.arguments)
            raise AttributeError(f"no such hook: {hook!r}{hint}")

        def call(**arguments: Any) -> Any:
            return self._call(hook, _in_full(hook, self._bus.arguments[hook], arguments))

        call.__name__ = hook
        self.__dict__[hook] = call
        return call

    def __dir__(self) -> list[str]:
        return sorted(self._bus.arguments)

    def _call(self, hook: str, arguments: dict[str, Any]) -> Any:
        if hook in INPUTS:
            return self._bus.enter(hook, arguments)
        if hook in EVENTS:
            return self._bus.publish(hook, **arguments)
        if hook in self._bus.first_answer:
            return self._bus.ask(hook, **arguments)
        return self._bus.ask_all(hook, **arguments)


def _in_full(hook: str, known: tuple[str, ...], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A hook's arguments, None for those not given; `TypeError` for one it has not."""
    for name in arguments:
        if name not in known:
            hint = did_you_mean(name, known)
            raise TypeError(
                f"hook {hook} has no argument {name!r} (arguments: {', '.join(known)}){hint}"
            )
    return {name: arguments.get(name) for name in known}
