"""Penalties that differ between blocks: ridge and lasso with factors that inner folds choose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from radgen.predict.learners import Fitted, Learner, LinearFit, Part, fit_within

__all__ = ["WEIGHTS", "BlockLearner"]

FloatArray = NDArray[np.float64]
WEIGHTS = (1.0, 4.0, 16.0)
"""Penalty factors of the blocks; one block at least has the first."""
_MOST_BLOCKS = 4


@dataclass(frozen=True)
class BlockLearner:
    """Ridge or lasso whose penalty may differ between blocks; inner folds choose how.

    Attributes
    ----------
    inner : Learner
        The linear model.
    power : float
        Columns are divided by factor**power: 1/2 where the penalty is squared, 1 where it is
        absolute.
    n_blocks : int

    Notes
    -----
    Settings are all combinations of `WEIGHTS` over blocks (with more than four blocks those that
    favour one block alone) times those of the inner model. A block that carries nothing is then
    shrunk harder than one that does.

    References
    ----------
    Boulesteix et al. 2017, doi:10.1155/2017/7691937 (integrative lasso with penalty factors).
    van de Wiel et al. 2016, doi:10.1002/sim.6732 (group ridge).
    """

    inner: Learner
    power: float
    n_blocks: int = 2

    def for_blocks(self, parts: Sequence[Part]) -> Learner:
        """Return the learner for these blocks; the plain model for one."""
        if len(parts) < 2:
            return self.inner
        return BlockLearner(self.inner, self.power, len(parts))

    @property
    def factors(self) -> tuple[tuple[float, ...], ...]:
        """Penalty factors of the blocks, equal ones first."""
        if self.n_blocks <= _MOST_BLOCKS:
            found = [f for f in product(WEIGHTS, repeat=self.n_blocks) if min(f) == WEIGHTS[0]]
        else:
            found = [(1.0,) * self.n_blocks]
            for weight in WEIGHTS[1:]:
                for j in range(self.n_blocks):
                    found.append(tuple(1.0 if k == j else weight for k in range(self.n_blocks)))
        return tuple(sorted(found, key=lambda f: (max(f), f)))

    @property
    def settings(self) -> tuple[str, ...]:
        """Factors and penalty."""
        return tuple(
            f"factors {':'.join(f'{w:g}' for w in factor)}, {text}"
            for factor in self.factors
            for text in self.inner.settings
        )

    def fit(
        self,
        x: FloatArray,
        y: FloatArray,
        which: NDArray[np.int64],
        seed: int,
        widths: Sequence[int] = (),
    ) -> list[Fitted]:
        """Return the fits of the settings `which`; a path for each set of factors."""

        def prepared(number: int) -> tuple[FloatArray, Callable[[Fitted], Fitted]]:
            scale = np.repeat(np.asarray(self.factors[number]) ** -self.power, widths)

            def unscaled(fit: Fitted) -> Fitted:
                assert isinstance(fit, LinearFit)
                return LinearFit(fit.beta * scale, fit.intercept, fit.kind)

            return x * scale, unscaled

        return fit_within(self.inner, y, which, seed, prepared)
