"""Pairs of columns beside shared covariates: what the full Cox fit of each says."""

from __future__ import annotations

import numpy as np
import pytest

from radgen.errors import FitError
from radgen.stats.cox import RiskSets, fit_cox
from radgen.stats.cox_pairs import CoxPairs, Ordered


def _people(seed: int, n: int, step: float):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    time = rng.exponential(np.exp(-0.5 * x[:, 0])) * 10
    time = np.ceil(time / step) * step if step else time
    return rng, x, time, rng.random(n) < 0.6


@pytest.mark.parametrize("step", [0.0, 1.0, 5.0], ids=["no ties", "ties", "many ties"])
def test_derivatives_equal_those_of_risk_sets(step):
    rng, x, time, event = _people(1, 60, step)
    eta = x @ rng.normal(size=2)
    order = Ordered.of(time, event)
    found = order.derivatives(x[order.people], eta[order.people])
    want = RiskSets(time, event, np.ones(60), None, "efron").derivatives(x, eta)
    for one, other in zip(found, want, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("step", [0.0, 2.0], ids=["no ties", "ties"])
@pytest.mark.parametrize("robust", [False, True])
def test_pairs_equal_full_fits(step, robust):
    rng, x, time, event = _people(2, 90, step)
    a = rng.binomial(2, 0.3, (8, 90)) - 0.6
    b = a * x[:, 1]
    a[3] = 0.5  # constant
    b[4] = a[4] * 2.0  # collinear
    known = rng.random((8, 90)) < 0.95
    known[:2] = True
    for mask in (None, known):
        beta, covariance = CoxPairs.of(x, time, event).fit(a, b, mask, robust=robust)
        for row in range(8):
            keep = np.ones(90, bool) if mask is None else mask[row]
            design = np.column_stack([x, a[row], b[row]])[keep]
            if row in (3, 4):
                with pytest.raises(FitError):
                    fit_cox(design, time[keep], event[keep])
                assert np.isnan(beta[row]).all()
                assert np.isnan(covariance[row]).all()
                continue
            want = fit_cox(design, time[keep], event[keep], robust=robust)
            np.testing.assert_allclose(beta[row], want.beta[2:], rtol=1e-9, atol=1e-11)
            np.testing.assert_allclose(covariance[row], want.covariance[2:, 2:], rtol=1e-9)


def test_a_pair_that_separates_the_events_has_no_estimate():
    rng, x, time, event = _people(3, 80, 0.0)
    event[:6] = False
    a = np.zeros((2, 80))
    a[0, :6] = 1.0  # carriers never have the event
    a[1] = rng.normal(size=80)
    b = a * x[:, 1]
    beta, covariance = CoxPairs.of(x, time, event).fit(a, b, None, robust=False)
    assert np.isnan(beta[0]).all()
    assert np.isnan(covariance[0]).all()
    assert np.isfinite(beta[1]).all()


def test_nobody_left_with_an_event_is_no_estimate():
    rng, x, time, event = _people(4, 40, 0.0)
    a = rng.normal(size=(1, 40))
    beta, _ = CoxPairs.of(x, time, event).fit(a, a * a, ~event[None, :], robust=False)
    assert np.isnan(beta).all()
