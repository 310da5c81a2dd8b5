"""Intervals of fixed scores hold the truth in 95 % of samples, within four standard errors.

Truths come from closed forms or from very large samples. 400 draws: 4 errors are 0.044.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit, ndtr

from radgen.errors import FitError
from radgen.stats.calibration import calibration_line
from radgen.stats.discrimination import (
    auc_difference,
    auc_interval,
    average_precision,
    average_precision_interval,
)
from radgen.stats.survival_adjusted import restricted_mean_difference
from radgen.stats.survival_metrics import harrell_c, uno_c

DRAWS = 400
ALLOWED = 4 * np.sqrt(0.95 * 0.05 / DRAWS)


def _coverage(intervals, truth):
    table = np.array(intervals)
    return float(((table[:, 0] <= truth) & (truth <= table[:, 1])).mean())


def test_auc_and_its_paired_difference():
    """Normal scores: AUC = Phi(d / sqrt 2); the second score is the first with noise."""
    rng = np.random.default_rng(1)
    single, gap = [], []
    truth, second = ndtr(1 / np.sqrt(2)), ndtr(1 / np.sqrt(2 + 2))
    for _ in range(DRAWS):
        y = np.arange(70) < 25
        a = rng.normal(size=70) + y
        b = a + rng.normal(size=70)
        found = auc_interval(y, a)
        single.append((found.ci_low, found.ci_high))
        pair = auc_difference(y, a, b)
        gap.append((pair.ci_low, pair.ci_high))
    assert abs(_coverage(single, truth) - 0.95) < ALLOWED
    assert abs(_coverage(gap, truth - second) - 0.95) < ALLOWED


def test_auc_of_lesions_needs_patients_as_clusters():
    """Three lesions of a patient share most of their score: only the clustered interval covers."""
    rng = np.random.default_rng(2)
    patient = np.repeat(np.arange(40), 3)
    truth = ndtr(1 / np.sqrt(2 * (1 + 0.2**2)))
    right, wrong = [], []
    for _ in range(DRAWS):
        y = np.repeat(np.arange(40) < 18, 3)
        score = np.repeat(rng.normal(size=40), 3) + 0.2 * rng.normal(size=120) + y
        for out, cluster in ((right, patient), (wrong, None)):
            found = auc_interval(y, score, cluster=cluster)
            out.append((found.ci_low, found.ci_high))
    assert abs(_coverage(right, truth) - 0.95) < ALLOWED
    assert _coverage(wrong, truth) < 0.95 - 2 * ALLOWED


def test_calibration_slope_and_intercept():
    rng = np.random.default_rng(3)
    slope, shift = [], []
    for _ in range(DRAWS):
        eta = 1.2 * rng.normal(size=150)
        y = rng.random(150) < expit(0.6 * eta + 0.3)
        try:
            line = calibration_line(y, expit(eta))
        except FitError:
            continue
        slope.append((line.slope_low, line.slope_high))
        shift.append((line.intercept_low, line.intercept_high))
    assert abs(_coverage(slope, 0.6) - 0.95) < ALLOWED
    big = 1.2 * np.random.default_rng(4).normal(size=400_000)
    truth = calibration_line(
        np.random.default_rng(5).random(400_000) < expit(0.6 * big + 0.3), expit(big)
    ).intercept
    assert abs(_coverage(shift, truth) - 0.95) < ALLOWED


def _survival(rng, n):
    score = rng.normal(size=n)
    time, censor = rng.exponential(np.exp(-0.8 * score)), rng.exponential(2.5, n)
    return np.minimum(time, censor), time <= censor, score


def test_concordance():
    harrell, uno = [], []
    rng = np.random.default_rng(6)
    big = _survival(np.random.default_rng(7), 6000)
    truths = harrell_c(*big).estimate, uno_c(*big, tau=1.5).estimate
    for _ in range(DRAWS):
        data = _survival(rng, 90)
        a, b = harrell_c(*data), uno_c(*data, tau=1.5)
        harrell.append((a.ci_low, a.ci_high))
        uno.append((b.ci_low, b.ci_high))
    assert abs(_coverage(harrell, truths[0]) - 0.95) < ALLOWED
    assert abs(_coverage(uno, truths[1]) - 0.95) < ALLOWED


def test_difference_of_restricted_means():
    rng = np.random.default_rng(8)
    rate = np.array([1.0, 0.6])
    mean = (1 - np.exp(-rate * 1.5)) / rate
    found = []
    for _ in range(DRAWS):
        arm = np.arange(120) % 2
        time, censor = rng.exponential(1 / rate[arm]), 1.2 + rng.exponential(2.0, 120)
        gap = restricted_mean_difference(np.minimum(time, censor), time <= censor, arm, tau=1.5)
        found.append((gap.ci_low, gap.ci_high))
    assert abs(_coverage(found, mean[1] - mean[0]) - 0.95) < ALLOWED


def test_average_precision():
    """The published logit interval is conservative: it must not fall below."""
    big = np.random.default_rng(9)
    y = big.random(300_000) < 0.3
    truth = average_precision(y, big.normal(size=300_000) + 1.2 * y)
    rng = np.random.default_rng(10)
    found = []
    for _ in range(DRAWS):
        y = np.arange(100) < 30
        found.append(average_precision_interval(y, rng.normal(size=100) + 1.2 * y)[1:])
    assert _coverage(found, truth) > 0.95 - ALLOWED


def test_added_value_of_a_useless_marker_covers_zero():
    """Paired difference of a fixed score with and without noise of no use."""
    rng = np.random.default_rng(11)
    found = []
    for _ in range(DRAWS):
        y = rng.random(100) < 0.3
        base = rng.normal(size=100) + y
        gap = auc_difference(
            y, base + 0.3 * rng.normal(size=100), base + 0.3 * rng.normal(size=100)
        )
        found.append((gap.ci_low, gap.ci_high))
    assert abs(_coverage(found, 0.0) - 0.95) < ALLOWED
