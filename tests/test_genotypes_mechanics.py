"""Genotype files: the same dosages from every format, and clear errors."""

from __future__ import annotations

import pickle
import shutil

import numpy as np
import polars as pl
import pytest

from radgen.errors import AlignmentError, FormatError, InputError
from radgen.genome._blocks import centre, read_source
from radgen.io import open_genotypes, read_people

_FILES = "genetics/regenie_example"


def write_bed(folder, codes, *, name="g"):
    """Write two-bit codes (variants, samples) by the definition of the format."""
    m, n = codes.shape
    raw = bytearray(b"\x6c\x1b\x01")
    for row in codes:
        for low in range(0, n, 4):
            raw.append(sum(int(code) << (2 * i) for i, code in enumerate(row[low : low + 4])))
    (folder / f"{name}.bed").write_bytes(bytes(raw))
    (folder / f"{name}.bim").write_text(
        "".join(f"chr{1 + i // 4} v{i} 0 {100 + i} A G\n" for i in range(m))
    )
    (folder / f"{name}.fam").write_text(
        "".join(f"f{i % 2} s{i} 0 0 {i % 3} -9\n" for i in range(n))
    )
    return folder / f"{name}.bed"


_DOSAGE = np.array([2.0, np.nan, 1.0, 0.0], np.float32)


@pytest.mark.parametrize("n", [1, 3, 4, 5, 31, 32, 33, 64, 67, 130])
def test_the_decoder_equals_the_definition(tmp_path, n):
    codes = np.random.default_rng(n).integers(0, 4, (9, n))
    genotypes = open_genotypes(write_bed(tmp_path, codes))
    assert np.array_equal(genotypes.read(0, 9), _DOSAGE[codes], equal_nan=True)
    assert np.array_equal(genotypes.read(2, 5), _DOSAGE[codes[2:5]], equal_nan=True)
    flipped = open_genotypes(tmp_path / "g.bed", reference="first")
    assert np.array_equal(flipped.read(0, 9), 2 - _DOSAGE[codes], equal_nan=True)
    assert flipped.variants["alt"].to_list() == genotypes.variants["ref"].to_list()


@pytest.mark.parametrize("n", [5, 32, 67])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_centred_blocks_equal_the_definition(tmp_path, n, dtype):
    rng = np.random.default_rng(n)
    codes = rng.integers(0, 4, (12, n))
    codes[3] = 1
    codes[4] = 3
    genotypes = open_genotypes(write_bed(tmp_path, codes))
    some = np.sort(rng.permutation(n)[: n - 2])
    for view in (
        genotypes,
        genotypes.take_samples(some),
        genotypes.take_variants([7, 2, 3, 11]),
        genotypes.take_samples(some).take_variants([3, 4, 5]),
    ):
        dosage = view.read(0, view.n_variants).astype(float)
        known = np.isfinite(dosage)
        count = known.sum(axis=1)
        mean = np.where(known, dosage, 0).sum(axis=1) / np.maximum(count, 1)
        want = np.where(known, dosage - mean[:, None], 0)
        source = read_source(view, 0, view.n_variants)
        for block in (source.centred(dtype), centre(dosage.astype(np.float32), dtype=dtype)):
            np.testing.assert_allclose(block.g, want, atol=1e-6 if dtype is np.float32 else 1e-14)
            np.testing.assert_array_equal(block.n_known, count)
            np.testing.assert_allclose(block.mean, mean, atol=1e-14)
            np.testing.assert_allclose(block.squares, (want**2).sum(axis=1), atol=1e-10)
            row = np.repeat(np.arange(len(count)), np.diff([0, *block.ends]))
            assert [*zip(row, block.missing, strict=True)] == [
                *zip(*np.nonzero(~known), strict=True)
            ]


@pytest.mark.parametrize("n", [40, 64, 131, 400, 1000, 2500])
@pytest.mark.parametrize("k", [1, 5, 21, 60])
def test_products_of_rare_variants_equal_the_definition(tmp_path, n, k):
    rng = np.random.default_rng(n)
    codes = rng.integers(0, 4, (24, n))
    for row in range(3, 20):
        codes[row] = 3 * (row % 2)
        odd = rng.integers(0, n, row % 7)
        codes[row, odd] = rng.integers(0, 4, len(odd))
    weights = rng.normal(size=(n, k)).astype(np.float32)
    orders = (None, np.sort(rng.permutation(n)[: n - n // 5]), rng.permutation(n)[: n // 9])
    write_bed(tmp_path, codes)
    for reference in ("first", "last"):
        genotypes = open_genotypes(tmp_path / "g.bed", reference=reference)
        for order in orders:
            view = genotypes if order is None else genotypes.take_samples(order)
            used = np.ascontiguousarray(weights[: view.n_samples])
            dense = []

            def multiply(g, w, dense=dense):
                dense.append(len(g))
                return g @ w

            source = read_source(view, 0, 24)
            block = source.product(used, used.astype(float).sum(axis=0), multiply)
            assert sum(dense) < 24 or n < 400 or order is not None
            dosage = view.read(0, 24).astype(float)
            mean = np.nan_to_num(np.nanmean(dosage, axis=1)) if n else 0
            g = np.nan_to_num(dosage - mean[:, None])
            np.testing.assert_allclose(block.product, g @ used, rtol=1e-5, atol=1e-4)
            np.testing.assert_allclose(block.mean, mean)
            np.testing.assert_allclose(block.squares, (g * g).sum(axis=1), atol=1e-9)
            missing = np.split(block.missing, block.ends[:-1])
            for found, row in zip(missing, dosage, strict=True):
                assert found.tolist() == np.flatnonzero(np.isnan(row)).tolist()
            some = rng.permutation(view.n_samples)[:7]
            inside = dosage[:, some]
            sums = np.isfinite(inside).sum(axis=1), np.nansum(inside, axis=1)
            want = np.column_stack([*sums, np.nansum(inside**2, axis=1)])
            np.testing.assert_allclose(source.among(some), want)


def test_formats_agree(data):
    folder = data(_FILES)
    bed = open_genotypes(folder / "example.bed")
    pgen = open_genotypes(folder / "example.pgen")
    bgen = open_genotypes(folder / "example.bgen", reference="last")
    values = bed.read(0, 1000)
    assert bed.samples == pgen.samples
    assert bed.variants.equals(pgen.variants)
    assert bed.variants.equals(bgen.variants)
    np.testing.assert_array_equal(pgen.read(0, 1000), values)
    np.testing.assert_allclose(bgen.read(0, 1000), values, atol=1e-6)
    swapped = open_genotypes(folder / "example.bgen")
    np.testing.assert_allclose(swapped.read(0, 1000), 2 - values, atol=1e-6)
    three = open_genotypes(folder / "example_3chr.bgen")
    assert three.samples == open_genotypes(folder / "example_3chr.bed").samples


_HEAD = """##fileformat=VCFv4.2
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##FORMAT=<ID=DS,Number=A,Type=Float,Description="Dosage">
##contig=<ID=1,length=1000>
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ta\tb\tc\td
"""


def write_vcf(path, lines):
    path.write_text(_HEAD + "".join("\t".join(line) + "\n" for line in lines))
    return path


def test_vcf_calls_and_dosages(tmp_path):
    fixed = ("50", "PASS", ".")
    path = write_vcf(
        tmp_path / "v.vcf",
        [
            ("1", "10", "r1", "A", "C", *fixed, "GT", "0/0", "0|1", "1/1", "./."),
            ("1", "20", "r2", "A", "C,G", *fixed, "GT", "0/2", "1|2", "2", "./1"),
            ("1", "30", "r3", "T", "C", *fixed, "GT:DS", "0/0:0.25", "0/1:1.5", "1/1:.", "./.:0"),
        ],
    )
    found = open_genotypes(path)
    assert found.variants["alt"].to_list() == ["C", "C", "G", "C"]
    nan = np.nan
    want = [[0, 1, 2, nan], [0, 1, 0, nan], [1, 1, 2, nan], [0.25, 1.5, nan, 0]]
    np.testing.assert_allclose(found.read(0, 4), want)
    np.testing.assert_allclose(found.read(1, 2), want[1:2])
    calls = open_genotypes(path, field="GT").read(3, 4)
    np.testing.assert_allclose(calls, [[0, 1, 2, nan]])
    with pytest.raises(FormatError, match="no DS"):
        open_genotypes(path, field="DS").read(0, 1)


def test_phased_reference_panel(data):
    found = open_genotypes(data("genetics/kg3_chr21_start") / "1kg_phase3_chr21_start.vcf.gz")
    block = found.read(0, 50)
    assert block.shape == (50, 2504)
    # INFO/AC of the first two records
    assert block[0].sum() == 1
    assert block[1].sum() == 4


def test_sample_ids(tmp_path):
    path = write_bed(tmp_path, np.zeros((2, 4), int))
    (tmp_path / "g.fam").write_text("a 1 0 0 1 -9\nb 1 0 0 2 -9\na 2 0 0 0 -9\nb 2 0 0 1 -9\n")
    with pytest.raises(AlignmentError, match="more than one row"):
        open_genotypes(path)
    assert open_genotypes(path, ids="fid_iid").samples == ("a_1", "b_1", "a_2", "b_2")
    assert read_people(path, ids="fid_iid")["sex"].to_list() == ["male", "female", None, "male"]


def test_build_and_options_are_checked(tmp_path):
    path = write_bed(tmp_path, np.zeros((2, 4), int))
    assert open_genotypes(path, build="hg38").build == "GRCh38"
    assert open_genotypes(tmp_path / "g").n_variants == 2
    assert open_genotypes(path).variants["chrom"].to_list() == ["1", "1"]
    for options in ({"build": "hg99"}, {"field": "DS"}, {"sample_file": "x"}, {"ids": "x"}):
        with pytest.raises(InputError):
            open_genotypes(path, **options)
    with pytest.raises(InputError, match="known suffixes"):
        open_genotypes(tmp_path / "nothing.doc")
    with pytest.raises(FormatError, match="does not exist"):
        open_genotypes(tmp_path / "nothing.bed")


def test_damaged_bed_is_refused(tmp_path):
    path = write_bed(tmp_path, np.zeros((5, 9), int))
    whole = path.read_bytes()
    for broken, words in (
        (whole[:-1], "cut short"),
        (whole + b"x", "too long"),
        (b"\x00" + whole[1:], "no PLINK 1"),
        (whole[:2] + b"\x00" + whole[3:], "samples first"),
        (b"", "no PLINK 1"),
    ):
        path.write_bytes(broken)
        with pytest.raises(FormatError, match=words) as caught:
            open_genotypes(path)
        assert caught.value.path == path
    path.write_bytes(whole)
    found = open_genotypes(path)
    path.write_bytes(whole[:-4])
    with pytest.raises(FormatError, match="ends before"):
        found.read(0, 5)
    path.write_bytes(whole)
    (tmp_path / "g.bim").write_text("1 v 0 x A G\n" * 5)
    with pytest.raises(FormatError, match="whole number") as caught:
        open_genotypes(path)
    assert caught.value.line == 1


@pytest.mark.parametrize("name", ["example.pgen", "example.bgen"])
def test_damaged_files_are_refused(data, tmp_path, name):
    folder = data(_FILES)
    for side in ("psam", "pvar"):
        shutil.copyfile(folder / f"example.{side}", tmp_path / f"example.{side}")
    whole = (folder / name).read_bytes()
    for keep in (0, 3, 20, 1000, len(whole) // 2, len(whole) - 5):
        (tmp_path / name).write_bytes(whole[:keep])
        with pytest.raises(FormatError):
            open_genotypes(tmp_path / name).read(0, 1000)


def test_readers_travel_to_other_processes(data):
    folder = data(_FILES)
    for name in ("example.bed", "example.pgen", "example.bgen"):
        found = open_genotypes(folder / name)
        copy = pickle.loads(pickle.dumps(found.reader))
        np.testing.assert_array_equal(copy.read(3, 9), found.read(3, 9))


def test_chromosome_names(tmp_path):
    path = write_bed(tmp_path, np.zeros((4, 4), int))
    (tmp_path / "g.bim").write_text("".join(f"{c}\tv\t0\t1\tA\tG\n" for c in ("chr2", 23, 25, "M")))
    assert open_genotypes(path).variants["chrom"].to_list() == ["2", "X", "PAR", "MT"]
    assert open_genotypes(path).variants["pos"].dtype == pl.Int64


@pytest.mark.parametrize("mark", ["\t", " ", "  "], ids=["tab", "space", "spaces"])
def test_a_short_line_beside_genotypes_is_named_and_a_blank_one_passed_over(tmp_path, mark):
    path = write_bed(tmp_path, np.zeros((3, 5), int))
    rows = [mark.join(("1", f"v{i}", "0", f"{i + 1}", "A", "G")) for i in range(3)]
    (tmp_path / "g.bim").write_text("\n".join([rows[0], "", *rows[1:], ""]))
    assert open_genotypes(path).variants["id"].to_list() == ["v0", "v1", "v2"]
    (tmp_path / "g.bim").write_text("\n".join([*rows[:2], rows[2][: -len(mark) - 1]]))
    with pytest.raises(FormatError, match="bim:3: has 5 fields"):
        open_genotypes(path)
