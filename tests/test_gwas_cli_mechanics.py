"""``radgen gwas`` as a user runs it: killed, in threads, on a cluster, with odd tables."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from radgen.cli.app import app
from radgen.io.sample_table import read_sample_table

_COLUMNS = [
    "phenotype",
    "chrom",
    "pos",
    "id",
    "ref",
    "alt",
    "n",
    "alt_freq",
    "beta",
    "se",
    "t",
    "log10p",
    "p",
]
# The command in a process of its own; blocks and chunks are small, and each block takes a while.
_SLOW = """
import sys, time
from radgen.associate.genomewide import _store, scan
from radgen.io.plink import BedReader
from radgen.cli import main
_store._BLOCKS = 2
cut = scan.cut
scan.cut = lambda genotypes, size, labels: cut(genotypes, 20, labels)
read, log, wait = BedReader.packed, open(sys.argv[1], "a"), float(sys.argv[2])
def packed(self, start, stop):
    log.write(f"{start}\\n"); log.flush(); time.sleep(wait)
    return read(self, start, stop)
BedReader.packed = packed
sys.argv = ["radgen", "gwas", *sys.argv[3:]]
main()
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    rng = np.random.default_rng(2)
    n, m = 120, 600
    codes = rng.choice(np.array([0, 2, 3], np.uint8), (m, n), p=[0.1, 0.4, 0.5])
    codes[rng.random((m, n)) < 0.01] = 1
    quads = codes.reshape(m, -1, 4)
    packed = quads[..., 0] | quads[..., 1] << 2 | quads[..., 2] << 4 | quads[..., 3] << 6
    (folder / "g.bed").write_bytes(b"\x6c\x1b\x01" + packed.astype(np.uint8).tobytes())
    rows = [f"{1 + i // 300}\trs{i}\t0\t{i + 1}\tA\tG\n" for i in range(m)]
    (folder / "g.bim").write_text("".join(rows))
    (folder / "g.fam").write_text("".join(f"f{i} p{i} 0 0 1 -9\n" for i in range(n)))
    y = rng.normal(size=(n, 2))
    order = rng.permutation(n)
    lines = [f"f{i}\tp{i}\t{y[i, 0]:.5f}\t{y[i, 1]:.5f}\n" for i in order]
    (folder / "y.tsv").write_text("#FID\tIID\tleft\tright\n" + "".join(lines))
    lines = [f"p{i},{rng.normal():.4f},{'abc'[i % 3]}\n" for i in range(n)]
    (folder / "x.csv").write_text("IID,age,site\n" + "".join(lines))
    return folder


def words(study, out, **options):
    files = {"genotypes": study / "g.bed", "phenotypes": study / "y.tsv"}
    files |= {"covariates": study / "x.csv", "out": out} | options
    return [item for name, value in files.items() for item in (f"--{name}", str(value))]


def test_a_killed_scan_is_taken_up(study, tmp_path):
    whole = tmp_path / "whole.parquet"
    assert not CliRunner().invoke(app, ["gwas", *words(study, whole)]).exit_code
    out, log = tmp_path / "killed.parquet", tmp_path / "log"
    command = [sys.executable, "-c", _SLOW, str(log), "0.05", *words(study, out, jobs=1)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    limit = time.monotonic() + 60
    while len(list(tmp_path.glob(".killed.parquet.parts-*/counts-*"))) < 4:
        assert process.poll() is None, "the scan ended before it could be killed"
        assert time.monotonic() < limit
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not out.exists()
    log.unlink()
    subprocess.run([*command[:4], "0", *command[5:]], check=True, stdout=subprocess.DEVNULL)
    assert min(map(int, log.read_text().split())) >= 4 * 2 * 20
    found = pl.read_parquet(out)
    assert found.columns == _COLUMNS
    assert found.equals(pl.read_parquet(whole))
    assert {item.name for item in tmp_path.iterdir()} == {out.name, whole.name, "log"}


def test_threads_and_a_cluster_change_nothing(study, tmp_path):
    distributed = pytest.importorskip("distributed")
    run = CliRunner().invoke
    for jobs in (1, 3):
        assert not run(
            app, ["gwas", *words(study, tmp_path / f"{jobs}.parquet", jobs=jobs)]
        ).exit_code
    place = {"n_workers": 1, "threads_per_worker": 2, "dashboard_address": None}
    with distributed.LocalCluster(**place, silence_logs=50) as cluster:
        address = cluster.scheduler_address
        arguments = ["gwas", *words(study, tmp_path / "far.parquet", cluster=address)]
        assert not run(app, arguments, catch_exceptions=False).exit_code
    want = pl.read_parquet(tmp_path / "1.parquet")
    for name in ("3", "far"):
        found = pl.read_parquet(tmp_path / f"{name}.parquet")
        assert found.select("phenotype", "id", "n").equals(want.select("phenotype", "id", "n"))
        np.testing.assert_allclose(found["beta"], want["beta"], rtol=1e-12)
        np.testing.assert_allclose(found["log10p"], want["log10p"], rtol=1e-10)


def test_the_help_teaches():
    text = CliRunner().invoke(app, ["gwas", "--help"], env={"COLUMNS": "100"}).output
    for word in (
        "--interaction",
        "--loco",
        "--sex",
        "--cluster",
        "--layout",
        "ALT allele",
        "Example",
    ):
        assert word in text


def scan(study, tmp_path, text=None, **options):
    """Run the command on other phenotypes; return the exit code and what it says."""
    if text is not None:
        (tmp_path / "p.tsv").write_text(text)
        options["phenotypes"] = tmp_path / "p.tsv"
    result = CliRunner().invoke(app, ["gwas", *words(study, tmp_path / "o.parquet", **options)])
    return result.exit_code, " ".join((result.output + str(result.exception or "")).split())


def test_odd_tables_are_read_or_refused_with_the_place(study, tmp_path):
    lines = (study / "y.tsv").read_text().splitlines()
    table = pl.read_csv(study / "y.tsv", separator="\t").rename({"#FID": "FID"})
    # A cell that is no number.
    broken = [*lines[:4], "\t".join([*lines[4].split("\t")[:3], "high"]), *lines[5:]]
    code, text = scan(study, tmp_path, "\n".join(broken))
    assert code
    who = lines[4].split("\t")[1]
    assert (
        f"Trait 'right' holds 1 cells that are no number, the first 'high' of sample '{who}'"
        in text
    )
    assert "(row 4)" in text
    # It does no harm where the trait is not asked for, and #N/A is missing.
    assert not scan(study, tmp_path, "\n".join(broken), traits="left")[0]
    code, text = scan(study, tmp_path, "\n".join(broken).replace("high", "#N/A"))
    assert not code
    assert set(
        pl.read_parquet(tmp_path / "o.parquet").group_by("phenotype").agg(pl.col("n").max())["n"]
    ) == {119, 120}
    # A line that is too long, a repeated id, a name that is none.
    code, text = scan(study, tmp_path, "\n".join([*lines[:7], lines[7] + "\t1", *lines[8:]]))
    assert code
    assert "line 8: has 5 fields; the header has 4" in text.replace(":8:", ": line 8:")
    code, text = scan(study, tmp_path, "\n".join([*lines, lines[1]]))
    assert code
    assert f"more than one row: {lines[1].split(chr(9))[1]}" in text
    code, text = scan(study, tmp_path, traits="lefd")
    assert code
    assert "Did you mean 'left'" in text
    # One id column, commas, another order of people: the same numbers.
    code, _ = scan(study, tmp_path, table.drop("FID").sort("IID").write_csv())
    one = pl.read_parquet(tmp_path / "o.parquet")
    scan(study, tmp_path)
    assert one.equals(pl.read_parquet(tmp_path / "o.parquet"))


def test_ids_of_families_and_codes_of_missing(study, tmp_path):
    table = pl.read_csv(study / "y.tsv", separator="\t").rename({"#FID": "FID"})
    covariates = (study / "x.csv").read_text().splitlines()
    covariates = [
        "FID,IID,age,site",
        *(f"f{line[1:].split(',')[0]},{line}" for line in covariates[1:]),
    ]
    (tmp_path / "x.csv").write_text("\n".join(covariates))
    code, _ = scan(study, tmp_path, ids="fid_iid", covariates=tmp_path / "x.csv")
    assert not code
    named = pl.read_parquet(tmp_path / "o.parquet")
    scan(study, tmp_path)
    assert named.equals(pl.read_parquet(tmp_path / "o.parquet"))
    code, text = scan(study, tmp_path, ids="fid_iid")
    assert code
    assert "no columns FID and IID" in text
    case = table.with_columns(case=(pl.col("left") > 0).cast(int) + 1)
    case = case.with_columns(case=pl.when(pl.int_range(pl.len()) < 9).then(-9).otherwise("case"))
    options = {"model": "logistic", "traits": "case"}
    code, text = scan(study, tmp_path, case.write_csv(separator="\t"), **options)
    assert not code
    assert "'case': -9 is missing in 9 samples" in text
    assert pl.read_parquet(tmp_path / "o.parquet")["n"].max() == 111
    code, text = scan(study, tmp_path, case.write_csv(separator="\t"), traits="case")
    assert "-9 in 9 samples, which counts as a number" in text


def test_bgen_ids_of_regenie_are_explained(data, tmp_path):
    folder = data("genetics/regenie_example")
    files = {"genotypes": folder / "example.bgen", "phenotypes": folder / "phenotype.txt"}
    files |= {"covariates": folder / "covariates.txt"}
    code, text = scan(folder, tmp_path, **files)
    assert code
    assert "--ids fid_iid" in text
    code, _ = scan(folder, tmp_path, **files, ids="fid_iid", traits="Y1")
    assert not code
    found = pl.read_parquet(tmp_path / "o.parquet")
    scan(folder, tmp_path, **(files | {"genotypes": folder / "example.bed"}), traits="Y1")
    hard = pl.read_parquet(tmp_path / "o.parquet")
    sign = np.where(found["alt"] == hard["alt"], 1, -1)
    # 8-bit dosages against hard calls.
    assert np.corrcoef(sign * found["t"].to_numpy(), hard["t"].to_numpy())[0, 1] > 0.999


def test_quality_control_compares_sexes_and_counts_each_step(tmp_path):
    rng = np.random.default_rng(6)
    n, m = 80, 400
    male = np.arange(n) % 2 == 0
    calls = rng.binomial(2, 0.4, (m, n))
    calls[300:, male] = 2 * rng.binomial(1, 0.4, (100, 40))
    calls[0] = 0
    calls = calls.astype(float)
    calls[1, :20] = np.nan  # a variant and a sample with few calls
    calls[: m // 5, 7] = np.nan
    codes = np.where(np.isnan(calls), 1, np.select([calls == 0, calls == 1], [3, 2], 0))
    quads = codes.astype(np.uint8).reshape(m, -1, 4)
    packed = quads[..., 0] | quads[..., 1] << 2 | quads[..., 2] << 4 | quads[..., 3] << 6
    (tmp_path / "g.bed").write_bytes(b"\x6c\x1b\x01" + packed.astype(np.uint8).tobytes())
    chrom = ["1"] * 300 + ["23"] * 100
    rows = [f"{c}\trs{i}\t0\t{i + 3000000}\tA\tG\n" for i, c in enumerate(chrom)]
    (tmp_path / "g.bim").write_text("".join(rows))
    sexes = [1 if is_male else 2 for is_male in male]
    sexes[4] = 2  # a man who is said to be a woman
    (tmp_path / "g.fam").write_text("".join(f"p{i} p{i} 0 0 {s} -9\n" for i, s in enumerate(sexes)))
    words = ["genotypes", "qc", "--genotypes", tmp_path / "g.bed", "--out", tmp_path / "qc"]
    result = CliRunner().invoke(app, list(map(str, words)))
    assert not result.exit_code, result.output
    people = read_sample_table(tmp_path / "qc" / "samples.tsv")
    removed = dict(
        people.filter(pl.col("removed_by").is_not_null()).select("sample", "removed_by").rows()
    )
    assert removed["p4"] == "sex check"
    assert removed["p7"] == "sample call rate"
    steps = read_sample_table(tmp_path / "qc" / "steps.tsv")
    assert steps["step"].to_list()[:2] == ["sample call rate", "variant call rate"]
    before = steps["samples_before"].to_list()
    assert before[0] == n
    assert before[1:] == steps["samples_after"].to_list()[:-1]
    assert "sex check: 1 sample and" in result.output
    kept = people.height - len(removed)
    assert steps["samples_after"][-1] == kept


_START = """
import sys
from contextlib import contextmanager
from radgen._core.progress import use_progress
from radgen.cli import main

@contextmanager
def look(what, total):
    heavy = {"scipy", "sklearn", "matplotlib", "nibabel", "pydantic", "rich", "jinja2", "pandas"}
    other = {"image", "features", "stats", "plot", "predict", "report", "study", "sim", "omics"}
    models = {"plot", "ridge", "meta", "bundle", "_cox", "_logistic", "_ordinal", "_mixed"}
    heavy |= {"radgen.types.image", *(f"radgen.{name}" for name in other)}
    heavy |= {f"radgen.associate.genomewide.{name}" for name in models}
    print(what, sorted(heavy & set(sys.modules)))
    yield lambda n: None

with use_progress(look):
    main()
"""


def test_a_linear_scan_reaches_its_first_block_without_what_it_does_not_need(tmp_path):
    n = 12
    rng = np.random.default_rng(2)
    (tmp_path / "a.bed").write_bytes(b"\x6c\x1b\x01" + rng.integers(0, 256, 9, np.uint8).tobytes())
    (tmp_path / "a.bim").write_text("".join(f"1\trs{i}\t0\t{i + 1}\tA\tG\n" for i in range(3)))
    (tmp_path / "a.fam").write_text("".join(f"f s{i} 0 0 1 -9\n" for i in range(n)))
    frame = pl.DataFrame({"IID": [f"s{i}" for i in range(n)], "y": rng.normal(size=n)})
    frame.write_csv(tmp_path / "y.tsv", separator="\t")
    options = ["--genotypes", "a.bed", "--phenotypes", "y.tsv", "--out", "out.parquet"]
    command = [sys.executable, "-c", _START, "gwas", *options, "--threshold", "0.001"]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert "Scanning variants []" in done.stdout


def test_traits_and_covariates_may_stand_in_one_table(study, tmp_path):
    """--adjust names the covariates; the result is that of two tables."""
    traits, beside = (pl.read_csv(study / name, separator=mark)
                      for name, mark in (("y.tsv", "\t"), ("x.csv", ",")))  # fmt: skip
    one = traits.rename({"#FID": "FID"}).join(beside, on="IID", how="left")
    one.write_csv(tmp_path / "all.csv")
    apart = CliRunner().invoke(app, ["gwas", *words(study, tmp_path / "a.parquet")])
    files = ["--genotypes", str(study / "g.bed"), "--phenotypes", str(tmp_path / "all.csv")]
    both = [*files, "--adjust", "age,site", "--out", str(tmp_path / "b.parquet")]
    together = CliRunner().invoke(app, ["gwas", *both])
    assert apart.exit_code == together.exit_code == 0, together.output
    first, second = (pl.read_parquet(tmp_path / f"{name}.parquet") for name in "ab")
    assert first.equals(second)
    unnamed = CliRunner().invoke(
        app, ["gwas", *files, "--covariates", str(tmp_path / "all.csv"), "--out", "c.parquet"]
    )
    assert "name the covariates (--adjust" in str(unnamed.exception)
    absent = CliRunner().invoke(app, ["gwas", *files, "--adjust", "agee", "--out", "c.parquet"])
    assert "no column 'agee' (--adjust)" in str(absent.exception)


def test_events_in_words_are_the_events_in_numbers(study, tmp_path):
    table = pl.read_csv(study / "y.tsv", separator="\t").rename({"#FID": "FID"})
    table = table.with_columns(
        days=pl.col("left").exp() * 100, died=(pl.col("right") > 0).cast(int)
    )
    table.write_csv(tmp_path / "numbers.csv")
    told = table.with_columns(
        pl.when(pl.col("died") == 1).then(pl.lit("1:DECEASED")).otherwise(pl.lit("0:LIVING"))
        .alias("died")
    )  # fmt: skip
    told.write_csv(tmp_path / "words.csv")
    found = []
    for name in ("numbers", "words"):
        out = tmp_path / f"{name}.parquet"
        done = CliRunner().invoke(
            app, ["gwas", "--genotypes", str(study / "g.bed"), "--phenotypes",
                  str(tmp_path / f"{name}.csv"), "--model", "cox", "--traits", "days",
                  "--event", "died", "--out", str(out)],
        )  # fmt: skip
        assert done.exit_code == 0, done.output
        found.append(pl.read_parquet(out))
    assert found[0].equals(found[1])
