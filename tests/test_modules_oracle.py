"""Gene modules against R WGCNA and dynamicTreeCut, planted truth and nulls.

The golden values and the script with the versions lie in tests/golden/modules.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform
from sklearn.metrics import adjusted_rand_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from radgen.associate import map_modules, preservation
from radgen.errors import FitError, InputError
from radgen.omics import CoexpressionModules, IndependentPrograms, Metagenes, module_table
from radgen.omics._network import adjacency, overlap, scale_free_fit
from radgen.omics._tree_cut import cut_branches
from radgen.types import Covariates, OmicsTable, PhenotypeTable

GOLDEN = Path(__file__).parent / "golden" / "modules"
TYPES = ("signed", "unsigned", "signed hybrid")
TRUTH = np.repeat(np.arange(5), (50, 40, 25, 20, 15))


def _read(name: str) -> pl.DataFrame:
    return pl.read_csv(GOLDEN / f"{name}.csv")


def _values() -> np.ndarray:
    return _read("input").to_numpy()


@parametrize_with_checks(
    [
        CoexpressionModules(power=2, min_size=2, random_state=0),
        Metagenes(2, n_starts=2, random_state=0),
        IndependentPrograms(1, random_state=0),
    ]
)
def test_modules_are_sound_estimators(estimator, check) -> None:
    check(estimator)


@pytest.mark.parametrize("network", TYPES)
def test_links_overlap_and_scale_free_fit_equal_wgcna(network: str) -> None:
    correlation = np.corrcoef(_values().T)
    links = adjacency(correlation, network=network, power=4)
    shared = overlap(links)
    for row in (1, 60):
        want = _read("network").filter((pl.col("type") == network) & (pl.col("row") == row))
        # The golden values have twelve digits.
        assert links[row - 1] == pytest.approx(want["adjacency"].to_numpy(), rel=1e-11)
        assert shared[row - 1] == pytest.approx(want["overlap"].to_numpy(), rel=1e-11)
    for want in _read("soft_threshold").filter(pl.col("type") == network).iter_rows(named=True):
        degree = adjacency(correlation, network=network, power=want["Power"]).sum(axis=0) - 1
        r_squared, slope = scale_free_fit(degree)
        assert r_squared == pytest.approx(want["SFT.R.sq"], abs=1e-9)
        assert slope == pytest.approx(want["slope"], rel=1e-9)
        assert degree.mean() == pytest.approx(want["mean.k."], rel=1e-9)


@pytest.mark.parametrize("network", TYPES)
def test_branches_are_cut_as_dynamic_tree_cut_does(network: str) -> None:
    links = adjacency(np.corrcoef(_values().T), network=network, power=4)
    distance = 1 - overlap(links)
    tree = linkage(squareform(distance, checks=False), "average")
    for want in _read("cuts").filter(pl.col("type") == network).iter_rows(named=True):
        got = cut_branches(tree, distance, min_size=want["size"], depth=want["deep"])
        label = np.array(want["labels"].split(), dtype=int)
        assert adjusted_rand_score(label, got) == 1.0
        assert ((got == 0) == (label == 0)).all()


def test_module_scores_and_merging_equal_wgcna() -> None:
    x = _values()
    model = CoexpressionModules(power=4, min_size=8, random_state=0).fit(x)
    z = model._scaled(x)
    from radgen.omics.pathways import first_component

    want = _read("eigengenes")
    for number in range(1, 5):
        loading, share = first_component(z[:, number == TRUTH])
        golden = want[f"ME{number}"].to_numpy()
        assert z[:, number == TRUTH] @ loading == pytest.approx(golden, abs=1e-10)
        assert share == pytest.approx(_read("explained")["explained"][number - 1], abs=1e-10)
    before = np.concatenate([np.zeros(50), np.tile([1, 2], 20), np.repeat([3, 4, 5], (25, 20, 15))])
    got = model._merged(z, before.astype(int))
    assert adjusted_rand_score(_read("merged")["label"].to_numpy(), got) == 1.0


def test_what_is_described_follows_from_its_definition() -> None:
    x = _values()
    model = CoexpressionModules(power=4, min_size=8, network="unsigned", n_shuffles=0).fit(x)
    scores = model.transform(x)
    assert np.linalg.norm(scores, axis=0) == pytest.approx(np.ones(model.n_modules_))
    across = np.corrcoef(x.T, scores.T)[: x.shape[1], x.shape[1] :]
    assert model.membership_ == pytest.approx(across, abs=1e-9)
    links = np.abs(np.corrcoef(x.T)) ** 4
    own = np.flatnonzero(model.labels_ == 2)
    inside = links[np.ix_(own, own)].sum(axis=0) - 1
    assert model.connectivity_[own] == pytest.approx(inside)
    one = model.transform(x[[7]])
    assert one == pytest.approx(scores[[7]])


def _planted(seed: int, n: int = 60) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 200))
    for k, start in enumerate((0, 40, 70)):
        stop = (40, 70, 90)[k]
        x[:, start:stop] += 1.2 * rng.standard_normal((n, 1))
    return x


def test_planted_modules_are_recovered_and_noise_has_none() -> None:
    truth = np.repeat([1, 2, 3, 0], (40, 30, 20, 110))
    agreement = []
    for seed in range(5):
        model = CoexpressionModules(min_size=10, random_state=0).fit(_planted(seed))
        agreement.append(adjusted_rand_score(truth, model.labels_))
        noise = np.random.default_rng(seed).standard_normal((60, 200))
        assert CoexpressionModules(min_size=10, random_state=0).fit(noise).n_modules_ == 0
    assert min(agreement) > 0.85
    x = _planted(1)
    x[3, 5] = np.nan
    x[:, 150] = 2.0
    holed = CoexpressionModules(min_size=10, random_state=0).fit(x)
    assert holed.labels_[150] == 0
    assert np.isfinite(holed.transform(x)).all()


def test_metagenes_and_programs_recover_planted_parts() -> None:
    rng = np.random.default_rng(2)
    amount = rng.gamma(0.8, size=(50, 3))
    parts = np.zeros((3, 90))
    for k in range(3):
        parts[k, 30 * k : 30 * k + 30] = rng.uniform(0.5, 1.5, 30)
    x = amount @ parts + 0.1 * rng.standard_normal((50, 90))
    found = Metagenes(3, random_state=0).fit(x)
    assert adjusted_rand_score(np.repeat([0, 1, 2], 30), found.labels_) == 1.0
    across = np.abs(np.corrcoef(found.transform(x).T, amount.T)[:3, 3:])
    assert (across.max(axis=0) > 0.98).all()
    assert found.cophenetic_ > 0.99
    assert found.error_ < 0.01
    weights = rng.standard_normal((3, 400)) * (rng.random((3, 400)) < 0.1) * 4
    activity = rng.standard_normal((40, 3))
    y = activity @ weights + 0.1 * rng.standard_normal((40, 400))
    programs = IndependentPrograms(3, random_state=0).fit(y)
    across = np.abs(np.corrcoef(programs.transform(y).T, activity.T)[:3, 3:])
    assert (across.max(axis=0) > 0.98).all()
    assert programs.explained_.sum() == pytest.approx(1.0, abs=0.02)
    assert np.all(np.diff(programs.explained_) <= 0)


def test_unsound_options_are_refused() -> None:
    x = _values()
    with pytest.raises(InputError, match="matrix of all pairs"):
        CoexpressionModules(max_genes=100).fit(x)
    with pytest.raises(InputError, match="power is positive"):
        CoexpressionModules(power="best").fit(x)
    with pytest.raises(InputError, match="network"):
        CoexpressionModules(network="both").fit(x)
    with pytest.raises(InputError, match="n_components lies between"):
        IndependentPrograms(60).fit(x)
    with pytest.raises(FitError, match="fewer programs"):
        IndependentPrograms(20, max_iter=2, random_state=0).fit(x)
    table = OmicsTable([f"s{i}" for i in range(40)], [f"g{j}" for j in range(150)], x,
                       "expression", "log2")  # fmt: skip
    model = CoexpressionModules(power=4, min_size=8, random_state=0).fit(table.values)
    assert module_table(model, table).features[0] == "M1"


def _layer(x: np.ndarray, cohort: str = "s") -> OmicsTable:
    ids = [f"{cohort}{i}" for i in range(len(x))]
    return OmicsTable(ids, [f"g{j + 1}" for j in range(x.shape[1])], x, "expression", "log2")


def test_preservation_equals_wgcna_and_tells_kept_from_lost_modules() -> None:
    second = _read("second").to_numpy()
    modules = {str(k): [f"g{j + 1}" for j in np.flatnonzero(k == TRUTH)] for k in range(1, 5)}
    found = preservation(_layer(_values()), _layer(second, "t"), modules, permutations=100)
    want = _read("preservation").filter(pl.col("module").is_between(1, 4))
    for ours, theirs in (
        ("explained", "propVarExplained.pres"),
        ("mean_membership", "meanSignAwareKME.pres"),
        ("mean_correlation", "meanSignAwareCorDat.pres"),
        ("mean_link", "meanAdj.pres"),
        ("cor_connectivity", "cor.kIM"),
        ("cor_correlation", "cor.cor"),
    ):
        assert found.table[ours].to_numpy() == pytest.approx(want[theirs].to_numpy(), abs=1e-9)
    # The sign of a score of unrelated genes is arbitrary.
    got = np.abs(found.table["cor_membership"].to_numpy())
    assert got == pytest.approx(np.abs(want["cor.kME"].to_numpy()), abs=1e-9)
    assert (found.table["p"][:2] < 0.02).all()
    assert (found.table["p"][2:] > 0.05).all()
    assert found.table["z_summary"][0] > 10
    assert found.table["z_summary"][2] < 2
    assert "strongly preserved" in found.statements()[0]
    thin = preservation(_layer(_values()), _layer(second, "t"), {"x": ["g1", "no"]}, permutations=1)
    assert thin.table["reason"][0] == "only 1 of its genes vary in both cohorts"
    other = OmicsTable(["a", "b", "c", "d"], ["h"], np.arange(4.0)[:, None], "expression", "log2")
    with pytest.raises(InputError, match="vary in both"):
        preservation(_layer(_values()), other, modules)


def test_modules_go_with_planted_traits_and_with_nothing_else() -> None:
    rng = np.random.default_rng(4)
    x = _planted(3)
    traits = {f"t{i}": rng.standard_normal(60) for i in range(6)}
    traits["driven"] = x[:, 40:70].mean(axis=1) + 0.7 * rng.standard_normal(60)
    images = PhenotypeTable.from_frame({"sample": [f"s{i}" for i in range(60)]} | traits)
    age = Covariates(images.samples, ("age",), rng.standard_normal((60, 1)))
    found = map_modules(images, _layer(x), age, permutations=499)
    assert found.modules.height == 3
    hits = found.significant()
    assert hits.select("phenotype", "omics").rows() == [("driven", "M2")]
    assert hits["p_maxt"][0] == pytest.approx(0.002)
    genes = found.gene_sets()["M2"]
    assert len(set(genes) & {f"g{j + 1}" for j in range(40, 70)}) == 30
    assert "led by" in found.statements()[0]
    # The correlation is the partial one.
    z = np.column_stack([np.ones(60), age.values])
    left = [
        v - z @ np.linalg.lstsq(z, v, rcond=None)[0]
        for v in (traits["driven"], found.scores["M2"].to_numpy())
    ]
    r = found.correlations().filter((pl.col("phenotype") == "driven") & (pl.col("module") == "M2"))
    assert r["r"][0] == pytest.approx(np.corrcoef(*left)[0, 1])
    tables, plain = found.encode()
    assert type(found).decode(tables, plain).statements() == found.statements()
    assert found.plot("module_trait").figure is not None
    with pytest.raises(InputError, match="stronger than chance"):
        map_modules(images, _layer(rng.standard_normal((60, 100))))
    parts = map_modules(images, _layer(x), estimator=Metagenes(3, n_starts=2, random_state=0))
    assert parts.modules.height == 3
