"""Where the block products of a scan are computed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from radgen._core.naming import require_choice
from radgen._core.require import require

__all__ = ["Backend", "NumpyBackend", "TorchBackend", "one_thread_each", "open_backend"]


class Backend(Protocol):
    """The one thing a scan asks of its hardware."""

    here: ClassVar[bool]
    """Whether products are computed by this processor, which may then find a shorter way."""

    def product(self, g: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return g @ weights, float32 (n_variants, n_columns)."""
        ...


@dataclass(frozen=True, slots=True)
class NumpyBackend:
    """The BLAS of NumPy."""

    here: ClassVar[bool] = True

    def product(self, g: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return g @ weights."""
        return np.asarray(g @ weights)


@dataclass(frozen=True, slots=True)
class TorchBackend:
    """PyTorch on a GPU where there is one, otherwise on the CPU; single precision, no TF32."""

    here: ClassVar[bool] = False
    device: str

    def product(self, g: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return g @ weights."""
        torch: Any = require("torch", extra="deep")
        left = torch.as_tensor(g, device=self.device)
        right = torch.as_tensor(weights, device=self.device)
        return np.asarray((left @ right).cpu().numpy())


def open_backend(name: str) -> Backend:
    """Return the backend called "numpy" or "torch".

    Raises
    ------
    InputError
        If the name is unknown.
    MissingDependencyError
        If PyTorch is asked for and not installed.
    """
    require_choice(name, ("numpy", "torch"), what="backend")
    if name == "numpy":
        return NumpyBackend()
    torch: Any = require("torch", extra="deep")
    return TorchBackend("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def one_thread_each(many: bool) -> Iterator[None]:
    """Keep the BLAS to one thread while many workers call it at once."""
    if not many:
        yield
        return
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"):
        yield
