"""The process's monitor: which configuration it reads, and that it says so."""

from __future__ import annotations

import logging

import pytest

import perfmon.monitor.current
from perfmon import ConfigError, get_performance_monitor, init_performance_monitor
from perfmon.config.config import Config


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty working directory, and no monitor left from before or for later."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(perfmon.monitor.current, "_current", None)
    yield tmp_path
    if perfmon.monitor.current._current is not None:
        perfmon.monitor.current._current.stop()


def write(file, minutes, more=""):
    file.write_text(f'[monitor]\nstorage = "memory:"\nwindow_size_minutes = {minutes}\n{more}')


@pytest.mark.parametrize("make", [init_performance_monitor, get_performance_monitor])
def test_the_file_in_the_working_directory_is_read(folder, caplog, make):
    """As the command line does, whoever asks first; the log says which file it was."""
    write(folder / "monitor.toml", 7, 'log_file = "perfmon.log"')
    with caplog.at_level(logging.INFO, "perfmon"):
        monitor = make()
    assert monitor.window_size_minutes == 7
    assert f"configuration from {folder / 'monitor.toml'}" in caplog.text
    assert str(folder / "monitor.toml") in (folder / "perfmon.log").read_text()


def test_what_is_said_wins_over_the_file_in_the_working_directory(folder, caplog):
    """A keyword over its key, another file or a `Config` over all of it."""
    write(folder / "monitor.toml", 7)
    write(folder / "other.toml", 9)
    assert init_performance_monitor(window_size_minutes=8).window_size_minutes == 8
    with caplog.at_level(logging.INFO, "perfmon"):
        assert init_performance_monitor("other.toml").window_size_minutes == 9
    assert f"configuration from {folder / 'other.toml'}" in caplog.text
    assert init_performance_monitor(Config(), storage_url="memory:").window_size_minutes == 60


def test_without_a_file_the_defaults_are_used_and_said(folder, caplog):
    """A folder of that name is no file; mistakes in a file are an error, not the defaults."""
    (folder / "monitor.toml").mkdir()
    with caplog.at_level(logging.INFO, "perfmon"):
        monitor = init_performance_monitor(storage_url="memory:")
    assert monitor.window_size_minutes == 60
    assert "found no ./monitor.toml" in caplog.text
    (folder / "monitor.toml").rmdir()
    write(folder / "monitor.toml", 0)
    with pytest.raises(ConfigError, match=r"monitor\.toml"):
        init_performance_monitor()
