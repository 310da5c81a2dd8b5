"""Codon usage against the package tAI of its inventor and Biopython."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from radgen.genome import adaptation_index, adaptiveness, codon_counts, rscu, trna_adaptiveness
from radgen.genome.codon_usage import CODE

GOLDEN = Path(__file__).parent / "golden" / "codons"


@pytest.fixture(scope="module")
def genes():
    return dict(pl.read_csv(GOLDEN / "genes.csv").rows())


def test_trna_adaptation_equals_tai(genes):
    table = pl.read_csv(GOLDEN / "trna.csv")
    found = trna_adaptiveness(dict(table.select("anticodon", "copies").rows()))
    want = dict(pl.read_csv(GOLDEN / "tai_weights.csv").rows())
    assert found.keys() == want.keys()
    assert min(table["copies"]) == 0
    for codon, weight in want.items():
        assert found[codon] == pytest.approx(weight, rel=1e-10), codon
    for gene, value in pl.read_csv(GOLDEN / "tai_genes.csv").rows():
        assert adaptation_index(genes[gene], found) == pytest.approx(value, rel=1e-10)


def test_codon_adaptation_equals_biopython(genes):
    want = dict(pl.read_csv(GOLDEN / "cai.csv").rows())
    names = list(genes)
    counts = codon_counts("".join(genes[name] for name in names[:4]))
    weights = adaptiveness(counts)
    for codon, weight in weights.items():
        assert weight == pytest.approx(want[codon], rel=1e-10), codon
    for name in names[4:]:
        own = "".join(
            codon * count for codon, count in codon_counts(genes[name]).items() if codon in weights
        )
        assert adaptation_index(own, weights) == pytest.approx(
            adaptation_index(genes[name], weights)
        )
        assert adaptation_index(genes[name], weights) == pytest.approx(want[name], rel=1e-10)
    # RSCU over the largest of its amino acid is the relative adaptiveness.
    used = rscu(counts)
    for codon, weight in weights.items():
        top = max(used[c] for c, amino in CODE.items() if amino == CODE[codon])
        if used[codon] > 0:
            assert used[codon] / top == pytest.approx(weight, rel=1e-12)
