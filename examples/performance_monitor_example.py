"""A complete integration: initialise, orchestrate, record outcomes, look at the summary and report.

Runs in a few seconds without network; everything it stores goes to a temporary folder.

    python examples/performance_monitor_example.py
"""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path

from perfmon import MonitoredOrchestrator, init_performance_monitor

rng = random.Random(7)


# The agents: in your program they call models; here they roll dice.


def plan(task):
    """A plain function; what it returns is its output."""
    time.sleep(rng.uniform(0.001, 0.004))
    return [f"look up {task}", f"estimate {task}"]


def estimate(task, previous_output):
    """A reply with what is known of the run beside the output."""
    if rng.random() < 0.15:
        raise ConnectionError("the model's endpoint hung up")
    price = 100 + sum(map(ord, task)) % 50
    return {
        "output": {"price": round(price * rng.gauss(1.0, 0.1), 2), "steps": previous_output},
        "tokens_used": rng.randint(400, 1_200),
        "cost": round(rng.uniform(0.002, 0.01), 5),
        "model": "small-1",
        "quality_score": round(rng.uniform(0.7, 1.0), 2),
        "confidence": 0.9,
    }


async def review(outputs):
    """An async agent; `outputs` has what the agents before it gave, by type."""
    return {"output": outputs["estimator"]["price"], "tokens_used": 150, "cost": 0.001}


def real_price(task):
    """What the world answers, later."""
    return 100 + sum(map(ord, task)) % 50


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        monitor = init_performance_monitor(
            storage_url=f"sqlite:///{Path(folder) / 'perfmon.db'}",
            window_size_minutes=60,
            alert_thresholds={"success_rate_min": 0.9},
        )
        with monitor:
            orchestrate(monitor)
            show(monitor)


def orchestrate(monitor) -> None:
    """Fifty tasks, each through three agents, and the outcomes of those that came through."""
    crew = MonitoredOrchestrator(
        agent_types=["planner", "estimator", "reviewer"],
        agents={"planner": plan, "estimator": ("ada", estimate), "reviewer": review},
        monitor=monitor,
        retries=1,
        timeout=5,
    )
    for number in range(50):
        task = f"item {number}"
        results = crew.run(task=task, project_id="catalogue", metadata={"task_type": "pricing"})
        if results["status"] == "success":
            monitor.record_accuracy(
                agent_name="ada",
                task_id=results["run_id"],
                predicted_outcome=results["output"],
                actual_outcome=real_price(task),
                feedback_source="automated",
            )
    summary = crew.get_performance_summary()
    print(f"health {summary['health_score']} ({summary['health_status']})")
    for name, agent in summary["agents"].items():
        metrics = agent["metrics"]
        print(
            f"  {name:16} {metrics['total_tasks']:3} runs, {metrics['success_rate']:.0%} succeeded"
        )


def show(monitor) -> None:
    """Figures, an alert where there is one, and what the report recommends."""
    metrics = monitor.get_system_metrics()
    print(f"p95 latency {metrics.p95_latency_ms:.1f} ms, {metrics.total_tokens:,} tokens,")
    print(f"${metrics.total_cost:.2f}, accuracy {metrics.avg_accuracy:.3f}", end=" ")
    print(f"from {metrics.accuracy_count} outcomes")
    for alert in monitor.get_alerts():
        print(f"{alert.level}: {alert.message}")
    for sentence in monitor.generate_report()["recommendations"]:
        print("-", sentence)
    monitor.flush()
    stats = monitor.get_stats()
    print(f"stored {stats['stored']} of {stats['recorded']} recorded, {stats['dropped']} dropped")


if __name__ == "__main__":
    main()
