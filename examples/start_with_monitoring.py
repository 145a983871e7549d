"""Monitoring for code that exists already: two lines to start, one for each agent.

python examples/start_with_monitoring.py
"""

from __future__ import annotations

import asyncio

from perfmon import init_performance_monitor

monitor = init_performance_monitor(storage_url="memory:")  # or config="monitor.toml"


@monitor.watch("greeter", "chat")
def greet(name):
    return f"Hello, {name}!"


@monitor.watch("searcher", "retrieval")
async def search(words):
    await asyncio.sleep(0.005)
    if not words:
        raise ValueError("nothing to search for")
    return words.split()


def summarise(text):
    with monitor.track("summariser", "chat") as run:
        run.tokens_used = len(text.split())
        run.quality_score = 0.9
        return text[:20]


def main() -> None:
    for name in ("Ada", "Grace", "Edsger"):
        greet(name)
    asyncio.run(search("performance of agents"))
    try:
        asyncio.run(search(""))
    except ValueError as problem:
        print(f"the host still sees its own exception: {problem}")
    summarise("Agents run, and the monitor counts.")

    for name, agent in monitor.get_all_agent_metrics().items():
        metrics = agent.metrics
        print(
            f"{name:10} {metrics.total_tasks} runs, {metrics.success_rate:.0%} succeeded,"
            f" p50 {metrics.p50_latency_ms:.2f} ms, errors {metrics.errors}"
        )
    monitor.stop()


if __name__ == "__main__":
    main()
