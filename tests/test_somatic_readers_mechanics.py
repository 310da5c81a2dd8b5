"""Mutation lists: what counts as mutant, what was not tested, hotspots, pathways and burden."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from radgen.errors import FormatError, InputError
from radgen.io import call_genes, read_layer, read_maf, read_mutations, read_somatic_vcf
from radgen.omics.mutations import (
    call_hotspots,
    call_pathways,
    covered_genes,
    mutation_burden,
)
from radgen.types import OmicsTable

MAF = """#version 2.4
Hugo_Symbol\tVariant_Classification\tTumor_Sample_Barcode\tHGVSp_Short\tStart_Position
IDH1\tMissense_Mutation\tA\tp.R132H\t209113112
IDH1\tMissense_Mutation\tA\tp.R132H\t209113112
TP53\tSilent\tA\tp.P72P\t7579472
TP53\tFrame_Shift_Del\tB\tp.K132Nfs*38\t7578534
EGFR\tIn_Frame_Del\tC\tp.E746_A750del\t55242465
KRAS\tMissense_Mutation\tC\tp.G12D\t25398284
"""

VEP = """##fileformat=VCFv4.2
##reference=file:///GRCh38.fa
##INFO=<ID=CSQ,Number=.,Type=String,Description="Ensembl. Format: Allele|Consequence|SYMBOL|HGVSp|CANONICAL">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tNORMAL\tTUMOR
2\t208248388\t.\tC\tT\t.\tPASS\tCSQ=T|intron_variant|IDH1||,T|missense_variant|IDH1|ENSP1:p.Arg132His|YES\tGT:AD\t0/0:40,0\t0/1:30,20
17\t7674220\t.\tG\tA,T\t.\tPASS\tCSQ=A|missense_variant|TP53|ENSP2:p.Arg248Trp|YES,T|stop_gained|TP53|ENSP2:p.Arg248Ter|YES\tGT:AD\t0/0:30,0,0\t0/2:20,0,3
10\t87933147\t.\tCA\tC\t.\tPASS\tCSQ=-|frameshift_variant&splice_region_variant|PTEN|ENSP3:p.Lys6ArgfsTer4|YES\tGT:AF\t0/0:0\t0/1:0.4
7\t55019338\t.\tG\tA\t.\tt_lod\tCSQ=A|missense_variant|EGFR|ENSP4:p.Ala2Thr|YES\tGT:AF\t0/0:0\t0/1:0.5
1\t100\t.\tG\tA\t.\tPASS\tCSQ=A|synonymous_variant|AAA|ENSP5:p.Ala2%3D|YES\tGT:AF\t0/0:0\t0/1:0.5
"""  # noqa: E501

SNPEFF = """##fileformat=VCFv4.2
##INFO=<ID=ANN,Number=.,Type=String,Description="Functional annotations: 'Allele | Annotation'">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tP1\tP2
chr12\t25245350\t.\tC\tT\t.\t.\tANN=T|missense_variant|MODERATE|KRAS|ENSG1|transcript|ENST1|protein_coding|2/6|c.35G>A|p.Gly12Asp|,T|upstream_gene_variant|MODIFIER|XYZ||||||\tGT\t0/1\t0/0
chr7\t140753336\t.\tA\tT\t.\tPASS\tANN=T|missense_variant|MODERATE|BRAF|ENSG2|transcript|ENST2|protein_coding|15/18|c.1799T>A|p.Val600Glu|\tGT\t./.\t1/1
"""


@pytest.fixture
def maf(tmp_path: Path) -> Path:
    path = tmp_path / "calls.maf"
    path.write_text(MAF)
    return path


def test_panel_of_each_sample_parts_untested_from_wild_type(maf: Path) -> None:
    panel = {"A": None, "B": ["TP53"], "C": ["IDH1", "EGFR", "KRAS"], "D": ["IDH1", "TP53"]}
    table = read_maf(maf, sequenced="ABCD", panel=panel, genes=["IDH1", "TP53", "EGFR"])
    expected = [[1, 0, 0], [np.nan, 1, np.nan], [0, np.nan, 1], [0, 0, np.nan]]
    np.testing.assert_array_equal(table.values, expected)
    with pytest.raises(InputError, match="names no genes for the samples D"):
        read_maf(maf, sequenced="ABCD", panel=dict.fromkeys("ABC"))
    with pytest.raises(InputError, match=r"1 mutated samples are not .* C"):
        read_maf(maf, sequenced="AB")


def test_a_gene_read_thinly_is_not_tested(maf: Path) -> None:
    depth = OmicsTable("ABCD", ("IDH1", "TP53"), [[99, 5], [12, 80], [50, 50], [np.nan, 31]],
                       "other", "depth")  # fmt: skip
    table = read_maf(maf, sequenced="ABCD", panel=covered_genes(depth, 30), genes=["IDH1", "TP53"])
    np.testing.assert_array_equal(table.values, [[1, np.nan], [np.nan, 1], [0, 0], [np.nan, 0]])


def test_maf_and_list_of_mutations_give_the_same_calls(maf: Path) -> None:
    direct = read_maf(maf, sequenced="ABCD")
    again = call_genes(read_mutations(maf), "ABCD")
    assert direct.features == again.features
    np.testing.assert_array_equal(direct.values, again.values)


def test_hotspots_take_one_change_or_a_codon(maf: Path) -> None:
    table = call_hotspots(
        read_mutations(maf),
        ["IDH1 R132H", "IDH1 R132C", "IDH1 R132", "IDH1 R13", "KRAS p.G12", "TP53 K132"],
        "ABCD",
        panel=["IDH1", "KRAS"],
    )
    np.testing.assert_array_equal(table.values[0], [1, 0, 1, 0, 0, np.nan])
    np.testing.assert_array_equal(table.values[2, :5], [0, 0, 0, 0, 1])
    assert np.isnan(table.values[:, 5]).sum() == 3  # B's own change is seen all the same
    with pytest.raises(InputError, match="no hotspot"):
        call_hotspots(read_mutations(maf), ["IDH1"])
    with pytest.raises(InputError, match="no protein changes"):
        call_hotspots(pl.DataFrame({"sample": [], "gene": []}), ["IDH1 R132H"])


def test_a_pathway_is_clear_only_where_all_its_genes_were_tested(maf: Path) -> None:
    panel = {"A": None, "B": ["TP53"], "C": ["EGFR", "KRAS"], "D": None}
    genes = read_maf(maf, sequenced="ABCD", panel=panel, genes=["EGFR", "KRAS", "TP53", "MDM2"])
    found = call_pathways(genes, {"RTK": ["EGFR", "KRAS"], "P53": ["TP53", "MDM2"], "X": ["Q"]})
    assert found.features == ("RTK", "P53")
    expected = [[0, 0], [np.nan, 1], [1, np.nan], [0, 0]]
    np.testing.assert_array_equal(found.values, expected)
    partly = call_pathways(genes, {"P53": ["TP53", "CDKN2A"]})
    np.testing.assert_array_equal(partly.values[:, 0], [np.nan, 1, np.nan, np.nan])
    with pytest.raises(InputError, match="No pathway"):
        call_pathways(genes, {"X": ["Q"]})


def test_burden_counts_mutations_over_the_assay(maf: Path) -> None:
    rows = read_mutations(maf)
    burden = mutation_burden(rows, "ABCD", megabases={"A": 30.0, "B": 1.2, "C": 1.0})
    # The two lines of A are one change written twice.
    np.testing.assert_allclose(burden.values[:, 0], [1 / 30, 1 / 1.2, 2.0, np.nan])
    with pytest.raises(InputError, match="positive"):
        mutation_burden(rows, "ABCD", megabases=0)


def test_vep_annotations_of_a_tumour_and_its_normal(tmp_path: Path) -> None:
    path = tmp_path / "P7.vcf"
    path.write_text(VEP)
    rows = read_somatic_vcf(path)
    assert rows["sample"].to_list() == ["P7"] * 3
    assert rows["gene"].to_list() == ["IDH1", "TP53", "PTEN"]
    assert rows["consequence"].to_list() == [
        "Missense_Mutation", "Nonsense_Mutation", "Frame_Shift_Del",
    ]  # fmt: skip
    assert rows["protein_change"].to_list() == ["p.R132H", "p.R248*", "p.K6Rfs*4"]
    assert set(rows["build"]) == {"GRCh38"}
    assert read_somatic_vcf({"own": path}, min_fraction=0.2)["gene"].to_list() == ["IDH1", "PTEN"]
    assert "EGFR" in read_somatic_vcf(path, passed=False)["gene"].to_list()
    assert read_somatic_vcf(path, classes=["Silent"])["gene"].to_list() == ["AAA"]
    with pytest.raises(InputError, match="no sample column 'T9'"):
        read_somatic_vcf(path, tumour="T9")


def test_snpeff_annotations_of_several_tumours(tmp_path: Path) -> None:
    path = tmp_path / "all.vcf"
    path.write_text(SNPEFF)
    rows = read_somatic_vcf(path)
    found = rows.select("sample", "gene", "protein_change").rows()
    assert found == [("P1", "KRAS", "p.G12D"), ("P2", "BRAF", "p.V600E")]
    table = read_layer(path, layer="mutation", sequenced=["P1", "P2", "P3"], panel=["KRAS"])
    assert table.features == ("BRAF", "KRAS")
    np.testing.assert_array_equal(table.values, [[np.nan, 1], [1, 0], [np.nan, 0]])


def test_a_bare_vcf_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.vcf"
    path.write_text(VEP.replace("CSQ", "DP"))
    with pytest.raises(FormatError, match=r"VEP .* or SnpEff"):
        read_somatic_vcf(path)
    path.write_text("CHROM\tPOS\n")
    with pytest.raises(FormatError, match="##fileformat"):
        read_somatic_vcf(path)
