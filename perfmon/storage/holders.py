"""Holders of leases: processes, by name; and whether a holder has died."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path

from perfmon.records.ids import new_id
from perfmon.storage.alerts import AlertStorage


def new_holder() -> str:
    """A name for a holder of leases: host, process and birth of it, and what tells it apart."""
    return f"{socket.gethostname()} {os.getpid()} {_birth(os.getpid())} {new_id()}"


def shown_holder(holder: str) -> str:
    """The same for people."""
    host, _, rest = holder.partition(" ")
    process = rest.partition(" ")[0]
    if host == socket.gethostname() and process == str(os.getpid()):
        return "this process"
    return f"process {process} on {host}" if process else holder


def take_turn(storage: AlertStorage, name: str, holder: str, seconds: float) -> bool:
    """As `take_lease`; one whose process on this machine has ended gives way at once."""
    if storage.take_lease(name, holder, seconds):
        return True
    other = storage.lease_holder(name)
    if other is None or not has_ended(other):
        return False
    storage.take_lease(name, other, 0)
    return storage.take_lease(name, holder, seconds)


def has_ended(holder: str) -> bool:
    """Whether it is certain that its process has ended: only of this machine's own processes."""
    parts = holder.split(" ")
    if len(parts) != 4 or not parts[1].isdigit() or "-" not in parts[2]:
        return False
    machine, _, since = parts[2].rpartition("-")
    mine = _birth(os.getpid()).rpartition("-")[0]
    if not mine or machine != mine:
        return False
    return _birth(int(parts[1])) != f"{machine}-{since}"


def _birth(process: int) -> str:
    """This boot of this machine, its processes' numbering, and when this one began (Linux)."""
    try:
        # The name, which is in parentheses, may hold anything; the 20th after it is the start.
        stat = Path(f"/proc/{process}/stat").read_text("utf-8", "replace").rpartition(")")[2]
        return f"{_machine()}-{stat.split()[19]}"
    except (OSError, IndexError):
        return "unknown"


@cache
def _machine() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip().replace("-", "")
    return f"{boot[:12]}.{Path('/proc/self/ns/pid').stat().st_ino}"
