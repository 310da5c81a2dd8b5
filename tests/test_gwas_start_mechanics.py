"""A scan of plain files reaches its first block before any table library is loaded."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading

import numpy as np
import polars as pl
import pytest

from radgen._core.later import _Later, load, loaded, put_off
from radgen._native import _table
from radgen.associate.genomewide._input import to_covariates
from radgen.errors import FormatError
from radgen.io import open_genotypes, sample_table
from radgen.io._later_variants import LaterVariants
from radgen.io.pgen import open_pgen
from radgen.io.plink import open_bed
from radgen.io.sample_table import _frame, read_sample_columns, read_sample_table
from radgen.types import NumberTable

_WATCH = """
import sys
from contextlib import contextmanager
from radgen._core.later import loaded
from radgen._core.progress import use_progress
@contextmanager
def first_block(what, total):
    if what == "Scanning variants":
        homes = {name: getattr(one, "__file__", None) or "" for name, one in sys.modules.items()}
        found = {name.partition(".")[0] for name in homes if "site-packages" in homes[name]}
        slow = {"difflib", "subprocess", "email", "unittest", "asyncio", "socket"}
        print(*sorted(name for name in found | slow if loaded(name)))
    yield lambda n: None
from radgen.cli import main
sys.argv = ["radgen", "gwas", *sys.argv[1:]]
with use_progress(first_block):
    main()
"""


def _fileset(folder, chroms, bim="{chrom}\t{at}\t0\t{pos}\tA\tG\n"):
    rng = np.random.default_rng(5)
    n, m = 40, len(chroms)
    rows = rng.integers(0, 256, (m, n // 4), dtype=np.uint8)
    (folder / "a.bed").write_bytes(b"\x6c\x1b\x01" + rows.tobytes())
    lines = [bim.format(chrom=chrom, at=f"rs{at}", pos=at + 1) for at, chrom in enumerate(chroms)]
    (folder / "a.bim").write_text("".join(lines))
    (folder / "a.fam").write_text("".join(f"f{i} s{i} 0 0 1 -9\n" for i in range(n)))
    values = rng.normal(size=(n, 2)).round(4)
    cells = "".join(f"s{i}\t{values[i, 0]}\t{i % 2}\n" for i in range(n))
    (folder / "y.tsv").write_text(f"IID\ty\td\n{cells}")
    cells = "".join(f"s{i}\t{values[i, 1]}\n" for i in range(n))
    (folder / "c.tsv").write_text(f"IID\tc\n{cells}")
    sites = ["Bonn", "NA", "Graz", "Linz-2"]
    cells = "".join(f"s{i}\t{sites[i % 7 % 4]}\t{values[i, 1]}\n" for i in range(n))
    (folder / "words.tsv").write_text(f"IID\tsite\tc\n{cells}")
    return folder / "a.bed"


def _pgen(folder, pvar="{chrom}\t{pos}\t{id}\t{ref}\t{alt}\n"):
    """Write the .bed of a folder as a .pgen."""
    import pgenlib

    found = open_genotypes(folder / "a.bed")
    calls = found.read(0, found.n_variants)
    path = folder / "a.pgen"
    with pgenlib.PgenWriter(str(path).encode(), found.n_samples, found.n_variants, False) as out:
        for row in np.where(np.isnan(calls), -9, calls).astype(np.int8):
            out.append_biallelic(row)
    lines = "".join(pvar.format(**row) for row in found.variants.iter_rows(named=True))
    (folder / "a.pvar").write_text(f"##source=x\n#CHROM\tPOS\tID\tREF\tALT\n{lines}")
    people = "".join(f"f{i}\ts{i}\n" for i in range(found.n_samples))
    (folder / "a.psam").write_text(f"#FID\tIID\n{people}")
    return path


_BEFORE = {"numpy", "radgen", "threadpoolctl"}
"""What a scan may load before its first block, of all that is installed."""
_TOOLS = {"_distutils_hack", "_virtualenv", "a1_coverage", "coverage", "sitecustomize"}


@pytest.mark.parametrize(
    ("genotypes", "covariates", "more", "words"),
    [
        ("a.bed", "c.tsv", set(), []),
        ("a.pgen", "c.tsv", {"pgenlib"}, []),
        ("a.bed", "words.tsv", set(), []),
        ("a.bed", "c.tsv", {"scipy"}, ["--model", "logistic", "--test", "score", "--traits", "d"]),
    ],
    ids=["bed", "pgen", "words", "logistic"],
)
def test_nothing_but_numpy_is_loaded_before_the_first_block(
    tmp_path, genotypes, covariates, more, words
):
    _fileset(tmp_path, ["1"] * 30 + ["2"] * 10)
    _pgen(tmp_path)
    words = [*words, "--genotypes", tmp_path / genotypes, "--phenotypes", tmp_path / "y.tsv"]
    words += ["--covariates", tmp_path / covariates, "--out", tmp_path / "o.parquet"]
    done = subprocess.run(
        [sys.executable, "-c", _WATCH, *map(str, words), "--threshold", "1e-1"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    said = set(done.stdout.splitlines()[0].split()) - _TOOLS
    # What scipy loads is its own affair.
    assert {name for name in said if not more & {"scipy"} or name == "polars"} <= _BEFORE | more
    assert "Results:" in done.stdout
    assert pl.read_parquet(tmp_path / "o.parquet").columns[:2] == ["phenotype", "chrom"]


@pytest.mark.parametrize(
    "chroms",
    [["1"] * 3 + ["2"] * 4, ["23", "X", "chrX", "24"], ["chr1", "1", "chr2", "1"], ["scaffold_9"]],
    ids=" ".join,
)
def test_variants_left_in_their_file_are_those_that_are_read(tmp_path, chroms):
    bed = _fileset(tmp_path, chroms)
    found = open_genotypes(bed)
    _, variants, reader = open_bed(bed)
    runs = variants["chrom"].rle().struct.unnest()
    assert found.chromosome_runs == list(zip(runs["value"], runs["len"], strict=True))
    assert (found.n_variants, found.reader) == (variants.height, reader)
    part = found.take_samples([2, 0])
    key = found.variants_digest()
    assert part.variants_digest() == key
    assert isinstance(found.__dict__["_file"], LaterVariants)
    assert found.variants.equals(variants)
    assert pickle.loads(pickle.dumps(part)).variants.equals(variants)
    assert found.take_variants([0]).chromosome_runs == [(variants["chrom"][0], 1)]


@pytest.mark.parametrize("ids", ["iid", "fid_iid"])
def test_variants_of_a_pgen_left_in_their_file_are_those_that_are_read(tmp_path, ids):
    bed = _fileset(tmp_path, ["1"] * 3 + ["2"] * 4)
    path = _pgen(tmp_path)
    found = open_genotypes(path, ids=ids)
    people, variants, reader = open_pgen(path)
    assert isinstance(found.__dict__["_file"], LaterVariants)
    assert (found.chromosome_runs, found.n_variants) == ([("1", 3), ("2", 4)], 7)
    want = people["iid"] if ids == "iid" else people["fid"] + "_" + people["iid"]
    assert list(found.samples) == want.to_list()
    np.testing.assert_array_equal(found.read(0, 7), reader.read(0, 7))
    np.testing.assert_array_equal(found.read(0, 7), open_genotypes(bed).read(0, 7))
    assert pickle.loads(pickle.dumps(found)).variants.equals(variants)
    assert found.variants.equals(variants)
    text = (tmp_path / "a.pvar").read_text()
    # Two alternate alleles, and lines that are not plain, are read at once.
    for other in (text.replace("G\tA\n", "G\tA,C\n", 1), text.replace("\trs1\t", "\trs 1\t")):
        (tmp_path / "a.pvar").write_text(other)
        again = open_genotypes(path)
        assert "_file" not in again.__dict__
        assert again.variants.equals(open_pgen(path)[1])
    # Without a .pvar the .bim serves.
    (tmp_path / "a.pvar").unlink()
    again = open_genotypes(path)
    assert isinstance(again.__dict__["_file"], LaterVariants)
    assert again.variants.equals(variants)
    (tmp_path / "a.bim").unlink()
    with pytest.raises(FormatError, match=r"no .pvar, .pvar.zst or .bim"):
        open_genotypes(path)


def test_runs_of_lines_are_those_of_the_definition():
    rng = np.random.default_rng(8)
    words = ["1", "2", "10", "1\t", "", " ", "x\r", "é"]
    for _ in range(2000):
        lines = ["\t".join(rng.choice(words, 2, p=[0.5, 0.2, 0.2, *[0.02] * 5])) for _ in range(4)]
        text = "\n".join(lines) + ("\n" if rng.random() < 0.5 else "")
        found = _table.line_runs(text.encode(), 2)
        cells = [line.split("\t") for line in text.removesuffix("\n").split("\n")]
        odd = any(ord(sign) <= 32 for line in cells for cell in line for sign in cell)
        if odd or any(len(line) != 2 or not all(line) for line in cells):
            assert found is None
            continue
        heads = [line[0] for line in cells]
        starts = [at for at in range(len(heads)) if at == 0 or heads[at] != heads[at - 1]]
        assert found[0] == len(heads)
        assert [row for _, _, row in found[1]] == starts
        raw = text.encode()
        assert [raw[low:high].decode() for low, high, _ in found[1]] == [heads[at] for at in starts]
    assert _table.line_runs(b"", 2) == (0, [])


@pytest.mark.parametrize(
    "bim",
    [
        "{chrom} {at} 0 {pos} A G\n",
        "{chrom}\t{at}\t0\t{pos}\tA\tG\r\n",
        "\n{chrom}\t{at}\t0\t{pos}\tA\tG\n",
    ],
)
def test_other_lines_are_read_at_once(tmp_path, bim):
    found = open_genotypes(_fileset(tmp_path, ["1", "2"], bim))
    assert "_file" not in found.__dict__
    assert found.variants["id"].to_list() == ["rs0", "rs1"]


def test_a_file_that_changes_after_it_was_opened_is_refused(tmp_path):
    bed = _fileset(tmp_path, ["1", "2"])
    found = open_genotypes(bed)
    text = bed.with_suffix(".bim").read_text()
    bed.with_suffix(".bim").write_text(text.replace("rs1", "rs7"))
    with pytest.raises(FormatError, match="has changed"):
        _ = found.variants
    bed.with_suffix(".bim").write_text("1\trs0\t0\tone\tA\tG\n1\trs1\t0\t2\tA\tG\n")
    found = open_genotypes(bed)
    with pytest.raises(FormatError, match="whole number"):
        _ = found.variants


_CELLS = (
    "0", "-0", "+3", "1.5", ".5", "5.", "-1e-3", "2E+5", "1e22", "1e23", "123456789012345678", "NA",
    "9007199254740993", "0.1234567890123456789", "1e-30", "4.9e-324", "1.7976931348623157e308", "",
    "NaN", "nan", ".", "#N/A", "00012", "0.000000000000000000012345", "-9",
)  # fmt: skip
_ODD = ("inf", "1e400", "abc", " 1", "1 ", '"1"', "1,5", "1.2.3", "e5", "-", "1e", "NULL", "0x1")


@pytest.mark.parametrize("mark", ["\t", ","])
def test_plain_numbers_are_the_nearest_doubles(tmp_path, mark):
    rng = np.random.default_rng(2)
    more = [repr(float(x)) for x in rng.normal(size=200) * 10.0 ** rng.integers(-40, 40, 200)]
    more += [f"{x:.6f}" for x in rng.normal(size=200)]
    path = tmp_path / "t.txt"
    cells = [*_CELLS, *more]
    rows = "".join(f"s{i}{mark}{cell}{mark}7\n" for i, cell in enumerate(cells))
    path.write_text(f"#IID{mark}y{mark}z\n{rows}")
    found = read_sample_columns(path)
    assert isinstance(found, NumberTable)
    missing = {"", "NA", "NaN", "nan", ".", "#N/A"}
    known = [np.nan if cell in missing else float(cell) for cell in cells]
    assert found.values[:, 0].tobytes() == np.array(known).tobytes()
    frame = read_sample_table(path)
    assert frame["y"].to_list() == [None if np.isnan(one) else one for one in known]
    assert frame["IID"].to_list() == [f"s{i}" for i in range(len(cells))]
    # The same cells beside a column of words go through the reader of all tables.
    path.write_text(path.read_text().replace(f"{mark}7\n", f"{mark}x1\n"))
    assert not isinstance(read_sample_columns(path), NumberTable)
    assert read_sample_table(path)["y"].equals(frame["y"])


_WORDS = ("Bonn", "NA", "", ".", "None", "null", "7", "1.5", "inf", "a b", "é", "#N/A")


def test_words_are_those_of_the_reader_of_all_tables(tmp_path):
    rng = np.random.default_rng(4)
    path, met = tmp_path / "t.txt", set()
    for mark in "\t,":
        for _ in range(60):
            cells = rng.choice(_WORDS, 6, p=[0.4, *[0.6 / 11] * 11])
            rows = "".join(f"s{i}{mark}{cell}{mark}7\n" for i, cell in enumerate(cells))
            path.write_text(f"IID{mark}site{mark}z\n{rows}")
            found = read_sample_columns(path)
            frame = _frame(path)
            met.add(isinstance(found, NumberTable))
            assert read_sample_table(path).equals(frame)
            ours, theirs = to_covariates(found), to_covariates(frame)
            assert ours.names == theirs.names
            np.testing.assert_array_equal(ours.values, theirs.values)
    assert met == {True, False}


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_a_large_table_is_read_in_pieces(tmp_path, monkeypatch, end):
    rng = np.random.default_rng(6)
    path = tmp_path / "t.txt"
    sites = rng.choice(["Bonn", "NA", "Graz"], 300)
    # Long numbers go through Python's reader, whichever thread they are met in.
    values = [repr(x) for x in (rng.normal(size=300) * 1e-30).tolist()]
    rows = [f"s{i}\t{site}\t{x}" for i, (site, x) in enumerate(zip(sites, values, strict=True))]
    path.write_bytes(((end or "\n").join(["IID\tsite\tx", *rows]) + end).encode())
    whole = read_sample_columns(path)
    monkeypatch.setattr(sample_table, "_PIECE", 256)
    monkeypatch.setattr(sample_table, "n_threads", lambda: 4)
    pieces = read_sample_columns(path)
    assert isinstance(pieces, NumberTable)
    assert pieces.texts == whole.texts
    assert pieces.texts["site"] == [None if site == "NA" else site for site in sites]
    assert pieces.values[:, 0].tolist() == whole.values[:, 0].tolist() == list(map(float, values))
    path.write_bytes(path.read_bytes().replace(b"s250\t", b's"250\t'))
    with pytest.raises(FormatError, match="no regular table"):
        read_sample_columns(path)


def test_quoted_ids_are_read_without_their_quotes(tmp_path):
    path = tmp_path / "t.txt"
    path.write_text('IID\ty\n"a"\t1\n"b"\t2\n')
    assert read_sample_table(path)["IID"].to_list() == ["a", "b"]


@pytest.mark.parametrize("cell", _ODD)
def test_other_cells_are_left_to_the_reader_of_all_tables(tmp_path, cell):
    path = tmp_path / "t.txt"
    path.write_text(f"IID\ty\na\t1\nb\t{cell}\n")
    assert not isinstance(read_sample_columns(path), NumberTable)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_lines_may_end_in_any_way(tmp_path, end, last):
    path = tmp_path / "t.txt"
    text = end.join(["IID\ty", "a\t1", "b\t2"]) + (end if last else "")
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    found = read_sample_columns(path)
    assert isinstance(found, NumberTable)
    assert (found.texts["IID"], found.values[:, 0].tolist()) == (["a", "b"], [1.0, 2.0])


def test_a_module_that_was_put_off_is_whole_for_every_thread(tmp_path, monkeypatch):
    (tmp_path / "slow_to_load.py").write_text(
        "import time\nfirst = 1\ntime.sleep(0.05)\nlast = 2\n"
        "import slow_to_load as me\nown = me.first\n"
    )
    (tmp_path / "breaks.py").write_text("raise ValueError('not today')\n")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "in_parts").mkdir()
    (tmp_path / "in_parts" / "__init__.py").write_text("from .part import found\nthere = 4\n")
    (tmp_path / "in_parts" / "part.py").write_text("found = 3\n")
    for name in ("slow_to_load", "breaks", "in_parts", "no_such_module_at_all"):
        put_off(name)
    assert "no_such_module_at_all" not in sys.modules
    import slow_to_load

    assert type(slow_to_load) is _Later
    assert not loaded("slow_to_load")
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(slow_to_load.last + slow_to_load.own))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [3] * 4
    assert loaded("slow_to_load")
    from in_parts import part

    assert (part.found, sys.modules["in_parts"].there) == (3, 4)
    for _ in range(2):
        with pytest.raises(ValueError, match="not today"):
            load("breaks")
    for name in ("slow_to_load", "breaks", "in_parts", "in_parts.part"):
        del sys.modules[name]
