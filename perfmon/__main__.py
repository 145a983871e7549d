"""`python -m perfmon` is `perfmon`."""

from __future__ import annotations

from perfmon.cli import main

if __name__ == "__main__":
    main()
