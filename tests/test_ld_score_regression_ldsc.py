"""LD scores and LD score regression against LDSC, naive definitions, and files of scans."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from radgen.associate import ldsc_correlation, ldsc_heritability
from radgen.associate.genomewide._layouts import ScanKind, write_layout
from radgen.errors import FormatError, InputError
from radgen.genome import ld_scores
from radgen.io import (
    open_genotypes,
    read_genetic_map,
    read_ld_scores,
    read_summary_statistics,
    standard_summary,
    write_ld_scores,
)
from radgen.stats.ld_score_limit import polygenic_limit
from radgen.stats.ld_score_regression import (
    block_edges,
    correlation_of,
    liability_factor,
    regress_covariance,
    regress_heritability,
)
from radgen.types import ArrayDosages, GenotypeMatrix

GOLDEN = Path(__file__).parent / "golden" / "ldsc"
PANEL, N = 80_000.0, (20_000.0, 12_000.0)
HOW = {
    "two_step": {}, "one_step": {"two_step": None}, "fixed": {"intercept": 1.0},
}  # fmt: skip


@pytest.fixture(scope="module")
def golden():
    table = pl.read_csv(GOLDEN / "statistics.csv")
    rows = pl.read_csv(GOLDEN / "results.csv").rows()
    want = {}
    for fit, quantity, value in rows:
        want.setdefault(fit, {})[quantity] = value
    return table, want


def _columns(table, trait):
    l2, weight, z = (table[name].to_numpy() for name in ("l2", "weight", f"z{trait}"))
    return l2, weight, z, np.full(len(z), N[trait - 1])


def _fit(table, trait, **options):
    l2, weight, z, n = _columns(table, trait)
    n = options.pop("n", n)
    options = {"weight_scores": weight, "n_blocks": 40} | options
    return regress_heritability(z**2, l2, n, PANEL, **options)


@pytest.mark.parametrize("how", list(HOW))
@pytest.mark.parametrize("trait", [1, 2])
def test_heritability_equals_ldsc(golden, how, trait):
    table, want = golden
    found = _fit(table, trait, **HOW[how])
    for quantity, value in want[f"{how}_{trait}"].items():
        assert getattr(found, quantity) == pytest.approx(value, rel=1e-10), quantity
    chi2 = np.square(table[f"z{trait}"].to_numpy())
    assert found.lambda_gc == pytest.approx(np.median(chi2) / 0.454936, rel=1e-6)


def test_sample_sizes_that_vary(golden):
    table, want = golden
    n = table["n_varying"].to_numpy().astype(float)
    found = _fit(table, 1, n=n, two_step=None)
    for quantity, value in want["varying_one_step"].items():
        assert getattr(found, quantity) == pytest.approx(value, rel=1e-10), quantity
    # In its first step LDSC weighs by N l / mean N in place of l: a few per cent at +-20 % in N.
    found = _fit(table, 1, n=n)
    for quantity in ("value", "se", "intercept"):
        value = want["varying_two_step"][quantity]
        assert getattr(found, quantity) == pytest.approx(value, rel=0.05)
        assert getattr(found, quantity) != pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("how", list(HOW))
def test_correlation_equals_ldsc(golden, how):
    table, want = golden
    table = table.with_row_index().filter(pl.col("index") != 5)
    fits = tuple(_fit(table, trait, **HOW[how]) for trait in (1, 2))
    l2, weight, z1, n1 = _columns(table, 1)
    _, _, z2, n2 = _columns(table, 2)
    options = HOW[how] if how != "fixed" else {"intercept": 0.0}
    found = regress_covariance(
        (z1, z2), l2, (n1, n2), PANEL, fits=fits, weight_scores=weight, n_blocks=40, **options
    )
    rg, se = correlation_of(found, fits)
    expected = want[f"rg_{how}"]
    assert (rg, se) == pytest.approx((expected["rg"], expected["rg_se"]), rel=1e-10)
    for quantity in ("value", "se", "intercept"):
        assert getattr(found, quantity) == pytest.approx(expected[quantity], rel=1e-10, abs=1e-12)


def test_the_jackknife_leaves_blocks_out(golden):
    table, _ = golden
    l2, _, z, n = _columns(table, 1)
    found = _fit(table, 1, weight_scores=None, intercept=1.0, n_blocks=7)
    # By hand: weights at the last estimate but one, each block taken out of the sums.
    h2 = PANEL * ((z**2).mean() - 1) / (l2 * n).mean()
    for _ in range(2):
        w = 1 / (np.maximum(l2, 1) * (1 + min(max(h2, 0), 1) * n * np.maximum(l2, 1) / PANEL) ** 2)
        h2 = PANEL * (w * l2 * n * (z**2 - 1)).sum() / (w * (l2 * n) ** 2).sum()
    w = 1 / (np.maximum(l2, 1) * (1 + h2 * n * np.maximum(l2, 1) / PANEL) ** 2)
    edges = block_edges(np.ones(len(z), bool), 7)
    assert edges.tolist() == np.floor(np.linspace(0, len(z), 8)).astype(int).tolist()
    gone = []
    for low, high in pairwise(edges):
        rest = np.r_[0:low, high : len(z)]
        x, y = (l2 * n)[rest], (z**2 - 1)[rest]
        gone.append(PANEL * (w[rest] * x * y).sum() / (w[rest] * x * x).sum())
    np.testing.assert_allclose(found.deleted, gone, rtol=1e-10)
    centre = np.mean(gone)
    assert found.se == pytest.approx(np.sqrt(6 / 7 * ((gone - centre) ** 2).sum()), rel=1e-10)
    with pytest.raises(InputError, match="do not vary"):
        regress_heritability(z**2, np.ones(len(z)), n, PANEL)
    with pytest.raises(InputError, match="not finite"):
        regress_heritability(np.append(z[1:], np.nan), l2, n, PANEL)
    with pytest.raises(InputError, match="blocks"):
        regress_heritability(z[:1] ** 2, l2[:1], n[:1], PANEL)


def test_liability_by_hand():
    # Lee 2011: K = P = 0.5 gives 1 / (4 phi(0)^2) = pi / 2.
    assert liability_factor(0.5, 0.5) == pytest.approx(np.pi / 2)
    with pytest.raises(InputError, match="between"):
        liability_factor(0.5, 1.0)


def test_scores_equal_ldsc(data):
    genotypes = open_genotypes(data("genetics/eur_subset") / "EUR_subset.bed")
    rows = np.flatnonzero(genotypes.variants["chrom"].to_numpy() == "22")[:500]
    view = genotypes.take_variants(rows)
    want = pl.read_csv(GOLDEN / "scores.csv")
    for name, options in (("kb", {}), ("variants", {"window": 100, "unit": "variants"})):
        found = ld_scores(view, **options)
        assert found["id"].to_list() == want["id"].to_list()
        np.testing.assert_allclose(found["l2"], want[name], rtol=1e-8)


def _panel(rng, m=60, n=80, missing=0.0, chrom=None):
    calls = rng.binomial(2, 0.3, (m, n)).astype(np.float32)
    calls[1::2] = np.where(rng.random(calls[1::2].shape) < 0.7, calls[::2], calls[1::2])
    calls[rng.random(calls.shape) < missing] = np.nan
    variants = pl.DataFrame(
        {
            "chrom": chrom or ["1"] * (m // 2) + ["2"] * (m // 2),
            "pos": [1000 * (1 + i % (m // 2)) for i in range(m)],
            "id": [f"rs{i}" for i in range(m)],
            "ref": ["A", "C"] * (m // 2),
            "alt": ["G", "A"] * (m // 2),
        }
    )
    return GenotypeMatrix(tuple(f"p{i}" for i in range(n)), variants, ArrayDosages(calls)), calls


def test_scores_are_sums_of_corrected_r2():
    genotypes, calls = _panel(np.random.default_rng(0), missing=0.1)
    variants = genotypes.variants
    chrom, pos = variants["chrom"].to_numpy(), variants["pos"].to_numpy()
    genetic_map = {"chrom": ["1", "1", "2", "2"], "pos": [0, 40_000, 0, 40_000],
                   "cm": [0.0, 4.0, 0.0, 8.0]}  # fmt: skip
    near = {
        "kb": np.abs(pos[:, None] - pos) <= 3000,
        "cm": np.abs(pos[:, None] - pos) <= np.where(chrom == "1", 5000, 2500),
        "variants": np.abs(np.subtract.outer(np.arange(60), np.arange(60))) <= 4,
    }
    options = {"kb": {"window": 3}, "cm": {"window": 0.55, "genetic_map": genetic_map},
               "variants": {"window": 4}}  # fmt: skip
    for unit, close in near.items():
        want = np.zeros(60)
        for i in range(60):
            for j in range(60):
                if chrom[i] == chrom[j] and close[i, j]:
                    both = np.isfinite(calls[i]) & np.isfinite(calls[j])
                    r2 = np.corrcoef(calls[i, both], calls[j, both])[0, 1] ** 2
                    want[i] += r2 - (1 - r2) / (both.sum() - 2)
        found = ld_scores(genotypes, unit=unit, **options[unit])
        np.testing.assert_allclose(found["l2"], want, rtol=1e-9)
    few = ld_scores(genotypes, min_maf=0.3)
    assert 0 < few.height < 60
    assert few["maf"].min() >= 0.3


def test_panels_that_cannot_be_scored(tmp_path):
    rng = np.random.default_rng(1)
    genotypes, _ = _panel(rng)
    with pytest.raises(InputError, match="genetic map"):
        ld_scores(genotypes, unit="cm")
    with pytest.raises(InputError, match="chromosomes 2"):
        ld_scores(genotypes, unit="cm", genetic_map={"chrom": ["1"], "pos": [1], "cm": [0.0]})
    with pytest.raises(InputError, match="stand together"):
        ld_scores(_panel(rng, chrom=["1", "2"] * 30)[0])
    order = list(range(60))[::-1]
    with pytest.raises(InputError, match="not in order"):
        ld_scores(genotypes.take_variants(order))
    (tmp_path / "a.bim").write_text("1 rs1 0.5 100 A C\n1 rs2 0.7 200 A C\n")
    (tmp_path / "b.txt").write_text(
        "Chromosome\tPosition(bp)\tRate(cM/Mb)\tMap(cM)\nchr1\t9\t1\t0.2\n"
    )
    (tmp_path / "c.txt").write_text("chr,pos,cm\n1,9,0.2\n")
    assert read_genetic_map(tmp_path / "a.bim")["cm"].to_list() == [0.5, 0.7]
    assert read_genetic_map(tmp_path / "b.txt").rows() == [("1", 9.0, 0.2)]
    assert read_genetic_map(tmp_path / "c.txt").rows() == [("1", 9.0, 0.2)]
    (tmp_path / "d.txt").write_text("chr pos\n1 9\n")
    with pytest.raises(FormatError, match="cm"):
        read_genetic_map(tmp_path / "d.txt")


def test_files_of_scores(tmp_path):
    genotypes, _ = _panel(np.random.default_rng(2))
    found = ld_scores(genotypes)
    for name in ("own.tsv", "own.parquet", "own.csv"):
        write_ld_scores(found, tmp_path / name)
        back = read_ld_scores(tmp_path / name)
        np.testing.assert_allclose(back.table["l2"], found["l2"])
        assert (back.m_all, back.m_common) == (60, 60)
    folder = tmp_path / "by_chromosome"
    folder.mkdir()
    for name in ("1", "2"):
        write_ld_scores(found.filter(chrom=name), folder / f"{name}.l2.ldscore.gz")
    for where in (folder, folder / "@"):
        back = read_ld_scores(where)
        assert back.table["id"].to_list() == found["id"].to_list()
        np.testing.assert_allclose(back.table["l2"], found["l2"], atol=1e-6)
        assert (back.m_all, back.m_common) == (60, 60)
    (folder / "2.l2.M_5_50").unlink()
    assert np.isnan(read_ld_scores(folder).m_common)
    with pytest.raises(FormatError, match="No LD scores"):
        read_ld_scores(tmp_path / "nothing")
    (tmp_path / "odd.tsv").write_text("CHR\tSNP\tBP\tL2\n1\trs1\t5\tx\n")
    with pytest.raises(FormatError, match="no numbers"):
        read_ld_scores(tmp_path / "odd.tsv")
    (tmp_path / "part.tsv").write_text("CHR\tSNP\tBP\tbaseL2\n1\trs1\t5\t1\n")
    with pytest.raises(FormatError, match="annotations"):
        read_ld_scores(tmp_path / "part.tsv")


def _scan(rng, m=500):
    bases = np.array(list("ACGT"))
    ref = bases[rng.integers(0, 4, m)]
    alt = np.array([rng.choice([b for b in "ACGT" if b != a]) for a in ref])
    l2 = rng.gamma(2, 10, m)
    z = rng.normal(size=m) * np.sqrt(1 + 0.03 * l2)
    t = pl.DataFrame(
        {
            "phenotype": ["y"] * m, "chrom": ["3"] * m, "pos": np.arange(m) + 1,
            "id": [f"rs{i}" for i in range(m)], "ref": ref, "alt": alt, "n": [5000] * m,
            "alt_freq": rng.uniform(0.1, 0.9, m), "beta": z * 0.02, "se": [0.02] * m, "t": z,
        }
    )  # fmt: skip
    from radgen.stats.tail import normal_log10p

    scan = t.with_columns(log10p=pl.Series(normal_log10p(z)))
    scores = scan.select("chrom", "pos", "id").with_columns(l2=pl.Series(l2), maf=pl.lit(0.3))
    return scan.with_columns(p=10 ** pl.col("log10p")), scores


def test_every_layout_gives_the_same_heritability(tmp_path):
    scan, scores = _scan(np.random.default_rng(3))
    want = ldsc_heritability(scan, scores)
    assert want.frame["status"].to_list() == ["ok"]
    assert want.frame["phenotype"].to_list() == ["y"]
    row = want.frame.row(0, named=True)
    kept = scan.with_columns(l2=scores["l2"]).filter(
        ~(pl.col("ref") + pl.col("alt")).is_in(["AT", "TA", "CG", "GC"])
    )
    by_hand = regress_heritability(
        np.square(kept["t"].to_numpy()), kept["l2"].to_numpy(), np.full(kept.height, 5e3), 500.0
    )
    assert row["h2"] == pytest.approx(by_hand.value, rel=1e-8)
    assert row["n_variants"] == kept.height
    assert row["ci_low"] < row["h2"] < row["ci_high"]
    own = {"one": scan.drop("phenotype"), "two": scan.drop("phenotype")}
    with_itself = ldsc_correlation(own, scores).frame.row(0, named=True)
    # Near 1 only: a covariance starts from other weights than a heritability.
    assert with_itself["rg"] == pytest.approx(1.0, abs=0.05)
    kind = ScanKind("linear", "t", "GRCh37")
    files = [
        write_layout(scan.lazy(), ["y"], tmp_path / "s", layout, kind)[0]
        for layout in ("plink", "regenie", "gwas-ssf")
    ]
    scan.write_parquet(tmp_path / "own.parquet")
    munged = scan.select(SNP="id", A1="alt", A2="ref", Z="t", N="n")
    munged.write_csv(tmp_path / "l.sumstats", separator="\t")
    saige = scan.select(
        "p", CHR="chrom", POS="pos", MarkerID="id", Allele1="ref", Allele2="alt",
        AF_Allele2="alt_freq", BETA="beta", SE="se", N="n",
    )  # fmt: skip
    saige.write_csv(tmp_path / "saige.txt", separator=" ")
    odds = scan.select(SNP="id", A1="alt", A2="ref", OR=pl.col("beta").exp(), P="p", N="n")
    odds.write_csv(tmp_path / "odds.csv")
    # The other allele counted, on the other strand: nothing changes but the sign of z.
    turn = {"A": "T", "T": "A", "C": "G", "G": "C"}
    turned = scan.with_columns(
        ref=pl.col("alt").replace(turn), alt=pl.col("ref").replace(turn), beta=-pl.col("beta"),
        t=-pl.col("t"), alt_freq=1 - pl.col("alt_freq"),
    )  # fmt: skip
    turned.write_csv(tmp_path / "turned.tsv", separator="\t")
    others = ("own.parquet", "l.sumstats", "saige.txt", "odds.csv", "turned.tsv")
    for file in (*files, *(tmp_path / name for name in others)):
        back = read_summary_statistics(file)
        found = ldsc_heritability({"y": back}, scores).frame.row(0, named=True)
        assert found["h2"] == pytest.approx(row["h2"], rel=1e-6), file.name
        pair = ldsc_correlation(
            {"one": scan.drop("phenotype"), "two": back.drop("phenotype")}, scores
        ).frame.row(0, named=True)
        assert pair["rg"] == pytest.approx(with_itself["rg"], rel=1e-6), file.name
        assert pair["n_variants"] == row["n_variants"]


def test_what_is_left_out_is_said():
    scan, scores = _scan(np.random.default_rng(4))
    pieces = [
        scan[:450],
        scan[450:460].with_columns(beta=pl.lit(None, pl.Float64), log10p=pl.lit(None, pl.Float64)),
        scan[460:470].with_columns(alt_freq=pl.lit(0.001)),
        scan[470:480].with_columns(n=pl.lit(100)),
        scan[480:490].with_columns(id=pl.lit("rs1x"), pos=pl.lit(1)),
        scan[490:].with_columns(alt=pl.lit("AT")),
    ]
    whole = pl.concat([piece.select(scan.columns) for piece in pieces], how="vertical_relaxed")
    whole = whole.with_columns(t=pl.when(pl.col("beta").is_null()).then(None).otherwise("t"))
    found = ldsc_heritability({"y": whole}, scores)
    note = found.warnings[0]
    for words in (
        "10 without a test",
        "MAF below",
        "few samples",
        "named twice",
        "Matched with LD",
    ):
        assert words in note, (words, note)
    assert "unstable" in found.warnings[1]
    scores = scores.with_columns(id=pl.format("v{}", pl.int_range(pl.len())))
    assert "by position" in ldsc_heritability({"y": scan}, scores).warnings[0]
    gone = ldsc_heritability({"y": scan}, scores, by="id").frame.row(0, named=True)
    assert "no variant is left" in gone["status"]
    assert gone["h2"] is None


def test_one_bad_trait_stops_no_other():
    scan, scores = _scan(np.random.default_rng(5))
    bad = scan.with_columns(phenotype=pl.lit("bad"), id=pl.format("q{}", "pos"), chrom=pl.lit("9"))
    both = pl.concat([scan, bad])
    found = ldsc_heritability(both, scores, prevalence={"y": (0.5, 0.01)})
    assert found.frame["status"][0] == "ok"
    assert "no variant" in found.frame["status"][1]
    row = found.frame.row(0, named=True)
    assert row["h2_liability"] == pytest.approx(row["h2"] * liability_factor(0.5, 0.01))
    other = scan.with_columns(phenotype=pl.lit("z"), beta=-pl.col("beta"), t=-pl.col("t"))
    pairs = ldsc_correlation(pl.concat([both, other]), scores)
    assert pairs.frame["status"].to_list()[1] == "ok"
    assert pairs.frame["rg"][1] == pytest.approx(-1.0, abs=0.05)
    assert "bad" in pairs.frame["status"][0]
    assert pairs.frame.height == 3
    assert "cross-trait" in pairs.methods()
    assert any("genetic correlation -" in text for text in pairs.statements())
    for kind in found.plots:
        assert found.plot(kind).has_data()
    assert pairs.plot("forest").has_data()
    with pytest.raises(InputError, match="not known"):
        ldsc_heritability(scan, scores.drop("maf"))
    with pytest.raises(InputError, match="two traits"):
        ldsc_correlation(scan, scores)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (pl.exclude("n"), "sample sizes"),
        (pl.exclude("alt"), "effect and other allele"),
        (pl.exclude("beta", "t"), "beta, odds ratio or z"),
        (pl.exclude("id", "pos"), "id"),
    ],
)
def test_tables_that_lack_a_column(tmp_path, change, words):
    scan, _ = _scan(np.random.default_rng(6), 20)
    scan.select(change).write_csv(tmp_path / "s.csv")
    with pytest.raises(FormatError, match=words):
        read_summary_statistics(tmp_path / "s.csv")


def test_z_of_p_values_that_underflow():
    table = {"SNP": ["a", "b", "c"], "A1": ["A"] * 3, "A2": ["C"] * 3, "N": [9] * 3,
             "BETA": [-0.5, 2.0, 0.1], "SE": [0.1, 0.04, 0.1], "P": [0.05, 0.0, 1.0]}  # fmt: skip
    found = standard_summary(table)
    assert found["z"].to_list() == pytest.approx([-1.959964, 50.0, 0.0], abs=1e-6)
    with pytest.raises(InputError, match="outside"):
        standard_summary(table | {"P": [2.0, 0.1, 0.1]})


def _strong(rng, m=4000, slope=0.3):
    """Tests of a large scan of a heritable trait: mean chi-square near 7."""
    scan, scores = _scan(rng, m)
    z = rng.normal(size=m) * np.sqrt(1 + slope * scores["l2"].to_numpy())
    own = {"t": pl.Series(z), "beta": pl.Series(z * 0.02), "ref": pl.lit("A"), "alt": pl.lit("C")}
    return scan.drop("p", "log10p").with_columns(**own), scores


def test_the_first_step_keeps_polygenic_effects():
    from scipy.stats import chi2

    scan, scores = _strong(np.random.default_rng(4))
    l2, n = scores["l2"].to_numpy(), np.full(scan.height, 5000.0)
    y = np.square(scan["t"].to_numpy())
    limit = polygenic_limit(y, l2, n)
    slope = (np.median(y) / chi2.median(1) - 1) / np.median(np.maximum(l2, 1))
    above = chi2.sf(limit / (1 + slope * np.maximum(l2, 1)), 1).mean()
    assert limit > 60
    assert above == pytest.approx(1e-4, rel=1e-3)
    # One strong locus does not move it, and a weak scan keeps LDSC's.
    spiked = y.copy()
    spiked[100:110] = 5000.0
    assert polygenic_limit(spiked, l2, n) == pytest.approx(limit, rel=0.05)
    assert polygenic_limit(y / (1 + slope * l2), l2, n) == 30.0


def test_the_limit_is_used_and_said():
    rng = np.random.default_rng(5)
    scan, scores = _strong(rng)
    flip = rng.choice([-1.0, 1.0], scan.height)
    other = scan.with_columns(
        phenotype=pl.lit("x"), t=pl.col("t") * flip, beta=pl.col("beta") * flip
    )
    y = np.square(scan["t"].to_numpy())
    limit = polygenic_limit(y, scores["l2"].to_numpy(), np.full(len(y), 5000.0))
    m = float(len(y))
    found = ldsc_heritability(scan, scores, m=m)
    fixed = ldsc_heritability(scan, scores, m=m, two_step=limit)
    thirty = ldsc_heritability(scan, scores, m=m, two_step=30.0)
    assert found.frame["h2"][0] == pytest.approx(fixed.frame["h2"][0], rel=1e-12)
    assert thirty.frame["intercept"][0] != found.frame["intercept"][0]
    words = f"chi-square below {limit:.0f}, not below 30"
    assert words in " ".join(found.warnings)
    assert "not below 30" not in str(fixed.warnings)
    assert "not below 30" not in str(ldsc_heritability(scan, scores, m=m, intercept=1.0).warnings)
    assert "more where polygenic effects" in found.methods()
    pair = ldsc_correlation({"y": scan, "x": other}, scores, m=m)
    assert "y, x: the intercept" in " ".join(pair.warnings)
