"""Filters of phenotypes, the batch gauge and repeatability."""

import numpy as np
import polars as pl
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from radgen import phenotype
from radgen.errors import InputError
from radgen.predict import RidgeLinear, RidgeLogistic
from radgen.predict.preprocess import BlockScale
from radgen.predict.selection import UnivariateSelector
from radgen.types import PhenotypeTable


@parametrize_with_checks(
    [
        phenotype.VarianceFilter(max_share=1.0),
        phenotype.CorrelationFilter(),
        phenotype.RankNormaliser(),
        RidgeLogistic(),
        RidgeLinear(),
        BlockScale(),
        UnivariateSelector(),
    ]
)
def test_estimators_keep_the_contract_of_scikit_learn(estimator, check):
    check(estimator)


def test_correlation_filter_keeps_one_of_each_cluster():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(80, 3))
    x = np.column_stack((base[:, 0], base[:, 0] + 0.01 * rng.normal(size=80), base[:, 1:]))
    kept = phenotype.CorrelationFilter(0.9).fit(x)
    assert kept.support_.sum() == 3
    assert kept.support_[:2].sum() == 1


def test_variance_filter_drops_nearly_constant_columns():
    x = np.random.default_rng(0).normal(size=(100, 3))
    x[:, 1] = 4.0
    x[3:, 2] = 1.0
    assert phenotype.VarianceFilter().fit(x).support_.tolist() == [True, False, False]


def test_rank_normaliser_is_monotone_and_bounded_by_training():
    x = np.random.default_rng(0).exponential(size=(50, 1))
    model = phenotype.RankNormaliser().fit(x)
    grid = np.linspace(-5, 50, 200)[:, None]
    out = model.transform(grid)[:, 0]
    assert (np.diff(out) >= 0).all()
    assert abs(out).max() == pytest.approx(abs(model.transform(x)).max())


def _visits(noise):
    rng = np.random.default_rng(2)
    truth = rng.normal(size=(20, 3)) + 10
    tables = {}
    for visit in ("test", "retest"):
        values = truth + rng.normal(size=truth.shape) * np.array(noise)
        frame = {"sample": [f"p{k}" for k in range(20)]}
        frame |= {f"f{j}": values[:, j] for j in range(3)}
        tables[visit] = PhenotypeTable.from_frame(pl.DataFrame(frame))
    return tables


def test_reliability_filter_uses_the_lower_bound():
    tables = _visits([0.05, 0.45, 2.0])
    cube = np.stack([t.values for t in tables.values()], axis=1)
    model = phenotype.ReliabilityFilter(cube, threshold=0.75).fit(np.zeros((5, 3)))
    assert model.support_.tolist() == [True, False, False]
    assert model.estimate_[1] > 0.75 > model.lower_[1]
    with pytest.raises(InputError, match="needs repeated"):
        phenotype.ReliabilityFilter().fit(np.zeros((5, 3)))


def test_repeatability_table():
    found = phenotype.measure_repeatability(_visits([0.05, 0.45, 2.0]))
    assert found.frame["icc"][0] > 0.98
    assert "of 3 phenotypes" in found.statements()[0]
    assert found.frame["n_subjects"].to_list() == [20, 20, 20]


def test_batch_gauge_sees_the_batch_before_and_not_after():
    rng = np.random.default_rng(5)
    n = 90
    site = np.arange(n) % 2
    values = rng.normal(size=(n, 12)) + 1.0 * site[:, None]
    frame = {"sample": [f"s{k}" for k in range(n)]}
    frame |= {f"f{j}": values[:, j] for j in range(12)}
    batch = {f"s{k}": f"site{v}" for k, v in enumerate(site)}
    table = PhenotypeTable.from_frame(pl.DataFrame(frame))
    found = phenotype.batch_gauge(table, batch, seed=1, readers=("linear",))
    assert found.mean("before") > 0.95
    assert found.mean("after") < 0.7
    assert "0.50 = not at all" in found.statements()[0]
