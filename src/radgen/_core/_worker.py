"""What a worker process does first; imports nothing heavy, so that limits come in time."""

from __future__ import annotations

import os

__all__ = ["THREAD_VARIABLES", "limit_threads"]

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)
"""Environment variables by which numerical libraries choose their number of threads."""


def limit_threads(n_threads: int = 1) -> None:
    """Let the libraries of this process use so many threads; workers share one machine."""
    for name in THREAD_VARIABLES:
        os.environ[name] = str(n_threads)
