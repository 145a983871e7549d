"""`kill -9` with a full journal, with a full disk and with storage away: nothing acknowledged is lost."""

from __future__ import annotations

import os

import pytest

from benchmarks.reliability import kills


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("situation", kills.SITUATIONS)
def test_what_was_acknowledged_outlives_a_kill(request, tmp_path, situation, seed):
    """Every row that was taken is in storage after a restart, and in the window once."""
    if situation != "full disk":
        request.getfixturevalue("postgres")  # skipped where there is none
    kill = kills.SITUATIONS[situation](tmp_path, seed)
    assert (kill.lost, kill.twice) == (0, 0)
    assert kill.acknowledged > 0
    assert kill.was_full is (situation != "storage away")


def test_a_disk_that_takes_no_larger_file(tmp_path, monkeypatch):
    """Where no file system can be mounted, a limit of the system's is as good."""
    monkeypatch.setenv("PATH", os.devnull)
    kill = kills.full_disk(tmp_path, 1)
    assert kill.acknowledged > 0
    assert kill.was_full
    assert (kill.lost, kill.twice) == (0, 0)
