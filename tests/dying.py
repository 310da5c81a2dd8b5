"""What workers of a test run, apart from it: they import this, and nothing of radgen."""

from __future__ import annotations

import os
import signal


def square_or_die(value: int) -> int:
    """Return the square; 3 kills the process."""
    if value == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return value * value
