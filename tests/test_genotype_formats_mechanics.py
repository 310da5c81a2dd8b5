"""Dosages, probabilities, phase and several alleles in VCF, BCF and PLINK 2 files."""

from __future__ import annotations

import numpy as np
import pgenlib
import pytest

from radgen.associate import gwas
from radgen.errors import FormatError, InputError
from radgen.io import open_genotypes

_HEAD = """##fileformat=VCFv4.2
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##FORMAT=<ID=DS,Number=A,Type=Float,Description="Dosage">
##FORMAT=<ID=GP,Number=G,Type=Float,Description="Genotype probabilities">
##contig=<ID=1,length=249250621>
##contig=<ID=X,length=155270560>
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ta\tb\tc\td
"""
_FIXED = ("50", "PASS", ".")
_HALF = ("0/0:0.9,0.1,0", "0/1:0,0.75,0.25", "1/1:0,0,1", "./.:.")
_THREE = ("0,0.5,0.5,0,0,0", "0,0,0,0,1,0", "0,0,0,0,0,1", "1,0,0,0,0,0")
_LINES = [
    ("1", "10", "r1", "A", "C", *_FIXED, "GT", "0/0", "0|1", "1/1", "./."),
    ("1", "20", "r2", "A", "C,G", *_FIXED, "GT", "0/2", "1|2", "2/2", "0/1"),
    ("1", "30", "r3", "T", "C", *_FIXED, "GT:DS", "0/0:0.25", "0/1:1.5", "1/1:2", "./.:0"),
    ("1", "40", "r4", "T", "C", *_FIXED, "GT:GP", *_HALF),
    ("1", "50", "r5", "T", "C,G", *_FIXED, "GP", *_THREE),
]
_WANT = np.array(
    [
        [0, 1, 2, np.nan],
        [0, 1, 0, 1],
        [1, 1, 2, 0],
        [0.25, 1.5, 2, 0],
        [0.1, 1.25, 2, np.nan],
        [1.5, 1, 0, 0],
        [0, 1, 2, 0],
    ]
)


def write_vcf(path):
    path.write_text(_HEAD + "".join("\t".join(line) + "\n" for line in _LINES))
    return path


def test_probabilities_are_expected_dosages(tmp_path):
    found = open_genotypes(write_vcf(tmp_path / "v.vcf"))
    np.testing.assert_allclose(found.read(0, 7), _WANT, atol=1e-6)
    assert found.variants["alt"].to_list() == ["C", "C", "G", "C", "C", "C", "G"]
    calls = open_genotypes(tmp_path / "v.vcf", field="GT").read(4, 5)
    np.testing.assert_array_equal(calls, [[0, 1, 2, np.nan]])
    with pytest.raises(FormatError, match="has no GP"):
        open_genotypes(tmp_path / "v.vcf", field="GP").read(0, 1)


def test_bcf_equals_its_vcf(tmp_path):
    import cyvcf2

    source = cyvcf2.VCF(str(write_vcf(tmp_path / "v.vcf")))
    writer = cyvcf2.Writer(str(tmp_path / "v.bcf"), source, mode="wb")
    for record in source:
        writer.write_record(record)
    writer.close()
    found = open_genotypes(tmp_path / "v.bcf")
    assert found.samples == ("a", "b", "c", "d")
    assert found.variants.equals(open_genotypes(tmp_path / "v.vcf").variants)
    np.testing.assert_allclose(found.read(4, 7), _WANT[4:], atol=1e-6)
    np.testing.assert_allclose(found.read(0, 3), _WANT[:3], atol=1e-6)  # back to the front
    whole = (tmp_path / "v.bcf").read_bytes()
    (tmp_path / "w.bcf").write_bytes(whole[: len(whole) // 3])
    with pytest.raises(FormatError, match="no readable"):
        open_genotypes(tmp_path / "w.bcf")


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_file_that_was_cut_short_is_refused(data, tmp_path, share):
    whole = (data("genetics/kg3_chr21_start") / "1kg_phase3_chr21_start.vcf.gz").read_bytes()
    (tmp_path / "c.vcf.gz").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(FormatError, match="cut short or damaged after record"):
        open_genotypes(tmp_path / "c.vcf.gz")


def test_the_build_of_a_header_is_read_and_checked(tmp_path):
    path = write_vcf(tmp_path / "v.vcf")
    assert open_genotypes(path).build == "GRCh37"
    assert open_genotypes(path, build="hg19").build == "GRCh37"
    with pytest.raises(InputError, match="is on GRCh37 by the contig lengths"):
        open_genotypes(path, build="GRCh38")


def test_pgen_with_dosages_phase_and_several_alleles(tmp_path):
    n = 40
    rng = np.random.default_rng(4)
    dosage = rng.uniform(0, 2, n).astype(np.float32)
    dosage[3] = -9.0
    first, second = rng.integers(0, 2, (2, n)), rng.integers(0, 3, (2, n))
    path = tmp_path / "x.pgen"
    writer = pgenlib.PgenWriter(
        str(path).encode(), n, variant_ct=3, nonref_flags=False, allele_ct_limit=3,
        hardcall_phase_present=True, dosage_present=True,
    )  # fmt: skip
    writer.append_dosages(dosage)
    writer.append_alleles(np.ascontiguousarray(first.T.ravel(), np.int32), all_phased=True)
    writer.append_alleles(np.ascontiguousarray(second.T.ravel(), np.int32), allele_ct=3)
    writer.close()
    (tmp_path / "x.psam").write_text("#IID\tSEX\n" + "".join(f"s{i}\t1\n" for i in range(n)))
    lines = ["1\t5\ta\tA\tC\n", "1\t6\tb\tA\tC\n", "1\t7\tc\tA\tC,G\n"]
    (tmp_path / "x.pvar").write_text("#CHROM\tPOS\tID\tREF\tALT\n" + "".join(lines))
    found = open_genotypes(path)
    assert found.variants["alt"].to_list() == ["C", "C", "C", "G"]
    block = found.read(0, 4)
    assert np.isnan(block[0, 3])
    known = np.arange(n) != 3
    np.testing.assert_allclose(block[0, known], dosage[known], atol=1 / 16384)  # PLINK 2's grid
    np.testing.assert_array_equal(block[1], first.sum(axis=0))
    np.testing.assert_array_equal(block[2], (second == 1).sum(axis=0))
    np.testing.assert_array_equal(block[3], (second == 2).sum(axis=0))
    y = rng.normal(size=n)
    frame = gwas(found, {"sample": list(found.samples), "y": y}).frame
    slope = np.polyfit(block[0, known].astype(float), y[known], 1)[0]
    assert frame["n"][0] == n - 1
    assert frame["beta"][0] == pytest.approx(slope, rel=1e-9)
