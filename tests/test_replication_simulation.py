"""Locked findings in a second cohort with known truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm

import replication
from radgen.associate import Hypotheses, ReplicationResult, lock, replicate, scan
from radgen.errors import FormatError, InputError
from radgen.stats.selection import Z_EDGES, fit_prior
from radgen.types import Covariates, OmicsTable, PhenotypeTable


def _cohort(seed: int, n: int, true: int = 3) -> tuple[PhenotypeTable, OmicsTable]:
    rng = np.random.default_rng(seed)
    ids = [f"c{seed}_{i}" for i in range(n)]
    genes = rng.normal(size=(n, 12))
    traits = rng.normal(size=(n, 4))
    for j in range(true):
        traits[:, j] += 0.7 * genes[:, j]
    images = PhenotypeTable.from_frame({"sample": ids, **{f"f{j}": traits[:, j] for j in range(4)}})
    return images, OmicsTable(ids, [f"G{j}" for j in range(12)], genes, "expression", "log2")


def test_true_effects_replicate_and_are_pooled() -> None:
    locked = lock(scan(*_cohort(1, 150)))
    assert {("f0", "G0"), ("f1", "G1"), ("f2", "G2")} <= set(
        locked.frame.select("phenotype", "omics").iter_rows()
    )
    result = replicate(locked, *_cohort(2, 150))
    table = result.table
    true = table.filter(pl.col("phenotype").str.slice(1) == pl.col("omics").str.slice(1))
    assert true["replicated"].all()
    assert (true["power"] > 0.9).all()
    want = 1 / np.sqrt(1 / true["se"] ** 2 + 1 / true["se_new"] ** 2)
    np.testing.assert_allclose(true["se_meta"], want)
    assert "3 a one-sided p" in result.statements()[0]
    assert "is as expected" in result.statements()[1]
    assert (table["effect_corrected"].abs() <= table["effect"].abs()).all()
    assert (table["power_corrected"] <= table["power"] + 1e-9).all()
    again = ReplicationResult.decode(*result.encode())
    assert again.statements() == result.statements()


def test_false_findings_do_not_replicate() -> None:
    strongest = lock(scan(*_cohort(3, 40, true=0)), by="p", level=0.5, at_most=5)
    result = replicate(strongest, *_cohort(4, 400, true=0))
    assert result.summary["n_replicated"] == 0


def test_what_is_missing_in_the_second_cohort_is_said() -> None:
    locked = lock(scan(*_cohort(1, 150)))
    images, rna = _cohort(5, 60)
    result = replicate(locked, images, rna.take(columns=np.arange(1, 12)))
    row = result.table.filter(pl.col("omics") == "G0").row(0, named=True)
    assert row["status"] == "not_tested"
    assert "not in the second cohort" in row["reason"]
    with pytest.raises(InputError, match="No hypothesis"):
        replicate(locked.frame.head(0), images, rna)
    with pytest.raises(InputError, match="lack"):
        replicate(locked.frame.drop("effect"), images, rna)
    age = Covariates(images.samples, ("age",), np.zeros((60, 1)))
    with pytest.raises(InputError, match="with the covariates none; given are age"):
        replicate(locked, images, rna, age)


def test_hypotheses_are_stored_and_changes_are_seen(tmp_path: Path) -> None:
    locked = lock(scan(*_cohort(1, 150), standardise=True), at_most=3)
    path = tmp_path / "hypotheses.json"
    locked.save(path)
    again = Hypotheses.load(path)
    assert again.frame.equals(locked.frame)
    assert again.params == locked.params
    assert again.params["standardise"] is True
    text = path.read_text("utf-8")
    path.write_text(text.replace('"phenotype": "f0"', '"phenotype": "f3"'), "utf-8")
    with pytest.raises(FormatError, match="changed after they were locked"):
        Hypotheses.load(path)
    path.write_text("{}", "utf-8")
    with pytest.raises(FormatError, match="no file of locked"):
        Hypotheses.load(path)


def test_hypotheses_of_strata_are_tested_in_their_stratum() -> None:
    images, rna = _cohort(6, 300)
    half = {item: ("a" if i % 2 else "b") for i, item in enumerate(images.samples)}
    locked = lock(scan(images, rna, by=half))
    assert set(locked.frame["stratum"]) == {"a", "b"}
    images, rna = _cohort(7, 300)
    half = {item: ("a" if i % 2 else "c") for i, item in enumerate(images.samples)}
    table = replicate(locked, images, rna, by=half).table
    assert set(table.filter(pl.col("status") == "ok")["stratum"]) == {"a"}
    with pytest.raises(InputError, match="need by="):
        replicate(locked, images, rna)


def test_corrected_effects_predict_the_replication_rate() -> None:
    """Of many weak effects few are found, inflated; the corrected expectation is met."""
    found, naive, corrected, nominal = replication.rates(30)
    error = np.sqrt(found * 0.25)
    assert found > 100
    assert naive > nominal + 2 * error
    assert abs(corrected - nominal) < 3 * error


def test_range_of_correlated_hypotheses_by_hand() -> None:
    from scipy.stats import binom

    from radgen.associate._replication_range import count_range, pair_products

    rng = np.random.default_rng(2)
    apart = np.linalg.qr(rng.normal(size=(300, 40)))[0]
    low, high = count_range(np.full(40, 0.6), apart, draws=20_000)
    assert abs(low - binom.ppf(0.025, 40, 0.6)) <= 1
    assert abs(high - binom.ppf(0.975, 40, 0.6)) <= 1
    same = np.repeat(apart[:, :1], 40, axis=1)
    assert count_range(np.full(40, 0.6), same) == (0, 40)
    # Opposite directions: one half or the other.
    assert count_range(np.full(40, 0.5), same * np.repeat([1, -1], 20)) == (20, 20)
    assert count_range(np.full(40, 0.6), np.full((300, 40), np.nan))[0] > 10
    images, genes = _cohort(3, 60)
    pairs = pl.DataFrame({"phenotype": ["f0", "f1", "gone"], "omics": ["G0", "G1", "G2"],
                          "layer": ["expression"] * 3})  # fmt: skip
    found = pair_products(pairs, images, [genes], None)
    left = images.values[:, 0] - images.values[:, 0].mean()
    right = genes.values[:, 0] - genes.values[:, 0].mean()
    want = left * right - np.mean(left * right)
    np.testing.assert_allclose(found[:, 0], want / np.linalg.norm(want), atol=1e-12)
    assert np.isnan(found[:, 2]).all()


def test_range_covers_the_replications_of_correlated_blocks() -> None:
    inside, narrow, runs = replication.ranges(60)
    assert runs > 15
    assert inside >= 0.8 * runs
    assert narrow < 0.7 * runs


def test_other_levels_are_the_same_model_and_other_columns_need_a_word() -> None:
    def adjusted(cohort: tuple[PhenotypeTable, OmicsTable], *names: str):  # type: ignore[no-untyped-def]
        rng = np.random.default_rng(1)
        ids = cohort[0].samples
        return (*cohort, Covariates(ids, names, rng.normal(size=(len(ids), len(names)))))

    locked = lock(scan(*adjusted(_cohort(1, 150), "age", "site=B")))
    same = replicate(locked, *adjusted(_cohort(2, 150), "age", "site=C", "site=D"))
    assert same.warnings[0] == "The levels of site are those of the second cohort."
    with pytest.raises(InputError, match=r"--adjust on the command line"):
        replicate(locked, *adjusted(_cohort(2, 150), "age"))
    other = replicate(locked, *adjusted(_cohort(2, 150), "age"), other_covariates=True)
    assert "different models" in other.warnings[0]
    assert "which were age in the second" in other.methods()


def test_prior_of_effects_is_the_maximum_of_its_likelihood() -> None:
    """Karush-Kuhn-Tucker: no other share of any component makes the counts more likely."""
    rng = np.random.default_rng(9)
    effects = np.where(rng.random(40_000) < 0.8, 0.0, rng.normal(0, 3, 40_000))
    z = np.abs(effects + rng.normal(size=40_000))
    counts = np.bincount(np.searchsorted(Z_EDGES, z, "right") - 1, minlength=len(Z_EDGES))
    prior = fit_prior(counts)
    sd = np.sqrt(1 + prior.scales**2)
    edges = np.append(Z_EDGES, np.inf)[:, None]
    mass = 2 * (norm.sf(edges[:-1] / sd) - norm.sf(edges[1:] / sd))
    slope = (counts / 40_000 / np.maximum(mass @ prior.weights, 1e-300)) @ mass
    assert slope.max() < 1 + 2e-4
    np.testing.assert_allclose(slope[prior.weights > 0.01], 1, atol=3e-4)
    assert prior.weights[prior.scales < 0.3].sum() == pytest.approx(0.8, abs=0.05)
    # Posterior mean and replication: by simulation of the known truth at z about 3.
    near = np.abs(z - 3) < 0.25
    signed = effects[near] * np.sign(effects[near] + 1e-9)
    assert prior.mean(3.0) == pytest.approx(signed.mean(), abs=0.35)
    assert float(prior.replication_power(0.0, 1.0)) == pytest.approx(0.05, abs=0.05)
    none = fit_prior(np.zeros(len(Z_EDGES)))
    assert none.mean(5.0) == 0
    assert none.replication_power(5.0, 1.0) == pytest.approx(0.05)
    with pytest.raises(InputError, match="bins"):
        fit_prior([1, 2])


@pytest.mark.parametrize("kind", ReplicationResult.plots)
def test_plots_of_a_replication_are_drawn(kind: str) -> None:
    result = replicate(lock(scan(*_cohort(1, 150))), *_cohort(2, 150))
    assert result.plot(kind).get_xlabel()
