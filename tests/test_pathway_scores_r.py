"""Gene-set scores against R GSVA, gseapy, naive definitions and hand-worked values.

The golden values and the scripts with the versions lie in tests/golden/pathways.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.special import ndtr
from scipy.stats import poisson, rankdata

from radgen.errors import InputError
from radgen.omics import GeneSetScorer, GsvaScorer, PlageScorer, SingScorer, SsgseaScorer
from radgen.omics._kernel_cdf import GaussianCdf
from radgen.types import OmicsTable

GOLDEN = Path(__file__).parent / "golden" / "pathways"


def _table(name: str) -> OmicsTable:
    frame = pl.read_csv(GOLDEN / f"{name}_input.csv")
    values = frame.drop("sample").to_numpy().astype(float)
    return OmicsTable(frame["sample"].to_list(), frame.columns[1:], values, "expression", "log2")


def _sets() -> dict[str, list[str]]:
    frame = pl.read_csv(GOLDEN / "sets.csv").group_by("set", maintain_order=True)
    return {name[0]: part["gene"].to_list() for name, part in frame}


def _golden(run: str, file: str = "gsva") -> np.ndarray:
    rows = pl.read_csv(GOLDEN / f"{file}.csv").filter(pl.col("run") == run)
    wide = rows.pivot("set", index="sample", values="score")
    order = pl.DataFrame({"sample": list(_table("log").samples)})
    return order.join(wide, on="sample", maintain_order="left").select(list(_sets())).to_numpy()


@pytest.mark.parametrize(
    ("run", "options"),
    [
        ("ssgsea", {"normalise": False}),
        ("ssgsea_norm", {}),
        ("ssgsea_tau1", {"normalise": False, "alpha": 1.0}),
    ],
)
def test_ssgsea_equals_gsva_package(run: str, options: dict) -> None:
    got = SsgseaScorer(_sets(), **options).fit_transform(_table("log")).values
    assert got == pytest.approx(_golden(run), rel=1e-12, abs=1e-12)


def test_ssgsea_equals_gseapy() -> None:
    got = SsgseaScorer(_sets()).fit_transform(_table("log")).values
    assert got == pytest.approx(_golden("ssgsea", "gseapy_scores"), abs=1e-10)


def test_ssgsea_of_ties_is_the_mean_over_all_orders_of_them() -> None:
    """With weights of average ranks, ties in the place of a gene are averaged over."""
    values = np.array([[5.0, 1.0, 1.0, 1.0, 0.0, 7.0]])
    both = np.vstack([values, np.arange(6.0)])
    table = OmicsTable(["a", "b"], list("uvwxyz"), both, "expression", "log2")
    scorer = SsgseaScorer({"S": ["v", "z"]}, min_genes=1, normalise=False)
    got = scorer.fit_transform(table).values[0, 0]
    weight = rankdata(values[0]) ** 0.25
    found = []
    for place_of_v in (2.0, 3.0, 4.0):
        place = {1: place_of_v, 5: 6.0}
        inside = sum(weight[j] * r for j, r in place.items()) / sum(weight[j] for j in place)
        found.append(inside - (21 - sum(place.values())) / 4)
    assert got == pytest.approx(np.mean(found))


def test_the_smoothed_distribution_is_exact_with_outliers_and_missing_values() -> None:
    rng = np.random.default_rng(5)
    x = rng.standard_normal((60, 6))
    x[:, 1] = rng.standard_cauchy(60)
    x[:, 2] = 1e5 + x[:, 2]
    x[::7, 3] = np.nan
    x[:, 4] = rng.integers(0, 2, 60)
    spread = np.nanstd(x, axis=0, ddof=1) / 4
    new = np.vstack([x, x[:5] - 100 * spread, x[:5] + 3 * spread])
    got = GaussianCdf.of(x, spread).evaluate(new)
    for j in range(6):
        known = x[np.isfinite(x[:, j]), j]
        want = ndtr((new[:, j, None] - known) / spread[j]).mean(axis=1)
        # Rounding of 1e5 over a bandwidth of 0.25 is 6e-11.
        assert got[:, j] == pytest.approx(want, abs=1e-10 if j == 2 else 1e-13, nan_ok=True)


def _naive_walk(level: np.ndarray, members: np.ndarray, tau: float = 1.0) -> tuple[float, float]:
    order = np.argsort(-level, kind="stable")
    p = len(order)
    inside = np.isin(order, members)
    weight = np.abs(p - np.arange(p) - p / 2) ** tau
    path = np.cumsum(np.where(inside, weight / weight[inside].sum(), -1 / (p - len(members))))
    return max(path.max(), 0.0), min(path.min(), 0.0)


def _naive_gsva(level: np.ndarray, statistic: str) -> np.ndarray:
    genes = list(_table("log").features)
    out = []
    for row in level:
        ends = [_naive_walk(row, np.array([genes.index(g) for g in s])) for s in _sets().values()]
        out.append(
            {
                "difference": [a + b for a, b in ends],
                "absolute": [a - b for a, b in ends],
                "largest": [a if a > -b else b for a, b in ends],
            }[statistic]
        )
    return np.array(out)


@pytest.mark.parametrize("statistic", ["difference", "absolute", "largest"])
def test_gsva_equals_its_definition_and_the_package_within_its_table(statistic: str) -> None:
    table = _table("log")
    x = np.asarray(table.values)
    got = GsvaScorer(_sets(), statistic=statistic).fit_transform(table).values
    gap = (x[:, None, :] - x[None]) / (x.std(axis=0, ddof=1) / 4)
    assert got == pytest.approx(_naive_gsva(ndtr(gap).mean(axis=1), statistic), abs=1e-12)
    # The package reads the distribution from a table in steps of 0.001: with that table the
    # definition gives its values, so that the rest of the difference is that table.
    steps = ndtr(np.arange(10_001) / 1000)
    half = steps[np.minimum((np.abs(gap) * 1000).astype(int), 10_000)]
    coarse = np.where(gap > 10, 1.0, np.where(gap < -10, 0.0, np.where(gap < 0, 1 - half, half)))
    run = {"difference": "gsva"}.get(statistic, f"gsva_{statistic}")
    naive = _naive_gsva(coarse.mean(axis=1), statistic)
    assert naive == pytest.approx(_golden(run), abs=1e-10)
    assert got == pytest.approx(_golden(run), abs=0.03)
    assert np.median(np.abs(got - _golden(run))) < 1e-10


def test_gsva_of_counts_and_of_plain_ranks_equal_the_package() -> None:
    counts = _table("counts")
    got = GsvaScorer(_sets(), kernel="poisson").fit_transform(counts).values
    assert got == pytest.approx(_golden("gsva_poisson"), abs=1e-10)
    x = np.asarray(counts.values)
    level = poisson.cdf(x[:, None, :], x[None] + 0.5).mean(axis=1)
    assert got == pytest.approx(_naive_gsva(level, "difference"), abs=1e-10)
    got = GsvaScorer(_sets(), kernel="none").fit_transform(_table("log")).values
    assert got == pytest.approx(_golden("gsva_ecdf"), abs=1e-10)


def test_combined_z_and_plage_equal_the_package() -> None:
    table = _table("log")
    n = table.n_samples
    score = GeneSetScorer(_sets()).fit_transform(table).values
    root = np.sqrt([len(item) for item in _sets().values()])
    assert score * root * np.sqrt((n - 1) / n) == pytest.approx(_golden("zscore"), abs=1e-12)
    got = PlageScorer(_sets()).fit_transform(table).values
    want = _golden("plage")
    sign = np.sign((got * want).sum(axis=0))
    assert got == pytest.approx(want * sign, abs=1e-10)
    assert (np.corrcoef(got.T, score.T).diagonal(4) > 0).all()


def test_singscore_by_hand() -> None:
    """Ten genes; the largest three are the set: the highest score there is; and mixtures."""
    values = np.vstack([np.arange(10.0), np.arange(10.0)[::-1], np.zeros(10)])
    genes = [f"g{j}" for j in range(10)]
    table = OmicsTable(["up", "down", "flat"], genes, values, "expression", "log2")
    top, low = genes[7:], genes[:3]
    assert SingScorer({"S": top}).fit_transform(table).values[:2, 0].tolist() == [0.5, -0.5]
    both = SingScorer({"S": top}, down={"S": low}).fit_transform(table).values
    assert both[:2, 0] == pytest.approx([1.0, -1.0])
    mixed = SingScorer({"S": ["g0", "g4", "g9"]}, centre=False).fit_transform(table).values
    # Mean rank (1 + 5 + 10) / 3 between 2 and 9.
    assert mixed[0, 0] == pytest.approx((16 / 3 - 2) / 7)
    ends = SingScorer({"S": ["g0", "g9"]}, direction="unknown", min_genes=2)
    assert ends.fit_transform(table).values[0, 0] == pytest.approx(1.0)
    middle = SingScorer({"S": ["g4", "g5"]}, direction="unknown", min_genes=2)
    assert middle.fit_transform(table).values[0, 0] == pytest.approx(0.0)
    with pytest.raises(InputError, match="has no down part"):
        SingScorer({"S": top}, down={"S": low}, direction="unknown").fit(table)


@pytest.mark.parametrize("scorer", [SsgseaScorer, GsvaScorer, SingScorer, PlageScorer])
def test_scores_do_not_depend_on_gene_order_units_or_later_samples(scorer: type) -> None:
    table = _table("log")
    fitted = scorer(_sets()).fit(table)
    scores = fitted.transform(table).values
    backwards = table.take(columns=np.arange(table.n_features)[::-1])
    assert scorer(_sets()).fit_transform(backwards).values == pytest.approx(scores, abs=1e-12)
    assert fitted.transform(table.take(rows=[4])).values == pytest.approx(scores[[4]], abs=1e-12)
    scaled = OmicsTable(table.samples, table.features, 3 * table.values + 2, "expression", "log2")
    assert scorer(_sets()).fit_transform(scaled).values == pytest.approx(scores, abs=1e-9)


@pytest.mark.parametrize("scorer", [SsgseaScorer, GsvaScorer, SingScorer, PlageScorer])
def test_missing_and_constant_genes_and_unusable_sets(scorer: type) -> None:
    table = _table("log")
    values = np.array(table.values)
    values[2, :20] = np.nan
    values[:, 30] = np.nan
    sets = _sets() | {"alien": ["x", "y", "z"], "all": list(table.features)}
    holed = OmicsTable(table.samples, table.features, values, "expression", "log2")
    fitted = scorer(sets).fit(holed)
    assert "alien" in fitted.index_.left_out
    scores = fitted.transform(holed)
    first = list(scores.features).index("planted")
    if scorer is not PlageScorer:  # which counts a missing gene as average
        assert np.isnan(scores.values[2, first])
        assert "all" in fitted.index_.left_out
    assert np.isfinite(np.delete(scores.values, 2, axis=0)).all()
    assert fitted.coverage_["planted"] == 1.0
    # A sample scored without its missing genes equals that sample in a table without them.
    if scorer in (SsgseaScorer, SingScorer):
        options = {"normalise": False} if scorer is SsgseaScorer else {}
        keep = np.flatnonzero(np.isfinite(values[2]))
        part = scorer(sets, **options).fit_transform(holed.take(columns=keep))
        whole = scorer(sets, **options).fit_transform(holed)
        for name in ("wide", "tail"):
            here = part.values[2, list(part.features).index(name)]
            assert whole.values[2, list(whole.features).index(name)] == pytest.approx(here)
    with pytest.raises(InputError, match="Name both alike"):
        scorer({"alien": ["x", "y", "z"]}).fit(table)


def test_unsound_options_are_refused() -> None:
    table = _table("log")
    shifted = OmicsTable(table.samples, table.features, table.values - 50, "expression", "log2")
    with pytest.raises(InputError, match="needs counts"):
        GsvaScorer(_sets(), kernel="poisson").fit(shifted)
    with pytest.raises(InputError, match="no range"):
        SsgseaScorer({"S": ["g1", "g2", "g3"]}).fit(table.take(rows=[0]))
    with pytest.raises(InputError, match="alpha"):
        SsgseaScorer(_sets(), alpha=-1.0).fit(table)
    with pytest.raises(InputError, match="kernel"):
        GsvaScorer(_sets(), kernel="gauss").fit(table)
