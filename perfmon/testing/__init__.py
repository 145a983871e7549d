"""Tools for testing plugins: a clock to set, rows to store, and contracts as test suites.

Subclass a contract in a test module and give it its fixture; pytest does the rest::

    class TestMyStorage(SharedStorageContract):
        @pytest.fixture
        def open_storage(self, tmp_path):
            return lambda: MyStorage(tmp_path / "runs")
"""

from __future__ import annotations

from perfmon.testing.clock import ManualClock
from perfmon.testing.plugins import check_plugin, check_scorer
from perfmon.testing.rows import START_US, make_measurements, make_rows, run_row
from perfmon.testing.sinks import check_sink, make_alert, make_message
from perfmon.testing.storage import SharedStorageContract, StorageContract

__all__ = [
    "START_US",
    "ManualClock",
    "SharedStorageContract",
    "StorageContract",
    "check_plugin",
    "check_scorer",
    "check_sink",
    "make_alert",
    "make_measurements",
    "make_message",
    "make_rows",
    "run_row",
]
