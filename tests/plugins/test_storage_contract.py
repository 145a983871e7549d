"""The storage contract over every engine that perfmon brings."""

from __future__ import annotations

import contextlib

import pytest
from perfmon_sql import open_storage as opened

from perfmon.testing import SharedStorageContract, StorageContract


@pytest.fixture
def closing():
    with contextlib.ExitStack() as stack:
        yield lambda storage: stack.enter_context(contextlib.closing(storage))


class TestMemory(StorageContract):
    @pytest.fixture
    def open_storage(self, closing):
        return lambda: closing(opened("memory:"))


class TestSqlite(SharedStorageContract):
    @pytest.fixture
    def open_storage(self, closing, tmp_path):
        return lambda: closing(opened(f"sqlite:///{tmp_path}/runs.db"))


class TestPostgres(SharedStorageContract):
    @pytest.fixture
    def open_storage(self, closing, postgres_url):
        return lambda: closing(opened(postgres_url))
