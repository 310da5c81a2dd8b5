"""PyTorch behind one door: threads, seeds and weights as plain arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from radgen._core.require import require
from radgen.errors import InputError

__all__ = ["load_weights", "minimise", "seeded", "tensor", "torch", "weights_of"]


def torch() -> Any:
    """Return PyTorch.

    Raises
    ------
    MissingDependencyError
        If it is not installed.
    """
    return require("torch", extra="deep")


@contextmanager
def seeded(seed: int) -> Iterator[Any]:
    """Yield PyTorch with one thread and a stream of its own, and put all back afterwards.

    Sums of one thread do not depend on how many processors there are.
    """
    library = torch()
    threads = library.get_num_threads()
    strict = library.are_deterministic_algorithms_enabled()
    with library.random.fork_rng(devices=[]):
        library.manual_seed(seed % 2**63)
        library.set_num_threads(1)
        library.use_deterministic_algorithms(True)
        try:
            yield library
        finally:
            library.use_deterministic_algorithms(strict)
            library.set_num_threads(threads)


def tensor(values: Any, dtype: str = "float64") -> Any:
    """Return values as a tensor that shares nothing with them."""
    return torch().from_numpy(np.array(values, dtype=dtype))


def weights_of(net: Any) -> dict[str, NDArray[Any]]:
    """Return the weights of a network by name."""
    return {name: value.detach().numpy().copy() for name, value in net.state_dict().items()}


def load_weights(net: Any, weights: dict[str, NDArray[Any]]) -> Any:
    """Return the network with these weights in place.

    Raises
    ------
    InputError
        If names, shapes or kinds of number differ, or a weight is not finite.
    """
    own = net.state_dict()
    if set(own) != set(weights):
        raise InputError("The stored weights are those of another network: names differ.")
    for name, value in weights.items():
        here = tuple(own[name].shape), own[name].numpy().dtype
        if (value.shape, value.dtype) != here:
            raise InputError(
                f"Weight {name!r} is {value.dtype} {value.shape}; this network has {here[1]} "
                f"{here[0]}."
            )
        if not np.isfinite(value).all():
            raise InputError(f"Weight {name!r} holds values that are not finite.")
    net.load_state_dict({name: torch().from_numpy(np.array(v)) for name, v in weights.items()})
    return net


def minimise(
    parameters: Sequence[Any], objective: Callable[[], Any], *, max_iter: int, tolerance: float
) -> tuple[float, int]:
    """Minimise a smooth objective by L-BFGS on all rows.

    Parameters
    ----------
    parameters : sequence of tensor
        What is changed, in place.
    objective : callable
        Returns the value to minimise, a scalar tensor.
    max_iter : int
        Steps at most.
    tolerance : float
        Largest gradient at which it counts as solved.

    Returns
    -------
    value : float
        Objective at the end.
    steps : int
        Steps taken; `max_iter` where it was stopped early.
    """
    solver = torch().optim.LBFGS(
        list(parameters), max_iter=max_iter, max_eval=2 * max_iter, history_size=20,
        tolerance_grad=tolerance, tolerance_change=1e-14, line_search_fn="strong_wolfe",
    )  # fmt: skip

    def step() -> Any:
        solver.zero_grad()
        value = objective()
        value.backward()
        return value

    solver.step(step)
    taken = next(iter(solver.state.values()))["n_iter"]
    return float(objective().detach()), int(taken)
