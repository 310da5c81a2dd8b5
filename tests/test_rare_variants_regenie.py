"""Masks of annotated variants against REGENIE, saddle-point variances, codon usage by hand."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from radgen.associate import burden
from radgen.errors import FitError, FormatError, InputError
from radgen.genome.burden import null_binary, set_test
from radgen.genome.codon_usage import (
    CODE,
    adaptation_index,
    adaptiveness,
    codon_counts,
    rscu,
    synonymous_weights,
    trna_adaptiveness,
)
from radgen.io import open_genotypes, read_gene_masks, read_gene_sets
from radgen.io.sample_table import read_sample_table
from radgen.types import ArrayDosages, GenotypeMatrix, Kinship


@pytest.fixture(scope="module")
def regenie(data, tmp_path_factory):
    folder = data("genetics/regenie_example")
    masks = tmp_path_factory.mktemp("masks") / "masks.txt"
    masks.write_text("M1 pLof\nM2 pLof,missense\n")
    sets = read_gene_masks(
        folder / "example_3chr.annotations", folder / "example_3chr.setlist", masks
    )
    rows = {}
    for kind in ("qt", "bt"):
        path = folder / "ref_regenie_4.1.2" / f"gene_{kind}_Y1.regenie"
        for line in path.read_text().splitlines()[2:]:
            _, _, name, _, _, freq, _, test, effect, se, _, log10p, _ = line.split()
            rows[kind, name, test] = (effect, se, float(log10p), freq)
    return folder, sets, rows


@pytest.mark.parametrize(("kind", "model"), [("qt", "linear"), ("bt", "logistic")])
def test_masks_equal_regenie(regenie, kind, model):
    folder, sets, want = regenie
    assert set(sets) >= {"SET1.M1", "SET1.M2", "SET2.M1", "SET2.M2"}
    sets = {name: members for name, members in sets.items() if name[:4] in ("SET1", "SET2")}
    genotypes = open_genotypes(folder / "example_3chr.bed")
    traits = read_sample_table(folder / ("phenotype.txt" if kind == "qt" else "phenotype_bin.txt"))
    found = burden(
        genotypes, traits, sets, read_sample_table(folder / "covariates.txt"), model=model,
        traits=["Y1"], max_maf=[0.2, 0.5], allele="alt", variance="score",
    )  # fmt: skip
    assert found.frame.height == 8
    for row in found.frame.iter_rows(named=True):
        name = f"{row['set']}.{row['max_maf']:g}"
        effect, se, log10p, _ = want[kind, name, "ADD"]
        assert row["beta_mask"] == pytest.approx(float(effect), rel=2e-5)
        assert row["se_mask"] == pytest.approx(float(se), rel=2e-5)
        assert -math.log10(row["p_mask"]) == pytest.approx(log10p, rel=2e-5)
        if row["max_maf"] == 0.5:
            for ours, theirs in (("p_skat", "ADD-SKAT"), ("p_acatv", "ADD-ACATV")):
                log10p = want[kind, name, theirs][2]
                assert -math.log10(row[ours]) == pytest.approx(log10p, rel=1e-4), (name, ours)
            # REGENIE's SKAT-O uses one more rho and another quadrature.
            log10p = want[kind, name, "ADD-SKATO"][2]
            assert row["p_skato"] == pytest.approx(10**-log10p, rel=6e-3)
    assert "0.2, 0.5" in found.methods()


def test_files_of_sets_and_masks(tmp_path):
    (tmp_path / "pairs.txt").write_text("g1 rs1\ng1 rs2\n\ng2 rs3\n")
    assert read_gene_sets(tmp_path / "pairs.txt") == {"g1": ["rs1", "rs2"], "g2": ["rs3"]}
    for text in (
        "variant\tgene\nrs1\tg1\nrs3\tg2\nrs2\tg1\n",
        "SetID,SNPID\ng1,rs1\ng1,rs2\ng2,rs3",
    ):
        (tmp_path / "named.txt").write_text(text)
        assert read_gene_sets(tmp_path / "named.txt") == {"g1": ["rs1", "rs2"], "g2": ["rs3"]}
    (tmp_path / "named.txt").write_text("variant,gene\nrs1,g1,more\n")
    with pytest.raises(FormatError, match=":2: needs a set and a variant"):
        read_gene_sets(tmp_path / "named.txt")
    (tmp_path / "list.txt").write_text("g1 1 100 rs1,rs2\ng2 2 7 rs3 rs4\n")
    assert read_gene_sets(tmp_path / "list.txt") == {"g1": ["rs1", "rs2"], "g2": ["rs3", "rs4"]}
    (tmp_path / "saige.txt").write_text("g1\t1:5_A/C\t1:6_A/C\n")
    assert read_gene_sets(tmp_path / "saige.txt") == {"g1": ["1:5_A/C", "1:6_A/C"]}
    (tmp_path / "anno.txt").write_text(
        "rs1 g1 helix pLof\nrs2 g1 sheet missense\nrs3 g2 helix pLof\nrs4 g1 helix pLof\n"
    )
    (tmp_path / "masks.txt").write_text("lof pLof\nall pLof,missense\nnone odd\n")
    found = read_gene_masks(tmp_path / "anno.txt", tmp_path / "list.txt", tmp_path / "masks.txt")
    assert found == {
        "g1.lof": ["rs1"], "g1.helix.lof": ["rs1"], "g1.all": ["rs1", "rs2"],
        "g1.helix.all": ["rs1"], "g1.sheet.all": ["rs2"], "g2.lof": ["rs3"],
        "g2.helix.lof": ["rs3"], "g2.all": ["rs3"], "g2.helix.all": ["rs3"],
    }  # fmt: skip
    (tmp_path / "odd.txt").write_text("only odd\n")
    with pytest.raises(InputError, match="missense"):
        read_gene_masks(tmp_path / "anno.txt", tmp_path / "list.txt", tmp_path / "odd.txt")
    with pytest.raises(FormatError, match="list.txt:2"):
        read_gene_masks(tmp_path / "list.txt", tmp_path / "list.txt", tmp_path / "masks.txt")
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(FormatError, match="empty"):
        read_gene_sets(tmp_path / "empty.txt")


def test_few_cases_need_the_saddle_point():
    rng = np.random.default_rng(8)
    n, draws = 1500, 80
    plain, saddle = [], []
    for _ in range(draws):
        x = np.column_stack([np.ones(n), rng.normal(size=n)])
        y = (rng.random(n) < 1 / (1 + np.exp(4.0 - 0.5 * x[:, 1]))).astype(float)
        g = rng.binomial(2, rng.uniform(0.002, 0.01, 8)[:, None], (8, n)).astype(float)
        null = null_binary(y, x)
        keys = ("p_skat", "p_burden", "p_skato", "p_acatv", "p_mask")
        for target, how in ((plain, "score"), (saddle, "saddle")):
            found = set_test(g, null, variance=how)
            target.append([getattr(found, key) for key in keys])
    plain, saddle = (np.array(item) for item in (plain, saddle))
    # About 2 % cases: ACAT-V of scores is far too liberal, the saddle point holds 1 % (4 SE).
    assert (plain[:, 3] < 0.01).mean() > 0.04
    assert ((saddle < 0.01).mean(axis=0) < 0.01 + 4 * math.sqrt(0.01 * 0.99 / draws)).all()
    assert (saddle[:, 0] < 0.2).mean() > 0.05


def test_the_saddle_point_changes_little_where_classes_are_balanced():
    rng = np.random.default_rng(9)
    n = 800
    x = np.column_stack([np.ones(n), rng.normal(size=n)])
    y = (rng.random(n) < 0.5).astype(float)
    g = rng.binomial(2, 0.2, (6, n)).astype(float)
    null = null_binary(y, x)
    one, two = set_test(g, null), set_test(g, null, variance="saddle")
    for name in ("p_skat", "p_burden", "p_skato", "p_acatv", "p_mask"):
        assert getattr(two, name) == pytest.approx(getattr(one, name), rel=0.02)


def test_unbalanced_traits_choose_the_saddle_point_and_rows_follow_the_bounds():
    rng = np.random.default_rng(3)
    calls = rng.binomial(2, [[0.02], [0.1], [0.3]], (3, 200)).astype(np.float32)
    names = tuple(f"s{i}" for i in range(200))
    variants = pl.DataFrame(
        {
            "chrom": ["1"] * 3,
            "pos": [1, 2, 3],
            "id": list("abc"),
            "ref": ["A"] * 3,
            "alt": ["C"] * 3,
        }
    )
    genotypes = GenotypeMatrix(names, variants, ArrayDosages(calls))
    case = (np.arange(200) < 20).astype(float)
    result = burden(
        genotypes, {"sample": names, "case": case}, {"g": list("abc")}, model="logistic",
        max_maf=[0.05, 0.5],
    )  # fmt: skip
    assert result.params["variance"] == "saddle"
    assert result.frame["n_variants"].to_list() == [1, 3]
    carriers = [(calls[:1] > 0).any(axis=0).sum(), (calls > 0).any(axis=0).sum()]
    assert result.frame["n_carriers"].to_list() == carriers
    assert (result.frame["ci_low"] < result.frame["beta_mask"]).all()
    assert "saddle" in result.methods()
    with pytest.raises(InputError, match="max_maf"):
        burden(genotypes, {"sample": names, "case": case}, {"g": ["a"]}, max_maf=[])


def test_codon_usage_by_hand():
    # Phe: TTT 3, TTC 1; Gly: GGT 4, GGC 0, GGA 4, GGG 0; Met and stop have no choice.
    counts = codon_counts("ATG" + "TTT" * 3 + "uuc" + "GGT" * 4 + "GGA" * 4 + "TAA" + "NNN")
    assert counts == {"ATG": 1, "TTT": 3, "TTC": 1, "GGT": 4, "GGA": 4, "TAA": 1}
    used = rscu(counts)
    assert used["TTT"] == pytest.approx(1.5)
    assert used["TTC"] == pytest.approx(0.5)
    assert [used[c] for c in ("GGT", "GGC", "GGA", "GGG")] == [2.0, 0.0, 2.0, 0.0]
    assert used["ATG"] == 1.0
    assert "TAA" not in used
    for amino in set(CODE.values()) - {"*"}:
        family = [used[c] for c, name in CODE.items() if name == amino and c in used]
        assert not family or np.mean(family) == pytest.approx(1.0)
    weights = adaptiveness(counts)
    assert weights["TTC"] == pytest.approx(1 / 3)
    assert weights["GGC"] == pytest.approx(0.125)
    assert "ATG" not in weights
    # CAI of ATG TTT TTC GGC: Met does not count
    want = (1.0 * (1 / 3) * 0.125) ** (1 / 3)
    assert adaptation_index("ATGTTTTTCGGC", weights) == pytest.approx(want)
    assert math.isnan(adaptation_index("ATG", weights))
    with pytest.raises(InputError, match="whole codons"):
        codon_counts("ATGA")
    with pytest.raises(InputError, match="three bases"):
        rscu({"AT": 1})


def test_trna_adaptiveness_by_hand():
    # Ala: IGC (AGC) 10 reads GCT, GCC with 0.72, GCA with 0.0001; UGC (TGC) 5 reads GCA, GCG
    # with 0.32; CGC 2 reads GCG. Phe: GAA 8 reads TTC, TTT with 0.59.
    found = trna_adaptiveness({"AGC": 10, "UGC": 5, "CGC": 2, "GAA": 8})
    assert found["GCT"] == pytest.approx(1.0)
    assert found["GCC"] == pytest.approx(0.72)
    assert found["GCA"] == pytest.approx((5 + 10 * 0.0001) / 10)
    assert found["GCG"] == pytest.approx((2 + 5 * 0.32) / 10)
    assert found["TTC"] == pytest.approx(0.8)
    assert found["TTT"] == pytest.approx(0.8 * 0.59)
    served = [1.0, 0.72, 0.5001, 0.36, 0.8, 0.472]
    assert found["AAA"] == pytest.approx(math.exp(np.log(served).mean()))
    assert "ATG" not in found
    with pytest.raises(InputError, match="No tRNA"):
        trna_adaptiveness({"AGC": 0})


def test_synonymous_variants_are_weighted_by_their_change():
    weights = adaptiveness({"AAA": 40, "AAG": 10, "GGT": 1, "GGC": 8})
    table = pl.DataFrame(
        {"id": ["a", "b", "c", "d"], "ref_codon": ["AAA", "AAG", "AAA", "ATG"]}
        | {"alt_codon": ["AAG", "aaa", "GGT", "ATG"]}
    )
    assert synonymous_weights(table, weights) == pytest.approx({"a": math.log(4), "b": math.log(4)})
    assert list(synonymous_weights(table, weights, direction="rarer")) == ["a"]
    assert list(synonymous_weights(table, weights, direction="commoner")) == ["b"]
    rng = np.random.default_rng(0)
    calls = rng.binomial(2, 0.1, (2, 120)).astype(np.float32)
    variants = pl.DataFrame(
        {"chrom": ["1"] * 2, "pos": [1, 2], "id": ["a", "b"], "ref": ["A"] * 2, "alt": ["C"] * 2}
    )
    names = tuple(f"s{i}" for i in range(120))
    genotypes = GenotypeMatrix(names, variants, ArrayDosages(calls))
    trait = {"sample": names, "y": rng.normal(size=120)}
    result = burden(
        genotypes, trait, {"gene": ["a", "b", "c"]}, weights=synonymous_weights(table, weights)
    )
    assert result.frame["n_variants"].to_list() == [2]
    assert result.params["weighting"] == "supplied weights"
    with pytest.raises(InputError, match="ref_codon"):
        synonymous_weights({"id": ["a"]}, weights)


@pytest.mark.parametrize("kinship", [False, True])
@pytest.mark.parametrize("model", ["linear", "logistic"])
def test_a_trait_without_a_model_does_not_stop_the_others(model, kinship):
    rng = np.random.default_rng(3)
    n = 120
    names = tuple(f"s{i}" for i in range(n))
    calls = rng.binomial(2, 0.05, (6, n)).astype(np.float32)
    variants = pl.DataFrame({"chrom": "1", "pos": range(1, 7), "id": [f"v{i}" for i in range(6)]})
    variants = variants.with_columns(ref=pl.lit("A"), alt=pl.lit("C"))
    genotypes = GenotypeMatrix(names, variants, ArrayDosages(calls))
    y = rng.normal(size=n) if model == "linear" else rng.integers(0, 2, n).astype(float)
    covariates = pl.DataFrame({"sample": names, "group": np.repeat([0.0, 1.0], n // 2)})
    traits = pl.DataFrame({"sample": names, "y": y, "flat": 0.0, "apart": covariates["group"]})
    gone = pl.Series([None] * n, dtype=pl.Float64)
    traits = traits.with_columns(gone=gone, few=pl.Series([0.0, 1.0] + [None] * (n - 2)))
    sets = {"g": [f"v{i}" for i in range(6)]}
    related = Kinship(names, np.eye(n)) if kinship else None
    found = burden(genotypes, traits, sets, covariates, model=model, kinship=related)
    rows = {row["phenotype"]: row for row in found.table.iter_rows(named=True)}
    alone = burden(
        genotypes, traits.select("sample", "y"), sets, covariates, model=model, kinship=related
    )
    assert rows["y"] == alone.table.row(0, named=True)
    assert rows["y"]["p_skato"] is not None
    for name in ("flat", "apart", "gone", "few"):
        assert rows[name]["p_skato"] is None
        assert f"No test of {name!r}" in " ".join(found.warnings)
    with pytest.raises(FitError):
        burden(genotypes, traits.drop("y"), sets, covariates, model=model, kinship=related)


def test_sets_of_other_variants_are_refused():
    calls = ArrayDosages(np.ones((1, 9), np.float32))
    variants = pl.DataFrame({"chrom": ["1"], "pos": [1], "id": ["v"], "ref": ["A"], "alt": ["C"]})
    genotypes = GenotypeMatrix(tuple("abcdefghi"), variants, calls)
    traits = pl.DataFrame({"sample": list("abcdefghi"), "y": np.arange(9.0)})
    with pytest.raises(InputError, match="No set has a variant"):
        burden(genotypes, traits, {"g": ["1:1:A:C"]})
