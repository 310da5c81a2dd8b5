"""Maximum-likelihood fits of rare variants, where plain Newton steps swing about the maximum."""

from __future__ import annotations

import numpy as np

from radgen.stats.logistic_scan import fit_null, wald_block


def test_every_maximum_is_found_where_three_carriers_hold_it():
    rng = np.random.default_rng(10)
    n = 400
    age = rng.normal(size=n)
    y = (1.5 * age + rng.logistic(size=n) > 4.0).astype(float)
    g = np.zeros((60, n))
    for row in g:
        row[rng.choice(np.flatnonzero(y > 0), 1)] = 1.0
        row[rng.choice(np.flatnonzero(y == 0), 2, replace=False)] = 1.0
    length = np.linalg.norm(age - age.mean())
    x = np.column_stack([np.full(n, n**-0.5), (age - age.mean()) / length])
    fit = wald_block(g, fit_null(y, x))
    # Plain steps left seven of the sixty without an estimate.
    assert fit.converged.all()
    for row, beta, se in zip(g, fit.beta, fit.se, strict=True):
        # With the variant's coefficient held, the others at their own maximum leave no score.
        held = fit_null(y, x, beta * row)
        w = held.mu * (1.0 - held.mu)
        design = np.column_stack([x, row])
        assert abs(row @ (y - held.mu)) < 1e-8
        information = (design.T * w) @ design
        np.testing.assert_allclose(se, np.sqrt(np.linalg.inv(information)[-1, -1]), rtol=1e-7)


def test_separated_carriers_have_no_maximum():
    rng = np.random.default_rng(3)
    y = (rng.random(200) < 0.2).astype(float)
    x = np.full((200, 1), 200**-0.5)
    g = np.zeros((2, 200))
    g[0, np.flatnonzero(y == 0)[:4]] = 1.0  # no case among the carriers
    g[1] = rng.normal(size=200)
    assert wald_block(g, fit_null(y, x)).converged.tolist() == [False, True]
