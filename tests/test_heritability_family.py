"""Heritability in families and twins, and genetic correlations."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.optimize import minimize

from radgen import genome
from radgen.associate import (
    family_heritability,
    genetic_correlation,
    heritability,
    pool_heritability,
    twin_heritability,
)
from radgen.errors import AlignmentError, InputError
from radgen.types import Kinship

GOLDEN = Path(__file__).parent / "golden" / "heritability"

# id, father, mother: three generations, a marriage of cousins, half sibs, a lone parent.
FAMILY = [
    ("a", "", ""), ("b", "", ""), ("c", "a", "b"), ("d", "a", "b"), ("e", "", ""), ("f", "", ""),
    ("g", "c", "e"), ("h", "f", "d"), ("i", "g", "h"), ("j", "g", "h"), ("k", "a", "x"),
    ("l", "", "d"), ("m", "c", "e"), ("n", "c", "e"),
]  # fmt: skip


def _pedigree(rows=FAMILY, **more):
    names = ("sample", "father", "mother")
    return pl.DataFrame(dict(zip(names, zip(*rows, strict=True), strict=True)) | more)


def test_kinship_of_known_relatives():
    twins = [None] * 12 + ["t", "t"]
    kinship = genome.pedigree_kinship(_pedigree(twin=pl.Series(twins, dtype=pl.String)))
    at = {name: row for row, name in enumerate(kinship.samples)}

    def twice(one, two):
        return kinship.values[at[one], at[two]]

    known = {
        "ab": 0, "ac": 1 / 2, "cd": 1 / 2, "gh": 1 / 8, "ij": 1 / 2 + 1 / 16, "ii": 1 + 1 / 16,
        "ck": 1 / 4, "gk": 1 / 8, "dl": 1 / 2, "cl": 1 / 4, "hl": 1 / 4, "mn": 1, "gm": 1 / 2,
        "im": (1 / 2 + 1 / 8) / 2, "aa": 1, "bk": 0,
    }  # fmt: skip
    for (one, two), value in known.items():
        assert twice(one, two) == pytest.approx(value, abs=1e-15), one + two
    np.testing.assert_array_equal(kinship.values, kinship.values.T)


def test_kinship_equals_genes_dropped_down_the_pedigree():
    kinship = genome.pedigree_kinship(_pedigree())
    rng = np.random.default_rng(3)
    draws = 40_000
    genes = {}
    fresh = iter(range(1000))
    for name, *parents in FAMILY:
        pair = []
        for parent in parents:
            if parent and parent not in genes:
                genes[parent] = [np.full(draws, next(fresh)) for _ in range(2)]
            if parent:
                pick = rng.random(draws) < 0.5
                pair.append(np.where(pick, *genes[parent]))
            else:
                pair.append(np.full(draws, next(fresh)))
        genes[name] = pair
    for i, one in enumerate(kinship.samples):
        for j, two in enumerate(kinship.samples[: i + 1]):
            same = np.mean([np.mean(a == b) for a in genes[one] for b in genes[two]])
            assert abs(2 * same - kinship.values[i, j]) < 4 * np.sqrt(1 / draws), one + two


def test_bad_pedigrees_are_refused():
    with pytest.raises(InputError, match="their own ancestors"):
        genome.pedigree_kinship(_pedigree([("a", "b", ""), ("b", "a", "")]))
    with pytest.raises(AlignmentError, match="a"):
        genome.pedigree_kinship(_pedigree([("a", "", ""), ("a", "", "")]))
    with pytest.raises(InputError, match="the same parents"):
        genome.pedigree_kinship(_pedigree([("a", "", ""), ("b", "a", "")], twin=["1", "1"]))
    twins = genome.pedigree_kinship(_pedigree([("a", "", ""), ("b", "", "")], twin=["1", "1"]))
    assert (twins.values == 1).all()
    with pytest.raises(InputError, match="none of the columns father"):
        genome.pedigree_kinship({"sample": ["a"]})


@pytest.fixture(scope="module")
def minnesota(data):
    path = data("genetics/kinship_minnbreast") / "minnbreast.csv.gz"
    return pl.read_csv(path, null_values="NA", infer_schema_length=None)


def test_real_families(minnesota):
    families = list(genome.pedigree_families(minnesota))
    sizes = [len(names) for names, _ in families]
    assert sum(sizes) == minnesota.height == 28_081
    mark = dict(minnesota.select(pl.col("id").cast(pl.String), "famid").iter_rows())
    parents = {
        str(row[0]): row[1:] for row in minnesota.select("id", "fatherid", "motherid").rows()
    }
    for names, k in families:
        assert len({mark[name] for name in names}) == 1
        at = {name: row for row, name in enumerate(names)}
        for name in names[:5]:
            for parent in parents[name]:
                if parent:
                    assert k[at[name], at[str(parent)]] == pytest.approx(0.5)
    assert min(np.linalg.eigvalsh(k)[0] for _, k in families[:40]) > -1e-10


def _negative(theta, y, x, parts):
    v = sum(np.exp(t) * k for t, k in zip(theta, parts, strict=True))
    inverse = np.linalg.inv(v)
    xvx = x.T @ inverse @ x
    r = y - x @ np.linalg.solve(xvx, x.T @ inverse @ y)
    n = len(y)
    ml = 0.5 * (n * np.log(2 * np.pi) + np.linalg.slogdet(v)[1] + r @ inverse @ r)
    rest = (
        np.linalg.slogdet(xvx)[1] - np.linalg.slogdet(x.T @ x)[1] - x.shape[1] * np.log(2 * np.pi)
    )
    return ml, ml + 0.5 * rest


@pytest.mark.parametrize("method", ["ml", "reml"])
def test_polygenic_model_equals_dense_likelihood(method):
    rng = np.random.default_rng(8)
    rows = []
    for family in range(12):
        rows += [(f"{name}{family}", *(p and f"{p}{family}" for p in ps)) for name, *ps in FAMILY]
    pedigree = _pedigree(rows)
    names = [row[0] for row in rows]
    n = len(names)
    k = genome.pedigree_kinship(pedigree).values
    home = np.array([f"{'ab'[at % 14 in (6, 7, 8, 9)]}{at // 14}" for at in range(n)])
    h = (home[:, None] == home).astype(float)
    z = rng.normal(size=(n, 2))
    cov = 0.5 * k + 0.2 * h + 0.4 * np.eye(n)
    y = np.linalg.cholesky(cov) @ rng.normal(size=n) + z @ [0.6, -0.2] + 3
    y[::17] = np.nan
    table = pl.DataFrame({"sample": names, "y": y, "flat": 1.0}).with_columns(
        pl.col("y").fill_nan(None)
    )
    beside = pl.DataFrame({"sample": names, "z1": z[:, 0], "z2": z[:, 1]})
    homes = pl.DataFrame({"sample": names, "home": home})
    used = np.isfinite(y)
    x = np.column_stack([np.ones(n), z])[used]
    both = np.ix_(used, used)
    which = 0 if method == "ml" else 1
    for extra, parts in ((None, (k, np.eye(n))), (homes, (k, h, np.eye(n)))):
        found = family_heritability(table, pedigree, beside, household=extra, method=method)
        row = found.frame.filter(phenotype="y").row(0, named=True)
        cut = [part[both] for part in parts]
        best = minimize(
            lambda t, cut=cut: _negative(t, y[used], x, cut)[which],
            np.log([0.4] * len(parts)),
            method="Nelder-Mead",
            options={"xatol": 1e-7, "fatol": 1e-10, "maxiter": 4000},
        )
        theta = np.exp(best.x)
        assert row["log_likelihood"] == pytest.approx(-best.fun, abs=1e-6)
        assert row["h2"] == pytest.approx(theta[0] / theta.sum(), abs=2e-4)
        assert row["residual"] == pytest.approx(theta[-1], rel=2e-4)
        # The share at a profile limit lies 1.92 below the top.
        for limit in (row["ci_low"], row["ci_high"]):
            if not 0 < limit < 1:
                continue
            held = minimize(
                lambda t, cut=cut, limit=limit: _negative(
                    [t[0] + np.log(limit), *([t[0] + t[1]] if len(cut) == 3 else []),
                     t[0] + np.log(max(1 - limit - (np.exp(t[1]) if len(cut) == 3 else 0), 1e-9))],
                    y[used], x, cut,
                )[which],
                [np.log(theta.sum()), -2.5][: len(parts) - 1],
                method="Nelder-Mead",
                options={"xatol": 1e-7, "fatol": 1e-10},
            )  # fmt: skip
            assert held.fun - best.fun == pytest.approx(1.9207, abs=2e-3)
        null = minimize(
            lambda t, cut=cut: _negative(t, y[used], x, cut[1:])[which],
            np.log([0.4] * (len(parts) - 1)),
            method="Nelder-Mead",
            options={"xatol": 1e-7, "fatol": 1e-10},
        )
        from scipy.stats import chi2

        assert row["p"] == pytest.approx(0.5 * chi2.sf(2 * (null.fun - best.fun), 1), rel=1e-4)
        assert found.frame.filter(phenotype="flat")["status"][0] != "ok"
    assert "household" in found.statements()[0]
    dense = heritability(table.select("sample", "y"), Kinship(tuple(names), k), beside)
    if method == "reml":
        alone = family_heritability(table, pedigree, beside, method=method).frame.row(0, named=True)
        got = dense.frame.row(0, named=True)
        assert got["genetic"] == pytest.approx(alone["genetic"], rel=1e-4)
        assert got["log_likelihood"] == pytest.approx(alone["log_likelihood"], abs=1e-6)
        assert got["p"] == pytest.approx(alone["p"], rel=1e-6)


def test_twins_equal_mets():
    twins = pl.read_csv(GOLDEN / "twins.csv")
    result = twin_heritability(
        twins.select("sample", "y"),
        twins.select("sample", "pair", "zygosity"),
        twins.select("sample", "age"),
    )
    with (GOLDEN / "twins_ace.csv").open() as stream:
        want = {}
        for row in csv.DictReader(stream):
            own = want.setdefault(row["model"], {"log_likelihood": float(row["log_likelihood"])})
            own[row["what"]] = float(row["value"])
    for row in result.models.iter_rows(named=True):
        theirs = want[row["model"]]
        parts = {c: theirs.get(f"y.1~{c}1@1", 0.0) ** 2 for c in "ace"}
        total = sum(parts.values())
        assert row["log_likelihood"] == pytest.approx(theirs["log_likelihood"], abs=1e-5)
        for c, value in parts.items():
            assert row[f"{c}2"] == pytest.approx(value / total, abs=5e-5)
    row = result.frame.row(0, named=True)
    # mets prints 95 % limits 0.22582 to 0.69900 and 0.26192 to 0.41740 by the delta method with
    # the observed information; ours is the average of observed and expected.
    assert row["a2_se"] == pytest.approx((0.69900 - 0.22582) / 3.92, rel=0.03)
    assert row["e2_se"] == pytest.approx((0.41740 - 0.26192) / 3.92, rel=0.03)
    assert (row["n_mz"], row["n_dz"], row["best_model"]) == (180, 220, "ACE")
    assert row["a2_low"] < row["a2"] < row["a2_high"]
    assert "identical" in result.statements()[0]


def test_falconer_by_hand():
    rng = np.random.default_rng(1)
    pairs = rng.normal(size=(30, 2)) + rng.normal(size=(30, 1))
    zygosity = ["MZ"] * 14 + ["dz"] * 16
    names = [f"{p}{m}" for p in range(30) for m in "ab"]
    twins = {
        "sample": names,
        "pair": [p for p in range(30) for _ in "ab"],
        "zygosity": [z for z in zygosity for _ in "ab"],
    }
    table = {"sample": names, "y": pairs.ravel()}
    row = twin_heritability(pl.DataFrame(table), pl.DataFrame(twins)).frame.row(0, named=True)
    r = []
    centred = pairs - pairs.mean()
    for part in (centred[:14], centred[14:]):
        part = part - part.mean()
        r.append((part[:, 0] * part[:, 1]).mean() / (part**2).mean())
    assert row["r_mz"] == pytest.approx(r[0])
    assert row["falconer_h2"] == pytest.approx(2 * (r[0] - r[1]))
    assert row["falconer_c2"] == pytest.approx(2 * r[1] - r[0])
    se = 2 * np.sqrt((1 - r[0] ** 2) ** 2 / 14 + (1 - r[1] ** 2) ** 2 / 16)
    assert row["falconer_h2_se"] == pytest.approx(se)
    with pytest.raises(InputError, match="two zygosities"):
        twin_heritability(pl.DataFrame(table), pl.DataFrame(twins | {"pair": [0] * 60}))
    with pytest.raises(InputError, match="MAYBE"):
        twin_heritability(pl.DataFrame(table), pl.DataFrame(twins | {"zygosity": ["maybe"] * 60}))


def test_correlation_by_dense_likelihood_and_by_cross_products():
    rng = np.random.default_rng(4)
    n = 90
    root = rng.normal(size=(n, 40))
    root[1::2] = 0.8 * root[::2] + 0.6 * root[1::2]
    k = root @ root.T / 40
    g, r = np.array([[0.6, 0.3], [0.3, 0.5]]), np.array([[0.5, -0.1], [-0.1, 0.4]])
    big = np.kron(k, g) + np.kron(np.eye(n), r)
    y = (np.linalg.cholesky(big) @ rng.normal(size=2 * n)).reshape(n, 2) * [2.0, 10.0] + 5
    names = tuple(f"s{i}" for i in range(n))
    table = pl.DataFrame({"sample": names, "a": y[:, 0], "b": y[:, 1]})
    row = genetic_correlation(table, Kinship(names, k)).frame.row(0, named=True)

    def negative(theta):
        a = np.array([[theta[0], 0.0], [theta[1], theta[2]]])
        b = np.array([[theta[3], 0.0], [theta[4], theta[5]]])
        v = np.kron(k, a @ a.T) + np.kron(np.eye(n), b @ b.T)
        return _negative([0.0], (y / [2.0, 10.0]).ravel(), np.tile(np.eye(2), (n, 1)), [v])[1]

    best = minimize(negative, [0.7, 0.3, 0.6, 0.7, 0.0, 0.6], method="BFGS")
    shift = (n - 1) * (np.log(2.0) + np.log(10.0))
    assert row["log_likelihood"] == pytest.approx(-best.fun - shift, abs=1e-4)
    a = np.array([[best.x[0], 0.0], [best.x[1], best.x[2]]])
    want = a @ a.T
    assert row["rg"] == pytest.approx(want[0, 1] / np.sqrt(want[0, 0] * want[1, 1]), abs=2e-3)

    he = genetic_correlation(table, Kinship(names, k), method="he").frame.row(0, named=True)
    z = (y - y.mean(axis=0)) / y.std(axis=0, ddof=1)

    def slopes(keep):
        i, j = np.nonzero(~np.eye(len(keep), dtype=bool))
        own = k[np.ix_(keep, keep)][i, j]
        w = z[keep]
        return [np.polyfit(own, w[i, a] * w[j, b], 1)[0] for a, b in ((0, 0), (1, 1), (0, 1))]

    whole = slopes(np.arange(n))
    assert he["h2_1"] == pytest.approx(whole[0], rel=1e-9)
    assert he["rg"] == pytest.approx(whole[2] / np.sqrt(whole[0] * whole[1]), rel=1e-9)
    left = np.array([slopes(np.delete(np.arange(n), at)) for at in range(n)])
    rg = left[:, 2] / np.sqrt(left[:, 0] * left[:, 1])
    se = np.sqrt((n - 1) / n * ((rg - rg.mean()) ** 2).sum())
    assert he["se"] == pytest.approx(se, rel=1e-6)


def test_one_bad_trait_does_not_stop_the_others(minnesota):
    some = minnesota.filter(pl.col("famid") < 20)
    rng = np.random.default_rng(1)
    table = pl.DataFrame(
        {"id": some["id"], "good": rng.normal(size=some.height), "flat": 2.0}
    ).with_columns(few=pl.when(pl.col("id") < 3).then(1.0))
    result = family_heritability(table, some)
    status = dict(result.frame.select("phenotype", "status").iter_rows())
    assert status["good"] == "ok"
    assert "wholly" in status["flat"]
    assert status["few"] != "ok"
    assert any("2 traits" in note for note in result.warnings)
    assert result.plot("forest") is not None


def test_what_has_no_standard_error_has_none():
    """At h2 = 0 a Wald error would be 0, and pooling would take it for certainty."""
    rng = np.random.default_rng(4)
    n = 80
    z = rng.normal(size=(160, n))
    names = tuple(f"s{i}" for i in range(n))
    related = Kinship(names, z.T @ z / 160)
    table = pl.DataFrame(
        {"sample": names, "flat": 3.0, **{f"y{j}": rng.normal(size=n) for j in range(4)}}
    )
    pairs = genetic_correlation(table.drop("flat"), related).frame
    edge = pairs.filter((pl.col("h2_1") == 0) | (pl.col("h2_2") == 0))
    assert edge.height
    for one in ("h2_1", "h2_2"):
        assert edge.filter(pl.col(one) == 0)[f"{one}_se"].null_count() == (edge[one] == 0).sum()
        assert (
            edge.filter(pl.col(one) > 0)[f"{one}_se"].min() is None
            or edge.filter(pl.col(one) > 0)[f"{one}_se"].min() > 0.01
        )
    for method in ("reml", "he"):
        alone = heritability(table, related, method=method).frame
        assert "wholly" in alone.row(0, named=True)["status"]
        assert (alone.filter(pl.col("status") == "ok")["se"].drop_nans() > 0.02).all()
    jackknife = genetic_correlation(table, related, method="he").frame
    bare = jackknife.filter(pl.col("rg").is_not_null() & pl.col("se").is_null())
    assert not bare["status"].str.contains("^ok$").any()
    assert not jackknife["se"].is_nan().any()


def test_pooled_heritability_is_the_weighted_mean():
    one = pl.DataFrame({"phenotype": ["a", "b"], "h2": [0.3, 0.5], "se": [0.1, 0.2], "n": [90, 80]})
    two = pl.DataFrame(
        {"phenotype": ["b", "a"], "h2": [0.1, 0.6], "se": [0.1, None], "n": [70, 60]}
    )
    result = pool_heritability({"one": one, "two": two}, method="fixed")
    rows = {row["phenotype"]: row for row in result.frame.iter_rows(named=True)}
    assert rows["a"]["h2"] == pytest.approx(0.3)
    assert rows["b"]["h2"] == pytest.approx((0.5 * 25 + 0.1 * 100) / 125)
    assert rows["b"]["se"] == pytest.approx(125**-0.5)
    assert rows["b"]["n"] == 150
    assert any("1 estimates of two" in note for note in result.warnings)
    with pytest.raises(InputError, match="lacks the columns se"):
        pool_heritability({"one": one.drop("se")})
