"""Files of polygenic scores as catalogues and programs write them, and which alleles they count."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from radgen.errors import FormatError, InputError
from radgen.genome import match_weights, polygenic_score
from radgen.io import read_score_weights
from radgen.types import ArrayDosages, GenotypeMatrix

DOSAGE = np.array([[0, 1, 2], [2, 1, 0], [1, 1, 2], [0, 2, 1]], dtype=np.float32)
VARIANTS = pl.DataFrame(
    {"chrom": ["1", "1", "2", "X"], "pos": [100, 200, 300, 400], "id": ["rs1", "rs2", "rs3", "rs4"],
     "ref": ["A", "C", "G", "A"], "alt": ["G", "T", "C", "T"]}
)  # fmt: skip
GENOTYPES = GenotypeMatrix(("a", "b", "c"), VARIANTS, ArrayDosages(DOSAGE), build="GRCh38")
HEAD = "###PGS CATALOG SCORING FILE\n#format_version=2.0\n#pgs_id=PGS000001\n#genome_build=GRCh37\n"
# rs1 counts ALT, rs2 REF; rs3 has another pair of alleles; rs9 is not there.
ROWS = [("rs1", "1", 90, "G", "A", 0.5), ("rs2", "1", 190, "C", "T", -1.0),
        ("rs3", "2", 290, "T", "G", 9.0), ("rs9", "3", 5, "A", "C", 9.0)]  # fmt: skip
SCORE = 0.5 * DOSAGE[0] - (2 - DOSAGE[1])


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def _rows(mark: str, take: tuple[int, ...]) -> str:
    return "".join(mark.join(str(row[k]) for k in take) + "\n" for row in ROWS)


FILES = {
    "catalogue": HEAD + "rsID\tchr_name\tchr_position\teffect_allele\tother_allele\teffect_weight\n"
    + _rows("\t", (0, 1, 2, 3, 4, 5)),
    "prs_cs": _rows("\t", (1, 0, 2, 3, 4, 5)),
    "plink": "SNP A1 A2 BETA\n" + _rows(" ", (0, 3, 4, 5)),
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
def test_weights_of_each_format_give_the_sum_by_hand(tmp_path: Path, kind: str) -> None:
    read = read_score_weights(_write(tmp_path / "w.txt", FILES[kind]))
    found = polygenic_score(GENOTYPES, read.table)
    np.testing.assert_allclose(found["score"], SCORE)
    match = match_weights(GENOTYPES, read.table, build=read.build)
    assert (match.n_given, match.by_id, match.by_place, match.other_alleles) == (4, 2, 0, 1)
    assert match.statements() == (
        "2 of 4 weights found in the genotypes; left out: 1 not there, 1 with other alleles.",
    )


def test_harmonised_positions_find_variants_without_ids(tmp_path: Path) -> None:
    text = (
        HEAD + "#HmPOS_build=GRCh38\n"
        "chr_name\tchr_position\teffect_allele\tother_allele\teffect_weight\thm_chr\thm_pos\n"
        "1\t90\tG\tA\t0.5\t1\t100\n1\t190\tC\tT\t-1.0\t1\t200\n2\t290\tT\tG\t9\t2\t300\n"
        "3\t5\tA\tC\t9\t\t\n"
    )
    read = read_score_weights(_write(tmp_path / "w.txt", text))
    assert (read.build, read.name) == ("GRCh38", "PGS000001")
    match = match_weights(GENOTYPES, read.table, build=read.build)
    assert (match.by_id, match.by_place, match.other_alleles) == (0, 2, 1)
    np.testing.assert_allclose(polygenic_score(GENOTYPES, read.table)["score"], SCORE)


def test_positions_of_another_build_are_refused() -> None:
    table = pl.DataFrame({"chrom": ["1"], "pos": [100], "allele": ["G"], "weight": [1.0]})
    with pytest.raises(InputError, match="GRCh37, the genotypes of GRCh38"):
        match_weights(GENOTYPES, table, build="GRCh37")


def test_variants_at_one_place_are_told_apart_by_alleles() -> None:
    twice = pl.concat([VARIANTS, VARIANTS[:1].with_columns(id=pl.lit("rs1b"), alt=pl.lit("T"))])
    dosage = np.vstack([DOSAGE, [[2, 2, 2]]]).astype(np.float32)
    genotypes = GenotypeMatrix(("a", "b", "c"), twice, ArrayDosages(dosage))
    table = pl.DataFrame({"chrom": ["chr1"], "pos": [100], "effect_allele": ["t"],
                          "other_allele": ["a"], "effect_weight": [1.0]})  # fmt: skip
    assert polygenic_score(genotypes, table)["score"].to_list() == [2.0, 2.0, 2.0]


def test_the_other_strand_is_tried_when_asked_and_palindromes_are_left_out() -> None:
    table = pl.DataFrame({"id": ["rs1", "rs4"], "allele": ["C", "T"], "other": ["T", "A"],
                          "weight": [1.0, 1.0]})  # fmt: skip
    kept = match_weights(GENOTYPES, table)
    assert (kept.rows.tolist(), kept.other_alleles) == ([3], 1)
    turned = match_weights(GENOTYPES, table, flip_strand=True)
    assert (turned.rows.tolist(), turned.palindromic) == ([0], 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + "rsID\teffect_allele\teffect_weight\tis_recessive\nrs1\tG\t1\tTrue\n", "recessive"),
        (HEAD + "#weight_type=OR\nrsID\teffect_allele\teffect_weight\nrs1\tG\t2\n", "take the log"),
        (HEAD + "rsID\tother_allele\nrs1\tG\n", "allele and weight"),
        (HEAD, "holds no weights"),
        ("1\trs1\t100\tG\tA\t0.5\n1\trs2\t200\tG\n", "has 4 fields"),
    ],
)  # fmt: skip
def test_scores_that_are_no_sums_and_broken_files_are_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises((FormatError, InputError), match=message):
        read_score_weights(_write(tmp_path / "w.txt", text))


def test_a_variant_whose_other_allele_differs_is_left_out() -> None:
    """rs1 is A/G: a weight of G against T, or of A against T, is one of another variant."""
    for allele in ("G", "A"):
        table = pl.DataFrame({"id": ["rs1", "rs2"], "allele": [allele, "T"], "other": ["T", "C"],
                              "weight": [1.0, 1.0]})  # fmt: skip
        match = match_weights(GENOTYPES, table)
        assert (match.rows.tolist(), match.other_alleles) == ([1], 1)
