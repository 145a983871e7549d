"""Words are numbered, and bounded whatever callers send."""

from __future__ import annotations

from perfmon import PerformanceMonitor
from perfmon.window.vocabulary import Vocabulary


def key(**changes):
    given = {"tenant": "t", "agent": "a", "agent_type": "x", "model": "m", "task_type": "k"}
    return tuple((given | changes).values())


def test_a_key_keeps_its_number():
    """Asked for again it is the same."""
    words = Vocabulary()
    assert [words.key_number(key(model=m)) for m in ("a", "b", "a")] == [0, 1, 0]


def test_many_models_of_an_agent_fold_into_other():
    """Tenant and agent stay, so that the agent's own figures stay whole."""
    words = Vocabulary(keys_per_agent=3)
    numbers = {words.key_number(key(model=str(n))) for n in range(100)}
    assert len(numbers) == 4
    assert words.keys.values[-1] == ("t", "a", "other", "other", "other")
    assert words.folded == 97


def test_agents_without_end_fold_into_other():
    """Memory is bounded by configuration, not by what is sent."""
    words = Vocabulary(agents=5)
    for n in range(100):
        words.key_number(key(agent=f"agent-{n}"))
    assert len(words.keys.values) == 6
    assert words.keys.values[-1][:2] == ("other", "other")


def test_error_classes_without_end_fold_into_other():
    """The first ones keep their names."""
    words = Vocabulary(error_classes=3)
    assert [words.error_number(str(n)) for n in range(5)] == [0, 1, 2, 3, 3]
    assert words.errors.values[-1] == "other"


def test_folded_runs_still_count():
    """A run of the 201st model is a run of its agent."""
    monitor = PerformanceMonitor(storage_url="memory:")
    for n in range(300):
        monitor.record_agent_run(f"r{n}", "a", "t", "success", 1.0, model=f"m{n}")
    assert monitor.get_agent_metrics("a").metrics.total_tasks == 300
    assert monitor.get_stats()["folded_keys"] == 100
    monitor.stop()
