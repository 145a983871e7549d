"""`monitor.hook`: each hook as a function, and which way each is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfmon.config.validators import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from perfmon.plugins.bus import Bus

INPUTS = frozenset({"run_started", "run_finished", "outcome_known"})
"""The monitor's own implementation comes first, at once, and may refuse."""
EVENTS = frozenset({
    "monitor_started", "monitor_stopping", "runs_recorded", "accuracy_recorded",
    "alert_raised", "alert_resolved", "deliver_alert",
})  # fmt: skip
"""Told to each plugin on a thread of its own; nobody waits. All other hooks are questions."""


class Hooks:
    """The façade over the bus: `hook.run_finished(run=...)`, by keywords only.

    Inputs and events return None, questions the first answer or a list of all, as hookspecs say.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def __getattr__(self, hook: str) -> Callable[..., Any]:
        if hook not in self._bus.arguments:
            hint = did_you_mean(hook, self._bus.arguments)
            raise AttributeError(f"there is no hook {hook!r}{hint}")

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
                f"hook {hook} has no argument {name!r}; it has {', '.join(known)}{hint}"
            )
    return {name: arguments.get(name) for name in known}
