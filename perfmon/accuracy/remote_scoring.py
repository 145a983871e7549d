"""Remote scorers: asked behind the recording path, several at once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from perfmon.accuracy.matching import Matcher
from perfmon.accuracy.scoring import Scoring
from perfmon.errors import StorageError
from perfmon.records.measurements import Scored

_log = logging.getLogger("perfmon")
AT_ONCE = 8
_SOME = 32  # what is read and amended together
_PAUSE = 5.0  # seconds, where storage is unavailable or something went wrong


class RemoteScoring:
    """Asks remote scorers about the measurements that wait for them, oldest first.

    The thread starts with the first of them. A scorer that gives no answer has had its own
    retries: the measurement is `failed` then, and its note says why.
    """

    def __init__(self, matcher: Matcher, scoring: Scoring) -> None:
        self._matcher = matcher
        self._scoring = scoring
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def look(self) -> None:
        """Start if something waits."""
        alive = self._thread is not None and self._thread.is_alive()
        if self._matcher.unscored.is_set() and not alive and not self._stopping.is_set():
            self._thread = threading.Thread(target=self._run, name="perfmon-later", daemon=True)
            self._thread.start()

    def finish(self) -> None:
        """Score all that waits in the caller's thread."""
        if self._matcher.unscored.is_set():
            self._score_all(lambda: False)

    def stop(self, timeout: float) -> None:
        """End after what is under way; the rest waits in storage for the next start."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def _compare(
        self, agent_name: str, predicted: Any, actual: Any, confidence: float | None
    ) -> Scored:
        scored = self._scoring.score(agent_name, predicted, actual, confidence, may_wait=True)
        if scored.state == "failed" and self._stopping.is_set():
            return scored._replace(state="scoring")  # cut off by the end: it has still to answer
        return scored

    def _run(self) -> None:
        try:
            self._score_all(self._stopping.is_set)
        except StorageError as problem:
            _log.debug("scoring is waiting for storage: %s", problem)
        except Exception:
            _log.exception("unexpected error while scoring; it will be retried")
        else:
            return
        self._matcher.unscored.set()
        self._stopping.wait(_PAUSE)

    def _score_all(self, is_over: Callable[[], bool]) -> None:
        self._matcher.unscored.clear()
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="perfmon-score") as pool:
            while not is_over() and self._matcher.score_some(self._compare, _SOME, pool.map):
                pass
