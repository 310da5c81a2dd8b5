"""Gene-set scores by hand, and without a look at held-out samples."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import zscore

from radgen.errors import InputError
from radgen.omics.gene_sets import GeneSetScorer
from radgen.types import OmicsTable


def _table(values: np.ndarray, prefix: str = "s") -> OmicsTable:
    samples = tuple(f"{prefix}{i}" for i in range(len(values)))
    genes = tuple(f"g{j}" for j in range(values.shape[1]))
    return OmicsTable(samples, genes, values, "expression", "log2")


def test_a_score_is_the_mean_z_of_the_known_genes() -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((20, 6))
    values[:, 5] = 1.0
    values[3, 1] = np.nan
    scores = GeneSetScorer({"A": ["g0", "g1", "g2", "g5", "no"], "B": ["g0", "g5"]}).fit(
        _table(values)
    )
    assert scores.set_names_ == ("A",)
    expected = np.nanmean(zscore(values[:, :3], nan_policy="omit"), axis=1)
    assert scores.transform(_table(values)).values[:, 0] == pytest.approx(expected)


def test_new_samples_are_scored_by_what_was_fitted() -> None:
    rng = np.random.default_rng(1)
    train, test = _table(rng.standard_normal((30, 4))), _table(rng.standard_normal((5, 4)) + 9, "t")
    scorer = GeneSetScorer({"A": ["g0", "g1", "g2"]}).fit(train)
    mean, spread = train.values[:, :3].mean(axis=0), train.values[:, :3].std(axis=0)
    expected = ((test.values[:, :3] - mean) / spread).mean(axis=1)
    assert scorer.transform(test).values[:, 0] == pytest.approx(expected)
    with pytest.raises(InputError, match="lacks 1 fitted genes: g3"):
        scorer.transform(test.take(columns=[0, 1, 2]))
    with pytest.raises(InputError, match="No gene set shares 3 genes"):
        GeneSetScorer({"B": ["x"]}).fit(train)
