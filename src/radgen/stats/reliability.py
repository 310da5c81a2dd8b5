"""Agreement of repeated measurements: ICC, CCC, within-subject error, Bland–Altman, kappa."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import fdtri, ndtri

from radgen.errors import InputError
from radgen.stats._icc_bounds import modified_large_sample

__all__ = [
    "BlandAltman",
    "IccColumns",
    "IccForm",
    "IccInterval",
    "Reliability",
    "WithinSubject",
    "bland_altman",
    "concordance_correlation",
    "icc",
    "icc_columns",
    "weighted_kappa",
    "within_subject",
]

FloatArray = NDArray[np.float64]
IccForm = Literal["1,1", "2,1", "3,1", "1,k", "2,k", "3,k"]
IccInterval = Literal["f", "modified"]


@dataclass(frozen=True)
class Reliability:
    """An agreement coefficient and its interval."""

    estimate: float
    ci_low: float
    ci_high: float
    n_subjects: int
    n_ratings: int


@dataclass(frozen=True, eq=False)
class IccColumns:
    """ICC of many measures at once, (n_measures,) each; NaN for a measure without variance."""

    estimate: FloatArray
    ci_low: FloatArray
    ci_high: FloatArray
    n_subjects: int
    n_ratings: int


@dataclass(frozen=True)
class WithinSubject:
    """Within-subject standard deviation, coefficient of variation, repeatability coefficient.

    `repeatability` is 1.96 sqrt(2) sd: 95 % of differences of two repeats lie within it.
    """

    sd: float
    cv: float
    repeatability: float
    repeatability_low: float
    repeatability_high: float


@dataclass(frozen=True)
class BlandAltman:
    """Mean difference (second minus first) and limits of agreement, with their intervals.

    Attributes
    ----------
    bias, bias_low, bias_high : float
        Mean difference and its t interval.
    sd : float
        Standard deviation of the differences.
    lower_limit, upper_limit : float
        Bias - 1.96 SD and bias + 1.96 SD.
    limit_std_error : float
        Standard error of either limit.
    trend : float
        Correlation of difference and mean.
    lower_limit_low, lower_limit_high, upper_limit_low, upper_limit_high : float
        Intervals of the limits (t quantile times the standard error).
    """

    bias: float
    bias_low: float
    bias_high: float
    sd: float
    lower_limit: float
    upper_limit: float
    limit_std_error: float
    trend: float
    lower_limit_low: float
    lower_limit_high: float
    upper_limit_low: float
    upper_limit_high: float


def _check(ratings: Any, ndim: int) -> FloatArray:
    values = np.asarray(ratings, dtype=np.float64)
    if values.ndim != ndim or values.shape[0] < 2 or values.shape[1] < 2:
        raise InputError(
            f"Ratings have shape {values.shape}; needed are two or more subjects (rows) and "
            "two or more ratings (columns)."
        )
    if not np.isfinite(values).all():
        raise InputError("Ratings hold missing values; keep complete subjects only.")
    return values


def icc(
    ratings: Any,
    form: IccForm = "2,1",
    *,
    confidence: float = 0.95,
    interval: IccInterval = "f",
) -> Reliability:
    """Return the intraclass correlation of repeated ratings.

    Parameters
    ----------
    ratings : float (n_subjects, n_ratings)
        Complete.
    form : {"1,1", "2,1", "3,1", "1,k", "2,k", "3,k"}
        Shrout–Fleiss form: one-way; two-way random, absolute agreement; two-way mixed,
        consistency; of a single rating or of the mean of k.
    confidence : float, default 0.95
        Level of the interval.
    interval : {"f", "modified"}, default "f"
        Of "2,1" and "2,k": that of McGraw & Wong, as other programs have it, or the modified
        large-sample interval, which covers whatever the readers' share of the error. The others
        have exact F intervals.

    Returns
    -------
    Reliability
        May be negative; NaN where nothing varies.

    Raises
    ------
    InputError
        If ratings are incomplete, or form or interval are unknown.

    Notes
    -----
    The F intervals of "2,1" and "2,k" are approximate, and too narrow at their lower end where the
    offsets of few readers make up much of the error: with two readers and half of the error in
    the offsets, a 95 % interval covers 86 % with 30 subjects and 74 % with 100. The modified
    interval covers 94 to 98 % in both, and in all that `verification/trust.py` tries. It is as
    wide as two readers are little evidence: of an ICC of 0.9 by two readers and 30 subjects the
    lower bound can be 0.2. Take more readers, or "3,1" if these readers alone matter.

    References
    ----------
    Shrout & Fleiss 1979, doi:10.1037/0033-2909.86.2.420. McGraw & Wong 1996,
    doi:10.1037/1082-989X.1.1.30. Cappelleri & Ting 2003, doi:10.1002/sim.1466.

    Examples
    --------
    >>> table = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9],
    ...          [6, 2, 4, 7]]
    >>> [round(icc(table, form).estimate, 3) for form in ("1,1", "2,1", "3,1")]
    [0.166, 0.29, 0.715]
    """
    values = _check(ratings, 2)
    found = icc_columns(values[:, :, None], form, confidence=confidence, interval=interval)
    return Reliability(
        float(found.estimate[0]),
        float(found.ci_low[0]),
        float(found.ci_high[0]),
        found.n_subjects,
        found.n_ratings,
    )


def icc_columns(
    ratings: Any,
    form: IccForm = "2,1",
    *,
    confidence: float = 0.95,
    interval: IccInterval = "f",
) -> IccColumns:
    """Return the intraclass correlation of many measures at once.

    Parameters
    ----------
    ratings : float (n_subjects, n_ratings, n_measures)
        Complete.
    form, confidence, interval
        As in `icc`.

    Returns
    -------
    IccColumns
        A coefficient and interval a measure.

    Raises
    ------
    InputError
        As `icc`.
    """
    values = _check(ratings, 3)
    if form not in ("1,1", "2,1", "3,1", "1,k", "2,k", "3,k"):
        raise InputError(f"Unknown ICC form {form!r}: '1,1', '2,1', '3,1', '1,k', '2,k', '3,k'.")
    if interval not in ("f", "modified"):
        raise InputError(f"Unknown interval {interval!r}: 'f' or 'modified'.")
    n, k = values.shape[:2]
    spread = np.ptp(values, axis=(0, 1))
    values = (values - values.mean(axis=(0, 1))) / np.where(spread > 0, spread, 1)
    by_subject, by_rating = values.mean(axis=1), values.mean(axis=0)
    total = (values**2).sum(axis=(0, 1))
    between = k * (by_subject**2).sum(axis=0)
    raters = n * (by_rating**2).sum(axis=0)
    within = np.maximum(total - between, 0)
    residual = np.maximum(total - between - raters, 0)
    bms, wms = between / (n - 1), within / (n * (k - 1))
    jms, ems = raters / (k - 1), residual / ((n - 1) * (k - 1))
    tail = (1 - confidence) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        if form[0] == "2":
            single = _two_way_random(bms, jms, ems, n=n, k=k, tail=tail)
            if interval == "modified":
                low, high = modified_large_sample(bms, jms, ems, n=n, k=k, tail=tail)
                single = single[0], np.minimum(low, single[0]), high
        else:
            df2 = n * (k - 1) if form[0] == "1" else (n - 1) * (k - 1)
            error = wms if form[0] == "1" else ems
            single = _from_ratio(bms / error, n - 1, df2, k, tail)
        parts = [np.where(spread > 0, item, np.nan) for item in single]
        if form[2] == "k":
            parts = [k * item / (1 + (k - 1) * item) for item in parts]
    return IccColumns(parts[0], parts[1], parts[2], n, k)


def _from_ratio(
    ratio: FloatArray, df1: int, df2: int, k: int, tail: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    def shape(f: FloatArray) -> FloatArray:
        return np.where(np.isinf(f), 1.0, (f - 1) / (f + k - 1))

    low = ratio / fdtri(df1, df2, 1 - tail)
    high = ratio * fdtri(df2, df1, 1 - tail)
    return shape(ratio), shape(low), shape(high)


def _two_way_random(
    bms: FloatArray, jms: FloatArray, ems: FloatArray, *, n: int, k: int, tail: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    estimate = (bms - ems) / (bms + (k - 1) * ems + k * (jms - ems) / n)
    fj = np.where(ems > 0, jms / ems, np.inf)
    gap = np.clip(1 - estimate, 1e-300, None)
    a = k * estimate / (n * gap)
    b = 1 + k * estimate * (n - 1) / (n * gap)
    df = (a * jms + b * ems) ** 2 / (
        (a * jms) ** 2 / (k - 1) + (b * ems) ** 2 / ((n - 1) * (k - 1))
    )
    df = np.where(np.isfinite(df) & np.isfinite(fj), np.maximum(df, 1e-6), 1.0)
    upper, lower = fdtri(n - 1, df, 1 - tail), fdtri(df, n - 1, 1 - tail)
    mixed = k * jms + (k * n - k - n) * ems
    low = n * (bms - upper * ems) / (upper * mixed + n * bms)
    high = n * (lower * bms - ems) / (mixed + n * lower * bms)
    perfect = (ems <= 0) & (jms <= 0)
    return estimate, np.where(perfect, 1.0, low), np.where(perfect, 1.0, high)


def concordance_correlation(first: Any, second: Any, *, confidence: float = 0.95) -> Reliability:
    """Return Lin's concordance correlation coefficient with its Fisher-z interval.

    Parameters
    ----------
    first, second : float (n,)
        Two measurements of the same subjects.
    confidence : float, default 0.95
        Level.

    Returns
    -------
    Reliability
        In [-1, 1]; variances use 1/n as in Lin's paper.

    Raises
    ------
    InputError
        If there are fewer than three complete pairs.

    References
    ----------
    Lin 1989, doi:10.2307/2532051; correction 2000, doi:10.1111/j.0006-341X.2000.00324.x.
    """
    x, y = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    values = _check(np.column_stack((x, y)), 2)
    n = len(values)
    if n < 3:
        raise InputError("Lin's coefficient needs three or more pairs.")
    gap = float(x.mean() - y.mean())
    sx, sy = float(x.var()), float(y.var())
    sxy = float(((x - x.mean()) * (y - y.mean())).mean())
    if sx + sy + gap**2 == 0:
        return Reliability(float("nan"), float("nan"), float("nan"), n, 2)
    ccc = 2 * sxy / (sx + sy + gap**2)
    r = sxy / np.sqrt(sx * sy) if sx > 0 and sy > 0 else 0.0
    if r == 0 or abs(ccc) >= 1:
        return Reliability(ccc, ccc, ccc, n, 2)
    u2 = gap**2 / np.sqrt(sx * sy)
    variance = (
        (1 - r**2) * ccc**2 / ((1 - ccc**2) * r**2)
        + 2 * ccc**3 * (1 - ccc) * u2 / (r * (1 - ccc**2) ** 2)
        - ccc**4 * u2**2 / (2 * r**2 * (1 - ccc**2) ** 2)
    ) / (n - 2)
    z = float(ndtri(0.5 + confidence / 2)) * float(np.sqrt(max(variance, 0)))
    middle = float(np.arctanh(ccc))
    return Reliability(float(ccc), float(np.tanh(middle - z)), float(np.tanh(middle + z)), n, 2)


def within_subject(ratings: Any, *, confidence: float = 0.95) -> WithinSubject:
    """Return the within-subject error of repeated measurements.

    Parameters
    ----------
    ratings : float (n_subjects, n_ratings)
        Complete.
    confidence : float, default 0.95
        Level of the chi-square interval of the repeatability coefficient.

    Returns
    -------
    WithinSubject
        The coefficient of variation is the root mean square of sd / mean per subject; NaN
        where a subject's mean is not positive.

    Raises
    ------
    InputError
        If ratings are incomplete.

    References
    ----------
    Raunig et al. 2015 (QIBA), doi:10.1177/0962280214537344.
    """
    from scipy.special import chdtri

    values = _check(ratings, 2)
    n, k = values.shape
    variance = values.var(axis=1, ddof=1)
    means = values.mean(axis=1)
    sd = float(np.sqrt(variance.mean()))
    cv = float(np.sqrt((variance / means**2).mean())) if (means > 0).all() else float("nan")
    df = n * (k - 1)
    tail = (1 - confidence) / 2
    factor = 1.96 * np.sqrt(2)
    low = sd * np.sqrt(df / float(chdtri(df, tail)))
    high = sd * np.sqrt(df / float(chdtri(df, 1 - tail)))
    return WithinSubject(sd, cv, factor * sd, float(factor * low), float(factor * high))


def bland_altman(first: Any, second: Any, *, confidence: float = 0.95) -> BlandAltman:
    """Return bias and limits of agreement of two measurements.

    Parameters
    ----------
    first, second : float (n,)
        Paired measurements.
    confidence : float, default 0.95
        Level of the intervals of bias and limits.

    Returns
    -------
    BlandAltman
        `trend` is the correlation of difference and mean: far from 0, one pair of limits does
        not serve the whole range.

    Raises
    ------
    InputError
        If there are fewer than three complete pairs.

    References
    ----------
    Bland & Altman 1986, doi:10.1016/S0140-6736(86)90837-8; 1999, doi:10.1177/096228029900800204,
    section 2.4.
    """
    from scipy.special import stdtrit

    values = _check(np.column_stack((np.asarray(first), np.asarray(second))), 2)
    n = len(values)
    if n < 3:
        raise InputError("Limits of agreement need three or more pairs.")
    gap, mean = values[:, 1] - values[:, 0], values.mean(axis=1)
    bias, sd = float(gap.mean()), float(gap.std(ddof=1))
    t = float(stdtrit(n - 1, 0.5 + confidence / 2))
    half = t * sd / np.sqrt(n)
    trend = float(np.corrcoef(gap, mean)[0, 1]) if sd > 0 and np.ptp(mean) > 0 else 0.0
    error = float(sd * np.sqrt(1 / n + 1.96**2 / (2 * (n - 1))))
    lower, upper, reach = bias - 1.96 * sd, bias + 1.96 * sd, t * error
    return BlandAltman(
        bias, bias - half, bias + half, sd, lower, upper, error, trend,
        lower - reach, lower + reach, upper - reach, upper + reach,
    )  # fmt: skip


def weighted_kappa(
    first: Any,
    second: Any,
    *,
    weights: Literal["none", "linear", "quadratic"] = "none",
    confidence: float = 0.95,
) -> Reliability:
    """Return Cohen's kappa of two readers, with weights for ordered categories.

    Parameters
    ----------
    first, second : array-like (n,)
        Categories; for weights their sorted order is the order of the scale.
    weights : {"none", "linear", "quadratic"}
        Disagreement weights.
    confidence : float, default 0.95
        Level of the large-sample interval, clipped to [-1, 1].

    Returns
    -------
    Reliability
        NaN where both readers use one same category only.

    Raises
    ------
    InputError
        If lengths differ or weights are unknown.

    References
    ----------
    Fleiss, Cohen & Everitt 1969, doi:10.1037/h0028106.
    """
    a, b = np.asarray(first), np.asarray(second)
    if a.shape != b.shape or a.ndim != 1 or len(a) < 2:
        raise InputError("Two readers' categories of the same subjects are needed.")
    levels, code = np.unique(np.concatenate((a, b)), return_inverse=True)
    k, n = len(levels), len(a)
    if k < 2:
        return Reliability(float("nan"), float("nan"), float("nan"), n, 2)
    table = np.zeros((k, k))
    np.add.at(table, (code[:n], code[n:]), 1.0 / n)
    gap = np.abs(np.subtract.outer(np.arange(k), np.arange(k))) / (k - 1)
    agree = {"none": np.eye(k), "linear": 1 - gap, "quadratic": 1 - gap**2}.get(weights)
    if agree is None:
        raise InputError(f"Unknown weights {weights!r}: none, linear or quadratic.")
    row, column = table.sum(axis=1), table.sum(axis=0)
    observed, chance = float((agree * table).sum()), float(row @ agree @ column)
    kappa = (observed - chance) / (1 - chance)
    mean_row, mean_column = agree @ column, row @ agree
    inner = agree * (1 - chance) - (mean_row[:, None] + mean_column[None, :]) * (1 - observed)
    variance = (table * inner**2).sum() - (observed * chance - 2 * chance + observed) ** 2
    error = float(np.sqrt(max(variance, 0) / n)) / (1 - chance) ** 2
    z = float(ndtri(0.5 + confidence / 2)) * error
    return Reliability(kappa, max(-1.0, kappa - z), min(1.0, kappa + z), n, 2)
