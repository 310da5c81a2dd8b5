"""Mixed-model scan as a ratio to GEMMA on the same mice, and the two-step ridge to REGENIE.

Run: python benchmarks/bench_mixed.py [--traits 1,10] [--step1]
Each side is whole processes: relationship matrix, then the scan with a Wald test a variant. Wall
and processor seconds; both must give the same log10 p within 5e-5. Needs ``gemma`` on the path
and RADGEN_DATA. GEMMA runs once a trait, as its users do. With --step1 the first step of the
two-step scan is timed on simulated data of 10,000 people, 20,000 variants and 10 traits, beside
``regenie`` where that is on the path: whole processes, the same block size, covariates and folds,
and predictors of each left-out chromosome that correlate at 0.999 or more.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from radgen.genome import grm
from radgen.io import open_genotypes

SCAN = """
import sys
import polars as pl
from radgen import genome
from radgen.associate import gwas
from radgen.io import open_genotypes
bed, traits, out = sys.argv[1:4]
genotypes = open_genotypes(bed)
kinship = genome.grm(genotypes, method="centred")
gwas(genotypes, pl.read_parquet(traits), model="lmm", kinship=kinship, out=out)
"""
STEP1 = """
import sys
from radgen.associate import polygenic_background
from radgen.io import open_genotypes
from radgen.io.sample_table import read_sample_table
bed, traits, covariates, out = sys.argv[1:5]
people, beside = read_sample_table(traits), read_sample_table(covariates)
polygenic_background(open_genotypes(bed), people, beside).frame.write_parquet(out)
"""


def timed(command: list[str], folder: Path) -> tuple[float, float]:
    """Return wall and processor seconds of a process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu


def mice(folder: Path) -> tuple[pl.DataFrame, np.ndarray]:
    """Copy the mice without their traits, and return the rows and the first trait."""
    source = Path(os.environ["RADGEN_DATA"]) / "genetics" / "mouse_hs1940"
    for end in ("bed", "bim"):
        shutil.copy(source / f"mouse_hs1940.{end}", folder / f"mice.{end}")
    lines = (source / "mouse_hs1940.fam").read_text().splitlines()
    people = pl.DataFrame([line.split()[:5] for line in lines], orient="row")
    return people, np.genfromtxt(source / "mouse_hs1940.pheno.txt")[:, 0]


def scans(folder: Path, n_traits: int) -> None:
    """Print one line: the same traits through both programs."""
    people, first = mice(folder)
    rng = np.random.default_rng(2)
    known = np.isfinite(first)
    traits = {"y0": first}
    for number in range(1, n_traits):
        traits[f"y{number}"] = np.where(known, first + rng.normal(0, 1, len(first)), np.nan)
    table = pl.DataFrame({"sample": people.get_column("column_1")} | traits)
    table.with_columns(pl.col(list(traits)).fill_nan(None)).write_parquet(folder / "y.parquet")
    both = people.with_columns(pl.Series(name, y) for name, y in traits.items())
    text = both.with_columns(pl.col(list(traits)).fill_nan(None))
    text.write_csv(folder / "mice.fam", separator="\t", include_header=False, null_value="NA")
    # GEMMA filters variants on its own before it relates mice; both scans use one matrix.
    np.savetxt(folder / "k.txt", grm(open_genotypes(folder / "mice.bed"), method="centred").values)
    gemma = ["gemma", "-bfile", "mice"]
    wall, cpu = timed([*gemma, "-gk", "1", "-o", "k"], folder)
    for number in range(n_traits):
        scan = ["-k", "k.txt", "-lmm", "1", "-n", str(number + 1), "-o", f"y{number}"]
        more = timed([*gemma, *scan], folder)
        wall, cpu = wall + more[0], cpu + more[1]
    command = [sys.executable, "-c", SCAN, "mice.bed", "y.parquet", "out.parquet"]
    ours = timed(command, folder)
    found = pl.read_parquet(folder / "out.parquet")
    worst = 0.0
    for name in traits:
        theirs = pl.read_csv(folder / "output" / f"{name}.assoc.txt", separator="\t")
        mine = found.filter(phenotype=name).join(theirs, left_on="id", right_on="rs")
        if mine.height < theirs.height:
            raise SystemExit("A variant that GEMMA tested has no test.")
        difference = (mine["log10p"] - mine["p_wald"].log10()).abs().max()
        worst = max(worst, float(difference or 0.0))
    if worst > 5e-5:
        raise SystemExit(f"log10 p differ by {worst:.1e}.")
    print(
        f"{n_traits:6d}  {wall:12.2f}  {cpu:11.2f}  {ours[0]:13.2f}  {ours[1]:12.2f}"
        f"  {wall / ours[0]:5.1f}  {cpu / ours[1]:5.1f}  {worst:.0e}"
    )


def step1(folder: Path) -> None:
    """Print the seconds of the first step on simulated data."""
    sys.path.insert(0, str(Path(__file__).parent))
    from bench_gwas import write_inputs

    write_inputs(folder, 10_000, 20_000, 10)
    files = [str(folder / name) for name in ("whole.bed", "traits.txt", "covariates.txt", "out")]
    wall, cpu = timed([sys.executable, "-c", STEP1, *files], folder)
    line = (
        "first step, 10,000 people x 20,000 variants x 10 traits: "
        f"radgen {wall:.1f} s wall, {cpu:.1f} s of processors"
    )
    if shutil.which("regenie"):
        for name in files[1:3]:  # REGENIE knows no header with a hash
            Path(name).write_text(Path(name).read_text().removeprefix("#"))
        command = [
            *("regenie", "--step", "1", "--bed", "whole", "--phenoFile", files[1], "--covarFile"),
            *(files[2], "--bsize", "1000", "--qt", "--threads", "2", "--out", "theirs"),
        ]
        theirs = timed(command, folder)
        line += f"; REGENIE {theirs[0]:.1f} s and {theirs[1]:.1f} s, ratio {theirs[0] / wall:.1f}"
        line += f", smallest correlation of predictors {_agreement(folder):.5f}"
    print(line)


def _agreement(folder: Path) -> float:
    """Return the smallest correlation of both programs' predictors, all chromosomes and traits."""
    ours = pl.read_parquet(folder / "out")
    chroms = set(ours["chrom"])
    smallest = 1.0
    for number, name in enumerate(ours.columns[3:], 1):
        rows = [line.split() for line in (folder / f"theirs_{number}.loco").read_text().split("\n")]
        people = [pair.split("_", 1)[0] for pair in rows[0][1:]]
        for chrom, *values in (row for row in rows[1:] if row and row[0] in chroms):
            mine = dict(ours.filter(chrom=chrom).select("sample", name).iter_rows())
            both = np.array([[mine[person] for person in people], values], float)
            smallest = min(smallest, float(np.corrcoef(both)[0, 1]))
    if smallest < 0.999:
        raise SystemExit(f"Predictors correlate at {smallest:.4f} only.")
    return smallest


def main() -> None:
    """Print one line a number of traits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traits", default="1,10")
    parser.add_argument("--step1", action="store_true")
    options = parser.parse_args()
    if shutil.which("gemma") is None:
        raise SystemExit("gemma is not on the path; there is nothing to compare with.")
    print(
        "traits  gemma_wall_s  gemma_cpu_s  radgen_wall_s  radgen_cpu_s   wall    cpu  max_dlog10p"
    )
    for size in options.traits.split(","):
        with tempfile.TemporaryDirectory() as place:
            scans(Path(place), int(size))
    if options.step1:
        with tempfile.TemporaryDirectory() as place:
            step1(Path(place))


if __name__ == "__main__":
    main()
