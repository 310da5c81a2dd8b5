"""Random streams that depend on the step and the unit, never on order or worker count."""

from __future__ import annotations

import hashlib

import numpy as np

__all__ = ["derive_seed", "spawn"]


def derive_seed(seed: int, *key: str | int) -> int:
    """Return a 128-bit seed for (seed, key): the same key always gives the same seed.

    Examples
    --------
    >>> derive_seed(1, "fold", 3) == derive_seed(1, "fold", 3)
    True
    >>> derive_seed(1, "fold", 3) == derive_seed(1, "fold", 4)
    False
    """
    text = "\x1f".join([str(int(seed)), *(f"{type(part).__name__}={part}" for part in key)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")


def spawn(seed: int, *key: str | int) -> np.random.Generator:
    """Return a generator of its own for one unit of one step.

    Parameters
    ----------
    seed : int
        The seed of the whole run.
    *key : str or int
        Names of the step and the unit: ``spawn(seed, "permutation", 17)``.

    Returns
    -------
    numpy.random.Generator
        Independent of the streams of all other keys.
    """
    return np.random.default_rng(np.random.SeedSequence(derive_seed(seed, *key)))
