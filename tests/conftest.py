"""What many tests need: a PostgreSQL schema of their own."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket

import pytest
from hypothesis import HealthCheck, settings

# No test depends on the machine's speed; where a change is judged, none depends on chance.
settings.register_profile(
    "perfmon",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("perfmon")
pytest.register_assert_rewrite("perfmon.testing")

POSTGRES = os.environ.get("PERFMON_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")


def pytest_xdist_auto_num_workers():
    """`-n auto`: tests wait about half of their time; beyond some, for each other's databases."""
    return min(2 * (os.cpu_count() or 1), 8)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Who is done early takes over from who has the long tests."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)


@pytest.fixture
def free_port():
    """Finds ports to be listened at soon; the system gives them to nobody who asks for any."""

    def find():
        for port in secrets.SystemRandom().sample(range(20_000, 32_000), 100):
            with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
                return port
        raise AssertionError("no port is free")

    return find


@pytest.fixture(scope="session")
def postgres():
    """A connection to the real server; on a user's machine without one its tests are skipped."""
    import psycopg

    try:
        connection = psycopg.connect(POSTGRES, autocommit=True, connect_timeout=30)
    except psycopg.OperationalError:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no PostgreSQL at {POSTGRES.rpartition('@')[2]}")
    with connection:
        yield connection


@pytest.fixture
def postgres_url(postgres):
    """The URL of an empty schema, dropped at the end."""
    schema = f"perfmon_test_{secrets.token_hex(6)}"
    postgres.execute(f"CREATE SCHEMA {schema}")
    yield f"{POSTGRES}?options=-csearch_path%3D{schema}"
    postgres.execute(f"DROP SCHEMA {schema} CASCADE")
