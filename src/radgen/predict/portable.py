"""Arithmetic that gives the same bits on every machine: for predictions of frozen models.

Matrix products add in an order that depends on the processor, and exponentials of vector
libraries differ in the last bit. Here sums are exact (rounded once), and exponentials are those
of decimal arithmetic, which is specified to the last digit.
"""

from __future__ import annotations

import math
from decimal import Context, Decimal

import numpy as np
from numpy.typing import NDArray

__all__ = ["linear_score", "logistic", "portable_logit", "risk_of_hazard"]

FloatArray = NDArray[np.float64]
_DIGITS = Context(prec=30)
_LIMIT = 700.0


def linear_score(x: FloatArray, beta: FloatArray, intercept: float) -> FloatArray:
    """Return ``x @ beta + intercept``, each sum rounded once, (n,).

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1e16, 1.0, -1e16]])
    >>> linear_score(x, np.ones(3), 0.0)
    array([1.])
    """
    products = np.asarray(x, dtype=np.float64) * beta
    return np.array([math.fsum((*row, intercept)) for row in products.tolist()])


def _exponential(value: float) -> Decimal:
    return _DIGITS.exp(Decimal(min(max(value, -_LIMIT), _LIMIT)))


def logistic(eta: FloatArray) -> FloatArray:
    """Return ``1 / (1 + exp(-eta))``, correctly rounded, (n,).

    Examples
    --------
    >>> import numpy as np
    >>> logistic(np.array([0.0, np.log(3.0)]))
    array([0.5 , 0.75])
    """
    one = Decimal(1)
    terms = [_DIGITS.divide(one, _DIGITS.add(one, _exponential(-value))) for value in eta.tolist()]
    return np.array([float(item) for item in terms])


def portable_logit(p: FloatArray) -> FloatArray:
    """Return ``log(p / (1 - p))`` of probabilities, kept within 1e-12 of 0 and 1, (n,).

    Examples
    --------
    >>> import numpy as np
    >>> portable_logit(np.array([0.5]))
    array([0.])
    """
    one = Decimal(1)
    out = []
    for value in p.tolist():
        kept = Decimal(min(max(value, 1e-12), 1 - 1e-12))
        odds = _DIGITS.divide(kept, _DIGITS.subtract(one, kept))
        out.append(float(_DIGITS.ln(odds)))
    return np.array(out)


def risk_of_hazard(eta: FloatArray, cumulative: float) -> FloatArray:
    """Return ``1 - exp(-cumulative * exp(eta))``, (n,).

    Examples
    --------
    >>> import numpy as np
    >>> risk_of_hazard(np.array([0.0]), float(np.log(2.0)))
    array([0.5])
    """
    base = Decimal(float(cumulative))
    out = []
    for value in eta.tolist():
        hazard = float(_DIGITS.multiply(base, _exponential(value)))
        out.append(float(_DIGITS.subtract(Decimal(1), _exponential(-hazard))))
    return np.array(out)
